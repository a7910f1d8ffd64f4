//! How the arguments of ACL SETUSER are read: selectors may be spread over several of them.

use super::Wrong;
use super::selector::Selector;

/// Rules with the arguments of each selector joined to one; or where one begins that does not end.
pub fn merge<'a>(given: &[&'a [u8]]) -> Result<Vec<Vec<u8>>, &'a [u8]> {
    let mut merged: Vec<Vec<u8>> = Vec::with_capacity(given.len());
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for &rule in given {
        let ends = rule.ends_with(b")");
        match open.take() {
            Some((first, before)) => {
                let joined = [&*before, b" ", rule].concat();
                if ends {
                    merged.push(joined);
                } else {
                    open = Some((first, joined));
                }
            }
            None if rule.starts_with(b"(") && !ends => open = Some((rule, rule.to_vec())),
            None => merged.push(rule.to_vec()),
        }
    }
    match open {
        Some((first, _)) => Err(first),
        None => Ok(merged),
    }
}

/// The selector of what stands between the brackets.
pub fn selector(inner: &[u8]) -> Result<Selector, Wrong> {
    let mut selector = Selector::default();
    for rule in split(inner).unwrap_or_default() {
        selector.apply(&rule)?;
    }
    Ok(selector)
}

/// Words as a line of redis-cli has them: quotes may hold spaces and escapes. Nothing if a quote does not end,
/// or something follows its end; as Redis has it, the selector is empty then.
fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = line;
    let mut words = Vec::new();
    loop {
        let start = rest.iter().position(|byte| !is_space(*byte));
        let Some(start) = start.filter(|start| rest.get(*start) != Some(&0)) else { return Some(words) };
        rest = rest.get(start..).unwrap_or_default();
        let (word, behind) = word(rest)?;
        words.push(word);
        rest = behind;
    }
}

fn is_space(byte: u8) -> bool {
    super::has_spaces(&[byte]) && byte != 0
}

/// The first word, and what is behind it.
fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        let Some((&byte, tail)) = rest.split_first() else { return Some((word, rest)) };
        match byte {
            0 => return Some((word, &[])),
            byte if is_space(byte) => return Some((word, tail)),
            b'"' | b'\'' => {
                rest = quoted(byte, tail, &mut word)?;
                // The end of a quote is the end of the word.
                return match rest.first() {
                    None | Some(0) => Some((word, &[])),
                    Some(&byte) if is_space(byte) => Some((word, rest)),
                    Some(_) => None,
                };
            }
            byte => word.push(byte),
        }
        rest = tail;
    }
}

/// Takes what is in a quote; gives what is behind it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let escapes = quote == b'"';
    loop {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        match (byte, tail) {
            (0, _) => return None,
            (byte, _) if byte == quote => return Some(rest),
            (b'\\', [b'x', high, low, behind @ ..])
                if escapes && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex(*high) << 4 | hex(*low));
                rest = behind;
            }
            (b'\\', [escaped, behind @ ..]) if escapes && *escaped != 0 => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = behind;
            }
            (b'\\', [b'\'', behind @ ..]) if !escapes => {
                word.push(b'\'');
                rest = behind;
            }
            _ => word.push(byte),
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        digit => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_merge(given: &str, expected: Result<&[&str], &str>) {
        let given: Vec<&[u8]> = given.split(' ').map(str::as_bytes).collect();
        let expected = expected.map(|rules| rules.iter().map(|rule| rule.as_bytes().to_vec()).collect());
        assert_eq!(merge(&given), expected.map_err(str::as_bytes));
    }

    #[test]
    fn brackets_join_arguments() {
        check_merge("on (a) b", Ok(&["on", "(a)", "b"]));
        check_merge("on (a b c) d", Ok(&["on", "(a b c)", "d"]));
        check_merge("( a )", Ok(&["( a )"]));
        check_merge("a) (b)", Ok(&["a)", "(b)"]));
        check_merge("(a (b c) d", Ok(&["(a (b c)", "d"]));
        check_merge("(a) (b c", Err("(b"));
        check_merge("(", Err("("));
    }

    #[track_caller]
    fn check_split(line: &str, expected: Option<&[&str]>) {
        let expected: Option<Vec<Vec<u8>>> =
            expected.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect());
        assert_eq!(split(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn words_are_those_of_a_line() {
        check_split("", Some(&[]));
        check_split("  a  b ", Some(&["a", "b"]));
        check_split("\"a b\" 'c d'", Some(&["a b", "c d"]));
        check_split("x\"y z\"", Some(&["xy z"]));
        check_split(r#""\x41\n\q" '\'\n'"#, Some(&["A\nq", "'\\n"]));
        check_split("\"\"", Some(&[""]));
        for unended in ["\"a", "'a", "a \"b", "\"a\"b", "'a'b", "\"a\\\""] {
            check_split(unended, None);
        }
    }
}
