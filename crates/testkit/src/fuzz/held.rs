//! What a server holds, and that it is no more than before when everybody has gone.

use std::time::Duration;

use crate::{Client, Result, Server, proc, wait};

/// A server that still holds something by then has lost it.
const PATIENCE: Duration = Duration::from_secs(60);
/// What resident memory may grow by over a run: what the allocator and the store's caches keep differs by so much.
const RESIDENT_BYTES_MORE: u64 = 160 << 20;

#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub clients: usize,
    pub sockets: u64,
    pub threads: u64,
    pub resident_bytes: u64,
}

impl Held {
    pub fn by(server: &Server, control: &mut Client) -> Result<Self> {
        let pid = server.pid();
        Ok(Self {
            clients: control.info_of_clients("connected_clients")?,
            sockets: proc::open_files(pid)?.0,
            threads: proc::threads(pid)?,
            resident_bytes: proc::resident_bytes(pid)?,
        })
    }

    fn is_within(&self, before: &Self) -> bool {
        self.clients <= before.clients
            && self.sockets <= before.sockets
            && self.threads <= before.threads
            && self.resident_bytes <= before.resident_bytes + RESIDENT_BYTES_MORE
    }
}

/// Waits until a server holds no more than it did.
pub(super) fn back_to(before: &Held, server: &Server, control: &mut Client) -> Result<Held> {
    let mut last = None;
    let back =
        wait::until("the server to hold no more than before", PATIENCE, || match Held::by(server, control) {
            Ok(now) => {
                last = Some(now);
                now.is_within(before).then_some(Ok(now))
            }
            Err(error) => Some(Err(error)),
        });
    back.map_err(|error| format!("{error}: {last:?}, before {before:?}"))?
}
