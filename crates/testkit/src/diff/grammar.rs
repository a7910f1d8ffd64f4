//! Random commands from one-line patterns.
//!
//! A pattern is a command with holes: `<key>` and the like are filled in, `{a|b c|}` chooses, a `+`
//! after a hole repeats it. So a command's whole syntax is one row of a table.

use super::words::*;
use crate::Rng;
use crate::client::Command;

/// Every key that a pattern can name.
pub(super) fn keys() -> impl Iterator<Item = &'static [u8]> {
    KEYS.iter().chain(SKETCHES).copied()
}

/// The names that the commands of a pattern have, in upper case.
pub(super) fn names(pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_start();
    let choices = match pattern.starts_with('{') {
        true => split(pattern.get(1..closing(pattern)).unwrap_or_default()),
        false => vec![pattern],
    };
    let first = |choice: &str| choice.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    choices.into_iter().map(first).collect()
}

/// A random command of a pattern.
pub(super) fn expand(pattern: &str, rng: &mut Rng) -> Command {
    let mut command = Vec::new();
    fill(pattern, rng, &mut command);
    command
}

/// Now and then a command that is almost right.
pub(super) fn mutate(command: &mut Command, rng: &mut Rng) {
    match rng.below(4) {
        0 if command.len() > 1 => drop(command.pop()),
        1 => command.push(rng.pick(JUNK).to_vec()),
        2 if command.len() > 1 => {
            let at = 1 + rng.below(command.len() - 1);
            command[at] = rng.pick(JUNK).to_vec();
        }
        3 if command.len() > 1 => {
            let at = 1 + rng.below(command.len() - 1);
            command.push(command[at].clone());
        }
        _ => {}
    }
    if command.first().is_some_and(|name| name.eq_ignore_ascii_case(b"XADD")) {
        // What comes next goes by each server's own clock.
        command.iter_mut().filter(|arg| *arg == b"*").for_each(|arg| *arg = b"5-*".to_vec());
    }
}

fn fill(pattern: &str, rng: &mut Rng, command: &mut Command) {
    let mut rest = pattern.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '{' {
            let end = closing(rest);
            let choices = split(rest.get(1..end).unwrap_or_default());
            let choice = rng.below(choices.len());
            fill(choices.get(choice).copied().unwrap_or_default(), rng, command);
            rest = rest.get(end + 1..).unwrap_or_default().trim_start();
            continue;
        }
        let (token, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = tail.trim_start();
        let times = if token.ends_with('+') { 1 + rng.below(4) } else { 1 };
        for _ in 0..times {
            hole(token.trim_end_matches('+'), rng, command);
        }
    }
}

/// Where the bracket that opens the text closes.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Splits at the bars that are in no inner bracket.
fn split(text: &str) -> Vec<&str> {
    let (mut choices, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == '|' && depth == 0 {
            choices.push(text.get(start..at).unwrap_or_default());
            start = at + 1;
        }
    }
    choices.push(text.get(start..).unwrap_or_default());
    choices
}

/// The words that a hole is filled with, where it is filled with one of some words.
fn list(token: &str) -> Option<&'static [&'static [u8]]> {
    Some(match token {
        "<key>" => KEYS,
        "<value>" => VALUES,
        "<integer>" => INTEGERS,
        "<float>" => FLOATS,
        "<offset>" => OFFSETS,
        "<element>" => ELEMENTS,
        "<score>" => SCORES,
        "<fraction>" => FRACTIONS,
        "<bound>" => BOUNDS,
        "<name-bound>" => NAME_BOUNDS,
        "<names>" => NAMES,
        "<field>" => FIELDS,
        "<byte-index>" => INDEXES,
        "<bit>" => BITS,
        "<sketch>" => SKETCHES,
        "<glob>" => PATTERNS,
        "<db>" => DATABASES,
        "<junk>" => JUNK,
        "<payload>" => PAYLOADS,
        "<entry>" => ENTRIES,
        "<group>" => GROUPS,
        "<consumer>" => CONSUMERS,
        "<town>" => TOWNS,
        "<hamlet>" => HAMLETS,
        "<weight>" => WEIGHTS,
        "<record>" => RECORDS,
        "<radius>" => RADII,
        _ => return None,
    })
}

