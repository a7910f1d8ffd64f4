//! Those who are measured: fifty connections that get and set in turn and one that runs short scripts, each at its
//! pace, from another address than the attackers.

use crate::Result;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};
use testkit::client::{Command, words};
use testkit::{Client, Reply, Rng};

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const CONNECTIONS: u32 = 50;
/// A connection's next request is due so long after the one before.
const PACE: Duration = Duration::from_millis(20);
const SCRIPT_PACE: Duration = Duration::from_millis(10);
const KEYS: usize = 10_000;
const SCRIPT: &str = "local n = redis.call('INCR', KEYS[1]) redis.call('EXPIRE', KEYS[1], 60) return n";

/// What a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Class {
    Get,
    Set,
    Script,
}

impl Class {
    pub(in crate::bench) const ALL: [Self; 3] = [Self::Get, Self::Set, Self::Script];

    pub(in crate::bench) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Set => "SET",
            Self::Script => "script",
        }
    }
}

/// What the requests of one class felt.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::bench) struct Felt {
    pub(in crate::bench) p50_ms: f64,
    pub(in crate::bench) p99_ms: f64,
    pub(in crate::bench) p999_ms: f64,
    /// Of those that were due, the part that was answered.
    pub(in crate::bench) answered: f64,
    /// Answered by an error, or by nothing but the end of the connection.
    pub(in crate::bench) errors: u64,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    class: Class,
    took: Duration,
    was_sent: bool,
    was_error: bool,
}

struct Victim {
    addr: SocketAddr,
    client: Client,
    rng: Rng,
    first: Duration,
    is_script: bool,
}

pub(in crate::bench) struct Victims(Vec<Victim>);

impl Victims {
    pub(in crate::bench) fn connect(addr: SocketAddr) -> Result<Self> {
        let seeds = Rng::new(0x1ac1);
        let one = |number: u32| -> Result<Victim> {
            let client = Client::connect_from(FROM, addr)?;
            let first = PACE * number.min(CONNECTIONS) / CONNECTIONS;
            Ok(Victim {
                addr,
                client,
                rng: seeds.fork(number.into()),
                first,
                is_script: number == CONNECTIONS,
            })
        };
        Ok(Self((0..=CONNECTIONS).map(one).collect::<Result<_>>()?))
    }

    /// They go on for so long; `at_end` is called then, when some of them may still wait for their replies.
    pub(in crate::bench) fn run(
        &mut self,
        length: Duration,
        at_end: impl FnOnce() -> Result,
    ) -> Result<[Felt; 3]> {
        let start = Instant::now();
        let requests = thread::scope(|scope| -> Result<Vec<Request>> {
            let threads: Vec<_> = self
                .0
                .iter_mut()
                .map(|victim| scope.spawn(move || victim.run(start, start + length)))
                .collect();
            thread::sleep(length);
            let ended = at_end();
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| "a measured client has panicked")??);
            }
            ended.map(|()| all)
        })?;
        Ok(Class::ALL.map(|class| felt(requests.iter().filter(|request| request.class == class))))
    }
}

impl Victim {
    fn run(&mut self, start: Instant, end: Instant) -> Result<Vec<Request>> {
        let pace = if self.is_script { SCRIPT_PACE } else { PACE };
        let (mut requests, mut due, mut is_set) = (Vec::new(), start + self.first, false);
        while due < end {
            is_set = !is_set;
            let class = match is_set {
                _ if self.is_script => Class::Script,
                true => Class::Set,
                false => Class::Get,
            };
            let now = Instant::now();
            if now >= end {
                // It was not even sent, for the one before has no reply: it waits at least until now.
                requests.push(Request { class, took: now - due, was_sent: false, was_error: false });
                due += pace;
                continue;
            }
            // A timer that is late is not the server's doing; a request that waits for the reply to the one before is.
            let began = if now < due {
                thread::sleep(due - now);
                Instant::now()
            } else {
                due
            };
            let command = self.command(class);
            let reply = self.client.call(&command);
            let was_error = reply.as_ref().map_or(true, Reply::is_error);
            requests.push(Request { class, took: began.elapsed(), was_sent: true, was_error });
            if reply.is_err() {
                self.client = Client::connect_from(FROM, self.addr)?;
            }
            due += pace;
        }
        Ok(requests)
    }

    fn command(&mut self, class: Class) -> Command {
        let key = self.rng.below(KEYS);
        match class {
            Class::Get => words(&format!("GET key:{key}")),
            Class::Set => words(&format!("SET key:{key} {}", "x".repeat(crate::bench::measure::VALUE_BYTES))),
            Class::Script => {
                let key = format!("count:{key}");
                ["EVAL", SCRIPT, "1", &key].iter().map(|word| word.as_bytes().to_vec()).collect()
            }
        }
    }
}

fn felt<'a>(requests: impl Iterator<Item = &'a Request>) -> Felt {
    let (mut times, mut answered, mut errors) = (Vec::new(), 0, 0);
    for request in requests {
        times.push(request.took);
        answered += u64::from(request.was_sent);
        errors += u64::from(request.was_error);
    }
    times.sort_unstable();
    let ms = |of_1000: usize| {
        let time = times.get((times.len() * of_1000 / 1000).min(times.len().saturating_sub(1)));
        time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let answered = answered as f64 / times.len().max(1) as f64;
    Felt { p50_ms: ms(500), p99_ms: ms(990), p999_ms: ms(999), answered, errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_counts_as_waiting() {
        let request = |ms, was_sent| Request {
            class: Class::Get,
            took: Duration::from_millis(ms),
            was_sent,
            was_error: false,
        };
        let requests: Vec<Request> =
            (0..50).map(|_| request(1, true)).chain((0..50).map(|_| request(900, false))).collect();
        let felt = felt(requests.iter());
        assert_eq!((felt.p50_ms, felt.p99_ms, felt.answered), (900.0, 900.0, 0.5));
    }
}
