//! What stands for one byte in a pattern: itself, any, a class, or a set.

/// Bytes of a set that are looked at within one step.
const SET_BYTES_PER_STEP: usize = 8;

#[derive(Clone, Copy)]
pub(super) enum Single<'p> {
    Any,
    Itself(u8),
    /// `%a` and the like; a byte that is none of the letters stands for itself.
    Class(u8),
    /// What is between the brackets.
    Set {
        members: &'p [u8],
        is_negated: bool,
    },
}

impl<'p> Single<'p> {
    /// The item between two places of a pattern.
    pub(super) fn new(pattern: &'p [u8], start: usize, end: usize) -> Self {
        match pattern.get(start..end) {
            Some([b'.']) => Self::Any,
            Some([b'%', class]) => Self::Class(*class),
            Some([b'[', b'^', members @ .., b']']) => Self::Set { members, is_negated: true },
            Some([b'[', members @ .., b']']) => Self::Set { members, is_negated: false },
            Some([byte, ..]) => Self::Itself(*byte),
            Some([]) | None => Self::Itself(0),
        }
    }

    /// What looking at a byte takes beyond one step.
    pub(super) fn extra_steps(self) -> u32 {
        match self {
            Self::Set { members, .. } => {
                u32::try_from(members.len() / SET_BYTES_PER_STEP).unwrap_or(u32::MAX)
            }
            _ => 0,
        }
    }

    #[inline]
    pub(super) fn matches(self, byte: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Itself(itself) => itself == byte,
            Self::Class(class) => is_in_class(byte, class),
            Self::Set { members, is_negated } => is_in_set(byte, members) != is_negated,
        }
    }
}

fn is_in_set(byte: u8, mut members: &[u8]) -> bool {
    loop {
        members = match members {
            [b'%', class, rest @ ..] => {
                if is_in_class(byte, *class) {
                    return true;
                }
                rest
            }
            [low, b'-', high, rest @ ..] => {
                if (*low..=*high).contains(&byte) {
                    return true;
                }
                rest
            }
            [member, rest @ ..] => {
                if *member == byte {
                    return true;
                }
                rest
            }
            [] => return false,
        }
    }
}

fn is_in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        // What C counts as space: also the vertical tab.
        b's' => matches!(byte, b' ' | 0x09..=0x0d),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is == class.is_ascii_lowercase()
}