fn hole(token: &str, rng: &mut Rng, command: &mut Command) {
    if let Some(list) = list(token) {
        return command.push(rng.pick(list).to_vec());
    }
    let list: &[&[u8]] = match token {
        "<zeros>" => return command.push(b"zeros".to_vec()),
        "<small>" => return command.push(rng.range(-3, 12).to_string().into_bytes()),
        "<index>" => return command.push(rng.range(-9, 9).to_string().into_bytes()),
        // Seldom the same twice.
        "<item>" => return command.push(rng.range(0, 1_000_000).to_string().into_bytes()),
        "<few>" => return command.push(rng.range(1, 6).to_string().into_bytes()),
        "<pair>" => {
            command.push(rng.pick(KEYS).to_vec());
            VALUES
        }
        // Relative times are far from each other, absolute ones far from now: what the servers' clocks
        // say when they come to a command must not matter.
        "<seconds>" => return command.push(time(rng, SECONDS, 1_000, 10_000_000)),
        "<millis>" => return command.push(time(rng, SECONDS, 1_000_000, 10_000_000_000)),
        "<at>" => return command.push(time_at(rng, PAST, 4_000_000_000)),
        "<at-millis>" => return command.push(time_at(rng, PAST, 4_000_000_000_000)),
        "<future>" => return command.push(time_at(rng, SECONDS, 4_000_000_000)),
        "<future-millis>" => return command.push(time_at(rng, SECONDS, 4_000_000_000_000)),
        "<long>" => return command.push(long(rng)),
        "<long-pair>" => {
            command.push(rng.pick(KEYS).to_vec());
            return command.push(long(rng));
        }
        "(<entry>" => return command.push([b"(", *rng.pick(ENTRIES)].concat()),
        "<map>" => return command.push(b"map".to_vec()),
        "<weights>" => return command.push(rng.pick(PATTERNS_OF_WEIGHTS).to_vec()),
        "<spot>" => return spot(rng, 0, command),
        "<located>" => {
            // Each a little beside the others: places that are equally far come in any order.
            let town = rng.below(TOWNS.len());
            spot(rng, town + 1, command);
            return command.push(TOWNS[town].to_vec());
        }
        "<place>" => return command.push(place(rng).to_string().into_bytes()),
        "<bit-offset>" => return command.push(bit_offset(rng)),
        "<bit-place>" => return command.push(bit_place(rng)),
        "<bit-field>" => return field(rng, command, bit_offset),
        "<long-field>" => return field(rng, command, bit_place),
        "<field-get>" => return command.extend([b"GET".to_vec(), bit_type(rng), bit_offset(rng)]),
        "<sketch-element>" => return command.push(element(rng)),
        "<elements>" => return command.extend((0..rng.range(5, 700)).map(|_| element(rng))),
        "<count>" => return command.push(rng.range(1, 12).to_string().into_bytes()),
        word => return command.push(any_case(word, rng)),
    };
    command.push(rng.pick(list).to_vec());
}

fn time(rng: &mut Rng, odd: &[&[u8]], low: i64, high: i64) -> Vec<u8> {
    if rng.chance(15) { rng.pick(odd).to_vec() } else { rng.range(low, high).to_string().into_bytes() }
}

fn time_at(rng: &mut Rng, odd: &[&[u8]], future: i64) -> Vec<u8> {
    let odd = if rng.chance(70) { odd } else { SECONDS };
    if rng.chance(25) {
        rng.pick(odd).to_vec()
    } else {
        rng.range(future, future * 2).to_string().into_bytes()
    }
}

/// A place in a long string, most often beside a border between pieces.
fn place(rng: &mut Rng) -> i64 {
    let beside = rng.range(-2, 2);
    match rng.below(10) {
        0..6 => (rng.range(0, 12) * PIECE_BYTES + beside).max(0),
        6..9 => rng.range(0, 20 * PIECE_BYTES),
        _ => rng.range(0, PLACE_MAX),
    }
}

/// A string of one piece or many, with no part like another one.
fn long(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(20) {
        0..8 => PIECE_BYTES * rng.range(3, 10) + rng.range(-2, 2),
        8..19 => rng.range(PIECE_BYTES * 2, 16 * PIECE_BYTES),
        _ => rng.range(PLACE_MAX / 4, PLACE_MAX / 4 * 3),
    };
    let mut bytes: Vec<u8> = (0..len / 8 + 1).flat_map(|_| rng.next().to_le_bytes()).collect();
    bytes.truncate(len as usize);
    bytes
}

fn bit_offset(rng: &mut Rng) -> Vec<u8> {
    if rng.chance(6) { rng.pick(BIT_OFFSETS).to_vec() } else { rng.range(0, 400).to_string().into_bytes() }
}

