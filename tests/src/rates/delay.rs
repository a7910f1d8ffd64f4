//! A way to a server that is as long as one through a data centre: every byte arrives a little later, in both
//! directions, and as many are on their way as the sender likes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use testkit::{Client, Result};

const CHUNK_BYTES: usize = 64 << 10;

/// Chunks on their way in one direction: more than any pipeline of these tests fills.
const CHUNKS_MAX: usize = 1024;

/// How exact a thread wakes up; otherwise it is 50 µs too late.
const SLACK_NS: u64 = 1;

/// Listens on this machine, and leads to `target`. It lives as long as the process.
pub fn start(target: SocketAddr, each_way: Duration) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming() {
            // Who cannot be served sees a closed connection.
            let _ = client.and_then(|client| join(client, TcpStream::connect(target)?, each_way));
        }
    });
    Ok(address)
}

fn join(client: TcpStream, server: TcpStream, each_way: Duration) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let (chunks, arriving) = sync_channel(CHUNKS_MAX);
        thread::spawn(move || take(from, &chunks, each_way));
        thread::spawn(move || give(to, &arriving));
    }
    Ok(())
}

fn take(mut from: TcpStream, chunks: &SyncSender<(Instant, Vec<u8>)>, each_way: Duration) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let chunk = buffer.get(..count).unwrap_or_default().to_vec();
        if chunks.send((Instant::now() + each_way, chunk)).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
}

fn give(mut to: TcpStream, arriving: &Receiver<(Instant, Vec<u8>)>) {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(SLACK_NS));
    for (when, chunk) in arriving {
        // tidy-ok: this is what it is for
        thread::sleep(when.saturating_duration_since(Instant::now()));
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// What a PING takes there and back: the median of many.
pub fn round_trip(address: SocketAddr) -> Result<Duration> {
    const PINGS: usize = 501;
    let mut client = Client::connect(address)?;
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let begin = Instant::now();
        client.want("PING")?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(PINGS / 2).copied().unwrap_or_default())
}
