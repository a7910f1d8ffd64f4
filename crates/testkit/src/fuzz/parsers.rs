//! The product's parsers in this process: what they make of bytes is the same however these are split, they never panic, and
//! what they hold is bounded by what has come.

use resp::{Limits, Parsed, Parser, ProtocolError, ReplyError, ReplyScanner, Span, parse_reply};

use super::bytes;
use crate::{Result, Rng};

type Commands = Vec<Vec<Vec<u8>>>;

/// A vector begins with room for some, and doubles.
const ARGS_MIN: usize = 4;
const SCRATCH_BYTES_MIN: usize = 16;

/// Gives so many inputs to each parser.
pub(super) fn check(rng: &mut Rng, count: usize) -> Result {
    for _ in 0..count {
        let input = bytes::hostile(rng);
        let mut pieces = rng.fork(0);
        let tried = std::panic::catch_unwind(move || {
            let verdict = check_request(&mut pieces, &input).and_then(|()| check_reply(&mut pieces, &input));
            verdict.map_err(|why| format!("{why}, of \"{}\"", input.escape_ascii()))
        });
        tried.map_err(|_| "a parser panicked: the lines above say where, the seed with what")??;
    }
    Ok(())
}

/// Where the input is cut: at every byte, nowhere, or by chance.
fn next_piece(rng: &mut Rng, most: usize) -> usize {
    1 + rng.below(most)
}

fn check_request(rng: &mut Rng, input: &[u8]) -> std::result::Result<(), String> {
    let limits = match rng.below(3) {
        0 => Limits::default(),
        1 => Limits { authenticated: false, ..Limits::default() },
        _ => Limits { line_bytes_max: 12, command_bytes_max: 64, ..Limits::default() },
    };
    let whole = read(input, &limits, || input.len())?;
    let by_byte = read(input, &limits, || 1)?;
    let by_chance = read(input, &limits, || next_piece(rng, 40))?;
    if whole == by_byte && whole == by_chance {
        return Ok(());
    }
    Err(format!("requests depend on how they are split: {whole:?}, {by_byte:?}, {by_chance:?}"))
}

/// The commands in an input that comes in pieces, and the error that ends it.
fn read(
    input: &[u8],
    limits: &Limits,
    mut piece: impl FnMut() -> usize,
) -> std::result::Result<(Commands, Option<ProtocolError>), String> {
    let (mut parser, mut args, mut commands) = (Parser::new(), Vec::<Span>::new(), Vec::new());
    let (mut start, mut arrived) = (0, 0);
    loop {
        let buffer = input.get(start..arrived).unwrap_or_default();
        let used = match parser.parse(buffer, &mut args, limits) {
            Ok(Parsed::Command { used }) => {
                let source = parser.source(buffer);
                commands.push(args.iter().map(|arg| arg.of(source).to_vec()).collect());
                used
            }
            Ok(Parsed::Nothing { used }) => used,
            Ok(Parsed::Incomplete { .. }) if arrived == input.len() => return Ok((commands, None)),
            Ok(Parsed::Incomplete { .. }) => {
                arrived = (arrived + piece()).min(input.len());
                continue;
            }
            Err(error) => return Ok((commands, Some(error))),
        };
        if args.capacity() > input.len().max(ARGS_MIN)
            || parser.scratch_bytes() > 2 * input.len().max(SCRATCH_BYTES_MIN)
        {
            return Err(format!(
                "{} arguments and {} bytes are held",
                args.capacity(),
                parser.scratch_bytes()
            ));
        }
        if used == 0 || used > buffer.len() {
            return Err(format!("{used} bytes of {} are used", buffer.len()));
        }
        start += used;
    }
}

/// The lengths of the replies in an input, and the error that ends it.
type Lengths = (Vec<usize>, Option<ReplyError>);

fn check_reply(rng: &mut Rng, input: &[u8]) -> std::result::Result<(), String> {
    let whole = scan(input, || input.len());
    let by_byte = scan(input, || 1);
    let by_chance = scan(input, || next_piece(rng, 40));
    if whole != by_byte || whole != by_chance {
        return Err(format!("replies depend on how they are split: {whole:?}, {by_byte:?}, {by_chance:?}"));
    }
    let mut start = 0;
    for len in whole.0 {
        // It looks at values as well, which the scanner does not.
        match parse_reply(input.get(start..).unwrap_or_default()) {
            Ok(Some((_, parsed))) if parsed != len => {
                return Err(format!("a reply has {len} or {parsed} bytes"));
            }
            Ok(None) => return Err(format!("a reply of {len} bytes is and is not complete")),
            Ok(Some(_)) | Err(_) => start += len,
        }
    }
    Ok(())
}

fn scan(input: &[u8], mut piece: impl FnMut() -> usize) -> Lengths {
    let (mut scanner, mut found) = (ReplyScanner::default(), Vec::new());
    let (mut start, mut arrived) = (0, 0);
    loop {
        match scanner.scan(input.get(start..arrived).unwrap_or_default()) {
            Ok(Some(len)) => {
                found.push(len);
                start += len;
            }
            Ok(None) if arrived == input.len() => return (found, None),
            Ok(None) => arrived = (arrived + piece()).min(input.len()),
            Err(error) => return (found, Some(error)),
        }
    }
}
