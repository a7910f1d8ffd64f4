//! Glob patterns as in Redis (`stringmatchlen`), oddities included, but never exponential: each
//! element of a pattern other than `*` stands for exactly one byte, so that only the last `*` ever has
//! to be tried again, and a match costs at most the product of the two lengths.

/// Whether the whole text matches: `*` any bytes, `?` one byte, `[a-c]`, `[^a]`, `\x` the byte x.
///
/// As in Redis, `*` does not match an empty text here: commands ask `matches_all` first.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    run::<false>(pattern, text)
}

/// Like `matches`, taking ASCII letters of either case for the same.
pub fn matches_nocase(pattern: &[u8], text: &[u8]) -> bool {
    run::<true>(pattern, text)
}

/// The pattern that KEYS and SCAN take as 'everything', the empty key included.
pub fn matches_all(pattern: &[u8]) -> bool {
    pattern == b"*"
}

/// The part of a pattern before its first special byte: every match starts with it.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let special = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    pattern.get(..special.unwrap_or(pattern.len())).unwrap_or_default()
}

fn run<const NOCASE: bool>(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut rest, mut left) = (pattern, text);
    // What is to be tried when the current attempt fails: what follows the last `*`, one byte on.
    let mut retry: Option<(&[u8], &[u8])> = None;
    while let Some((&byte, tail)) = left.split_first() {
        if let [b'*', after @ ..] = rest {
            rest = skip_stars(after);
            if rest.is_empty() {
                return true;
            }
            retry = Some((rest, tail));
            continue;
        }
        if let Some(after) = one::<NOCASE>(rest, byte) {
            (rest, left) = (after, tail);
            continue;
        }
        let Some((after_star, next)) = retry else { return false };
        (rest, left) = (after_star, next);
        retry = Some((after_star, next.get(1..).unwrap_or_default()));
    }
    skip_stars(rest).is_empty()
}

fn skip_stars(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|&byte| byte != b'*').unwrap_or(pattern.len());
    pattern.get(end..).unwrap_or_default()
}

/// Matches one byte against the pattern's first element; gives what follows that element.
#[inline]
fn one<const NOCASE: bool>(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => class::<NOCASE>(rest, byte),
        // A backslash at the end stands for itself.
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => same::<NOCASE>(*literal, byte).then_some(rest),
    }
}

#[inline]
fn same<const NOCASE: bool>(a: u8, b: u8) -> bool {
    if NOCASE { a.eq_ignore_ascii_case(&b) } else { a == b }
}

/// A bracket expression, from behind its `[`. One that is not closed ends with the pattern.
fn class<const NOCASE: bool>(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => break,
            // An escaped byte is compared as it is, whatever the case.
            [b'\\', literal, tail @ ..] => {
                found |= *literal == byte;
                tail
            }
            [b']', tail @ ..] => {
                rest = tail;
                break;
            }
            // Even a `]` may end a range.
            [from, b'-', to, tail @ ..] => {
                found |= in_range::<NOCASE>(*from, *to, byte);
                tail
            }
            [literal, tail @ ..] => {
                found |= same::<NOCASE>(*literal, byte);
                tail
            }
        };
    }
    (found != negated).then_some(rest)
}

