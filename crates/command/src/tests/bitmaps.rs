//! Bitmaps: bits, ranges of them, operations between them, integers in them.

use resp::Reply;

use crate::OwnedArgs;
use crate::testing::{Bench, MODES, check, check_watch, show};

#[test]
fn setbit_returns_the_old_bit() {
    check(
        r#"setbit k 7 1 => :0
        setbit k 7 1 => :1
        setbit k 7 0 => :1
        setbit k 0 1 => :0
        get k => "\x80"
        setbit k 17 0 => :0
        get k => "\x80\x00\x00"
        getbit k 0 => :1
        getbit k 1 => :0
        getbit k 4294967295 => :0
        getbit missing 5 => :0"#,
    );
}

#[test]
fn setbit_keeps_the_expiry() {
    check(
        "set k a ex 10
        setbit k 7 0 => :1
        ttl k => :10",
    );
}

#[test]
fn setbit_takes_a_bit_and_an_offset_below_2_to_the_32() {
    check(
        "setbit k 4294967296 1 => -ERR bit offset is not an integer or out of range
        setbit k -1 1 => -ERR bit offset is not an integer or out of range
        setbit k x 1 => -ERR bit offset is not an integer or out of range
        getbit k 4294967296 => -ERR bit offset is not an integer or out of range
        setbit k x 2 => -ERR bit offset is not an integer or out of range
        setbit k 0 2 => -ERR bit is not an integer or out of range
        setbit k 0 x => -ERR bit is not an integer or out of range
        exists k => :0",
    );
}

/// Redis unpacks a string to change it, and then changes nothing.
#[test]
fn what_was_open_to_changes_is_raw() {
    check(
        r#"set k 1
        setbit k 0 0 => :0
        object encoding k => "raw"
        get k => "1"
        set k abc
        bitfield k get u8 0 => [:97]
        object encoding k => "embstr"
        bitfield k set u8 0 97 => [:97]
        object encoding k => "raw"
        set k 12
        bitfield k overflow fail set u8 0 256 => [nil]
        object encoding k => "raw"
        set k 12
        bitop or d k => :2
        object encoding d => "raw""#,
    );
}

#[test]
fn bitcount_counts_bytes_or_bits() {
    check(
        r#"set k foobar
        bitcount k => :26
        bitcount k 0 0 => :4
        bitcount k 1 1 BYTE => :6
        bitcount k 5 30 bit => :17
        bitcount k -3 -1 => :10
        bitcount k -1 -3 => :0
        bitcount k 3 1 => :0
        bitcount k 0 -100 => :4
        bitcount k 100 200 => :0
        bitcount missing => :0
        bitcount missing 0 -1 => :0
        set empty ""
        bitcount empty 0 -1 bit => :0"#,
    );
}

#[test]
fn bitcount_wants_a_whole_range() {
    check(
        "bitcount k 1 => -ERR syntax error
        bitcount k 1 2 nibble => -ERR syntax error
        bitcount k 1 2 bit x => -ERR syntax error
        bitcount k x 2 => -ERR value is not an integer or out of range",
    );
}

#[test]
fn bitpos_finds_the_first_bit() {
    check(
        r#"set k "\xff\xf0\x00"
        bitpos k 0 => :12
        bitpos k 1 => :0
        bitpos k 1 2 => :-1
        bitpos k 0 0 0 => :-1
        bitpos k 0 1 1 => :12
        bitpos k 0 0 11 bit => :-1
        bitpos k 0 0 12 bit => :12
        bitpos k 1 -12 -1 bit => :-1
        bitpos k 1 9 10 bit => :9
        bitpos k 1 3 => :-1
        bitpos k 1 1 0 => :-1
        bitpos missing 1 => :-1
        bitpos missing 0 5 6 => :0"#,
    );
}

/// Zeros follow a string, unless somebody said where to stop.
#[test]
fn bitpos_looks_past_the_end_for_a_zero() {
    check(
        r#"set k "\xff\xff"
        bitpos k 0 => :16
        bitpos k 0 1 => :16
        bitpos k 0 0 -1 => :-1
        bitpos k 0 0 -1 bit => :-1
        bitpos k 0 2 => :-1
        set empty ""
        bitpos empty 0 => :-1"#,
    );
}

