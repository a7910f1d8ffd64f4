//! A siege: a server that is given little memory, attackers of all kinds at random, and beside them ordinary clients
//! that write and read. It is never killed, loses nothing that it has acknowledged, stays near its soft threshold,
//! and holds no more than before when the attackers have left.

mod raid;
mod watch;

use crate::attack::{HOARDERS, SCENES, Scene, Tally};
use crate::crash::Ledger;
use crate::{Client, Flavour, Result, Rng, Server, Spec, proc, wait};
use std::time::{Duration, Instant};
use watch::{Held, Peak, Watch};

/// Files that this process needs for the connections of all attacks at a time.
const FILES: u64 = 17_000;
/// The default, which testkit lifts for crowds from one address.
const PER_PEER: &str = "256";
/// Of the memory that there is: what the server takes from a control group's limit by itself.
const HARD_PERCENT: u64 = 90;
/// Above the soft threshold: what was under way when it was reached.
const OVER_PERCENT: u64 = 10;
/// Until a server that nobody asks for anything does nothing: flushes, compactions, scripts that were left behind.
const REST_TIME_MAX: Duration = Duration::from_secs(90);
/// The store's tables and journals, of which there are now more, now fewer.
const FILES_MORE: u64 = 100;

#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub seed: u64,
    pub time: Duration,
    /// After so long the attackers leave for a moment, and everything is looked at.
    pub round_time: Duration,
    /// Of the machine that it might run on.
    pub memory_mib: u64,
    /// Ordinary ones.
    pub clients: usize,
    pub scenes: Vec<&'static Scene>,
}

impl Plan {
    pub fn new(spec: Spec, seed: u64) -> Self {
        let (time, round_time) = (Duration::from_secs(60), Duration::from_secs(20));
        Self {
            spec,
            seed,
            time,
            round_time,
            memory_mib: 1024,
            clients: 16,
            scenes: SCENES.iter().chain(HOARDERS).collect(),
        }
    }
}

#[derive(Debug, Default, Clone)]
pub struct Summary {
    pub rounds: usize,
    pub raids: usize,
    pub tally: Tally,
    pub acknowledged: u64,
    /// Writes of ordinary clients that had no effect.
    pub refused: u64,
    /// Ordinary clients that were disconnected.
    pub closed: usize,
    pub soft_bytes: u64,
    pub idle_bytes: u64,
    /// As sampled, and as the kernel knows it.
    pub peak_bytes: u64,
    pub peak_ever_bytes: u64,
    pub rest_bytes: u64,
    pub rest_time_max: Duration,
    pub shortages: u64,
    pub evicted: u64,
    pub oom: u64,
    pub busy: u64,
}

/// Runs all rounds; an error says what was not so and how to see it again.
pub fn run(plan: &Plan, log: &mut dyn FnMut(&str)) -> Result<Summary> {
    if plan.spec.flavour != Flavour::Bulkhead {
        return Err("a siege is of a server that defends its memory".into());
    }
    proc::raise_files(FILES)?;
    let hard_bytes = (plan.memory_mib << 20) / 100 * HARD_PERCENT;
    let spec = plan.spec.clone();
    let spec =
        spec.arg("--max-connections-per-peer").arg(PER_PEER).arg("--memory-hard").arg(hard_bytes.to_string());
    let mut siege = Siege::begin(plan, spec.start()?)?;
    log(&format!(
        "the limit is --memory-hard: {} MiB, soft {} MiB; {} MiB resident when filled",
        hard_bytes >> 20,
        siege.summary.soft_bytes >> 20,
        siege.summary.idle_bytes >> 20
    ));
    let end = Instant::now() + plan.time;
    while Instant::now() < end {
        let time = plan.round_time.min(end - Instant::now());
        let context = |error: crate::Error, server: &Server| -> crate::Error {
            let held = server.log_lines("who has the memory");
            format!("seed {}: {error}\n{held}\nThe server said:\n{}", plan.seed, server.log_tail()).into()
        };
        let line = siege.round(plan, time).map_err(|error| context(error, &siege.server))?;
        log(&line);
    }
    siege.end()
}

struct Siege {
    server: Server,
    /// There before anybody else: later there may be no place.
    control: Client,
    idle: Held,
    ledger: Ledger,
    rng: Rng,
    summary: Summary,
}

impl Siege {
    /// Puts there what the attackers ask for.
    fn begin(plan: &Plan, server: Server) -> Result<Self> {
        let rng = Rng::new(plan.seed);
        let mut control = server.client()?;
        for scene in &plan.scenes {
            (scene.fill)(&mut server.client()?)?;
        }
        let rested = |control: &mut Client| field(control, "connected_clients").is_ok_and(|count| count == 1);
        wait::until("those who filled it to be gone", REST_TIME_MAX, || rested(&mut control).then_some(()))?;
        let summary = Summary {
            soft_bytes: field(&mut control, "memory_soft")?,
            idle_bytes: proc::resident_bytes(server.pid())?,
            ..Summary::default()
        };
        let (idle, ledger) = (Held::by(server.pid())?, Ledger::new(plan.clients, &rng));
        Ok(Self { server, control, idle, ledger, rng, summary })
    }

