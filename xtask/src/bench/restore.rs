//! What others feel while a large stream is restored, and how long that takes.

use super::measure::VALUE_BYTES;
use crate::{Result, install};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use testkit::client::{Command, words};
use testkit::figures::median;
use testkit::{Client, Durability, Reply, Rng, Server, Spec};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) rounds: usize,
    pub(super) entries: u64,
    pub(super) clients: u64,
}

/// Of so many entries one is pending in a group.
const ONE_PENDING_IN: u64 = 5;
const KEYS: usize = 10_000;
/// How long others are measured when nothing else happens.
const IDLE: Duration = Duration::from_secs(2);

pub(super) fn run(plan: &Plan) -> Result {
    install::servers()?;
    let payload = payload(plan.entries)?;
    println!(
        "RESTORE of a stream of {} entries ({:.1} MB) beside {} clients that set and get in turn; medians of {} \
         rounds\n\n\
         | server | RESTORE takes | SET p99 idle | meanwhile | ratio | max | GET p99 idle | meanwhile | ratio | max |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        plan.entries,
        payload.len() as f64 / 1e6,
        plan.clients,
        plan.rounds
    );
    for (name, spec) in [("Bulkhead", Spec::of_program(&plan.program)), ("Valkey", Spec::valkey()?)] {
        let server = spec.start()?;
        let rounds: Vec<Round> =
            (0..plan.rounds).map(|_| round(plan, &server, &payload)).collect::<Result<_>>()?;
        row(name, &rounds);
    }
    Ok(())
}

/// Made by a Redis 7.0, whose payloads everybody takes.
fn payload(entries: u64) -> Result<Vec<u8>> {
    let server = Spec::redis()?.durability(Durability::None).start()?;
    let mut client = server.client()?;
    let text = "x".repeat(VALUE_BYTES);
    const AT_A_TIME: u64 = 10_000;
    for first in (1..=entries).step_by(AT_A_TIME as usize) {
        let last = entries.min(first + AT_A_TIME - 1);
        let some: Vec<Command> =
            (first..=last).map(|at| words(&format!("XADD s {at}-1 number {at} text {text}"))).collect();
        if let Some(error) = client.pipeline(&some)?.into_iter().find(Reply::is_error) {
            return Err(format!("filling: {error:?}").into());
        }
    }
    client.want("XGROUP CREATE s group 0")?;
    let pending = (entries / ONE_PENDING_IN).max(1);
    client.want(&format!("XREADGROUP GROUP group consumer COUNT {pending} STREAMS s >"))?;
    let payload = client.want("DUMP s")?;
    Ok(payload.bytes().ok_or("nothing is dumped")?.to_vec())
}

/// One request of another client.
#[derive(Clone, Copy)]
struct Request {
    is_set: bool,
    began: Instant,
    took: Duration,
}

/// What others felt: SET and GET, each as p99 and longest, in milliseconds.
struct Felt {
    set: (f64, f64),
    get: (f64, f64),
}

struct Round {
    took: Duration,
    idle: Felt,
    meanwhile: Felt,
}

fn round(plan: &Plan, server: &Server, payload: &[u8]) -> Result<Round> {
    let mut client = server.client()?;
    let load = Load::start(server.addr(), plan.clients)?;
    let idle = Instant::now();
    thread::sleep(IDLE);
    let began = Instant::now();
    let reply = client.call(&[&b"RESTORE"[..], b"s", b"0", payload, b"REPLACE"]);
    let ended = Instant::now();
    let requests = load.stop()?;
    match (reply?, client.want("XLEN s")?.integer()) {
        (reply, Some(len)) if reply == Reply::ok() && len == plan.entries as i64 => {}
        (reply, len) => return Err(format!("RESTORE said {reply:?}, and there are {len:?} entries").into()),
    }
    let took = ended - began;
    Ok(Round { took, idle: felt(&requests, idle..began), meanwhile: felt(&requests, began..ended) })
}

/// Of requests that were under way at some time.
fn felt(requests: &[Request], time: Range<Instant>) -> Felt {
    let of = |is_set: bool| {
        let among = requests.iter().filter(|request| request.is_set == is_set);
        let during = among.filter(|one| one.began < time.end && one.began + one.took > time.start);
        let mut times: Vec<Duration> = during.map(|request| request.took).collect();
        times.sort_unstable();
        let ms = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
        (ms(times.len() * 99 / 100), ms(times.len().saturating_sub(1)))
    };
    Felt { set: of(true), get: of(false) }
}

/// Clients that set and get in turn.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<Vec<Request>>>>,
}

impl Load {
    fn start(addr: SocketAddr, clients: u64) -> Result<Self> {
        let (stop, seeds) = (Arc::new(AtomicBool::new(false)), Rng::new(0x7e57));
        let one = |number: u64| -> Result<_> {
            let (client, rng, stop) = (Client::connect(addr)?, seeds.fork(number), stop.clone());
            Ok(thread::spawn(move || drive(client, rng, &stop)))
        };
        let clients = (0..clients).map(one).collect::<Result<_>>()?;
        Ok(Self { stop, clients })
    }

    fn stop(self) -> Result<Vec<Request>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(client.join().map_err(|_| "a thread of the load has panicked")??);
        }
        Ok(all)
    }
}

fn drive(mut client: Client, mut rng: Rng, stop: &AtomicBool) -> Result<Vec<Request>> {
    let (mut requests, data) = (Vec::new(), "x".repeat(VALUE_BYTES));
    while !stop.load(Ordering::SeqCst) {
        let key = rng.below(KEYS);
        for (is_set, line) in [(true, format!("SET key:{key} {data}")), (false, format!("GET key:{key}"))] {
            let began = Instant::now();
            client.want(&line)?;
            requests.push(Request { is_set, began, took: began.elapsed() });
        }
    }
    Ok(requests)
}

fn row(name: &str, rounds: &[Round]) {
    let of = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let felt = |of_command: fn(&Felt) -> (f64, f64)| {
        let ratio =
            of(&|round| of_command(&round.meanwhile).0 / of_command(&round.idle).0.max(f64::MIN_POSITIVE));
        format!(
            "{:.2} ms | {:.2} ms | **{ratio:.1}** | {:.0} ms",
            of(&|round| of_command(&round.idle).0),
            of(&|round| of_command(&round.meanwhile).0),
            of(&|round| of_command(&round.meanwhile).1),
        )
    };
    println!(
        "| {name} | {:.2} s | {} | {} |",
        of(&|round| round.took.as_secs_f64()),
        felt(|felt| felt.set),
        felt(|felt| felt.get)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_where_it_was_under_way() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let request =
            |is_set, began, took| Request { is_set, began: at(began), took: Duration::from_millis(took) };
        let requests =
            [request(true, 0, 5), request(true, 8, 7), request(true, 19, 30), request(false, 20, 1)];
        let found = felt(&requests, at(10)..at(20));
        assert_eq!((found.set, found.get), ((30.0, 30.0), (0.0, 0.0)));
        assert_eq!(felt(&requests, at(6)..at(10)).set, (7.0, 7.0));
    }
}
