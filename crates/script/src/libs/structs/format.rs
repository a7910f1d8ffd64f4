//! Formats: one item after the other, with the byte order and alignment that are set between them.

use crate::libs::Outcome;
use crate::libs::fault::Fault;

/// Largest integer, in bytes; what is beyond eight of them is zero.
pub(super) const INTEGER_BYTES_MAX: usize = 32;
/// What `!` sets without a number.
const ALIGNMENT_NATIVE: i32 = 8;

pub(super) struct Format<'a> {
    rest: &'a [u8],
    align: usize,
    pub(super) is_big: bool,
}

pub(super) struct Item {
    pub(super) kind: Kind,
    /// Zero where the value says how long it is, or nothing is laid out.
    pub(super) size: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Integer {
        signed: bool,
    },
    Padding,
    Float,
    Double,
    /// So many bytes of a string.
    Bytes,
    /// A string and a zero byte.
    Text,
    /// Not an item: how those that follow are laid out, or nothing that is known.
    Control(u8),
}

impl<'a> Format<'a> {
    /// As in C, a format ends at its first zero byte.
    pub(super) fn new(format: &'a [u8]) -> Self {
        let rest = format.split(|&byte| byte == 0).next().unwrap_or_default();
        Self { rest, align: 1, is_big: false }
    }

    pub(super) fn next(&mut self) -> Outcome<Option<Item>> {
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let signed = option.is_ascii_lowercase();
        let (kind, size) = match option {
            b'b' | b'B' => (Kind::Integer { signed }, 1),
            b'h' | b'H' => (Kind::Integer { signed }, 2),
            b'l' | b'L' | b'T' => (Kind::Integer { signed }, 8),
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size as usize > INTEGER_BYTES_MAX {
                    return Err(Fault::at(format!(
                        "integral size {size} is larger than limit of {INTEGER_BYTES_MAX}"
                    )));
                }
                (Kind::Integer { signed }, size as usize)
            }
            b'x' => (Kind::Padding, 1),
            b'f' => (Kind::Float, 4),
            b'd' => (Kind::Double, 8),
            b'c' => (Kind::Bytes, self.number(1)? as usize),
            b's' => (Kind::Text, 0),
            other => (Kind::Control(other), 0),
        };
        Ok(Some(Item { kind, size }))
    }

    /// The number here, if there is one. It is never negative.
    fn number(&mut self, default: i32) -> Outcome<i32> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at_checked(digits).unwrap_or_default();
        if digits.is_empty() {
            return Ok(default);
        }
        self.rest = rest;
        let add = |number: i32, &digit: &u8| number.checked_mul(10)?.checked_add(i32::from(digit - b'0'));
        digits.iter().try_fold(0, add).ok_or_else(|| Fault::at("integral size overflow"))
    }

    /// What is left out before an item at this position.
    pub(super) fn padding(&self, at: usize, item: &Item) -> usize {
        if item.size == 0 || matches!(item.kind, Kind::Bytes) {
            return 0;
        }
        let size = item.size.min(self.align);
        // As in the original: right for powers of two, and something for the others.
        size.wrapping_sub(at & (size - 1)) & (size - 1)
    }

    /// Byte order, alignment, space; anything else is an error.
    pub(super) fn control(&mut self, option: u8) -> Outcome<()> {
        match option {
            b' ' => {}
            b'>' => self.is_big = true,
            b'<' => self.is_big = false,
            b'!' => {
                let align = self.number(ALIGNMENT_NATIVE)?;
                if align.count_ones() != 1 {
                    return Err(Fault::at(format!("alignment {align} is not a power of 2")));
                }
                self.align = align as usize;
            }
            other => {
                return Err(Fault::argument(1, [b"invalid format option '", &[other][..], b"'"].concat()));
            }
        }
        Ok(())
    }
}
