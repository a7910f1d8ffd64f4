//! What fills the holes of patterns: few of each, so that they meet, odd ones among them.

/// Few keys, so that types and expiries meet. Empty, binary and long ones among them.
pub(super) const KEYS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"{t}1",
    b"{t}2",
    b"k\x00\xff\r\n",
    b"",
    b"a key that is rather long, and more than one line of it",
];

/// Keys of HyperLogLogs, which other values seldom take.
pub(super) const SKETCHES: &[&[u8]] = &[b"h1", b"h2", b"h3", b"h4"];

pub(super) const VALUES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"-1",
    b"10",
    b"42",
    b"3.0",
    b"3.14",
    b"-0",
    b"-0.5",
    b"1e3",
    b"5e-3",
    b"0.1",
    b"inf",
    b"-inf",
    b"nan",
    b"0x1A",
    b" 12",
    b"12 ",
    b"0012",
    b"+5",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"hello world",
    b"abcdefghij",
    b"acbdegfh",
    b"binary\x00\x01\xfe\xff\r\n",
    b"ohmytext",
    b"mynewtext",
    b"exactly forty-four bytes long, to the last!!",
    b"this one has more than forty-four bytes, so that it is raw",
];

pub(super) const INTEGERS: &[&[u8]] = &[
    b"1",
    b"-1",
    b"0",
    b"2",
    b"100",
    b"-7",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"1.5",
    b"x",
    b"",
    b" 1",
    b"01",
    b"+1",
    b"-0",
    b"4294967296",
];

pub(super) const FLOATS: &[&[u8]] = &[
    b"1",
    b"-1",
    b"0.1",
    b"0.2",
    b"3.0e2",
    b"1.5",
    b"-0.25",
    b"1e17",
    b"123456789.123456789",
    b"0",
    b"5e-5",
    b"inf",
    b"-inf",
    b"nan",
    b"abc",
    b"",
    b" 1",
    b"1 ",
    b"0x10",
    b"1e400",
    b"1e-400",
    b".5",
    b"5.",
    b"3.3333333333333333",
];

/// None that is just allowed and huge: a value of half a gigabyte proves nothing that a test of its own cannot.
pub(super) const OFFSETS: &[&[u8]] = &[
    b"0",
    b"1",
    b"2",
    b"5",
    b"10",
    b"40",
    b"100",
    b"-1",
    b"-2",
    b"-5",
    b"-100",
    b"536870912",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"x",
    b"1.0",
];

/// Of collections: few, so that they meet; numbers, binary and long ones among them.
pub(super) const ELEMENTS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"abc",
    b"1",
    b"2",
    b"10",
    b"-5",
    b"007",
    b"3.5",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"123456789012345678901234567890",
    b"",
    b"\x00\xff\r\n",
    b"longer than eight",
    b"an element that has more than the sixty-four bytes that it may have in a listpack",
];

pub(super) const FIELDS: &[&[u8]] = &[
    b"f",
    b"g",
    b"h",
    b"1",
    b"2",
    b"3",
    b"a field of some length",
    b"",
    b"\x00\xff",
    b"a field that has more than the sixty-four bytes that it may have in a listpack",
];

pub(super) const SCORES: &[&[u8]] = &[
    b"0",
    b"1",
    b"1",
    b"2",
    b"-1",
    b"1.5",
    b"inf",
    b"-inf",
    b"0.125",
    b"-2.25",
    b"3",
    b"100",
    b"123456789.125",
];

/// Redis 7.0 writes these with more digits than need be.
pub(super) const FRACTIONS: &[&[u8]] =
    &[b"0.1", b"1e17", b"1e-5", b"9007199254740993", b"3.3333333333333333", b"-1e300"];

pub(super) const BOUNDS: &[&[u8]] = &[
    b"0", b"(0", b"1", b"(1", b"2", b"(2", b"-1", b"(-1", b"1.5", b"-inf", b"+inf", b"inf", b"(inf",
    b"(-inf", b"100", b"(100", b"", b"x", b"nan", b"1e400", b"-0",
];

pub(super) const NAME_BOUNDS: &[&[u8]] = &[
    b"-",
    b"+",
    b"[a",
    b"(a",
    b"[b",
    b"(b",
    b"[c",
    b"[",
    b"(",
    b"[1",
    b"(2",
    b"[abc",
    b"(longer than eight",
    b"a",
    b"",
    b"[\x00\xff\r\n",
    b"-x",
];

