//! The ways in which clients misbehave. What becomes of them is their own business, and errors are no news: the server is
//! looked at by others. Only who asks rightly and then says that nothing more comes has a right to all replies.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::bytes;
use super::wire::{Door, Wire};
use crate::client::{encode, words};
use crate::{Result, Rng, tls};

/// Connections that one thread holds open beside the one that it works on.
const KEPT_MAX: usize = 20;
/// For what comes at once or not at all.
const MOMENT: Duration = Duration::from_millis(1);
/// A server that has not answered by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// More connections at once than one peer may have, even if nobody else has any.
const CROWD: usize = super::PER_PEER_MAX + 20;

/// One of those who misbehave, and what it holds open.
pub(super) struct Rogue<'a> {
    pub doors: &'a [Door],
    pub from: IpAddr,
    pub rng: Rng,
    kept: Vec<Wire>,
}

type Way = fn(&mut Rogue<'_>, Wire) -> Result;

const WAYS: &[Way] = &[
    goes,
    resets,
    says_nonsense,
    says_nonsense,
    says_nonsense,
    makes_mistakes_bit_by_bit,
    speaks_byte_by_byte,
    closes_half,
    closes_half,
    says_nothing,
    announces_much,
    never_reads,
    waits,
    breaks_handshakes,
    comes_as_a_crowd,
];

impl<'a> Rogue<'a> {
    pub(super) fn new(doors: &'a [Door], from: IpAddr, rng: Rng) -> Self {
        Self { doors, from, rng, kept: Vec::new() }
    }

    /// Misbehaves once.
    pub(super) fn act(&mut self) -> Result {
        let door = self.rng.pick(self.doors);
        // It may be turned away, by a reset.
        let Ok(wire) = Wire::connect(door, self.from) else { return Ok(()) };
        let way = *self.rng.pick(WAYS);
        way(self, wire)
    }

    fn keep(&mut self, wire: Wire) {
        if self.kept.len() >= KEPT_MAX {
            let at = self.rng.below(self.kept.len());
            let left = self.kept.swap_remove(at);
            if self.rng.chance(50) {
                left.reset();
            }
        }
        self.kept.push(wire);
    }

    /// Mostly goes on holding the connection.
    fn may_keep(&mut self, wire: Wire) {
        if self.rng.chance(60) {
            self.keep(wire);
        }
    }
}

fn goes(_: &mut Rogue<'_>, _: Wire) -> Result {
    Ok(())
}

fn resets(rogue: &mut Rogue<'_>, mut wire: Wire) -> Result {
    let _ = wire.write_all(&bytes::pipeline(&mut rogue.rng));
    wire.reset();
    Ok(())
}

fn says_nonsense(rogue: &mut Rogue<'_>, mut wire: Wire) -> Result {
    for _ in 0..=rogue.rng.below(3) {
        if wire.write_all(&bytes::hostile(&mut rogue.rng)).is_err() {
            return Ok(());
        }
        let _ = wire.read_some(MOMENT);
    }
    rogue.may_keep(wire);
    Ok(())
}

fn makes_mistakes_bit_by_bit(rogue: &mut Rogue<'_>, mut wire: Wire) -> Result {
    let all = bytes::hostile(&mut rogue.rng);
    let mut rest = &all[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(1 + rogue.rng.below(60)));
        if wire.write_all(piece).is_err() {
            break;
        }
        rest = behind;
    }
    rogue.may_keep(wire);
    Ok(())
}

fn speaks_byte_by_byte(rogue: &mut Rogue<'_>, mut wire: Wire) -> Result {
    let all = bytes::pipeline(&mut rogue.rng);
    let upto = rogue.rng.below(all.len() + 1).min(200);
    let _ = all.iter().take(upto).try_for_each(|byte| wire.write_all(&[*byte]));
    let _ = wire.read_some(MOMENT);
    rogue.may_keep(wire);
    Ok(())
}

