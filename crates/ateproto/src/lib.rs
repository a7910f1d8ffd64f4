//! The actor API as it goes over the wire: the messages and the service of `proto/ateapi.proto`, with
//! client and server stubs, and the canonical JSON of the messages (serde).
//!
//! Reading JSON, fields and enum values of newer versions are ignored; 64-bit numbers are written as
//! text, as JSON's own numbers would lose digits.
//!
//! Invariant: this crate knows no store and no rules, so that clients link nothing else.

#[allow(clippy::all, unused_qualifications, missing_docs)] // generated
mod generated {
    include!(concat!(env!("OUT_DIR"), "/ateapi.rs"));
    include!(concat!(env!("OUT_DIR"), "/ateapi.serde.rs"));
}

pub use generated::*;

/// The proto file in its compiled form, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// With these words an UNAVAILABLE of the service ends that has done a part of a call, nothing of which is lost, and not
/// its end: to repeat it can hide nothing.
pub const GOES_ON: &str = "repeat the call, and it goes on from there";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &Actor) {
        assert_eq!(&serde_json::from_str::<Actor>(json).unwrap(), expected, "{json}");
    }

    #[test]
    fn sixty_four_bits_are_text_and_read_as_numbers_too() {
        let actor = Actor { version: i64::MAX, ..Default::default() };
        let json = serde_json::to_string(&actor).unwrap();
        assert_eq!(json, r#"{"version":"9223372036854775807"}"#);
        check(&json, &actor);
        check(r#"{"version":3}"#, &Actor { version: 3, ..Default::default() });
    }

    #[test]
    fn what_newer_versions_add_is_ignored() {
        check(
            r#"{"actorId":"a","shoeSize":{"left":[1]}}"#,
            &Actor { actor_id: "a".into(), ..Default::default() },
        );
        check(r#"{"status":"STATUS_DREAMING"}"#, &Actor::default());
    }

    #[test]
    fn both_spellings_of_fields_and_what_is_null_are_read() {
        check(
            r#"{"actor_id":"a","workerSelector":null}"#,
            &Actor { actor_id: "a".into(), ..Default::default() },
        );
    }

    #[test]
    fn reflection_knows_the_service() {
        use prost::Message;
        let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let services: Vec<&str> =
            set.file.iter().flat_map(|file| &file.service).map(|it| it.name()).collect();
        assert_eq!(services, ["Control"]);
        let actor = set.file[0].message_type.iter().find(|message| message.name() == "Actor").unwrap();
        assert_eq!((actor.reserved_range[0].start(), actor.reserved_range[0].end()), (9, 10));
    }
}