#[test]
fn bitpos_checks_its_arguments() {
    check(
        "bitpos k 2 => -ERR The bit argument must be 1 or 0.
        bitpos k x => -ERR value is not an integer or out of range
        bitpos k 1 x => -ERR value is not an integer or out of range
        bitpos k 1 0 x => -ERR value is not an integer or out of range
        bitpos k 1 0 x nibble => -ERR syntax error
        bitpos k 1 x 0 nibble => -ERR value is not an integer or out of range
        bitpos k 1 0 1 bit x => -ERR syntax error",
    );
}

#[test]
fn bitop_combines_and_fills_with_zeros() {
    check(
        r#"mset a "\xf0\x0f" b "\xff" c "\x3c\x3c\x3c"
        bitop and d a c => :3
        get d => "0\x0c\x00"
        bitop or d a b c => :3
        get d => "\xff?<"
        bitop XOR d a b => :2
        get d => "\x0f\x0f"
        bitop not d a => :2
        get d => "\x0f\xf0"
        bitop and d a missing => :2
        get d => "\x00\x00"
        bitop or a a => :2
        get a => "\xf0\x0f""#,
    );
}

#[test]
fn bitop_replaces_what_was_there() {
    check(
        "set d x ex 10
        set a y
        bitop or d a => :1
        ttl d => :-1
        bitop or d missing => :0
        exists d => :0
        bitop nand d a => -ERR syntax error
        bitop not d a a => -ERR BITOP NOT must be called with a single source key.",
    );
}

#[test]
fn bitfield_gets_sets_and_adds() {
    check(
        r#"bitfield k set i8 #0 -1 get u8 0 incrby u4 2 3 => [:0 :255 :2]
        get k => "\xcb"
        bitfield k get u4 100 => [:0]
        bitfield k incrby i5 100 1 get u4 0 => [:1 :12]
        strlen k => :14
        bitfield k => []
        bitfield missing => []
        bitfield missing get i64 7 => [:0]
        exists missing => :0
        bitfield k set u63 #3 9223372036854775807 get i64 189 => [:0 :-2]
        bitfield_ro k get u4 0 get i4 0 => [:12 :-4]"#,
    );
}

#[test]
fn bitfield_overflows_as_it_is_told() {
    check(
        "bitfield k set u2 0 3 incrby u2 0 1 => [:0 :0]
        bitfield k overflow sat incrby u2 0 7 incrby u2 0 -9 => [:3 :0]
        bitfield k overflow fail incrby u2 0 -1 overflow wrap incrby u2 0 -1 => [nil :3]
        bitfield k overflow sat set i4 8 100 get i4 8 => [:0 :7]
        bitfield k set u4 16 -1 get u4 16 => [:0 :15]
        bitfield k overflow sat set i4 24 -9223372036854775800 get i4 24 => [:0 :-8]
        bitfield k overflow sat set i4 24 -9223372036854775808 get i4 24 => [:-8 :7]
        bitfield k set i64 64 9223372036854775807 incrby i64 64 1 => [:0 :-9223372036854775808]",
    );
}

/// The room is made before anything is known to fail.
#[test]
fn bitfield_grows_the_string_even_if_it_fails() {
    check(
        "bitfield k overflow fail incrby u8 17 256 => [nil]
        strlen k => :4",
    );
}

#[test]
fn bitfield_checks_its_arguments() {
    let bad_type = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
                    but i64 is.";
    let script = "bitfield k get u64 0 => TYPE
        bitfield k get i65 0 => TYPE
        bitfield k get u8 -1 => -ERR bit offset is not an integer or out of range
        bitfield k get u8 #x => -ERR bit offset is not an integer or out of range
        bitfield k get u8 #536870912 => -ERR bit offset is not an integer or out of range
        bitfield k set u8 0 x => -ERR value is not an integer or out of range
        bitfield k get u8 => -ERR syntax error
        bitfield k what u8 0 => -ERR syntax error
        bitfield k overflow what => -ERR Invalid OVERFLOW type specified
        bitfield_ro k set u8 0 1 => -ERR BITFIELD_RO only supports the GET subcommand
        bitfield_ro k overflow sat => []
        exists k => :0";
    check(&script.replace("TYPE", bad_type));
}

