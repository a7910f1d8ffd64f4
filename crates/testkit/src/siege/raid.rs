//! Raids: who attacks, from where and for how long, all of it at random.

use crate::attack::{Attack, Scene, Tally};
use crate::{Flavour, Result, Rng};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

/// Attacks that go on at the same time.
const AT_A_TIME: usize = 3;
/// Addresses that they come from: 127.0.0.10 and those that follow.
const FIRST_ADDRESS: u8 = 10;
const ADDRESSES: usize = 8;
const LENGTH_MS: std::ops::RangeInclusive<i64> = 500..=8_000;
/// How often it is looked whether one of them is over.
const TURN: Duration = Duration::from_millis(20);

/// One attack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raid {
    scene: &'static Scene,
    from: IpAddr,
    length: Duration,
}

impl Raid {
    pub(super) fn choose(rng: &mut Rng, scenes: &[&'static Scene]) -> Self {
        let from = Ipv4Addr::new(127, 0, 0, FIRST_ADDRESS + rng.below(ADDRESSES) as u8);
        let length = Duration::from_millis(rng.range(*LENGTH_MS.start(), *LENGTH_MS.end()) as u64);
        Self { scene: rng.pick::<&Scene>(scenes), from: from.into(), length }
    }
}

/// What came of the raids of one round.
#[derive(Debug, Default)]
pub(super) struct Raided {
    pub(super) raids: usize,
    pub(super) tally: Tally,
}

/// One after the other and some at a time, for so long. `tell` hears which ones go on whenever that changes.
pub(super) fn run(
    addr: SocketAddr,
    time: Duration,
    scenes: &[&'static Scene],
    rng: &mut Rng,
    tell: impl Fn(String),
) -> Result<Raided> {
    let end = Instant::now() + time;
    let (mut raided, mut running) = (Raided::default(), Vec::<(Raid, Instant, Attack)>::new());
    while Instant::now() < end {
        let before = raided.raids;
        while running.len() < AT_A_TIME {
            let raid = Raid::choose(rng, scenes);
            let attack = Attack::start(raid.from, addr, &(raid.scene.loads)(Flavour::Bulkhead), 1.0);
            running.push((raid, end.min(Instant::now() + raid.length), attack));
            raided.raids += 1;
        }
        if raided.raids > before {
            tell(show(running.iter().map(|(raid, ..)| raid)));
        }
        thread::sleep(TURN);
        for (_, _, attack) in running.extract_if(.., |(_, until, _)| Instant::now() >= *until) {
            raided.tally.add(&attack.stop()?);
        }
    }
    for (_, _, attack) in running {
        raided.tally.add(&attack.stop()?);
    }
    tell("nobody".to_owned());
    Ok(raided)
}

fn show<'a>(raids: impl Iterator<Item = &'a Raid>) -> String {
    raids.fold(String::new(), |mut text, raid| {
        let between = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{between}{} from {}", raid.scene.name, raid.from);
        text
    })
}
