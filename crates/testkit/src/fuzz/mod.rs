//! Anything may come from outside: the parsers are given bytes with mistakes in this process, and a server has clients that
//! misbehave in every way, while one that behaves has to be answered rightly. At the end nothing is left of them.

mod bytes;
mod held;
mod misbehave;
mod parsers;
mod wire;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::words;
use crate::tls::rustls::ALL_VERSIONS;
use crate::tls::{Authority, TlsClient, client_config};
use crate::{Client, Flavour, Reply, Result, Rng, Server, Spec, temp_dir};
pub use held::Held;
use misbehave::Rogue;
use wire::Door;

#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub seed: u64,
    /// No more rounds begin then.
    pub time: Duration,
    /// Threads that misbehave, and how often each does in a round.
    pub rogues: usize,
    pub acts: usize,
    /// Inputs that the parsers are given in a round.
    pub inputs: usize,
}

impl Plan {
    pub fn new(spec: Spec, seed: u64) -> Self {
        Self { spec, seed, time: Duration::from_secs(60), rogues: 4, acts: 150, inputs: 2_000 }
    }
}

#[derive(Debug, Clone)]
pub struct Summary {
    pub rounds: usize,
    pub inputs: usize,
    pub acts: usize,
    /// How often everything was right for the one who behaves.
    pub checks: usize,
    pub let_in: u64,
    pub turned_away: u64,
    /// What the server held after the first round, and after the last one.
    pub first: Held,
    pub last: Held,
}

/// Who behaves. Each of those who do not is a peer of its own as well.
const GOOD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const PER_PEER_MAX: usize = 32;

fn rogue(number: usize) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 1, 0).to_bits() + number as u32).into()
}

/// All have their share, with the one beyond it that a peer may have: those who misbehave cannot take that of the one who
/// behaves, and turning him away is a fault.
fn connections_max(plan: &Plan) -> String {
    ((plan.rogues + 1) * (PER_PEER_MAX + 1)).to_string()
}

/// Caches that fill do not look like a leak.
const CACHE: &str = "32MiB";

/// A server, and the ways into it.
struct Target {
    server: Server,
    doors: Vec<Door>,
}

impl Target {
    fn start(plan: &Plan) -> Result<Self> {
        let (spec, connections_max) = (&plan.spec, connections_max(plan));
        if spec.flavour != Flavour::Bulkhead {
            let server = spec.clone().arg("--maxclients").arg(connections_max).start()?;
            let doors = vec![Door { addr: server.addr(), tls: None }];
            return Ok(Self { server, doors });
        }
        let files = temp_dir()?;
        let authority = Authority::new("fuzz")?;
        let (cert, key) = authority.issue("server")?.write(files.path(), "server")?;
        let mut spec = spec.clone();
        for (option, value) in [
            ("--tls-listen", "127.0.0.1:0"),
            ("--tls-cert", &cert.display().to_string()),
            ("--tls-key", &key.display().to_string()),
            ("--max-connections", &connections_max),
            ("--max-connections-per-peer", &PER_PEER_MAX.to_string()),
            ("--cache", CACHE),
        ] {
            spec = spec.arg(option).arg(value);
        }
        let server = spec.start()?;
        fs::remove_file(key)?;
        let port = setting(&mut server.client()?, "tls-port")?.parse()?;
        let tls = Some(client_config(&authority, None, ALL_VERSIONS)?);
        let doors = vec![
            Door { addr: server.addr(), tls: None },
            Door { addr: SocketAddr::new(server.addr().ip(), port), tls },
        ];
        Ok(Self { server, doors })
    }

    fn control(&self) -> Result<Client> {
        Client::connect_from(GOOD, self.server.addr())
    }
}

fn setting(client: &mut Client, name: &str) -> Result<String> {
    let reply = client.want(&format!("CONFIG GET {name}"))?;
    let value =
        reply.items().and_then(|items| items.get(1)?.bytes()).ok_or("CONFIG GET is not understood")?;
    Ok(String::from_utf8_lossy(value).into_owned())
}

pub fn run(plan: &Plan, tell: &mut dyn FnMut(String)) -> Result<Summary> {
    let target = Target::start(plan)?;
    let outcome = rounds(plan, &target, tell);
    outcome.map_err(|error| format!("{error}\nthe server's log:\n{}", target.server.log_tail()).into())
}

