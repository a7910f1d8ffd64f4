//! Hash slots, as in Redis Cluster: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16384.

pub const SLOTS: u16 = 16_384;

/// What a byte adds that is followed by as many more as the table's number: eight bytes at a time do
/// not wait for each other.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut behind = 1;
    while behind < 8 {
        let mut i = 0;
        while i < 256 {
            let crc = tables[behind - 1][i];
            tables[behind][i] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            i += 1;
        }
        behind += 1;
    }
    tables
}

pub fn crc16(bytes: &[u8]) -> u16 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let crc = eights.iter().fold(0u16, |crc, &[a, b, c, d, e, f, g, h]| {
        let [high, low] = crc.to_be_bytes();
        let [h0, g0, f0, e0, d0, c0, b0, a0] = &TABLES;
        let first = a0[usize::from(a ^ high)] ^ b0[usize::from(b ^ low)];
        let middle = c0[usize::from(c)] ^ d0[usize::from(d)] ^ e0[usize::from(e)];
        first ^ middle ^ f0[usize::from(f)] ^ g0[usize::from(g)] ^ h0[usize::from(h)]
    });
    rest.iter().fold(crc, |crc, &byte| (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)])
}

/// The slot of a key.
pub fn of(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

/// The part of a key that is hashed: between the first `{` and the next `}`, unless that is empty.
pub fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&b| b == b'}') {
        Some(len) if len > 0 => &rest[..len],
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_checksum_is_that_of_one_byte_after_the_other(bytes: Vec<u8>) {
            let step = |crc: u16, &byte: &u8| (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)];
            prop_assert_eq!(crc16(&bytes), bytes.iter().fold(0, step));
        }
    }

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(of(b"foo"), 12_182);
        assert_eq!(of(b"{user1000}.following"), of(b"user1000"));
        assert_eq!(tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(tag(b"foo{bar}{zap}"), b"bar");
    }
}
