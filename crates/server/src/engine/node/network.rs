//! Starts the network threads, the first of which accepts connections for all.

use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpListener;
use threads::Class;

use super::{Node, StartError};
use crate::admission::arrivals::Bounds;
use crate::net::thread::NetThread;
use crate::tracking::Eye;

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = TcpListener::bind(address).map_err(|error| StartError::Listen { address, error })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Node {
    pub(super) fn start_network(self: &Arc<Self>) -> Result<(), StartError> {
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for at in 0..self.config.net_threads {
            let (poll, mailbox) = NetThread::prepare(u16::try_from(at).unwrap_or(u16::MAX))?;
            polls.push(poll);
            mailboxes.push(mailbox);
        }
        self.wakers.connect(mailboxes.clone());
        self.hub.connect(&mailboxes);
        self.tracker.connect(&mailboxes);
        self.groups.iter().for_each(|group| group.store.show(Arc::new(Eye(self.tracker.clone()))));
        let _ = self.mailboxes.set(mailboxes.clone());
        for (at, (poll, mailbox)) in polls.into_iter().zip(mailboxes).enumerate() {
            let mut thread = NetThread::new(self, poll, mailbox);
            if at == 0 {
                self.listen(&mut thread)?;
            }
            let handle = Class::Net.spawn(at, move || thread.run())?;
            self.threads.lock().push(handle);
        }
        Ok(())
    }

    fn listen(&self, thread: &mut NetThread) -> Result<(), StartError> {
        if let Some(address) = self.config.listen {
            let (listener, address) = bind(address)?;
            self.addresses.lock().push(address);
            thread.listen(listener, None)?;
        }
        if let (Some(tls), Some(options)) = (&self.tls, &self.config.tls) {
            let (listener, address) = bind(options.listen)?;
            tls.listens(address, thread.mailbox().clone());
            thread.listen(listener, Some(tls.clone()))?;
        }
        Ok(())
    }

    /// What connections are bounded by.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            connections_max: self.live.connections_max(),
            per_peer_max: self.live.per_peer_max(),
            handshakes_max: self.config.tls.as_ref().map_or(0, |tls| tls.handshakes_max),
        }
    }

    /// Where this node listens for clients that speak TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref()?.address()
    }

    /// Where a client like this one reaches this node.
    pub fn address_for(&self, is_tls: bool) -> Option<SocketAddr> {
        let plain = self.addresses().first().copied();
        if is_tls { self.tls_address().or(plain) } else { plain.or(self.tls_address()) }
    }
}
