//! The functions of Lua's own `string` that may take long over short texts, or make long ones: here their steps
//! are counted, and they end when the script is stopped.
//!
//! `gmatch`, and `gsub` where a function or table tells what to put in, are loops in Lua around `next_match`: what
//! they call fails and yields as if the script had called it.

use super::args::{Arg, Args, to_i32};
use super::fault::{Caller, Fault};
use super::{Outcome, add_limited, room, without_limit};
use crate::meter;
use crate::patterns::{self, Capture, Failure, Matcher, append_replacement};
use mlua::{Error, Lua, MultiValue, String as LuaString, Table, Value};

/// What is taken for matching takes a quarter of what the interpreter takes for a step.
const MATCHING_PER_STEP: u32 = 4;
/// What a call takes at least.
const CALL_STEPS: u32 = 4;

/// Functions that are in the place of those of this name, and those that loops in Lua go around.
pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let strings = lua.create_table()?;
    add_limited(lua, &strings, Caller { name: "find", wrapped: false }, |args| find(args, true))?;
    add_limited(lua, &strings, Caller { name: "match", wrapped: false }, |args| find(args, false))?;
    add_limited(lua, &strings, Caller { name: "rep", wrapped: false }, repeat)?;
    for (name, change) in [("lower", lower as fn(&mut [u8])), ("upper", upper), ("reverse", reverse)] {
        add_limited(lua, &strings, Caller { name, wrapped: false }, move |args| changed(args, change))?;
    }
    add_limited(lua, &strings, Caller { name: "gsub", wrapped: true }, substitute)?;
    add_limited(lua, &strings, Caller { name: "next_match", wrapped: true }, next_match)?;
    add_limited(lua, &strings, Caller { name: "texts", wrapped: true }, texts)?;
    Ok(strings)
}

impl From<Failure<Error>> for Fault {
    fn from(failure: Failure<Error>) -> Self {
        match failure {
            Failure::Wrong(what) => Self::at(what),
            Failure::Stopped(error) => error.into(),
        }
    }
}

fn spend_matching(lua: &Lua, steps: u32) -> mlua::Result<()> {
    meter::spend(lua, steps / MATCHING_PER_STEP)
}