/// Sorted sets whose scores are all the same.
pub(super) const NAMES: &[&[u8]] = &[b"names", b"{t}names"];

/// Near each other and far, at the edges of the world, and beyond them.
pub(super) const SPOTS: &[(f64, f64)] = &[
    (13.361389, 38.115556),
    (15.087269, 37.502669),
    (13.37, 38.12),
    (0.0, 0.0),
    (-0.001, 0.001),
    (179.99, 10.0),
    (-179.99, 10.0),
    (100.0, 84.9),
    (-70.6, -33.4),
    (20.0, -84.9),
    (-9.1, 67.0),
    (2.35, 48.85),
];

pub(super) const NO_SPOTS: &[(&[u8], &[u8])] = &[
    (b"200", b"1"),
    (b"1", b"-90"),
    (b"x", b"1"),
    (b"1", b"nan"),
    (b"inf", b"0"),
    (b"-180", b"85.05112878"),
];

pub(super) const TOWNS: &[&[u8]] =
    &[b"Palermo", b"Catania", b"a", b"b", b"c", b"1", b"-5", b"", b"\x00\xff\r\n"];

/// So few that Redis sorts them without changing the order of equals.
pub(super) const HAMLETS: &[&[u8]] = &[b"Palermo", b"Catania", b"a", b"b", b"1", b""];

pub(super) const RADII: &[&[u8]] = &[
    b"0", b"1", b"10", b"150", b"200", b"200", b"1000", b"5000", b"20000", b"1e9", b"inf", b"-1", b"x",
    b"0.5",
];

/// Strings and hashes that say in which order small numbers are.
pub(super) const WEIGHTS: &[&[u8]] = &[b"w_1", b"w_2", b"w_3", b"w_-1", b"w_10", b"w_a"];
pub(super) const RECORDS: &[&[u8]] = &[b"r_1", b"r_2", b"r_3", b"r_-1", b"r_10", b"r_a"];

/// Their names by the elements.
pub(super) const PATTERNS_OF_WEIGHTS: &[&[u8]] =
    &[b"w_*", b"w_*", b"r_*->f", b"r_*->f", b"r_*->g", b"*", b"r_*->", b"r_*", b"w_*->f", b"w_*x"];

/// What Redis 7.0 dumped: values of all kinds, and some that are broken.
pub(super) const PAYLOADS: &[&[u8]] = &[
    b"\x00\xc190\x0a\x00\x9d\x94\xea'\x93\xfc\x08\xb9",
    b"\x00\x05hello\x0a\x00cr\xdfve4 \x0a",
    b"\x00\xc3\x0a@P\x02nan\xe0B\x01\x01na\x0a\x00\x04\x86W\x9dw\x9e\xa2\xd9",
    b"\x12\x01\x02!!\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x91longer than eight\x12\x80\x01\xff\x0a\x00\x97\xb3\xfarr\xccH\x22",
    b"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\xfb\xff\x01\x00\x02\x00\x0a\x00I.\xedn\xc0\x07\x8c\xef",
    b"\x02\x03\x01a\xc0\x01\x01b\x0a\x00\xd6\x1eR\xca\xf5S\x17\x8a",
    b"\x10\x12\x12\x00\x00\x00\x04\x00\x81f\x02\x01\x01\x81g\x02\x81x\x02\xff\x0a\x00\xf2\xc5\xd7;[\x9b\xc3Z",
    b"\x04\x01\x01f@Oa member that has more than the sixty-four bytes that it may have in a listpack\x0a\x00\xe6O2{a.m|",
    b"\x11\x1d\x1d\x00\x00\x00\x06\x00\x81c\x02\x84-inf\x05\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff\x0a\x009\x923\x9b\xe1\x1f2=",
    b"\x05\x02\x01a\x00\x00\x00\x00\x00\x00\x00@@Oa member that has more than the sixty-four bytes that it may have in a listpack\x00\x00\x00\x00\x00\x00\xf0?\x0a\x00\x8b\xb2\xd2\xe1S\xc8\xadJ",
    b"\x12\x01\x02\xc3@_@y\x1dy\x00\x00\x00\x02\x00\xe0Oa member that has more@\x0d\x00n \x04\x11e sixty-four bytes \x14 '\x05it may .\x12ve in a listpackQ\x9ex\xe0\x14\x00\x01\x1f\xff\x0a\x00u\x958\x80\xff\xc3\x0c\xcf",
    b"\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01@OO\x00\x00\x00\x1f\x00\x04\x01\x00\x01\x02\x01\x81f\x02\x81g\x02\x00\x01\x02\x01\x00\x01\x00\x01\x01\x01\x02\x01\x05\x01\x02\x01\x00\x01\x01\x01\x81x\x02\x81y\x02\x05\x01\x00\x01\x01\x01\xdf\xff\x02\x01\x01\x85other\x06\x07\x01\x06\x01\x02\x01\x04\x01\x08\x01\x01\x01\x02\x01\x05\x01\xff\x04\x05\x09\x01\x01\x00\x00\x04\x02\x03one\x02\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01}\x94\xfa\x18\xa2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02}\x94\xfa\x18\xa2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x82\x94\xfa\x18\xa2\x01\x00\x00\x01\x02\xc0\x11\x82\x94\xfa\x18\xa2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x05alice}\x94\xfa\x18\xa2\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x03two\x05\x09\x03\x00\x01\x04idle\x86\x94\xfa\x18\xa2\x01\x00\x00\x00\x0a\x00Z(r\xba5A[\xe6",
    b"\x00\x05hello\x0a\x00cr\xdfve4 ",
    b"\x12\x01\x02!!\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x91longer than eight\x12\x80\x01\xff\x0a\x00\x97\xb3\xfarr\xccH#",
    b"",
    b"xxxxxxxxxxxx",
];

