//! What this process hosts beside the node: the actor API, a client of the node like any other, that has a door of
//! its own. A connection through it comes by no listener and needs no password, so it works whoever else may connect,
//! and is not kept out by those who fill the places for connections. Everything behind the door is as for others.
//!
//! Invariant: the node knows nothing of what is hosted but what it shows.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

use observe::Exposition;

use super::Node;
use crate::net::mailbox::{Arrived, Mail, Way};

/// Where the node is for those inside: what CLUSTER tells them, so that they come by the door whatever they are told.
/// No name in any network.
pub const HOST: &str = "inside";
pub const PORT: u16 = 1;

/// What is hosted, as far as the node shows it.
pub trait Hosted: Send + Sync {
    /// Where it is served.
    fn address(&self) -> SocketAddr;
    /// Calls that have come to their end.
    fn calls(&self) -> u64;
    /// Whether it can do its work; if not, why.
    fn ready(&self) -> Result<(), String>;
    /// Writes its metrics down.
    fn show(&self, page: &mut Exposition);
}

#[derive(Default)]
pub struct Inside {
    hosted: OnceLock<Arc<dyn Hosted>>,
}

impl Inside {
    /// Has something shown that is hosted from now on. Only the first one is.
    pub fn host(&self, hosted: Arc<dyn Hosted>) {
        let _ = self.hosted.set(hosted);
    }

    pub fn hosted(&self) -> Option<&dyn Hosted> {
        self.hosted.get().map(|hosted| &**hosted)
    }
}

impl Node {
    /// A connection through the door.
    pub fn connect_inside(&self) -> io::Result<UnixStream> {
        let seat = self.admission.admit_inside().ok_or_else(|| io::Error::other("too many connections"))?;
        // The first thread accepts everybody else.
        let mailbox =
            self.mailboxes().last().ok_or_else(|| io::Error::other("the node does not serve yet"))?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let way = Way::Inside(mio::net::UnixStream::from_std(ours));
        mailbox.send(Mail::Connected(Arrived { way, seat }));
        Ok(theirs)
    }
}