/// A place from 1, or from the end if it is negative, as one from 0.
fn place(given: i64, len: usize) -> usize {
    match usize::try_from(given) {
        Ok(at) => at.saturating_sub(1).min(len),
        Err(_) => len.saturating_sub(usize::try_from(given.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

fn number(at: usize) -> Value {
    Value::Number(at as f64)
}

/// `find` and `match`.
fn find(args: &Args<'_>, tells_place: bool) -> Outcome<MultiValue> {
    let lua = args.lua();
    let (text, pattern) = (args.text(1)?, args.text(2)?);
    let (text, pattern) = (&*text.as_bytes(), &*pattern.as_bytes());
    let from = place(args.integer_or(3, 1)?, text.len());
    meter::spend(lua, CALL_STEPS)?;
    if tells_place && (is_true(args.argument(4)) || patterns::is_plain(pattern)) {
        let found = patterns::find_plain(text, pattern, from, &mut |steps| spend_matching(lua, steps))?;
        return Ok(match found {
            Some(start) => [number(start + 1), number(start + pattern.len())].into_iter().collect(),
            None => none(),
        });
    }
    let (is_anchored, pattern) = anchored(pattern);
    let mut meter = |steps| spend_matching(lua, steps);
    let mut matcher = Matcher::new(text, pattern, &mut meter);
    let mut found = MultiValue::new();
    match matcher.find(from, is_anchored)? {
        None => found.push_back(Value::Nil),
        Some(matched) => {
            if tells_place {
                found.extend([number(matched.0 + 1), number(matched.1)]);
            }
            if !tells_place || matcher.has_captures() {
                push_captures(lua, text, &matcher, matched, &mut found)?;
            }
        }
    }
    matcher.settle()?;
    Ok(found)
}

fn none() -> MultiValue {
    std::iter::once(Value::Nil).collect()
}

fn is_true(arg: &Arg) -> bool {
    !matches!(arg, Arg::Absent | Arg::Given(Value::Nil | Value::Boolean(false)))
}

fn anchored(pattern: &[u8]) -> (bool, &[u8]) {
    match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    }
}

/// What is short is made without the bound on memory, for the time that this takes.
const SHORT_BYTES_MAX: usize = 1 << 10;

fn push_captures(
    lua: &Lua,
    text: &[u8],
    matcher: &Matcher<'_, '_, Error>,
    matched: (usize, usize),
    values: &mut MultiValue,
) -> Outcome<()> {
    let mut push = |make: fn(&Lua, &[u8]) -> Outcome<LuaString>| -> Outcome<()> {
        for capture in matcher.captures(matched) {
            values.push_back(match capture? {
                Capture::Text { start, end } => {
                    Value::String(make(lua, text.get(start..end).unwrap_or_default())?)
                }
                Capture::Place(at) | Capture::Open(at) => number(at + 1),
            });
        }
        Ok(())
    };
    if text.len() <= SHORT_BYTES_MAX {
        return without_limit(lua, || push(|lua, bytes| Ok(lua.create_string(bytes)?)));
    }
    push(made)
}

/// A string of the script's.
pub(super) fn made(lua: &Lua, bytes: &[u8]) -> Outcome<LuaString> {
    if bytes.len() <= SHORT_BYTES_MAX {
        return Ok(without_limit(lua, || lua.create_string(bytes))?);
    }
    meter::spend_bytes(lua, bytes.len())?;
    Ok(lua.create_string(bytes)?)
}

/// The next match of a text, a pattern, from a place on: where it begins and ends, and what it captures. Without a
/// fourth argument an anchor is one, and none but the first place has it.
fn next_match(args: &Args<'_>) -> Outcome<MultiValue> {
    let lua = args.lua();
    let (text, pattern) = (args.text(1)?, args.text(2)?);
    let (text, pattern) = (&*text.as_bytes(), &*pattern.as_bytes());
    let from = usize::try_from(args.integer(3)?).unwrap_or_default().saturating_sub(1);
    let (is_anchored, pattern) = if is_true(args.argument(4)) { (false, pattern) } else { anchored(pattern) };
    meter::spend(lua, CALL_STEPS)?;
    if is_anchored && from > 0 {
        return Ok(MultiValue::new());
    }
    let mut meter = |steps| spend_matching(lua, steps);
    let mut matcher = Matcher::new(text, pattern, &mut meter);
    let mut found = MultiValue::new();
    if let Some(matched) = matcher.find(from, is_anchored)? {
        found.extend([number(matched.0 + 1), number(matched.1)]);
        push_captures(lua, text, &matcher, matched, &mut found)?;
    }
    matcher.settle()?;
    Ok(found)
}

/// A text, a pattern and how many matches there are to be, if that is given: what stands for them as them.
fn texts(args: &Args<'_>) -> Outcome<(LuaString, LuaString, Option<f64>)> {
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let max = if args.is_none_or_nil(4) { None } else { Some(f64::from(to_i32(args.number(4)?))) };
    Ok((text, pattern, max))
}

/// `gsub` with a text for the replacement.
fn substitute(args: &Args<'_>) -> Outcome<(LuaString, f64)> {
    let lua = args.lua();
    let (given, pattern) = (args.text(1)?, args.text(2)?);
    let (text, pattern) = (&*given.as_bytes(), &*pattern.as_bytes());
    let max = if args.is_none_or_nil(4) { i64::MAX } else { i64::from(to_i32(args.number(4)?)) };
    let Ok(replacement) = args.text(3) else {
        return Err(Fault::argument(3, "string/function/table expected"));
    };
    let replacement = &*replacement.as_bytes();
    meter::spend(lua, CALL_STEPS)?;
    let room = room(lua);
    let (is_anchored, pattern) = anchored(pattern);
    let mut meter = |steps| spend_matching(lua, steps);
    let mut matcher = Matcher::new(text, pattern, &mut meter);
    let mut out = Vec::new();
    let (mut count, mut from, mut copied) = (0, 0, 0);
    while count < max {
        let Some((start, end)) = matcher.find(from, is_anchored)? else { break };
        count += 1;
        out.extend_from_slice(text.get(copied..start).unwrap_or_default());
        let before = out.len();
        append_replacement(&matcher, (start, end), replacement, &mut out)?;
        matcher.spend_replacement(out.len() - before + replacement.len())?;
        if out.len() > room {
            return Err(Fault::memory());
        }
        copied = end;
        from = if end > start { end } else { end + 1 };
        if is_anchored {
            break;
        }
    }
    matcher.settle()?;
    if count == 0 {
        return Ok((args.string(1)?, 0.0));
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Ok((made(lua, &out)?, count as f64))
}

fn repeat(args: &Args<'_>) -> Outcome<LuaString> {
    let lua = args.lua();
    let text = args.text(1)?;
    let text = &*text.as_bytes();
    let times = usize::try_from(to_i32(args.number(2)?)).unwrap_or_default();
    let bytes = text.len().saturating_mul(times);
    if bytes > room(lua) {
        return Err(Fault::memory());
    }
    meter::spend(lua, CALL_STEPS)?;
    meter::spend_bytes(lua, bytes)?;
    made(lua, &text.repeat(times))
}

fn lower(bytes: &mut [u8]) {
    bytes.make_ascii_lowercase();
}

fn upper(bytes: &mut [u8]) {
    bytes.make_ascii_uppercase();
}

fn reverse(bytes: &mut [u8]) {
    bytes.reverse();
}

/// `lower`, `upper` and `reverse`.
fn changed(args: &Args<'_>, change: fn(&mut [u8])) -> Outcome<LuaString> {
    let lua = args.lua();
    let text = args.text(1)?;
    meter::spend_bytes(lua, text.as_bytes().len())?;
    let mut bytes = text.as_bytes().to_vec();
    change(&mut bytes);
    made(lua, &bytes)
}
