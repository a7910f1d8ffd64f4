//! Redis' checksum: CRC-64 with the polynomial of Jones, reflected, starting at 0 and not inverted.

/// `0xad93d23594c935a9`, reflected.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// `TABLES[n][byte]` is what `byte` becomes when `n` zero bytes follow it.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u64 = tables[zeros - 1][byte];
            tables[zeros][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// Continues a checksum, which begins as 0, with more bytes.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let crc = words.iter().fold(crc, |crc, word| {
        let mixed = (crc ^ u64::from_le_bytes(*word)).to_le_bytes();
        TABLES.iter().rev().zip(mixed).fold(0, |crc, (table, byte)| crc ^ table[usize::from(byte)])
    });
    let [last, ..] = &TABLES;
    tail.iter().fold(crc, |crc, byte| crc >> 8 ^ last[usize::from(crc as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checksums_are_those_of_redis() {
        // The first is the check value of Redis' crc64.c, the others end payloads of its DUMP.
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(
            crc64(0, b"\x00\x05hello\x0a\x00"),
            u64::from_le_bytes(*b"\x63\x72\xdf\x76\x65\x34\x20\x0a")
        );
        assert_eq!(crc64(0, b""), 0);
    }

    proptest! {
        #[test]
        fn a_checksum_can_be_continued_anywhere(bytes: Vec<u8>, at: proptest::sample::Index) {
            let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(crc64(crc64(0, head), tail), crc64(0, &bytes));
            let one_by_one = bytes.iter().fold(0, |crc, &byte| crc64(crc, &[byte]));
            prop_assert_eq!(one_by_one, crc64(0, &bytes));
        }
    }
}