/// Offsets that always are numbers.
pub(super) const INDEXES: &[&[u8]] = &[
    b"0",
    b"1",
    b"2",
    b"3",
    b"7",
    b"9",
    b"17",
    b"40",
    b"300",
    b"-1",
    b"-2",
    b"-5",
    b"-9",
    b"-40",
    b"-300",
    b"9223372036854775807",
    b"-9223372036854775808",
];

pub(super) const BITS: &[&[u8]] = &[b"0", b"1", b"1", b"0", b"1", b"1", b"1", b"0", b"2", b"-1", b"x", b""];

/// No bits at all, besides those within reach.
pub(super) const BIT_OFFSETS: &[&[u8]] =
    &[b"-1", b"4294967296", b"9223372036854775807", b"9223372036854775808", b"x", b"", b"#1", b"1.0"];

pub(super) const BIT_TYPES: &[&[u8]] = &[
    b"u8", b"i8", b"u1", b"i1", b"u4", b"i5", b"u16", b"i16", b"u13", b"i32", b"u32", b"u63", b"i64", b"i63",
    b"u33", b"u64", b"i65", b"u0", b"x8", b"8", b"",
];

/// So many of them are types.
pub(super) const BIT_TYPES_GOOD: usize = 15;

pub(super) const PATTERNS: &[&[u8]] = &[
    b"*", b"*", b"a", b"?", b"[a-c]", b"[^a]", b"\\a", b"{t}*", b"k*", b"*long*", b"[", b"[a", b"\\", b"",
    b"a*b*c", b"[b-a]", b"*\xff*", b"**", b"[!a]", b"??*",
];

pub(super) const SECONDS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"-100",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775",
    b"9223370000000000",
    b"x",
    b"1.5",
    b"",
];

/// Times long past, besides the odd ones that are no times.
pub(super) const PAST: &[&[u8]] = &[b"1", b"1000", b"1000000000", b"0", b"-5"];

pub(super) const JUNK: &[&[u8]] = &[
    b"",
    b"junk",
    b"-1",
    b"0",
    b"1.5",
    b"NX",
    b"XX",
    b"GET",
    b"EX",
    b"9223372036854775808",
    b"\x00\xff",
    b"LEN",
    b"KEEPTTL",
    b"*",
];

/// Databases that the commands wander through, besides numbers that are no databases.
pub(super) const DATABASES: &[&[u8]] = &[b"0", b"0", b"1", b"2", b"3", b"15", b"16", b"-1", b"x"];

/// Bulkhead cuts strings into pieces of so many bytes.
pub(super) const PIECE_BYTES: i64 = 16 << 10;
pub(super) const PLACE_MAX: i64 = 2 << 20;

pub(super) const ENTRIES: &[&[u8]] =
    &[b"5-1", b"5-2", b"5-3", b"5-4", b"5-5", b"5-6", b"5-8", b"5-12", b"4", b"5", b"1-1", b"0-0", b"6-0"];
pub(super) const GROUPS: &[&[u8]] = &[b"g", b"g", b"g", b"h"];
pub(super) const CONSUMERS: &[&[u8]] = &[b"c", b"d", b"e"];
