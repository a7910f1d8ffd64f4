//! What clients send. Expectations were recorded from Redis 7.0 and Valkey 8.1.

use proptest::prelude::*;

use crate::request::{UNAUTHENTICATED_ARGS_MAX, UNAUTHENTICATED_BULK_BYTES_MAX};
use crate::{Limits, Parsed, Parser, ProtocolError, Span};

type Commands = Vec<Vec<Vec<u8>>>;

/// Gives the input in pieces of the given size; returns the commands, and the error that ended it.
fn run(input: &[u8], piece: usize, limits: &Limits) -> (Commands, Option<ProtocolError>) {
    let (mut parser, mut args, mut commands) = (Parser::new(), Vec::<Span>::new(), Vec::new());
    let (mut start, mut arrived) = (0, 0);
    loop {
        let buffer = &input[start..arrived];
        match parser.parse(buffer, &mut args, limits) {
            Ok(Parsed::Command { used }) => {
                let source = parser.source(buffer);
                commands.push(args.iter().map(|arg| arg.of(source).to_vec()).collect());
                start += used;
            }
            Ok(Parsed::Nothing { used }) => {
                assert!(used > 0);
                start += used;
            }
            Ok(Parsed::Incomplete { .. }) if arrived == input.len() => return (commands, None),
            Ok(Parsed::Incomplete { .. }) => arrived = (arrived + piece).min(input.len()),
            Err(error) => return (commands, Some(error)),
        }
    }
}

#[track_caller]
fn check_limits(input: &[u8], limits: &Limits, commands: &[&[&[u8]]], error: Option<&str>) {
    for piece in [input.len().max(1), 1, 7] {
        let (found, stopped) = run(input, piece, limits);
        assert_eq!(found, commands.iter().map(|args| args.to_vec()).collect::<Vec<_>>());
        let line = stopped.map(|error| error.line().as_bytes().to_vec());
        let expected = error.map(|error| format!("ERR Protocol error: {error}").into_bytes());
        assert_eq!(line, expected, "in pieces of {piece}");
    }
}

#[track_caller]
fn check(input: &[u8], commands: &[&[&[u8]]], error: Option<&str>) {
    check_limits(input, &Limits::default(), commands, error);
}

#[test]
fn multibulk_commands_are_read() {
    check(b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]], None);
    check(b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*1\r\n$4\r\nQUIT\r\n", &[&[b"ECHO", b""], &[b"QUIT"]], None);
    let long = vec![b'x'; 20_000];
    let input = [b"*2\r\n$4\r\nECHO\r\n$20000\r\n", &long[..], b"\r\n"].concat();
    check(&input, &[&[b"ECHO", &long]], None);
}

#[test]
fn inline_commands_are_read() {
    check(b"PING\n", &[&[b"PING"]], None);
    check(b"PING\r\r\n", &[&[b"PING"]], None);
    check(
        b"  ECHO 'a b'  \r\n*1\r\n$4\r\nPING\r\nGET a\r\n",
        &[&[b"ECHO", b"a b"], &[b"PING"], &[b"GET", b"a"]],
        None,
    );
    check(b"\"\" a\r\n", &[&[b"", b"a"]], None);
    check(b"$4\r\nPING\r\n", &[&[b"$4"], &[b"PING"]], None);
}

#[test]
fn empty_commands_are_skipped() {
    check(b"\r\n\n\r\r\n*0\r\n*-1\r\n*-99\r\n  \r\nPING\r\n", &[&[b"PING"]], None);
}

#[test]
fn line_ends_are_not_looked_at_where_redis_does_not() {
    check(b"*1\r\n$4\r\nPINGxy*1\r\n$4\r\nPING\r\n", &[&[b"PING"], &[b"PING"]], None);
    check(b"*1\rX$4\rXPINGxy", &[&[b"PING"]], None);
    check(b"*1\n$4\nPING\n", &[], None);
}

#[test]
fn wrong_counts_are_refused() {
    for input in
        ["*x\r\n", "*\r\n", "*-0\r\n", "*+1\r\n", "*01\r\n", "*1048577\r\n", "*99999999999999999999\r\n"]
    {
        check(input.as_bytes(), &[], Some("invalid multibulk length"));
    }
    check(b"*1048576\r\n", &[], None);
}

#[test]
fn wrong_lengths_are_refused() {
    for header in ["$-1", "$", "$04", "$4x", "$+4", "$ 4", "$536870913", "$99999999999999999999"] {
        check(format!("*1\r\n{header}\r\nPING\r\n").as_bytes(), &[], Some("invalid bulk length"));
    }
    check(b"*1\r\n$536870912\r\n", &[], None);
}

#[test]
fn something_else_than_a_bulk_is_refused() {
    check(b"*1\r\nfoo\r\n", &[], Some("expected '$', got 'f'"));
    check(b"*2\r\n$4\r\nECHO\r\n*1\r\n", &[], Some("expected '$', got '*'"));
    // Only once the line is there.
    check(b"*1\r\nfoo", &[], None);
    let mut line = Vec::new();
    ProtocolError::ExpectedBulk(b'\n').line().write(&mut line);
    assert_eq!(line, b"ERR Protocol error: expected '$', got ' '");
    assert_eq!(ProtocolError::ExpectedBulk(0xff).line().as_bytes().last_chunk(), Some(b"'\xff'"));
}

