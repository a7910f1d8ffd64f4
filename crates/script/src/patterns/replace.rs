//! What takes the place of a match, where that is told by a text.

use super::{Capture, Failure, Matcher, Outcome};

/// Appends a replacement, with the match for `%0`, and captures for `%1` to `%9`.
pub(crate) fn append<E>(
    matcher: &Matcher<'_, '_, E>,
    matched: (usize, usize),
    replacement: &[u8],
    out: &mut Vec<u8>,
) -> Outcome<(), E> {
    let mut rest = replacement;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        match escape.get(1) {
            Some(b'0') => out.extend_from_slice(matcher.text.get(matched.0..matched.1).unwrap_or_default()),
            Some(digit @ b'1'..=b'9') => match matcher.capture(usize::from(digit - b'1'), matched)? {
                Capture::Text { start, end } => {
                    out.extend_from_slice(matcher.text.get(start..end).unwrap_or_default());
                }
                Capture::Place(at) => out.extend_from_slice((at + 1).to_string().as_bytes()),
                Capture::Open(_) => return Err(Failure::Wrong("unfinished capture")),
            },
            Some(other) => out.push(*other),
            // Lua reads the zero behind the text.
            None => out.push(0),
        }
        rest = escape.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
}
