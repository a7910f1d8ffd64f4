//! Lua 5.1's patterns, matched so that whoever waits is told of every stretch of steps, and may stop it: a pattern
//! may take hours over a short text, and nothing else interrupts it.
//!
//! What matches, what is captured and what is said of a pattern that is none is as Lua's own code has it, down to
//! when that is said: a pattern is read while it is matched, and what is not reached is not complained about. It
//! must never know the interpreter.

mod classes;
mod replace;
#[cfg(test)]
mod tests;

use classes::Single;
pub(crate) use replace::append as append_replacement;

/// Captures of one pattern, at most.
pub(crate) const CAPTURES_MAX: usize = 32;
/// Items of a pattern that wait for what is behind them to match, at most. Each takes some of the thread's stack.
const DEPTH_MAX: usize = 1_000;
/// The meter is told after so many steps.
const STRIDE: u32 = 1_000;
/// Bytes that are compared, skipped or copied within one step.
const BYTES_PER_STEP: usize = 32;
/// Steps that replacing a match takes, beside the bytes.
const REPLACEMENT_STEPS: u32 = 16;

/// Is told of steps, and says whether to go on.
pub(crate) type Meter<'m, E> = dyn FnMut(u32) -> Result<(), E> + 'm;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure<E> {
    /// The pattern is none.
    Wrong(&'static str),
    /// It was stopped.
    Stopped(E),
}

pub(crate) type Outcome<T, E> = Result<T, Failure<E>>;

/// What a part of a pattern has captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    Text {
        start: usize,
        end: usize,
    },
    /// A place, from 0.
    Place(usize),
    /// Its end has not been reached.
    Open(usize),
}

/// A pattern on a text.
pub(crate) struct Matcher<'a, 'm, E> {
    text: &'a [u8],
    pattern: &'a [u8],
    level: usize,
    captures: [Capture; CAPTURES_MAX],
    depth: usize,
    steps: u32,
    meter: &'m mut Meter<'m, E>,
}

/// Whether a text can be looked for as it is: it has nothing that means something in a pattern. A pattern ends
/// with a zero, which is none for what is looked for as it is.
pub(crate) fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().take_while(|byte| **byte != 0).any(|byte| is_special(*byte))
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'^' | b'$' | b'*' | b'+' | b'?' | b'.' | b'(' | b'[' | b'%' | b'-')
}

/// A text in another, from a place on.
pub(crate) fn find_plain<E>(
    text: &[u8],
    sought: &[u8],
    from: usize,
    meter: &mut Meter<'_, E>,
) -> Result<Option<usize>, E> {
    let Some(rest) = text.get(from..) else { return Ok(None) };
    let found = memchr::memmem::find(rest, sought);
    let read = found.unwrap_or(rest.len()) + sought.len();
    meter(u32::try_from(read / BYTES_PER_STEP).unwrap_or(u32::MAX))?;
    Ok(found.map(|at| from + at))
}

impl<'a, 'm, E> Matcher<'a, 'm, E> {
    pub(crate) fn new(text: &'a [u8], pattern: &'a [u8], meter: &'m mut Meter<'m, E>) -> Self {
        Self {
            text,
            pattern,
            level: 0,
            captures: [Capture::Open(0); CAPTURES_MAX],
            depth: 0,
            steps: 0,
            meter,
        }
    }

    /// The first match at or behind a place: where it begins and ends. Where it is anchored, only there.
    pub(crate) fn find(&mut self, from: usize, is_anchored: bool) -> Outcome<Option<(usize, usize)>, E> {
        let first = if is_anchored { None } else { self.first_byte() };
        let mut start = from;
        while start <= self.text.len() {
            if let Some(byte) = first {
                let rest = self.text.get(start..).unwrap_or_default();
                let skipped = memchr::memchr(byte, rest);
                self.spend_bytes(skipped.unwrap_or(rest.len()))?;
                let Some(skipped) = skipped else { break };
                start += skipped;
            }
            self.level = 0;
            self.depth = 0;
            if let Some(end) = self.at(start, 0)? {
                return Ok(Some((start, end)));
            }
            if is_anchored {
                break;
            }
            start += 1;
        }
        Ok(None)
    }

    /// The byte that every match begins with, where the pattern begins with one that is nothing but that.
    fn first_byte(&self) -> Option<u8> {
        let first = self.byte(0);
        let is_itself = first != 0 && first != b')' && !is_special(first);
        let is_once = !matches!(self.byte(1), b'?' | b'*' | b'-');
        (is_itself && is_once).then_some(first)
    }

    /// What was captured; the whole match if nothing is.
    pub(crate) fn captures(&self, matched: (usize, usize)) -> impl Iterator<Item = Outcome<Capture, E>> {
        (0..self.level.max(1)).map(move |number| self.capture(number, matched))
    }

