//! Patterns without an interpreter: whatever they are, they are matched, refused or stopped.

use super::*;
use proptest::prelude::*;

/// Steps until a match is given up.
const STEPS_MAX: u64 = 20_000;

fn find(text: &[u8], pattern: &[u8], steps_max: u64) -> (Outcome<Option<(usize, usize)>, ()>, u64) {
    let mut taken = 0;
    let mut meter = |steps: u32| {
        taken += u64::from(steps);
        if taken > steps_max { Err(()) } else { Ok(()) }
    };
    let mut matcher = Matcher::new(text, pattern, &mut meter);
    let found = matcher.find(0, false);
    if let Ok(Some(matched)) = found {
        let mut out = Vec::new();
        let _ = append_replacement(&matcher, matched, b"%0%1%2%", &mut out);
        matcher.captures(matched).for_each(drop);
    }
    let _ = matcher.settle();
    (found, taken)
}

#[test]
fn a_match_is_stopped_soon() {
    let text = "a".repeat(10_000);
    for pattern in [
        "a-a-a-a-b",
        "a*a*a*a*b",
        ".-.-.-b",
        "(.*)(.*)%2%1b",
        "[^b]-[^b]-b",
        "%f[a]a*a*a*a*b",
        "[aaaaaaaaaaaaaaaaaaaaaaa]*b",
    ] {
        let (found, taken) = find(text.as_bytes(), pattern.as_bytes(), STEPS_MAX);
        assert_eq!(found, Err(Failure::Stopped(())), "{pattern}");
        assert!(taken < STEPS_MAX + u64::from(STRIDE) * 10, "{pattern}: {taken}");
    }
}

#[test]
fn steps_are_what_is_looked_at() {
    let text = "a".repeat(10_000);
    let steps = |pattern: &str| find(text.as_bytes(), pattern.as_bytes(), u64::MAX).1;
    assert!(steps("b") < 1_000, "{}", steps("b"));
    assert!((10_000..20_000).contains(&steps("%a*$")), "{}", steps("%a*$"));
    assert!(steps("[xyz0-9]") >= 10_000);
    let long = format!("[{}]", "xyz".repeat(1_000));
    assert!(steps(&long) > 1_000_000);
}

#[test]
fn plain_is_what_means_nothing_else() {
    for (pattern, plain) in
        [("", true), ("abc", true), ("a]b)", true), ("a.c", false), ("%", false), ("a\0.", true)]
    {
        assert_eq!(is_plain(pattern.as_bytes()), plain, "{pattern}");
    }
}

fn pattern() -> impl Strategy<Value = Vec<u8>> {
    let item = prop::sample::select(vec![
        "a", "b", ".", "%a", "%W", "[ab]", "[^a]", "[a-", "]", "(", ")", "()", "%1", "%2", "%b()", "%bab",
        "%f[a]", "%f", "*", "+", "-", "?", "^", "$", "%", "\0", "[", "[^", "[]",
    ]);
    prop_oneof![
        prop::collection::vec(item, 0..12).prop_map(|items| items.concat().into_bytes()),
        any::<Vec<u8>>(),
    ]
}

proptest! {
    #[test]
    fn any_pattern_is_matched_refused_or_stopped(text in "[ab()\\x00é]{0,20}", pattern in pattern()) {
        if let (Ok(Some((start, end))), _) = find(text.as_bytes(), &pattern, STEPS_MAX) {
            prop_assert!(start <= end && end <= text.len());
        }
    }

    #[test]
    fn what_is_looked_for_as_it_is_is_found(text in "[ab]{0,30}", sought in "[ab]{0,4}") {
        let mut meter = |_| Ok::<_, ()>(());
        let found = find_plain(text.as_bytes(), sought.as_bytes(), 0, &mut meter);
        prop_assert_eq!(found, Ok(text.find(&sought)));
        let matched = find(text.as_bytes(), sought.as_bytes(), u64::MAX).0;
        prop_assert_eq!(matched.unwrap().map(|(start, _)| start), text.find(&sought));
    }
}
