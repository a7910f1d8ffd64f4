//! Clients that hear a channel while others publish on it, and read as fast as they can.

use crate::Result;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use testkit::Client;

const CHANNEL: &str = "bench:channel";
/// A thread each, which needs next to nothing.
const STACK_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 32 << 10;

pub(super) struct Hearers {
    sockets: Vec<TcpStream>,
    threads: Vec<JoinHandle<u64>>,
}

impl Hearers {
    pub(super) fn start(addr: SocketAddr, count: usize) -> Result<Self> {
        let mut hearers = Self { sockets: Vec::new(), threads: Vec::new() };
        for _ in 0..count {
            let mut client = Client::connect(addr)?;
            client.call(&["SUBSCRIBE", CHANNEL])?;
            let mut socket = client.sender()?;
            hearers.sockets.push(socket.try_clone()?);
            let hear = move || {
                // The client only keeps the connection open.
                let _client = client;
                let mut buffer = [0; READ_BYTES];
                let mut bytes = 0;
                while let Ok(read @ 1..) = socket.read(&mut buffer) {
                    bytes += read as u64;
                }
                bytes
            };
            hearers.threads.push(thread::Builder::new().stack_size(STACK_BYTES).spawn(hear)?);
        }
        Ok(hearers)
    }

    /// They leave. An error if one of them has not heard so many bytes.
    pub(super) fn stop(self, bytes_min: u64) -> Result {
        for socket in &self.sockets {
            socket.shutdown(Shutdown::Both)?;
        }
        for thread in self.threads {
            let heard = thread.join().map_err(|_| "somebody who hears has panicked")?;
            if heard < bytes_min {
                return Err(format!("somebody has heard {heard} bytes of {bytes_min}").into());
            }
        }
        Ok(())
    }
}
