//! What goes out to a client, and when.

use super::*;
use base::Stamp;

fn gate(stamp: u64) -> Gate {
    Gate { epoch: 1, stamp: Stamp(stamp) }
}

fn sent(output: &mut Output) -> String {
    let mut socket = Vec::new();
    while output.sendable() > 0 {
        output.send(&mut socket).unwrap();
    }
    String::from_utf8(socket).unwrap()
}

#[test]
fn replies_wait_for_their_gate_and_for_those_before_them() {
    let mut output = Output::default();
    output.push(&Reply::Integer(1), Protocol::Resp2);
    output.push_held(&Reply::Integer(2), Protocol::Resp2, (0, gate(5)), 10);
    output.push(&Reply::Integer(3), Protocol::Resp2);
    assert_eq!(sent(&mut output), ":1\r\n");
    assert_eq!(output.uncommitted_bytes(), 10);
    output.release();
    assert_eq!(sent(&mut output), ":2\r\n:3\r\n");
    assert!(output.is_empty() && output.uncommitted_bytes() == 0);
}

#[test]
fn a_void_reply_is_replaced_one_error_for_each() {
    let mut output = Output::default();
    output.push_held(&Reply::Integer(1), Protocol::Resp2, (0, gate(5)), 10);
    output.push_held(&Reply::Integer(2), Protocol::Resp2, (0, gate(5)), 10);
    output.push_held(&Reply::Integer(3), Protocol::Resp2, (0, gate(6)), 10);
    output.push(&Reply::Ok, Protocol::Resp2);
    assert_eq!(output.uncommitted_bytes(), 30);
    output.replace(&Reply::error("E"), Protocol::Resp2);
    assert_eq!(sent(&mut output), "-E\r\n-E\r\n");
    assert_eq!(output.uncommitted_bytes(), 10);
    output.replace(&Reply::error("F"), Protocol::Resp2);
    assert_eq!(sent(&mut output), "-F\r\n+OK\r\n");
}

#[test]
fn a_reply_that_depends_on_two_commits_needs_both() {
    let mut output = Output::default();
    let gates = [(0, gate(5)), (1, gate(6))];
    output.push_gated(Encoded::new(&Reply::Integer(1), Protocol::Resp2), &gates);
    output.push_gated(Encoded::new(&Reply::Integer(2), Protocol::Resp2), &gates);
    output.release();
    assert_eq!(sent(&mut output), "");
    output.release();
    assert_eq!(sent(&mut output), ":1\r\n");
    output.replace(&Reply::error("E"), Protocol::Resp2);
    output.release();
    assert_eq!(sent(&mut output), "-E\r\n");
    assert!(output.held().is_none());
}

#[test]
fn a_page_that_is_void_is_known_as_such() {
    let mut output = Output::default();
    let page = || Encoded::of(vec![Blob::from("*2\r\n"), Blob::from(":1\r\n")]);
    output.push_held(&Reply::Integer(1), Protocol::Resp2, (0, gate(4)), 10);
    output.push_gated(page(), &[(0, gate(5)), (1, gate(6))]);
    output.replace(&Reply::error("E"), Protocol::Resp2);
    assert!(!output.ends_replaced());
    output.replace(&Reply::error("F"), Protocol::Resp2);
    output.release();
    assert!(output.ends_replaced());
    output.push_gated(page(), &[]);
    assert!(!output.ends_replaced());
    assert_eq!(sent(&mut output), "-E\r\n-F\r\n*2\r\n:1\r\n");
}

#[test]
fn what_is_told_comes_in_its_place_also_to_those_who_want_no_replies() {
    let mut output = Output::default();
    let long = Blob::from(vec![b'x'; SHARED_BYTES_MIN]);
    output.push_held(&Reply::Integer(1), Protocol::Resp2, (3, gate(5)), 10);
    assert!(output.depends_on_others(None) && output.depends_on_others(Some(2)));
    assert!(!output.depends_on_others(Some(3)));
    output.mute(true);
    output.push(&Reply::Integer(2), Protocol::Resp2);
    output.push_shared(&[&Blob::from("+head\r\n"), &long]);
    assert_eq!(sent(&mut output), "");
    output.release();
    let told = sent(&mut output);
    assert!(told.starts_with(":1\r\n+head\r\nxxx") && told.len() == 11 + long.len());
    assert!(output.is_empty() && !output.depends_on_others(None));
}

#[test]
fn large_values_are_sent_whole() {
    let mut output = Output::default();
    let value = vec![b'x'; 100_000];
    let reply = Reply::Array(vec![Reply::bulk(value.clone()), Reply::Integer(7), Reply::bulk(value)]);
    let mut expected = Vec::new();
    reply.encode(Protocol::Resp2, &mut expected);
    output.push(&reply, Protocol::Resp2);
    assert_eq!(output.len(), expected.len());
    assert_eq!(sent(&mut output).into_bytes(), expected);
    assert!(output.is_empty());
    let pieces = || (0..5u8).map(|piece| Blob::from(vec![piece; 10_000]));
    let reply = Reply::Pieces(pieces().collect());
    output.push(&reply, Protocol::Resp2);
    let mut expected = b"$50000\r\n".to_vec();
    pieces().for_each(|piece| expected.extend_from_slice(&piece));
    expected.extend_from_slice(b"\r\n");
    assert_eq!(sent(&mut output).into_bytes(), expected);
    let mut encoded = Vec::new();
    reply.encode(Protocol::Resp3, &mut encoded);
    assert_eq!(encoded, expected);
}

#[test]
fn long_replies_are_kept_in_parts_and_are_what_they_would_be_whole() {
    let items = || (0..20_000).map(Reply::Integer).collect::<Vec<_>>();
    let pairs = || (0..20_000).map(|n| (Reply::Integer(n), Reply::bulk("value"))).collect::<Vec<_>>();
    let nested = vec![(Reply::bulk("name"), Reply::Array(items()))];
    let replies = [
        Reply::Array(items()),
        Reply::Set(items()),
        Reply::Map(pairs()),
        Reply::Table(pairs()),
        Reply::Table(nested.clone()),
        Reply::Map(nested),
    ];
    for (reply, protocol) in replies.iter().flat_map(|r| [(r, Protocol::Resp2), (r, Protocol::Resp3)]) {
        let mut output = Output::default();
        output.push(reply, protocol);
        assert!(output.segments.iter().all(|part| part.as_slice().len() < 2 * SEGMENT_BYTES_MAX));
        let mut expected = Vec::new();
        reply.encode(protocol, &mut expected);
        let mut sent = Vec::new();
        while !output.is_empty() {
            output.send(&mut sent).unwrap();
        }
        assert_eq!(sent, expected);
    }
}