    fn bytes_max(&self) -> u64 {
        self.summary.soft_bytes / 100 * (100 + OVER_PERCENT)
    }

    fn round(&mut self, plan: &Plan, time: Duration) -> Result<String> {
        let (addr, watch) = (self.server.addr(), Watch::start(self.server.pid()));
        let (mut raided, rng) = (raid::Raided::default(), &mut self.rng);
        let loaded = self.ledger.load(addr, explains, || {
            raided = raid::run(addr, time, &plan.scenes, rng, |what| watch.tell(what))?;
            Ok(())
        });
        let rested = loaded.and_then(|closed| Ok((closed, self.rest()?)));
        // A server that is gone is what to tell of first.
        if let Some(status) = self.server.ended()? {
            return Err(format!("the server has ended: {status}").into());
        }
        let (closed, rest_time) = rested?;
        let peak = watch.stop()?;
        let found = self.ledger.check(addr)?;
        let summary = &mut self.summary;
        summary.rounds += 1;
        summary.raids += raided.raids;
        summary.tally.add(&raided.tally);
        summary.acknowledged += found.acknowledged;
        summary.refused += found.refused;
        summary.closed += closed;
        summary.peak_bytes = summary.peak_bytes.max(peak.bytes);
        summary.rest_bytes = proc::resident_bytes(self.server.pid())?;
        summary.rest_time_max = summary.rest_time_max.max(rest_time);
        self.check_peak(&peak)?;
        Ok(format!(
            "round {}: {} raids; {} acknowledged, {} refused, {closed} closed; peak {} MiB ({}), at rest {} MiB after {} ms",
            self.summary.rounds,
            raided.raids,
            found.acknowledged,
            found.refused,
            peak.bytes >> 20,
            peak.during,
            self.summary.rest_bytes >> 20,
            rest_time.as_millis()
        ))
    }

    fn check_peak(&self, peak: &Peak) -> Result {
        let (most, allowed) = (peak.bytes >> 20, self.bytes_max() >> 20);
        if peak.bytes <= self.bytes_max() {
            return Ok(());
        }
        Err(format!("{most} MiB were resident, and {allowed} are allowed; there were {}", peak.during).into())
    }

    /// Waits until nothing is left of the attackers, and writes are taken; says how long that took.
    fn rest(&mut self) -> Result<Duration> {
        let (start, mut last) = (Instant::now(), String::new());
        let waited = wait::until("the server to be as before", REST_TIME_MAX, || match self.is_at_rest() {
            Ok(None) => Some(()),
            Ok(Some(why)) => {
                last = why;
                None
            }
            Err(error) => {
                last = error.to_string();
                None
            }
        });
        waited.map_err(|error| format!("{error}: {last}"))?;
        Ok(start.elapsed())
    }

    /// What is not as it was before, if anything is.
    fn is_at_rest(&mut self) -> Result<Option<String>> {
        let clients = field(&mut self.control, "connected_clients")?;
        let (now, idle) = (Held::by(self.server.pid())?, self.idle);
        let is_back = now.sockets <= idle.sockets
            && now.threads <= idle.threads
            && now.files <= idle.files + FILES_MORE;
        if clients > 1 || !is_back {
            return Ok(Some(format!("{clients} clients; {now:?}, and {idle:?} before")));
        }
        let written = self.control.line("SET siege:probe 1")?;
        Ok(written.is_error().then(|| format!("{written:?}")))
    }

    /// What was acknowledged is there after another start, too.
    fn end(mut self) -> Result<Summary> {
        let control = &mut self.control;
        self.summary.shortages = field(control, "memory_shortages")?;
        self.summary.evicted = field(control, "memory_evicted_clients")?;
        self.summary.oom = field(control, "errorstat_OOM")?;
        self.summary.busy = field(control, "errorstat_BUSY")?;
        self.summary.peak_ever_bytes = proc::resident_peak_bytes(self.server.pid())?;
        self.check_peak(&Peak { bytes: self.summary.peak_ever_bytes, during: "by the kernel".into() })?;
        self.server.kill()?;
        self.server.restart()?;
        self.ledger.check(self.server.addr())?;
        Ok(self.summary)
    }
}

/// Errors that tell an ordinary client no more than that it should come again.
fn explains(why: &str) -> bool {
    ["OOM ", "BUSY "].iter().any(|code| why.starts_with(code))
}

/// A number that INFO tells, or 0.
fn field(control: &mut Client, name: &str) -> Result<u64> {
    let info = control.want("INFO everything")?;
    let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
    Ok(number(&text, name))
}

fn number(info: &str, name: &str) -> u64 {
    let mut fields = info.lines().filter_map(|line| line.split_once(':'));
    let value = fields.find(|(field, _)| *field == name).map_or("", |(_, value)| value.trim());
    value.trim_start_matches("count=").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_info() {
        let info = "memory_soft:700\r\n# Errorstats\r\nerrorstat_OOM:count=12\r\nx:y\r\n";
        let found = ["memory_soft", "errorstat_OOM", "x", "z"].map(|name| number(info, name));
        assert_eq!(found, [700, 12, 0, 0]);
    }
}