    /// Captures that the pattern has made; none is the whole match.
    pub(crate) fn has_captures(&self) -> bool {
        self.level > 0
    }

    /// A capture, from 0.
    pub(crate) fn capture(&self, number: usize, (start, end): (usize, usize)) -> Outcome<Capture, E> {
        match self.captures.get(number).filter(|_| number < self.level) {
            Some(Capture::Open(_)) => Err(Failure::Wrong("unfinished capture")),
            Some(capture) => Ok(*capture),
            None if number == 0 => Ok(Capture::Text { start, end }),
            None => Err(Failure::Wrong("invalid capture index")),
        }
    }

    /// Tells of the steps that were not told of yet.
    pub(crate) fn settle(self) -> Result<(), E> {
        (self.meter)(self.steps)
    }

    fn spend(&mut self, steps: u32) -> Outcome<(), E> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps < STRIDE {
            return Ok(());
        }
        let steps = std::mem::take(&mut self.steps);
        (self.meter)(steps).map_err(Failure::Stopped)
    }

    /// What putting something in the place of a match takes.
    pub(crate) fn spend_replacement(&mut self, bytes: usize) -> Outcome<(), E> {
        self.spend(REPLACEMENT_STEPS)?;
        self.spend_bytes(bytes)
    }

    fn spend_bytes(&mut self, bytes: usize) -> Outcome<(), E> {
        self.spend(u32::try_from(bytes / BYTES_PER_STEP).unwrap_or(u32::MAX))
    }

    /// A byte of the pattern; zero where it ends.
    fn byte(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    fn text_byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// The same behind an item that is gone back to if this does not match.
    fn behind(&mut self, at: usize, pattern: usize) -> Outcome<Option<usize>, E> {
        if self.depth >= DEPTH_MAX {
            return Err(Failure::Wrong("pattern too complex"));
        }
        self.depth += 1;
        let end = self.at(at, pattern)?;
        self.depth -= 1;
        Ok(end)
    }

    /// Where what begins at a place ends, if it matches the pattern from a place of it on.
    fn at(&mut self, mut at: usize, mut pattern: usize) -> Outcome<Option<usize>, E> {
        loop {
            self.spend(1)?;
            match (self.byte(pattern), self.byte(pattern + 1)) {
                (0, _) => return Ok(Some(at)),
                (b'(', b')') => return self.open(at, pattern + 2, Capture::Place(at)),
                (b'(', _) => return self.open(at, pattern + 1, Capture::Open(at)),
                (b')', _) => return self.close(at, pattern + 1),
                (b'$', 0) => return Ok((at == self.text.len()).then_some(at)),
                (b'%', b'b') => {
                    let Some(end) = self.balanced(at, pattern + 2)? else { return Ok(None) };
                    (at, pattern) = (end, pattern + 4);
                }
                (b'%', b'f') => {
                    let Some(end) = self.frontier(at, pattern + 2)? else { return Ok(None) };
                    pattern = end;
                }
                (b'%', digit @ b'0'..=b'9') => {
                    let Some(end) = self.again(at, digit)? else { return Ok(None) };
                    (at, pattern) = (end, pattern + 2);
                }
                _ => {
                    let end = self.item_end(pattern)?;
                    let single = Single::new(self.pattern, pattern, end);
                    self.spend(single.extra_steps())?;
                    let matches = self.text.get(at).is_some_and(|byte| single.matches(*byte));
                    match self.byte(end) {
                        b'?' => {
                            if matches && let Some(end) = self.behind(at + 1, end + 1)? {
                                return Ok(Some(end));
                            }
                            pattern = end + 1;
                        }
                        b'*' => return self.most(at, single, end + 1),
                        b'+' if matches => return self.most(at + 1, single, end + 1),
                        b'-' => return self.least(at, single, end + 1),
                        _ if !matches => return Ok(None),
                        _ => (at, pattern) = (at + 1, end),
                    }
                }
            }
        }
    }

    /// Where an item that stands for one byte ends.
    fn item_end(&mut self, item: usize) -> Outcome<usize, E> {
        match self.byte(item) {
            b'%' if self.byte(item + 1) == 0 => Err(Failure::Wrong("malformed pattern (ends with '%')")),
            b'%' => Ok(item + 2),
            b'[' => {
                let mut end = item + 1 + usize::from(self.byte(item + 1) == b'^');
                loop {
                    match (self.byte(end), self.byte(end + 1)) {
                        (0, _) => return Err(Failure::Wrong("malformed pattern (missing ']')")),
                        (b'%', 1..) => end += 2,
                        _ => end += 1,
                    }
                    if self.byte(end) == b']' {
                        return Ok(end + 1);
                    }
                }
            }
            _ => Ok(item + 1),
        }
    }

    /// As many as there are, then fewer.
    fn most(&mut self, at: usize, single: Single<'a>, pattern: usize) -> Outcome<Option<usize>, E> {
        let rest = self.text.get(at..).unwrap_or_default();
        let mut end = at;
        if matches!(single, Single::Any) {
            end = self.text.len();
            self.spend_bytes(rest.len())?;
        } else {
            let steps = 1 + single.extra_steps();
            for byte in rest {
                self.spend(steps)?;
                if !single.matches(*byte) {
                    break;
                }
                end += 1;
            }
        }
        // What every match goes on with: without it there, it need not be tried.
        let next = self.next_byte(pattern);
        loop {
            self.spend(1)?;
            if next.is_none_or(|next| self.text.get(end) == Some(&next))
                && let Some(end) = self.behind(end, pattern)?
            {
                return Ok(Some(end));
            }
            if end == at {
                return Ok(None);
            }
            end -= 1;
        }
    }

    /// As few as will do.
    fn least(&mut self, mut at: usize, single: Single<'a>, pattern: usize) -> Outcome<Option<usize>, E> {
        let steps = 1 + single.extra_steps();
        let next = self.next_byte(pattern);
        loop {
            self.spend(steps)?;
            if next.is_none_or(|next| self.text.get(at) == Some(&next))
                && let Some(end) = self.behind(at, pattern)?
            {
                return Ok(Some(end));
            }
            match self.text.get(at) {
                Some(byte) if single.matches(*byte) => at += 1,
                _ => return Ok(None),
            }
        }
    }

    /// The byte that whatever matches from a place of the pattern on begins with, if that is easily seen.
    fn next_byte(&self, pattern: usize) -> Option<u8> {
        let next = self.byte(pattern);
        let is_itself = next != 0 && next != b')' && !is_special(next);
        (is_itself && !matches!(self.byte(pattern + 1), b'?' | b'*' | b'-')).then_some(next)
    }

    fn open(&mut self, at: usize, pattern: usize, capture: Capture) -> Outcome<Option<usize>, E> {
        let Some(place) = self.captures.get_mut(self.level) else {
            return Err(Failure::Wrong("too many captures"));
        };
        *place = capture;
        self.level += 1;
        let end = self.behind(at, pattern)?;
        if end.is_none() {
            self.level -= 1;
        }
        Ok(end)
    }

    fn close(&mut self, at: usize, pattern: usize) -> Outcome<Option<usize>, E> {
        let open =
            self.captures.iter().take(self.level).rposition(|capture| matches!(capture, Capture::Open(_)));
        let Some((number, Some(Capture::Open(start)))) = open.map(|at| (at, self.captures.get(at).copied()))
        else {
            return Err(Failure::Wrong("invalid pattern capture"));
        };
        self.set(number, Capture::Text { start, end: at });
        let end = self.behind(at, pattern)?;
        if end.is_none() {
            self.set(number, Capture::Open(start));
        }
        Ok(end)
    }

    fn set(&mut self, number: usize, capture: Capture) {
        if let Some(place) = self.captures.get_mut(number) {
            *place = capture;
        }
    }

    /// `%b`.
    fn balanced(&mut self, at: usize, pattern: usize) -> Outcome<Option<usize>, E> {
        let (open, close) = (self.byte(pattern), self.byte(pattern + 1));
        if open == 0 || close == 0 {
            return Err(Failure::Wrong("unbalanced pattern"));
        }
        if self.text.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for (passed, byte) in self.text.iter().enumerate().skip(at + 1) {
            self.spend(1)?;
            if *byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(passed + 1));
                }
            } else if *byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f`: where a set begins to match. Gives the place of the pattern behind it.
    fn frontier(&mut self, at: usize, pattern: usize) -> Outcome<Option<usize>, E> {
        if self.byte(pattern) != b'[' {
            return Err(Failure::Wrong("missing '[' after '%f' in pattern"));
        }
        let end = self.item_end(pattern)?;
        let set = Single::new(self.pattern, pattern, end);
        self.spend(set.extra_steps())?;
        let before = at.checked_sub(1).map_or(0, |before| self.text_byte(before));
        Ok((!set.matches(before) && set.matches(self.text_byte(at))).then_some(end))
    }

    /// `%1` and so on: what was captured, once more.
    fn again(&mut self, at: usize, digit: u8) -> Outcome<Option<usize>, E> {
        let number = usize::from(digit).checked_sub(usize::from(b'1'));
        let capture =
            number.filter(|number| *number < self.level).and_then(|number| self.captures.get(number));
        match capture {
            None | Some(Capture::Open(_)) => Err(Failure::Wrong("invalid capture index")),
            Some(Capture::Place(_)) => Ok(None),
            Some(&Capture::Text { start, end }) => {
                self.spend_bytes(end - start)?;
                let captured = self.text.get(start..end).unwrap_or_default();
                let rest = self.text.get(at..).unwrap_or_default();
                Ok(rest.starts_with(captured).then(|| at + captured.len()))
            }
        }
    }
}
