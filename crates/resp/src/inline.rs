//! Inline commands: a line cut into arguments at blanks, with double quotes (and their escapes) and
//! single quotes, by the rules of Redis.

use crate::Span;

/// The words of a line, or none if it cannot be cut into words.
pub fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut scratch, mut spans) = (Vec::new(), Vec::new());
    split(line, &mut scratch, &mut spans)?;
    let word = |span: Span| scratch.get(span.start as usize..span.end as usize).map(<[u8]>::to_vec);
    spans.into_iter().map(word).collect()
}

/// Cuts `line` into arguments, written to `scratch` and named in `args`. `None`: a quote is not
/// closed, or something stands right behind a closing one.
///
/// A zero byte is an ordinary byte here; Redis waits for ever when it finds one in a line.
pub(crate) fn split(line: &[u8], scratch: &mut Vec<u8>, args: &mut Vec<Span>) -> Option<()> {
    let mut rest = line;
    loop {
        rest = skip_blanks(rest);
        if rest.is_empty() {
            return Some(());
        }
        let start = scratch.len();
        rest = word(rest, scratch)?;
        args.push(Span { start: u32::try_from(start).ok()?, end: u32::try_from(scratch.len()).ok()? });
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_blank(byte)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Reads one argument; returns what is behind it.
fn word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            // Unlike between words, vertical tabs and form feeds do not end a word.
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(rest),
            [b'"', tail @ ..] => return closed(double_quoted(tail, out)?),
            [b'\'', tail @ ..] => return closed(single_quoted(tail, out)?),
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

/// A closing quote ends the word: a blank or nothing must follow.
fn closed(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|&byte| is_blank(byte)).then_some(rest)
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), tail)
            }
            [b'\\', escaped, tail @ ..] => (unescape(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [] => return None,
            [b'\\', b'\'', tail @ ..] => (b'\'', tail),
            [b'\'', tail @ ..] => return Some(tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &[u8], expected: Option<&[&[u8]]>) {
        let (mut scratch, mut args) = (Vec::new(), Vec::new());
        let found = split(line, &mut scratch, &mut args)
            .map(|()| args.iter().map(|span| span.of(&scratch)).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected, "{:?}", line.escape_ascii().to_string());
    }

    // Each expectation was taken from a real server (Redis 7.0 and Valkey 8.1 agree on all of them).
    #[test]
    fn words_are_cut_at_blanks() {
        check(b"", Some(&[]));
        check(b" \t\x0b\x0c ", Some(&[]));
        check(b"  PING   ", Some(&[b"PING"]));
        check(b"ECHO \x0b a", Some(&[b"ECHO", b"a"]));
        check(b"ECHO a\x0bb", Some(&[b"ECHO", b"a\x0bb"]));
    }

    #[test]
    fn double_quotes_know_escapes() {
        check(br#"ECHO "a\x41\n\q\"b""#, Some(&[b"ECHO", b"aA\nq\"b"]));
        check(br#"ECHO "\x4g\xzz""#, Some(&[b"ECHO", b"x4gxzz"]));
        check(br#"ECHO """#, Some(&[b"ECHO", b""]));
        check(br#"ECHO a"b c""#, Some(&[b"ECHO", b"ab c"]));
        check(br"ECHO a\x41", Some(&[b"ECHO", br"a\x41"]));
    }

    #[test]
    fn single_quotes_know_one_escape() {
        check(br"ECHO 'a\'b\n'", Some(&[b"ECHO", br"a'b\n"]));
    }

    #[test]
    fn quotes_must_be_closed_and_followed_by_a_blank() {
        check(br#"ECHO "a"b"#, None);
        check(br#"ECHO "a"#, None);
        check(br"ECHO 'a", None);
        check(br#"ECHO a"b c"d"#, None);
        check(br#"ECHO "a\""#, None);
        check(br#"ECHO "a\"#, None);
        check(br"ECHO 'a'b", None);
    }
}
