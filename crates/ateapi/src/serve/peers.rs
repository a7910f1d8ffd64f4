//! Who is at the other end of a connection, and how much of what all share one peer may take.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use base::peer;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Handshakes of one peer that go on at a time, each of which costs a signature: its others wait for their turn.
const HANDSHAKES_MAX: usize = 32;

/// What each peer may have at a time.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// Zero for any number.
    pub connections: usize,
    pub calls: usize,
}

/// All peers that have a connection.
pub struct Peers {
    share: Share,
    known: Mutex<HashMap<IpAddr, Known>>,
}

struct Known {
    connections: usize,
    common: Arc<Common>,
}

/// What the connections of one peer have in common.
pub struct Common {
    pub calls: Arc<Semaphore>,
    pub handshakes: Semaphore,
}

/// One of a peer's connections.
pub struct Guest {
    peers: Arc<Peers>,
    name: IpAddr,
    common: Arc<Common>,
}

impl Peers {
    pub fn new(share: Share) -> Arc<Self> {
        Arc::new(Self { share, known: Mutex::default() })
    }

    /// Nothing, if the peer has as many connections as it may have.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let name = peer::of(address);
        let mut known = self.known.lock();
        let peer = known.entry(name).or_insert_with(|| Known {
            connections: 0,
            common: Arc::new(Common {
                calls: Arc::new(Semaphore::new(self.share.calls)),
                handshakes: Semaphore::new(HANDSHAKES_MAX),
            }),
        });
        if self.share.connections > 0 && peer.connections >= self.share.connections {
            return None;
        }
        peer.connections += 1;
        Some(Guest { peers: Arc::clone(self), name, common: Arc::clone(&peer.common) })
    }
}

impl Guest {
    pub fn common(&self) -> &Arc<Common> {
        &self.common
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut known = self.peers.known.lock();
        if let Some(peer) = known.get_mut(&self.name) {
            peer.connections -= 1;
            if peer.connections == 0 {
                known.remove(&self.name);
            }
        }
    }
}

/// Who is at the other end, as its calls see it.
#[derive(Clone)]
pub struct Peer(pub Arc<Link>);

/// A connection.
pub struct Link {
    pub address: SocketAddr,
    pub common: Arc<Common>,
    is_cut: AtomicBool,
    /// Whoever reads and writes on it.
    user: AtomicWaker,
}

impl Link {
    pub fn new(address: SocketAddr, common: Arc<Common>) -> Arc<Self> {
        Arc::new(Self { address, common, is_cut: AtomicBool::new(false), user: AtomicWaker::new() })
    }

    /// Ends the connection, with all that is under way on it.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.user.wake();
    }

    /// Whether it has been cut. If not, the user is woken up when it is.
    pub fn is_cut(&self, user: &Context<'_>) -> bool {
        // IMPORTANT: registered first, or a cut in between would wake nobody.
        self.user.register(user.waker());
        self.is_cut.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_peer_leaves_room_for_others() {
        let peers = Peers::new(Share { connections: 2, calls: 1 });
        let (first, second) = (peers.enter(ip("10.0.0.1")).unwrap(), peers.enter(ip("10.0.0.1")).unwrap());
        assert!(peers.enter(ip("::ffff:10.0.0.1")).is_none(), "it is the same one");
        assert!(peers.enter(ip("10.0.0.2")).is_some());
        let _call = Arc::clone(&first.common().calls).try_acquire_owned().unwrap();
        assert!(Arc::clone(&second.common().calls).try_acquire_owned().is_err(), "of all its connections");
        drop(first);
        assert!(peers.enter(ip("10.0.0.1")).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let peers = Peers::new(Share { connections: 1, calls: 1 });
        let _first = peers.enter(ip("2001:db8::1")).unwrap();
        assert!(peers.enter(ip("2001:db8::2")).is_none());
        assert!(peers.enter(ip("2001:db8:0:1::2")).is_some());
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let peers = Peers::new(Share { connections: 0, calls: 1 });
        let many: Vec<Guest> = (0..1000).map(|_| peers.enter(ip("10.0.0.1")).unwrap()).collect();
        drop(many);
        assert!(peers.known.lock().is_empty());
    }
}