fn rounds(plan: &Plan, target: &Target, tell: &mut dyn FnMut(String)) -> Result<Summary> {
    let began = Instant::now();
    let mut control = target.control()?;
    let mut idle = Held::by(&target.server, &mut control)?;
    // What grows once is no leak: the first round is a measure for the others, but for connections.
    idle.resident_bytes = u64::MAX / 2;
    idle.threads = u64::MAX;
    let mut rng = Rng::new(plan.seed);
    let (mut checks, mut round, mut first) = (0, 0, None);
    loop {
        round += 1;
        parsers::check(&mut rng, plan.inputs)?;
        checks += attack(plan, target, &rng.fork(round as u64))?;
        // What they have stored is no leak.
        control.want("FLUSHALL")?;
        let held = held::back_to(first.as_ref().unwrap_or(&idle), &target.server, &mut control)?;
        let first = *first.get_or_insert(held);
        tell(format!("round {round}: {checks} checks, {held:?}"));
        if began.elapsed() >= plan.time && round > 1 {
            let (inputs, acts) = (round * plan.inputs, round * plan.rogues * plan.acts);
            let turned_away = counted(&mut control, "rejected_connections")?;
            let let_in = counted(&mut control, "total_connections_received")?;
            return Ok(Summary {
                rounds: round,
                inputs,
                acts,
                checks,
                let_in,
                turned_away,
                first,
                last: held,
            });
        }
    }
}

/// Clients misbehave, all at once, and one does not. Says how often that one was content.
fn attack(plan: &Plan, target: &Target, rng: &Rng) -> Result<usize> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let rogues: Vec<_> = (0..plan.rogues)
            .map(|number| {
                let mut rogue = Rogue::new(&target.doors, rogue(number), rng.fork(number as u64));
                scope.spawn(move || (0..plan.acts).try_for_each(|_| rogue.act()))
            })
            .collect();
        let good = scope.spawn(|| behave(target, &is_over));
        let ended: Vec<_> = rogues.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::SeqCst);
        let checks = good.join().map_err(|_| "the one who behaves panicked")?;
        for end in ended {
            end.map_err(|_| "one who misbehaves panicked")??;
        }
        checks
    })
}

/// Asks, and is answered rightly, until the others have gone: over every way in and in both protocols.
fn behave(target: &Target, is_over: &AtomicBool) -> Result<usize> {
    let mut checks = 0;
    while !is_over.load(Ordering::SeqCst) || checks == 0 {
        checks += 1;
        let mut resp2 = target.control()?;
        talk(checks, |line| resp2.line(line))?;
        let mut resp3 = target.control()?;
        resp3.want("HELLO 3")?;
        talk(checks, |line| resp3.line(line))?;
        pipeline(&mut resp3)?;
        for door in &target.doors {
            if let Some(config) = &door.tls {
                let mut through_tls = TlsClient::connect_from(GOOD, door.addr, config)?;
                talk(checks, |line| through_tls.line(line))?;
            }
        }
    }
    Ok(checks)
}

fn talk(number: usize, mut line: impl FnMut(&str) -> Result<Reply>) -> Result {
    let (long, value) = ("y".repeat(100_000), format!("value:{number}"));
    for (command, expected) in [
        (format!("SET good:key {value}"), Reply::ok()),
        ("GET good:key".into(), Reply::bulk(&value)),
        ("DEL good:counter good:list".into(), Reply::Integer(0)),
        ("INCR good:counter".into(), Reply::Integer(1)),
        ("RPUSH good:list a b c".into(), Reply::Integer(3)),
        ("BLPOP good:list 0".into(), Reply::Array(vec![Reply::bulk("good:list"), Reply::bulk("a")])),
        (format!("ECHO {long}"), Reply::bulk(&long)),
        ("DEL good:counter good:list".into(), Reply::Integer(2)),
    ] {
        let reply = line(&command)?;
        if reply != expected {
            let command: String = command.chars().take(50).collect();
            return Err(format!("{command}: {reply:?}, not {expected:?}").into());
        }
    }
    Ok(())
}

fn pipeline(client: &mut Client) -> Result {
    let commands: Vec<_> = (0..500).map(|number| words(&format!("ECHO {number}"))).collect();
    let expected: Vec<_> = (0..500).map(|number| Reply::bulk(number.to_string())).collect();
    if client.pipeline(&commands)? == expected {
        Ok(())
    } else {
        Err("a pipeline was answered wrongly".into())
    }
}

/// What the server has counted.
fn counted(control: &mut Client, name: &str) -> Result<u64> {
    let info = control.want("INFO stats")?;
    let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(found.ok_or("INFO stats is not understood")?.trim().parse()?)
}
