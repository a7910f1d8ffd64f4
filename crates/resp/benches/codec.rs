//! What parsing a pipeline and encoding its replies costs: divide by the number of commands.
#![allow(clippy::unwrap_used)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use resp::{Blob, Limits, Parsed, Parser, Protocol, Reply, Span};

fn main() {
    divan::main();
}

const COMMANDS: usize = 1_000;
const VALUE: [u8; 64] = [b'v'; 64];

fn pipeline(command: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut input = Vec::new();
    (0..COMMANDS).for_each(|i| command(i, &mut input));
    input
}

fn write(words: &[&[u8]], input: &mut Vec<u8>) {
    input.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        input.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        input.extend_from_slice(word);
        input.extend_from_slice(b"\r\n");
    }
}

fn key(i: usize) -> Vec<u8> {
    format!("key:{i:012}").into_bytes()
}

fn parse(bencher: Bencher<'_, '_>, input: &[u8]) {
    let (mut parser, mut args, limits) = (Parser::new(), Vec::<Span>::new(), Limits::default());
    let bencher = bencher.counter(ItemsCount::new(COMMANDS)).counter(BytesCount::of_slice(input));
    bencher.bench_local(|| {
        let mut rest = black_box(input);
        let mut bytes = 0;
        while let Parsed::Command { used } = parser.parse(rest, &mut args, &limits).unwrap() {
            bytes += args.iter().map(|arg| arg.len()).sum::<usize>();
            rest = &rest[used..];
        }
        bytes
    });
}

#[divan::bench]
fn parse_1000_gets(bencher: Bencher<'_, '_>) {
    parse(bencher, &pipeline(|i, input| write(&[b"GET", &key(i)], input)));
}

#[divan::bench]
fn parse_1000_sets(bencher: Bencher<'_, '_>) {
    parse(bencher, &pipeline(|i, input| write(&[b"SET", &key(i), &VALUE], input)));
}

#[divan::bench]
fn parse_1000_inline_gets(bencher: Bencher<'_, '_>) {
    parse(bencher, &pipeline(|i, input| input.extend_from_slice(&[b"GET ", &*key(i), b"\r\n"].concat())));
}

fn encode(bencher: Bencher<'_, '_>, reply: &Reply, protocol: Protocol) {
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(COMMANDS)).bench_local(|| {
        out.clear();
        for _ in 0..COMMANDS {
            black_box(reply).encode(protocol, &mut out);
        }
        out.len()
    });
}

#[divan::bench]
fn encode_1000_ok(bencher: Bencher<'_, '_>) {
    encode(bencher, &Reply::Ok, Protocol::Resp2);
}

#[divan::bench]
fn encode_1000_integers(bencher: Bencher<'_, '_>) {
    encode(bencher, &Reply::Integer(1_234_567), Protocol::Resp2);
}

#[divan::bench]
fn encode_1000_bulks(bencher: Bencher<'_, '_>) {
    encode(bencher, &Reply::Bulk(Blob::from(VALUE.to_vec())), Protocol::Resp2);
}

#[divan::bench]
fn encode_1000_arrays_of_10(bencher: Bencher<'_, '_>) {
    let item = || Reply::Bulk(Blob::from(VALUE.to_vec()));
    encode(bencher, &Reply::Array((0..10).map(|_| item()).collect()), Protocol::Resp3);
}