#[test]
fn unbalanced_quotes_are_refused() {
    check(b"PING\r\nECHO \"a\r\n", &[&[b"PING"]], Some("unbalanced quotes in request"));
}

#[test]
fn long_lines_are_refused() {
    let long = vec![b'1'; 70_000];
    check(&long, &[], Some("too big inline request"));
    check(&[b"*", &long[..]].concat(), &[], Some("too big mbulk count string"));
    check(&[b"*1\r\n$", &long[..]].concat(), &[], Some("too big bulk count string"));
    check(&[b"*", &long[..60_000], b"\r\n"].concat(), &[], Some("invalid multibulk length"));
}

#[test]
fn before_authentication_little_is_read() {
    let limits = Limits { authenticated: false, ..Limits::default() };
    let few = format!("*{UNAUTHENTICATED_ARGS_MAX}\r\n");
    check_limits(few.as_bytes(), &limits, &[], None);
    let many = format!("*{}\r\n", UNAUTHENTICATED_ARGS_MAX + 1);
    check_limits(many.as_bytes(), &limits, &[], Some("unauthenticated multibulk length"));
    let short = format!("*1\r\n${UNAUTHENTICATED_BULK_BYTES_MAX}\r\n");
    check_limits(short.as_bytes(), &limits, &[], None);
    let long = format!("*1\r\n${}\r\n", UNAUTHENTICATED_BULK_BYTES_MAX + 1);
    check_limits(long.as_bytes(), &limits, &[], Some("unauthenticated bulk length"));
}

#[test]
fn a_command_is_bounded_as_a_whole() {
    let limits = Limits { command_bytes_max: 100, ..Limits::default() };
    let part = "$40\r\n0123456789012345678901234567890123456789\r\n";
    let accepted = format!("*2\r\n{part}{part}");
    assert_eq!(run(accepted.as_bytes(), 1, &limits).1, None);
    let refused = format!("*3\r\n{part}{part}$1\r\nx\r\n");
    check_limits(refused.as_bytes(), &limits, &[], Some("too big request"));
}

#[test]
fn what_is_missing_of_a_bulk_is_told() {
    let (mut parser, mut args) = (Parser::new(), Vec::new());
    let mut want = |input: &[u8]| parser.parse(input, &mut args, &Limits::default());
    assert_eq!(want(b"*1\r\n$10"), Ok(Parsed::Incomplete { want: 0 }));
    assert_eq!(want(b"*1\r\n$1000\r\nabc"), Ok(Parsed::Incomplete { want: 999 }));
    assert_eq!(want(b"*1\r\n$1000\r\nabcdefg"), Ok(Parsed::Incomplete { want: 995 }));
}

#[test]
fn reset_forgets_a_half_command() {
    let (mut parser, mut args, limits) = (Parser::new(), Vec::new(), Limits::default());
    assert!(matches!(
        parser.parse(b"*2\r\n$4\r\nECHO\r\n$5", &mut args, &limits),
        Ok(Parsed::Incomplete { .. })
    ));
    parser.reset();
    assert_eq!(parser.parse(b"*1\r\n$4\r\nPING\r\n", &mut args, &limits), Ok(Parsed::Command { used: 14 }));
    assert_eq!(args, [Span { start: 8, end: 12 }]);
}

#[test]
fn announced_arguments_are_not_allocated() {
    let (mut parser, mut args) = (Parser::new(), Vec::new());
    let parsed = parser.parse(b"*1048576\r\n$536870912\r\n", &mut args, &Limits::default());
    assert!(matches!(parsed, Ok(Parsed::Incomplete { .. })));
    assert_eq!(args.capacity(), 0);
}

fn encode(command: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", command.len()).into_bytes();
    for arg in command {
        out.extend(format!("${}\r\n", arg.len()).bytes());
        out.extend(arg);
        out.extend(b"\r\n");
    }
    out
}

/// Bytes that look like the protocol more often than random ones do.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"*".to_vec()),
        Just(b"$".to_vec()),
        Just(b"*2\r\n".to_vec()),
        Just(b"$3\r\n".to_vec()),
        Just(b"-1".to_vec()),
        Just(b"1048576".to_vec()),
        Just(b"99999999999999999999".to_vec()),
        Just(b"GET a 'b' \"\\x41\"".to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(token, 0..20).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn commands_are_read_back_however_they_arrive(
        commands in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5), 0..5),
        piece in 1usize..50,
    ) {
        let input: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        prop_assert_eq!(run(&input, piece, &Limits::default()), (commands, None));
    }

    #[test]
    fn splitting_hostile_bytes_changes_nothing(input in hostile(), piece in 1usize..9) {
        let limits = Limits { line_bytes_max: 12, command_bytes_max: 64, ..Limits::default() };
        prop_assert_eq!(run(&input, piece, &limits), run(&input, input.len().max(1), &limits));
    }

    #[test]
    fn memory_follows_what_arrived(input in hostile()) {
        let (mut parser, mut args) = (Parser::new(), Vec::new());
        let _ = parser.parse(&input, &mut args, &Limits::default());
        // A vector starts with room for four and at most doubles.
        prop_assert!(args.capacity() <= input.len().max(4));
        prop_assert!(parser.scratch_bytes() <= 2 * input.len().max(8));
    }
}
