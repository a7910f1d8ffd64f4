//! Keys that SORT reads beside those that it names: what BY and GET lead to.

use base::slot;

use super::sort::Pattern;
use crate::args::Args;

/// Whether the patterns of a call may lead to keys of other slots than that of the sorted one, and how
/// that is refused where slots lie in several places.
pub fn leaves_its_slot(args: &Args<'_>) -> Option<&'static str> {
    let home = slot::of(args.get(1));
    let mut at = 2;
    while at + 1 < args.len() {
        let pattern = args.get(at + 1);
        match () {
            () if args.is(at, "by") && Pattern::parse(pattern).is_some() && !stays(pattern, home) => {
                return Some(
                    "ERR BY option of SORT denied in cluster mode when keys formed by the pattern may be in different slots.",
                );
            }
            () if args.is(at, "get") && pattern != b"#" && !stays(pattern, home) => {
                return Some(
                    "ERR GET option of SORT denied in cluster mode when keys formed by the pattern may be in different slots.",
                );
            }
            () if args.is(at, "limit") => at += 3,
            () if ["by", "get", "store"].iter().any(|word| args.is(at, word)) => at += 2,
            () => at += 1,
        }
    }
    None
}

/// An option of SORT by which it reads other keys than it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKeys {
    By,
    Get,
}

/// The first option by which a call may read other keys than it names.
pub fn reads_others(args: &Args<'_>) -> Option<OtherKeys> {
    let mut at = 2;
    while at + 1 < args.len() {
        match () {
            () if args.is(at, "by") && args.get(at + 1).contains(&b'*') => return Some(OtherKeys::By),
            () if args.is(at, "get") => return Some(OtherKeys::Get),
            () if args.is(at, "limit") => at += 3,
            () if ["by", "store"].iter().any(|word| args.is(at, word)) => at += 2,
            () => at += 1,
        }
    }
    None
}

/// Whether a pattern has a hash tag before its star, and that of this slot.
fn stays(pattern: &[u8], home: u16) -> bool {
    let star = pattern.iter().position(|byte| *byte == b'*').unwrap_or(pattern.len());
    let name = pattern.get(..star).unwrap_or_default();
    let tag = name.iter().position(|byte| *byte == b'{').and_then(|open| name.get(open + 1..));
    let is_tagged =
        tag.is_some_and(|tag| tag.iter().position(|byte| *byte == b'}').is_some_and(|len| len > 0));
    is_tagged && slot::of(name) == home
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    #[test]
    fn by_and_get_lead_to_other_keys() {
        for (call, expected) in [
            ("sort l", None),
            ("sort l by nosort", None),
            ("sort l by w*", Some(OtherKeys::By)),
            ("sort l by nosort get #", Some(OtherKeys::Get)),
            ("sort l limit get x store get", None),
            ("sort l limit 0 1 GET w*", Some(OtherKeys::Get)),
            ("sort l store by get", None),
        ] {
            let args = OwnedArgs::of(call.split(' ').map(str::as_bytes));
            assert_eq!(reads_others(&args.as_args()), expected, "{call}");
        }
    }

    #[test]
    fn patterns_stay_in_a_slot_by_their_tag() {
        let check =
            |call: &str| leaves_its_slot(&OwnedArgs::of(call.split(' ').map(str::as_bytes)).as_args());
        for call in [
            "sort {a}l",
            "sort {a}l get #",
            "sort {a}l by nosort",
            "sort {a}l by {a}w*",
            "sort l by {l}:*->f get {l}*",
            "sort l store by get #",
        ] {
            assert_eq!(check(call), None, "{call}");
        }
        for call in
            ["sort l by w*", "sort {a}l by {b}*", "sort {a}l by *{a}", "sort l by {}l*", "sort l by {l*}"]
        {
            assert!(check(call).is_some_and(|why| why.starts_with("ERR BY")), "{call}");
        }
        assert!(check("sort l limit 1 2 get x*").is_some_and(|why| why.starts_with("ERR GET")));
    }
}
