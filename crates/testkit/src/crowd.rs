//! A crowd of clients that wait for one list: what they cost, in which order they are served, what is
//! lost when half of them leave, and how well timeouts are kept.

use crate::client::{encode, words};
use crate::reply::{self, Reply};
use crate::{Client, Flavour, Result, Server, Spec, proc, wait};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub clients: usize,
    /// For so long the server is watched while all of them wait.
    pub idle: Duration,
    /// Clients whose time is over after 10 ms to 1 s, all at once.
    pub timeouts: usize,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    pub clients: usize,
    /// Resident memory of the server for each client that is connected, and for each that waits.
    pub connected_bytes: u64,
    pub blocked_bytes: u64,
    /// CPU time of the server while nothing happened.
    pub idle_cpu: Duration,
    /// From the first of the pushes to the last client's having been served.
    pub served: Duration,
    /// How much later than asked for the waits ended.
    pub late_median: Duration,
    pub late_max: Duration,
}

const LIST: &str = "crowd";
const LIMIT: Duration = Duration::from_secs(60);
/// Files that this process needs beside its connections.
const OTHER_FILES: u64 = 200;

pub fn run(plan: &Plan) -> Result<Summary> {
    proc::raise_files((plan.clients + plan.timeouts) as u64 + OTHER_FILES)?;
    let places = plan.clients + plan.timeouts + 10;
    let limit = if plan.spec.flavour == Flavour::Bulkhead { "--max-connections" } else { "--maxclients" };
    let server = plan.spec.clone().arg(limit).arg(places.to_string()).start()?;
    let mut control = server.client()?;
    let mut summary = Summary { clients: plan.clients, ..Summary::default() };
    let crowd = gather(plan, &server, &mut control, &mut summary)?;
    let before = server.cpu_time()?;
    std::thread::sleep(plan.idle);
    summary.idle_cpu = server.cpu_time()?.saturating_sub(before);
    // Over such a time a server that polls would have been seen to.
    if plan.idle >= Duration::from_secs(1) && summary.idle_cpu > plan.idle / 10 {
        return Err(format!(
            "{:?} of CPU time in {:?} in which nothing happened",
            summary.idle_cpu, plan.idle
        )
        .into());
    }
    let left = disperse(crowd, &mut control)?;
    summary.served = serve(plan, left, &mut control)?;
    let mut late = end_waits(plan.timeouts, server.addr())?;
    late.sort();
    summary.late_median = late.get(late.len() / 2).copied().unwrap_or_default();
    summary.late_max = late.last().copied().unwrap_or_default();
    Ok(summary)
}

/// Has as many clients connected as there shall be, and then wait, one after the other.
fn gather(plan: &Plan, server: &Server, control: &mut Client, summary: &mut Summary) -> Result<Vec<Waiter>> {
    let resident = || proc::resident_bytes(server.pid());
    let each = |from: u64, to: u64| to.saturating_sub(from) / plan.clients.max(1) as u64;
    blocked(control)?;
    let before = resident()?;
    let mut crowd = Vec::with_capacity(plan.clients);
    for _ in 0..plan.clients {
        crowd.push(Waiter::connect(server.addr())?);
    }
    wait::until("all to be connected", LIMIT, || {
        control.info_of_clients("connected_clients").ok().filter(|count| *count > plan.clients)
    })?;
    let connected = resident()?;
    for (count, waiter) in (1..).zip(&mut crowd) {
        waiter.send(&format!("BLPOP {LIST} 0"))?;
        // Or they might overtake each other: the server has more than one network thread.
        wait::until("a client to wait", LIMIT, || blocked(control).ok().filter(|blocked| *blocked == count))?;
    }
    let after = resident()?;
    (summary.connected_bytes, summary.blocked_bytes) = (each(before, connected), each(before, after));
    Ok(crowd)
}

/// Every other one leaves without a word.
fn disperse(crowd: Vec<Waiter>, control: &mut Client) -> Result<Vec<Waiter>> {
    let left: Vec<Waiter> = crowd.into_iter().step_by(2).collect();
    wait::until("those who left to be forgotten", LIMIT, || {
        blocked(control).ok().filter(|blocked| *blocked == left.len())
    })?;
    Ok(left)
}

/// Pushes as many items as there were clients at first, one by one: those who stayed get the first ones,
/// in order, and the list keeps the others.
fn serve(plan: &Plan, left: Vec<Waiter>, control: &mut Client) -> Result<Duration> {
    let item = |number: usize| format!("item:{number}");
    let pushes: Vec<_> =
        (0..plan.clients).map(|number| words(&format!("RPUSH {LIST} {}", item(number)))).collect();
    let start = Instant::now();
    let replies = control.pipeline(&pushes)?;
    if let Some(error) = replies.into_iter().find(Reply::is_error) {
        return Err(format!("RPUSH: {error:?}").into());
    }
    let served = left.len();
    for (number, mut waiter) in left.into_iter().enumerate() {
        let expected = Reply::Array(vec![Reply::bulk(LIST), Reply::bulk(item(number))]);
        let reply = waiter.receive()?;
        if reply != expected {
            return Err(format!("client {number} of those who wait got {reply:?}").into());
        }
    }
    let time = start.elapsed();
    let rest = control.want(&format!("LRANGE {LIST} 0 -1"))?;
    let expected: Vec<Reply> = (served..plan.clients).map(|number| Reply::bulk(item(number))).collect();
    if rest != Reply::Array(expected) {
        return Err(format!(
            "what nobody waited for is not all there: {} items",
            rest.items().map_or(0, <[_]>::len)
        )
        .into());
    }
    Ok(time)
}

/// Waits that end by themselves, all at once; says how much too late each did. None may be too early.
fn end_waits(count: usize, addr: SocketAddr) -> Result<Vec<Duration>> {
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let asked = Duration::from_millis(10 + 990 * number as u64 / count.max(1) as u64);
            std::thread::spawn(move || -> Result<Duration> {
                let mut waiter = Waiter::connect(addr)?;
                let start = Instant::now();
                waiter.send(&format!("BLPOP nothing:{} {}", number % 7, asked.as_secs_f64()))?;
                let reply = waiter.receive()?;
                let took = start.elapsed();
                if !reply.is_null() {
                    return Err(format!("a wait for nothing ended with {reply:?}").into());
                }
                let early = || format!("a wait of {asked:?} ended after {took:?}").into();
                took.checked_sub(asked).ok_or_else(early)
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().map_err(|_| "a waiting thread panicked")?).collect()
}

fn blocked(control: &mut Client) -> Result<usize> {
    control.info_of_clients("blocked_clients")
}

/// A connection that takes next to no memory here.
struct Waiter(TcpStream);

impl Waiter {
    fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self(stream))
    }

    fn send(&mut self, line: &str) -> Result {
        let mut bytes = Vec::new();
        encode(&words(line), &mut bytes);
        Ok(self.0.write_all(&bytes)?)
    }

    fn receive(&mut self) -> Result<Reply> {
        let (mut input, mut buffer) = (Vec::new(), [0; 256]);
        loop {
            if let Some((reply, _)) = reply::parse(&input)? {
                return Ok(reply);
            }
            match self.0.read(&mut buffer)? {
                0 => return Err("the server closed the connection".into()),
                count => input.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            }
        }
    }
}