/// Long bitmaps lie in chunks; whatever reads or changes them gives what it would give for plain bytes.
#[test]
fn long_bitmaps_are_as_short_ones() {
    const LEN: usize = 100_000;
    for mode in MODES {
        let mut bench = Bench::new(mode);
        let mut bytes: Vec<u8> = (0..LEN).map(|at| (at * 7 / 3) as u8).collect();
        bench.call(&OwnedArgs::of([&b"set"[..], b"k", &bytes]));
        // Across a border between two chunks.
        assert_eq!(bench.answer("setbit k 131071 1 ; setbit k 131072 1"), ":1 ; :0");
        assert_eq!(bench.answer("bitfield k set u16 131064 65535 get u8 131072"), "[:21461 :255]");
        bytes[16_383..16_385].fill(255);
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(bench.answer("bitcount k"), format!(":{ones}"));
        let ones: u32 = bytes[16_384..99_000].iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(bench.answer("bitcount k 16384 98999"), format!(":{ones}"));
        assert_eq!(bench.answer("setbit big 900000 1"), ":0");
        assert_eq!(bench.answer("bitpos big 1"), ":900000");
        assert_eq!(bench.answer("bitpos big 1 0 899999 bit"), ":-1");
        assert_eq!(bench.answer("bitop xor d k big"), ":112501");
        bytes.resize(112_501, 0);
        bytes[112_500] ^= 0x80;
        assert_eq!(bench.call(&OwnedArgs::of([&b"get"[..], b"d"])).flat(), bytes, "{mode:?}");
        assert_eq!(bench.answer("bitop not d d"), ":112501");
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        assert_eq!(bench.call(&OwnedArgs::of([&b"get"[..], b"d"])).flat(), bytes, "{mode:?}");
    }
}

/// The longest string has half a gigabyte; nearly all of it need not be there.
#[test]
fn the_last_bit_of_the_longest_bitmap() {
    let mut bench = Bench::new(crate::testing::Mode::Lanes);
    assert_eq!(bench.answer("setbit k 4294967295 1"), ":0");
    assert_eq!(bench.answer("strlen k"), ":536870912");
    assert_eq!(bench.answer("setbit k 4294967294 1 ; getbit k 4294967294"), ":0 ; :1");
    assert_eq!(bench.answer("bitcount k -16385 -1"), ":2");
    assert_eq!(bench.answer("bitfield k incrby u8 #536870911 1"), "[:4]");
    assert_eq!(bench.answer("bitpos k 1 -9"), ":4294967293");
}

trait Flat {
    fn flat(&self) -> Vec<u8>;
}

impl Flat for Reply {
    /// A string's bytes, however many pieces it comes in.
    fn flat(&self) -> Vec<u8> {
        match self {
            Self::Bulk(blob) => blob.as_slice().to_vec(),
            Self::Pieces(pieces) => pieces.iter().flat_map(|piece| piece.as_slice().to_vec()).collect(),
            other => panic!("{}", show(other)),
        }
    }
}

#[test]
fn what_changes_no_bit_breaks_no_watch() {
    check_watch(|_| {}, "set k -0.5", "setbit k 19 0", false);
    check_watch(|_| {}, "set k 5", "setbit k 2 1", false);
    check_watch(|_| {}, "set k -0.5", "setbit k 19 1", true);
    check_watch(|_| {}, "set k x", "setbit k 19 0", true);
    check_watch(|_| {}, "del k", "setbit k 19 0", true);
    check_watch(|_| {}, "set k -0.5", "bitfield k set u8 0 45", false);
    check_watch(|_| {}, "set k -0.5", "bitfield k incrby u8 0 1", true);
    check_watch(|_| {}, "pfadd k a b", "pfadd k a", false);
    check_watch(|_| {}, "pfadd k a b", "pfadd k c d e f g", true);
}
