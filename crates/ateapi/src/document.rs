//! A record together with the text that it was read from: what a change starts from.
//!
//! Records are shared with newer versions of this program and with other implementations. What a text has
//! that is not known here is carried along, so that changing a record loses nothing of theirs (on its top
//! level: messages inside it are replaced as a whole).
//!
//! Every text that is written here differs from every other, by a field `nonce` that readers ignore.
//! So whoever does not know whether its write was made finds out by reading, even if another caller has
//! wanted the very same change.

use bytes::Bytes;
use serde_json::{Map, Value};
use std::hash::{BuildHasher, RandomState};

use crate::record::{Error, Record, check_size};

/// The field that makes a text unique.
const NONCE: &str = "nonce";

/// A record, its text in the store, and what that has beyond the record.
#[derive(Debug, Clone)]
pub struct Document<R> {
    pub record: R,
    /// As it is in the store, byte for byte: what a compare-and-set compares.
    pub text: Bytes,
    /// Fields of the text that are not the record's.
    pub extra: Map<String, Value>,
}

impl<R: Record> Document<R> {
    /// What is to be written for a record, with these fields beside its own.
    pub fn write(record: R, mut extra: Map<String, Value>) -> Result<Self, Error> {
        extra.insert(NONCE.into(), Value::String(nonce()));
        let mut text = record.encode()?;
        let extra_text = serde_json::to_vec(&extra)?;
        // Two objects become one: `{"a":1}` and `{"b":2}`.
        text.pop();
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(extra_text.get(1..).unwrap_or_default());
        check_size(&text)?;
        Ok(Self { record, text: text.into(), extra })
    }

    pub fn read(key: &[u8], text: Bytes) -> Result<Self, Error> {
        let record = R::decode(key, &text)?;
        let mut extra: Map<String, Value> = serde_json::from_slice(&text)?;
        extra.retain(|name, _| !is_field::<R>(name));
        Ok(Self { record, text, extra })
    }

    /// What is to be written instead of it.
    pub fn next(&self, record: R) -> Result<Self, Error> {
        Self::write(record, self.extra.clone())
    }
}

/// Whether a name in JSON is a field's: both spellings are read.
fn is_field<R: Record>(name: &str) -> bool {
    if !name.contains('_') {
        return R::FIELDS.contains(&name);
    }
    let mut camel = String::with_capacity(name.len());
    let mut parts = name.split('_');
    camel.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    R::FIELDS.contains(&camel.as_str())
}

/// Sixteen digits that nobody else has.
pub(crate) fn nonce() -> String {
    format!("{:016x}", random())
}

/// Seeded by the system, and different every time.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Actor, Atespace, FILE_DESCRIPTOR_SET, Worker};
    use prost::Message;
    use std::collections::BTreeSet;

    fn read(text: &'static str) -> Document<Atespace> {
        Document::read(b"atespace:a", Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn what_is_not_known_is_carried_along() {
        let document = read(r#"{"name":"a","shoeSize":{"left":[1]},"nonce":"7"}"#);
        let next = document.next(Atespace { name: "a".into() }).unwrap();
        let text: Value = serde_json::from_slice(&next.text).unwrap();
        assert_eq!((&text["name"], &text["shoeSize"]["left"][0]), (&"a".into(), &1.into()));
        assert_eq!(Document::<Atespace>::read(b"atespace:a", next.text).unwrap().extra, next.extra);
    }

    #[test]
    fn fields_are_known_in_both_spellings() {
        let text = r#"{"actor_id":"b","atespace":"a","ateom_pod_ip":"","workerPoolName":""}"#;
        let document = Document::<Actor>::read(b"actor:a:b", Bytes::from_static(text.as_bytes())).unwrap();
        assert!(document.extra.is_empty(), "{:?}", document.extra);
    }

    #[test]
    fn a_record_without_fields_has_a_text() {
        let document = Document::write(Atespace::default(), Map::new()).unwrap();
        assert!(document.text.starts_with(br#"{"nonce":""#), "{:?}", document.text);
        serde_json::from_slice::<Value>(&document.text).unwrap();
    }

    #[test]
    fn no_text_is_written_twice() {
        let texts = (0..1000).map(|_| read(r#"{"name":"a"}"#).next(Atespace { name: "a".into() }).unwrap().text);
        assert_eq!(texts.collect::<BTreeSet<_>>().len(), 1000);
    }

    #[track_caller]
    fn check_fields<R: Record>(message: &str) {
        let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let found = set.file.iter().flat_map(|file| &file.message_type).find(|it| it.name() == message);
        let mut names: Vec<&str> = found.unwrap().field.iter().map(|field| field.json_name()).collect();
        let mut fields = R::FIELDS.to_vec();
        names.sort_unstable();
        fields.sort_unstable();
        assert_eq!(fields, names, "{message}");
    }

    #[test]
    fn the_fields_are_those_of_the_messages() {
        check_fields::<Actor>("Actor");
        check_fields::<Atespace>("Atespace");
        check_fields::<Worker>("Worker");
    }
}
