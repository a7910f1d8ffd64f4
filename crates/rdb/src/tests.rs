//! The codec against itself, against payloads of real servers, against the old formats built by hand,
//! and against hostile bytes.

mod fixtures;
mod hostile;
mod old;
mod refused;
mod round_trips;
mod streams;

use crate::encode::{Compression, HashWriter, ListWriter, SetWriter, Shape, SortedSetWriter, StreamWriter};
use crate::{Error, Limits, Object, Stream, StreamEntry, StreamId, decode, encode, payload};

const LIMITS: Limits = Limits { bytes_max: 64 << 20 };

/// What a type and a value decode to, under a footer that is right.
fn decode_body(body: &[u8]) -> Result<Object, Error> {
    decode(&payload::seal(body.to_vec()), LIMITS)
}

fn why_not(body: &[u8]) -> &'static str {
    match decode_body(body) {
        Err(Error::Malformed(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// An entry with these fields.
fn entry(id: StreamId, fields: &[(&str, &str)]) -> StreamEntry {
    StreamEntry {
        id,
        fields: fields.iter().map(|(field, value)| (field.as_bytes(), value.as_bytes())).collect(),
    }
}

fn written(object: &Object, shape: Shape, compression: Compression) -> Vec<u8> {
    match object {
        Object::String(value) => encode::string(value, compression),
        Object::List(elements) => {
            let mut writer = ListWriter::new(compression);
            elements.iter().for_each(|element| writer.element(element));
            writer.finish()
        }
        Object::Set(members) => {
            let mut writer = SetWriter::new(shape, compression);
            members.iter().for_each(|member| writer.member(member));
            writer.finish().unwrap()
        }
        Object::SortedSet(members) => {
            let mut writer = SortedSetWriter::new(shape, compression);
            members.iter().for_each(|(member, score)| writer.member(member, *score));
            writer.finish().unwrap()
        }
        Object::Hash(entries) => {
            let mut writer = HashWriter::new(shape, compression);
            entries.iter().for_each(|(field, value)| writer.entry(field, value));
            writer.finish().unwrap()
        }
        Object::Stream(stream) => written_stream(stream, compression),
    }
}

fn written_stream(stream: &Stream, compression: Compression) -> Vec<u8> {
    let mut writer = StreamWriter::new(compression);
    for entry in &stream.entries {
        let texts: Vec<&[u8]> = entry.fields.texts().collect();
        let (fields, rest) = texts.as_chunks::<2>();
        assert!(rest.is_empty());
        let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|[field, value]| (*field, *value)).collect();
        writer.entry(entry.id, &fields).unwrap();
    }
    let mut writer = writer.head(&stream.head, stream.groups.len() as u64).unwrap();
    stream.groups.iter().for_each(|group| writer.group(group));
    writer.finish()
}
