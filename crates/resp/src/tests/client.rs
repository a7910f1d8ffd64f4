//! Replies: written in both protocols, and read back.

use proptest::prelude::*;

use crate::{Blob, Protocol, Reply, ReplyError, ReplyScanner, parse_reply};

fn encoded(reply: &Reply, protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode(protocol, &mut out);
    out
}

#[track_caller]
fn check(reply: &Reply, resp2: &str, resp3: &str) {
    assert_eq!(
        encoded(reply, Protocol::Resp2).escape_ascii().to_string(),
        resp2.escape_default().to_string()
    );
    assert_eq!(
        encoded(reply, Protocol::Resp3).escape_ascii().to_string(),
        resp3.escape_default().to_string()
    );
}

#[test]
fn simple_replies_are_the_same_in_both_protocols() {
    for (reply, text) in [
        (Reply::Ok, "+OK\r\n"),
        (Reply::QUEUED, "+QUEUED\r\n"),
        (Reply::error("ERR no"), "-ERR no\r\n"),
        (Reply::Integer(-7), ":-7\r\n"),
        (Reply::bulk("a\r\nb"), "$4\r\na\r\nb\r\n"),
        (Reply::bulk(""), "$0\r\n\r\n"),
        (Reply::Array(vec![Reply::ONE, Reply::Array(vec![])]), "*2\r\n:1\r\n*0\r\n"),
    ] {
        check(&reply, text, text);
    }
}

#[test]
fn what_resp2_lacks_is_replaced_as_in_redis() {
    let pair = || (Reply::bulk("k"), Reply::ONE);
    check(&Reply::Null, "$-1\r\n", "_\r\n");
    check(&Reply::NullArray, "*-1\r\n", "_\r\n");
    check(&Reply::Map(vec![pair()]), "*2\r\n$1\r\nk\r\n:1\r\n", "%1\r\n$1\r\nk\r\n:1\r\n");
    check(&Reply::Set(vec![Reply::ONE]), "*1\r\n:1\r\n", "~1\r\n:1\r\n");
    check(&Reply::Push(vec![Reply::ONE]), "*1\r\n:1\r\n", ">1\r\n:1\r\n");
    check(&Reply::Double(1.25), "$4\r\n1.25\r\n", ",1.25\r\n");
    check(&Reply::Double(1e-7 / 3.0), "$21\r\n3.3333333333333334e-8\r\n", ",3.3333333333333334e-8\r\n");
    check(&Reply::Double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    check(&Reply::Boolean(true), ":1\r\n", "#t\r\n");
    check(&Reply::Boolean(false), ":0\r\n", "#f\r\n");
    check(&Reply::BigNumber("123".into()), "$3\r\n123\r\n", "(123\r\n");
    check(&Reply::Verbatim { format: *b"txt", text: "hi".into() }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
    let attribute = Reply::Attribute { about: vec![pair()], reply: Box::new(Reply::ONE) };
    check(&attribute, ":1\r\n", "|1\r\n$1\r\nk\r\n:1\r\n:1\r\n");
}

#[test]
fn lines_stay_lines() {
    check(&Reply::error("ERR a\r\nb\n\n"), "-ERR a  b\r\n", "-ERR a  b\r\n");
    check(&Reply::simple("\r\n"), "+\r\n", "+\r\n");
}

#[test]
fn an_appended_double_leaves_what_is_before_it() {
    let items = vec![Reply::Double(0.5), Reply::Double(1e300), Reply::bulk("x")];
    let expected = "*3\r\n$3\r\n0.5\r\n$6\r\n1e+300\r\n$1\r\nx\r\n";
    assert_eq!(encoded(&Reply::Array(items), Protocol::Resp2), expected.as_bytes());
}

#[track_caller]
fn refused(input: &[u8], error: ReplyError) {
    assert_eq!(parse_reply(input), Err(error));
}

#[test]
fn what_is_not_resp_is_refused() {
    refused(b"?\r\n", ReplyError::Marker(b'?'));
    refused(b":1x\r\n", ReplyError::Value);
    refused(b":1\n", ReplyError::End);
    refused(b"#x\r\n", ReplyError::Value);
    refused(b"$-2\r\n", ReplyError::Length);
    refused(b"%-1\r\n", ReplyError::Length);
    refused(b"$536870913\r\n", ReplyError::Length);
    refused(b"*1073741825\r\n", ReplyError::Length);
    refused(b"$1\r\nabc", ReplyError::End);
    refused(b"=3\r\nabc\r\n", ReplyError::Length);
    refused(&b"*1\r\n".repeat(100), ReplyError::Depth);
    refused(&vec![b'+'; 2 << 20], ReplyError::Line);
}

#[test]
fn what_resp3_adds_is_read() {
    for (input, expected) in [
        (&b"!5\r\nERR x\r\n"[..], Reply::error("ERR x")),
        (b"_\r\n", Reply::Null),
        (b",inf\r\n", Reply::Double(f64::INFINITY)),
        (b",10\r\n", Reply::Double(10.0)),
        (b"$-1\r\n", Reply::Null),
        (b"*-1\r\n", Reply::NullArray),
        (b"(12345678901234567890\r\n", Reply::BigNumber("12345678901234567890".into())),
    ] {
        assert_eq!(parse_reply(input), Ok(Some((expected, input.len()))));
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

fn reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        Just(Reply::Ok),
        Just(Reply::Null),
        "[a-zA-Z0-9 ]{3,20}".prop_map(Reply::simple),
        "[a-zA-Z0-9 ]{0,20}".prop_map(Reply::error),
        any::<i64>().prop_map(Reply::Integer),
        bytes().prop_map(Reply::bulk),
        any::<f64>().prop_filter("NaN equals nothing", |value| !value.is_nan()).prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        "-?[1-9][0-9]{0,30}".prop_map(|digits| Reply::BigNumber(digits.into())),
        (any::<[u8; 3]>(), bytes())
            .prop_map(|(format, text)| Reply::Verbatim { format, text: Blob::from(text) }),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let items = || prop::collection::vec(inner.clone(), 0..6);
        let pairs = || prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            items().prop_map(Reply::Array),
            items().prop_map(Reply::Set),
            items().prop_map(Reply::Push),
            pairs().prop_map(Reply::Map),
            (pairs(), inner.clone())
                .prop_map(|(about, reply)| Reply::Attribute { about, reply: Box::new(reply) }),
        ]
    })
}

