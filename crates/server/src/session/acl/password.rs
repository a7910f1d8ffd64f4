//! Passwords, of which only the SHA-256 digest is kept.

use std::fmt::Write;

use sha2::{Digest as _, Sha256};

/// Bytes of a digest.
const BYTES: usize = 32;

/// A password's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest([u8; BYTES]);

impl Digest {
    pub fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// From sixty-four hexadecimal digits in lower case.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; BYTES];
        let pairs = text.chunks_exact(2);
        if text.len() != 2 * BYTES {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let &[high, low] = pair else { return None };
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Some(Self(bytes))
    }

    pub fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Whether they are the same. Takes as long wherever they differ.
    fn is(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(other.0).fold(0, |found, (a, b)| found | (a ^ b));
        std::hint::black_box(differences) == 0
    }
}

/// Whether it is one of these. Takes as long whichever it is.
pub fn is_one_of(digest: &Digest, passwords: &[Digest]) -> bool {
    passwords.iter().fold(false, |found, password| found | password.is(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_PW: &str = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";

    #[test]
    fn digests_are_told_in_hexadecimal() {
        assert_eq!(Digest::of(b"pw").hex(), OF_PW);
        assert_eq!(Digest::from_hex(OF_PW.as_bytes()), Some(Digest::of(b"pw")));
        for text in ["", "30c9", &OF_PW.to_uppercase(), &OF_PW.replace('3', "g"), &format!("{OF_PW}0")] {
            assert_eq!(Digest::from_hex(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn only_the_same_password_is_accepted() {
        let passwords = ["a", "b", ""].map(|password| Digest::of(password.as_bytes()));
        for (given, accepted) in [("a", true), ("b", true), ("", true), ("c", false), ("ab", false)] {
            assert_eq!(is_one_of(&Digest::of(given.as_bytes()), &passwords), accepted, "{given}");
        }
        assert!(!is_one_of(&Digest::of(b""), &[]));
    }
}