/// Ranges may be reversed. Bytes compare as C's `char`, which is signed on x86: 0x80 and above come
/// before all others. Ends are put in order before their case is folded.
fn in_range<const NOCASE: bool>(from: u8, to: u8, byte: u8) -> bool {
    let order = |byte: u8| byte as i8;
    let (low, high) = if order(from) > order(to) { (to, from) } else { (from, to) };
    let fold = |byte: u8| order(if NOCASE { byte.to_ascii_lowercase() } else { byte });
    (fold(low)..=fold(high)).contains(&fold(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &[u8], matching: &[&[u8]], others: &[&[u8]]) {
        for text in matching {
            assert!(matches(pattern, text), "{:?} on {:?}", pattern.escape_ascii(), text.escape_ascii());
        }
        for text in others {
            assert!(!matches(pattern, text), "{:?} on {:?}", pattern.escape_ascii(), text.escape_ascii());
        }
    }

    #[test]
    fn stars_match_any_bytes() {
        check(b"*", &[b"a", b"abc", b"\0\xff"], &[]);
        check(b"a*c", &[b"ac", b"abc", b"aacbc"], &[b"a", b"acb", b"bac"]);
        check(b"*a*b", &[b"ab", b"xaxbab"], &[b"ba", b"a", b"b"]);
        check(b"a**", &[b"a", b"ab"], &[b"b"]);
    }

    #[test]
    fn an_empty_text_matches_the_empty_pattern_only() {
        check(b"", &[b""], &[b"a"]);
        check(b"*", &[], &[b""]);
        check(b"**", &[], &[b""]);
        assert!(matches_all(b"*") && !matches_all(b"**"));
    }

    #[test]
    fn question_marks_match_one_byte() {
        check(b"h?llo", &[b"hello", b"h?llo"], &[b"hllo", b"heello"]);
        check(b"??", &[b"ab"], &[b"a", b"abc"]);
    }

    #[test]
    fn brackets_match_one_of_several() {
        check(b"h[ae]llo", &[b"hello", b"hallo"], &[b"hillo", b"hllo"]);
        check(b"h[^e]llo", &[b"hallo"], &[b"hello", b"hllo"]);
        check(b"[a-c][3-1]", &[b"a1", b"b2", b"c3"], &[b"d1", b"a4"]);
        check(b"[\\]x]", &[b"]", b"x"], &[b"\\"]);
        check(b"[a-]", &[b"]", b"a", b"^"], &[b"-", b"b"]);
        check(b"[]a", &[], &[b"a", b"]a"]);
        check(b"[^]a", &[b"xa", b"]a"], &[b"a"]);
    }

    #[test]
    fn unclosed_brackets_end_with_the_pattern() {
        check(b"[ab", &[b"a", b"b"], &[b"[", b"ab", b"c"]);
        check(b"[", &[], &[b"[", b"a"]);
        check(b"[^", &[b"a", b"["], &[b"ab"]);
        check(b"[a\\", &[b"a", b"\\"], &[b"b"]);
        check(b"[a-", &[b"a", b"-"], &[b"b"]);
    }

    #[test]
    fn backslashes_take_the_special_meaning_away() {
        check(b"a\\*", &[b"a*"], &[b"ab", b"a\\"]);
        check(b"\\[a]", &[b"[a]"], &[b"a"]);
        check(b"a\\", &[b"a\\"], &[b"a"]);
    }

    #[test]
    fn bytes_above_ascii_are_negative_in_ranges() {
        check(b"[a-\xff]", &[b"\xff", b"\0", b"A", b"a"], &[b"b", b"\xfe"]);
        check(b"[\x80-\xff]", &[b"\x80", b"\xff"], &[b"a"]);
    }

    #[test]
    fn case_is_ignored_on_demand() {
        assert!(matches_nocase(b"MaX*", b"maxmemory"));
        assert!(matches_nocase(b"[A-C]", b"b"));
        assert!(matches_nocase(b"[x]", b"X"));
        // As in Redis, not behind a backslash in brackets.
        assert!(!matches_nocase(b"[\\x]", b"X"));
        assert!(matches_nocase(b"\\x", b"X"));
    }

    #[test]
    fn the_literal_prefix_ends_at_the_first_special_byte() {
        for (pattern, prefix) in [("abc", "abc"), ("a*", "a"), ("ab?", "ab"), ("[a]", ""), ("a\\*", "a")] {
            assert_eq!(literal_prefix(pattern.as_bytes()), prefix.as_bytes());
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product() {
        // Exponential for a matcher that tries every star again: about 10^40 steps.
        let text = [b'a'; 20_000];
        let pattern = [&b"a*".repeat(50)[..], b"b"].concat();
        assert!(!matches(&pattern, &text));
    }

    /// The rules said directly: a star takes nothing, or one byte and tries again.
    fn direct(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        let element = |byte| if nocase { one::<true>(pattern, byte) } else { one::<false>(pattern, byte) };
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                direct(rest, text, nocase) || (!text.is_empty() && direct(pattern, &text[1..], nocase))
            }
            (_, [byte, tail @ ..]) => element(*byte).is_some_and(|rest| direct(rest, tail, nocase)),
            (_, []) => pattern.is_empty(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn retrying_the_last_star_is_enough(
            pattern in "[-abAB*?\\[\\]^\\\\]{0,9}",
            text in "[-abAB\\[\\]]{1,8}",
            nocase: bool,
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            let found = if nocase { matches_nocase(pattern, text) } else { matches(pattern, text) };
            prop_assert_eq!(found, direct(pattern, text, nocase));
        }

        #[test]
        fn any_bytes_are_matched_or_not(pattern: Vec<u8>, text: Vec<u8>) {
            if matches(&pattern, &text) {
                prop_assert!(text.starts_with(literal_prefix(&pattern)));
            }
        }

        #[test]
        fn a_text_matches_itself_escaped(text in prop::collection::vec(any::<u8>(), 1..20)) {
            let pattern: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
            prop_assert!(matches(&pattern, &text));
        }
    }
}