/// Bytes that look like replies more often than random ones do.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"\r\n".to_vec()),
        "[-+:,#(_$!=*~>%|][0-3]?(\r\n)?".prop_map(String::into_bytes),
        "[$*%]99999999999999999999\r\n".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..20).prop_map(|tokens| tokens.concat())
}

/// Scans the input as it arrives in pieces.
fn scan(input: &[u8], piece: usize) -> Result<Option<usize>, ReplyError> {
    let mut scanner = ReplyScanner::default();
    let mut arrived = 0;
    loop {
        arrived = (arrived + piece).min(input.len());
        let found = scanner.scan(&input[..arrived])?;
        if found.is_some() || arrived == input.len() {
            return Ok(found);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn replies_are_read_back(reply in reply(), tail in bytes(), piece in 1usize..30) {
        let mut input = encoded(&reply, Protocol::Resp3);
        let len = input.len();
        for cut in [0, len / 2, len - 1] {
            prop_assert_eq!(parse_reply(&input[..cut]), Ok(None));
        }
        input.extend(tail);
        prop_assert_eq!(scan(&input, piece), Ok(Some(len)));
        prop_assert_eq!(parse_reply(&input), Ok(Some((reply, len))));
    }

    #[test]
    fn resp2_is_well_formed(reply in reply()) {
        let input = encoded(&reply, Protocol::Resp2);
        let parsed = parse_reply(&input);
        let whole = matches!(&parsed, Ok(Some((_, len))) if *len == input.len());
        prop_assert!(whole, "{:?}", parsed);
        prop_assert!(input.len() <= 2 * reply.size_hint());
    }

    #[test]
    fn hostile_bytes_are_read_or_refused(input in hostile(), piece in 1usize..9) {
        let parsed = parse_reply(&input);
        let scanned = scan(&input, piece);
        if let Ok(Some((_, len))) = parsed {
            prop_assert_eq!(scanned, Ok(Some(len)));
        }
    }
}