fn bit_place(rng: &mut Rng) -> Vec<u8> {
    (place(rng) * 8 + rng.range(0, 7)).to_string().into_bytes()
}

fn bit_type(rng: &mut Rng) -> Vec<u8> {
    let good = BIT_TYPES.get(..BIT_TYPES_GOOD).unwrap_or(BIT_TYPES);
    let types = if rng.chance(97) { good } else { BIT_TYPES };
    rng.pick(types).to_vec()
}

/// One of BITFIELD's operations.
fn field(rng: &mut Rng, command: &mut Command, offset: fn(&mut Rng) -> Vec<u8>) {
    if rng.chance(25) {
        let ways: &[&[u8]] = &[b"WRAP", b"SAT", b"FAIL", b"sat", b"Fail"];
        return command.extend([b"OVERFLOW".to_vec(), rng.pick(ways).to_vec()]);
    }
    let names: &[&[u8]] = &[b"GET", b"SET", b"INCRBY", b"get", b"set", b"incrBy"];
    let name = rng.pick(names).to_vec();
    let offset = if rng.chance(30) { format!("#{}", rng.range(0, 12)).into_bytes() } else { offset(rng) };
    let is_get = name.eq_ignore_ascii_case(b"get");
    command.extend([name, bit_type(rng), offset]);
    if !is_get {
        let near = rng.range(-40, 300).to_string().into_bytes();
        command.push(if rng.chance(60) { near } else { rng.pick(INTEGERS).to_vec() });
    }
}

/// An element of a set of some thousands: numbers, and bytes of any length.
fn element(rng: &mut Rng) -> Vec<u8> {
    if rng.chance(70) {
        return rng.range(0, 3_000).to_string().into_bytes();
    }
    let len = rng.below(40);
    let seed = rng.below(100);
    (0..len).map(|at| (at * 7 + seed) as u8).collect()
}

/// Longitude and latitude.
fn spot(rng: &mut Rng, shift: usize, command: &mut Command) {
    if rng.chance(3) {
        let (longitude, latitude) = *rng.pick(NO_SPOTS);
        return command.extend([longitude.to_vec(), latitude.to_vec()]);
    }
    let (longitude, latitude) = *rng.pick(SPOTS);
    let (longitude, latitude) = (longitude + shift as f64 * 0.0007, latitude - shift as f64 * 0.0003);
    command.extend([longitude.to_string().into_bytes(), latitude.to_string().into_bytes()]);
}

fn any_case(word: &str, rng: &mut Rng) -> Vec<u8> {
    match rng.below(10) {
        0 => word.to_lowercase().into_bytes(),
        1 => word
            .chars()
            .map(|c| if rng.chance(50) { c.to_ascii_lowercase() } else { c })
            .collect::<String>()
            .into_bytes(),
        _ => word.as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn variants(pattern: &str) -> BTreeSet<String> {
        let mut rng = Rng::new(1);
        let line = |command: Command| {
            let words: Vec<String> =
                command.iter().map(|word| String::from_utf8_lossy(word).to_uppercase()).collect();
            words.join(" ")
        };
        (0..1000).map(|_| line(expand(pattern, &mut rng))).collect()
    }

    #[test]
    fn choices_and_repetitions_are_all_taken() {
        assert_eq!(
            variants("P {|A|B {C|D}} E"),
            ["P A E", "P B C E", "P B D E", "P E"].map(String::from).into()
        );
        let lengths: BTreeSet<usize> =
            (0..100).map(|seed| expand("MSET <pair>+", &mut Rng::new(seed)).len()).collect();
        assert_eq!(lengths, [3, 5, 7, 9].into());
    }

    #[test]
    fn holes_are_filled() {
        assert!(variants("GET <key>").contains("GET A"));
        let mut rng = Rng::new(1);
        let lengths: Vec<usize> = (0..200).map(|_| expand("SET a <long>", &mut rng)[2].len()).collect();
        assert!(lengths.iter().all(|len| (32 << 10..=1536 << 10).contains(len)));
        let beside = |offset: usize| lengths.iter().any(|len| (len + offset) % PIECE_BYTES as usize == 1);
        assert!(beside(0) && beside(1) && beside(2) && lengths.iter().any(|len| *len > 1 << 19));
        assert!(variants("EXPIRE <key> <seconds>").iter().all(|line| !line.contains('<')));
    }
}
