//! Tokens: what is read is what was written, and nothing else is taken.

use crate::listing::limits::{HALVES_MAX, ID_BYTES_MAX, PAYLOAD_BYTES_MAX, TARGETS_MAX, TOKEN_CHARS_MAX};
use crate::listing::payload;
use crate::listing::progress::{Half, Part, Place, Progress, Walk};
use crate::listing::token::{Sealer, TokenError};
use crate::names::KEY_BYTES_MAX;
use crate::store::{NodeId, SlotSet};
use base::slot::SLOTS;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn sealer() -> Sealer {
    Sealer::new(&[7; 32])
}

fn slots() -> impl Strategy<Value = SlotSet> {
    let ranges = vec((0..SLOTS, 0..2000u16), 0..6);
    let ranges = ranges.prop_map(|ranges| {
        let mut slots = SlotSet::new();
        ranges.iter().for_each(|&(first, count)| slots.insert_range(first..=(first + count).min(SLOTS - 1)));
        slots
    });
    // Every third, say: more than ranges can hold shortly.
    let scattered = (1..9u16).prop_map(|step| (0..SLOTS).step_by(usize::from(step)).collect());
    prop_oneof![ranges, scattered]
}

fn node() -> impl Strategy<Value = NodeId> {
    "[0-9a-f]{0,40}".prop_map(|id| NodeId::new(&id))
}

prop_compose! {
    fn half()(source in node(), source_epoch: u64, target in node(), slots in slots()) -> Half {
        Half { source, source_epoch, target, slots }
    }
}

prop_compose! {
    fn place()(cursor: u64, part in option::of((any::<u32>(), any::<u64>(), "[ -~]{0,140}"))) -> Place {
        let part = part.map(|(count, end, after)| Part { count, end, after: Bytes::from(after) });
        Place { cursor, part }
    }
}

prop_compose! {
    fn walk()(
        node in node(),
        run in "[0-9a-f]{40}",
        epoch: u64,
        positions: bool,
        place in place(),
        slots in slots(),
        leaving in vec((node(), slots()), 0..=TARGETS_MAX),
    ) -> Walk {
        Walk { node, run: run.into(), epoch, positions, place, slots, leaving }
    }
}

prop_compose! {
    fn progress()(
        done in slots(),
        halves in vec(half(), 0..=HALVES_MAX),
        walk in option::of(walk()),
    ) -> Progress {
        Progress { done, halves, walk }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_sealed_is_opened(progress in progress(), atespace in "[a-z0-9-]{0,63}") {
        let token = sealer().seal(&atespace, &progress);
        prop_assert!(token.len() <= TOKEN_CHARS_MAX);
        let is_url_safe = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
        prop_assert!(token.chars().all(is_url_safe));
        prop_assert_eq!(sealer().open(&atespace, &token), Ok(progress));
    }

    #[test]
    fn any_text_is_refused_and_harms_nothing(text in "\\PC{0,300}", base64 in "[A-Za-z0-9_-]{0,300}") {
        prop_assert!(sealer().open("", &text).is_err());
        prop_assert!(sealer().open("", &base64).is_err());
    }

    #[test]
    fn any_payload_harms_nothing(bytes: Vec<u8>, progress in progress(), cut: prop::sample::Index, at: prop::sample::Index, byte: u8) {
        payload::read(&bytes);
        let mut whole = Vec::new();
        payload::write(&mut whole, "team", &progress);
        prop_assert_eq!(payload::read(&whole[..cut.index(whole.len())]), None);
        let at = at.index(whole.len());
        whole[at] = byte;
        payload::read(&whole);
    }

    #[test]
    fn a_token_that_was_changed_is_refused(progress in progress(), at: prop::sample::Index, with in "[A-Za-z0-9_-]") {
        let token = sealer().seal("team", &progress);
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &with);
        if changed != token {
            prop_assert!(sealer().open("team", &changed).is_err(), "{}", at);
        }
        for shorter in [&token[1..], &token[..at]] {
            prop_assert!(sealer().open("team", shorter).is_err());
        }
    }
}

fn usual() -> Progress {
    let mut done = SlotSet::new();
    done.insert_range(0..=5460);
    let mut slots = SlotSet::new();
    slots.insert_range(5461..=10922);
    let part = Part { count: 12, end: 77, after: "actor:team:a-name-of-some-length".into() };
    let walk = Walk {
        node: NodeId::new(&"a".repeat(40)),
        run: "b".repeat(40).into(),
        epoch: 17,
        positions: false,
        place: Place { cursor: 1 << 50, part: Some(part) },
        slots,
        leaving: Vec::new(),
    };
    Progress { done, halves: Vec::new(), walk: Some(walk) }
}

#[test]
fn each_flipped_bit_is_refused() {
    let token = sealer().seal("team", &usual());
    assert!(token.len() < 300, "{}", token.len());
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(sealer().open("team", &changed).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[track_caller]
fn refused(atespace: &str, token: &str, message: &str) -> TokenError {
    let error = sealer().open(atespace, token).unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
    error
}

#[test]
fn errors_say_what_is_wrong() {
    let token = sealer().seal("team", &usual());
    refused("team", "!", "no base64url");
    refused("team", "", "damaged");
    refused("team", &"A".repeat(TOKEN_CHARS_MAX + 1), "longer than any");
    refused("team", &format!("Ag{}", &token[2..]), "version 2");
    let foreign = Sealer::new(&[8; 32]).seal("team", &usual());
    assert_eq!(refused("team", &foreign, "a key that this service does not have"), TokenError::ForeignKey);
    let mut forged = token.clone();
    forged.replace_range(60..61, if &token[60..61] == "A" { "B" } else { "A" });
    assert_eq!(refused("team", &forged, "was changed"), TokenError::Forged);
    refused("mates", &token, "of atespace 'team', and this one is of atespace 'mates'");
    refused("", &token, "of atespace 'team', and this one is of all atespaces");
}

#[test]
fn the_largest_token_is_short_enough() {
    let scattered: SlotSet = (0..SLOTS).step_by(2).collect();
    let node = || NodeId::new(&"n".repeat(ID_BYTES_MAX));
    let half = Half { source: node(), source_epoch: u64::MAX, target: node(), slots: scattered.clone() };
    let part = Part { count: u32::MAX, end: u64::MAX, after: vec![b'x'; KEY_BYTES_MAX].into() };
    let walk = Walk {
        node: node(),
        run: "r".repeat(ID_BYTES_MAX).into(),
        epoch: u64::MAX,
        positions: true,
        place: Place { cursor: u64::MAX, part: Some(part) },
        slots: scattered.clone(),
        leaving: vec![(node(), scattered.clone()); TARGETS_MAX],
    };
    let progress = Progress { done: scattered, halves: vec![half; HALVES_MAX], walk: Some(walk) };
    let mut payload = Vec::new();
    payload::write(&mut payload, &"a".repeat(63), &progress);
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "{}", payload.len());
    let token = sealer().seal(&"a".repeat(63), &progress);
    assert_eq!(sealer().open(&"a".repeat(63), &token), Ok(progress));
}
