//! The bytes of a payload as they grow: lengths, strings, doubles, and the footer at the end.

use super::Compression;
use crate::item;
use crate::lzf::Compressor;
use crate::payload;

/// Shorter strings are not worth trying.
const COMPRESSED_BYTES_MIN: usize = 21;
/// Longer ones are no integer that has an encoding.
const INTEGER_BYTES_MAX: usize = 11;

#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    compressor: Option<Compressor>,
}

impl Output {
    pub(super) fn new(kind: u8, compression: Compression) -> Self {
        let compressor = (compression == Compression::Lzf).then(Compressor::default);
        Self { bytes: vec![kind], compressor }
    }

    /// Without a type at its beginning, and as it is.
    pub(super) fn empty() -> Self {
        Self { bytes: Vec::new(), compressor: None }
    }

    pub(super) fn length(&mut self, len: u64) {
        put_length(len, &mut self.bytes);
    }

    pub(super) fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= INTEGER_BYTES_MAX
            && let Some(value) = item::integer(bytes)
            && let Ok(value) = i32::try_from(value)
        {
            return self.integer(value);
        }
        let compressor = self.compressor.as_mut().filter(|_| bytes.len() >= COMPRESSED_BYTES_MIN);
        if let Some(compressed) = compressor.and_then(|compressor| compressor.compress(bytes)) {
            self.bytes.push(0xc3);
            self.length(compressed.len() as u64);
            self.length(bytes.len() as u64);
            return self.bytes.extend_from_slice(&compressed);
        }
        self.length(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn integer(&mut self, value: i32) {
        let [a, b, c, d] = value.to_le_bytes();
        match value {
            -0x80..0x80 => self.bytes.extend_from_slice(&[0xc0, a]),
            -0x8000..0x8000 => self.bytes.extend_from_slice(&[0xc1, a, b]),
            _ => self.bytes.extend_from_slice(&[0xc2, a, b, c, d]),
        }
    }

    pub(super) fn double(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn time_ms(&mut self, time_ms: i64) {
        self.bytes.extend_from_slice(&time_ms.to_le_bytes());
    }

    /// Bytes whose number the encoding gives.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts a count right behind the type. That moves all that follows, once, which costs less than
    /// the checksum.
    pub(super) fn put_count_first(&mut self, count: u64) {
        let mut length = Vec::new();
        put_length(count, &mut length);
        self.bytes.splice(1..1, length);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        payload::seal(self.bytes)
    }
}

fn put_length(len: u64, out: &mut Vec<u8>) {
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&(0x4000 | len as u16).to_be_bytes()),
        _ => match u32::try_from(len) {
            Ok(len) => {
                out.push(0x80);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&len.to_be_bytes());
            }
        },
    }
}