/// What is answered of commands that are all right, when nothing more comes: everything, or why the client was turned away.
fn closes_half(rogue: &mut Rogue<'_>, mut wire: Wire) -> Result {
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for _ in 0..=rogue.rng.below(50) {
        let length = rogue.rng.below(2_000);
        let text = "x".repeat(length);
        encode(&["ECHO", &text], &mut asked);
        expected.extend_from_slice(format!("${length}\r\n{text}\r\n").as_bytes());
    }
    if wire.write_all(&asked).and_then(|()| wire.finish()).is_err() {
        return Ok(());
    }
    match wire.read_all(PATIENCE) {
        Ok(said) if said == expected || said.starts_with(b"-ERR max ") => Ok(()),
        // Whoever is turned away there is told nothing.
        Ok(said) if said.is_empty() && wire.is_tls() => Ok(()),
        Ok(said) => Err(format!("{} bytes were answered, not {}", said.len(), expected.len()).into()),
        Err(error) if is_timeout(&error) => Err("who closes half is not answered".into()),
        Err(_) => Ok(()),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

fn says_nothing(rogue: &mut Rogue<'_>, wire: Wire) -> Result {
    rogue.keep(wire);
    Ok(())
}

fn announces_much(rogue: &mut Rogue<'_>, mut wire: Wire) -> Result {
    const ANNOUNCED: &[&str] = &[
        "*2\r\n$4\r\nECHO\r\n$536870912\r\n",
        "*1048576\r\n$4\r\nMGET\r\n$1\r\na\r\n",
        "*3\r\n$3\r\nSET\r\n$65000\r\n",
        "MULTI\r\n*2\r\n$4\r\nECHO\r\n$400000000\r\n",
    ];
    let length = rogue.rng.below(256 << 10);
    let _ = wire.write_all(rogue.rng.pick(ANNOUNCED).as_bytes());
    let _ = wire.write_all(&vec![b'x'; length]);
    rogue.may_keep(wire);
    Ok(())
}

fn never_reads(rogue: &mut Rogue<'_>, mut wire: Wire) -> Result {
    let mut command = Vec::new();
    encode(&["ECHO", &"x".repeat(16 << 10)], &mut command);
    let _ = (0..rogue.rng.below(300)).try_for_each(|_| wire.write_all(&command));
    rogue.may_keep(wire);
    Ok(())
}

fn waits(rogue: &mut Rogue<'_>, mut wire: Wire) -> Result {
    const LINES: &[&str] = &[
        "BLPOP nobody:pushes:here 0",
        "XREAD BLOCK 0 STREAMS nobody:adds:here $",
        "SUBSCRIBE nobody:publishes:here",
        "WAIT 9 0",
        "MULTI",
        "MONITOR",
    ];
    let mut asked = Vec::new();
    let line: &&str = rogue.rng.pick(LINES);
    encode(&words(line), &mut asked);
    let _ = wire.write_all(&asked);
    if rogue.rng.chance(30) {
        let _ = wire.finish();
    }
    rogue.may_keep(wire);
    Ok(())
}

/// Begins to shake hands where that is wanted or not, and does not come to an end.
fn breaks_handshakes(rogue: &mut Rogue<'_>, wire: Wire) -> Result {
    let Some(config) = rogue.doors.iter().find_map(|door| door.tls.clone()) else { return Ok(()) };
    let mut hello = Vec::new();
    tls::session(&config)?.write_tls(&mut hello)?;
    if rogue.rng.chance(50)
        && let Some(byte) = hello.get_mut(rogue.rng.below(200))
    {
        *byte ^= 0x55;
    }
    hello.truncate(rogue.rng.below(hello.len() + 1));
    let mut socket = wire.socket();
    let _ = socket.write_all(&hello);
    if wire.is_tls() && rogue.rng.chance(30) {
        wire.reset();
    } else {
        rogue.may_keep(wire);
    }
    Ok(())
}

fn comes_as_a_crowd(rogue: &mut Rogue<'_>, wire: Wire) -> Result {
    // Rarely: whoever is turned away on and on is told nothing more for a second.
    if rogue.rng.chance(90) {
        return Ok(());
    }
    let door = rogue.rng.pick(rogue.doors);
    let crowd: Vec<_> = (0..CROWD).map(|_| Wire::connect(door, rogue.from)).collect();
    drop((crowd, wire));
    Ok(())
}
