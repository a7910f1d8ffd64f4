//! TLS of the node: the certificate, which clients are let in, and how many may shake hands at a time.
//!
//! The files are read when the node starts, when they have changed, and when somebody asks for it. New
//! connections use what was read last; a file that is not right changes nothing.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use base::limits;
use certs::{Seen, TlsFiles};
use parking_lot::{Mutex, RwLock};
use rustls::{ServerConfig, ServerConnection};

use crate::config::TlsOptions;
use crate::net::mailbox::Mailbox;

/// How often somebody looks whether the files have changed.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

pub struct Tls {
    options: TlsOptions,
    current: RwLock<Current>,
    /// Held while files are read, by no network thread.
    loading: Mutex<Loading>,
    address: OnceLock<SocketAddr>,
    /// The thread that accepts connections: told when there is a place again for one that waits.
    acceptor: OnceLock<Arc<Mailbox>>,
    is_awaited: AtomicBool,
    shaking: AtomicUsize,
    started: Instant,
    /// In which second after the start a failure was logged last.
    logged_s: AtomicU64,
    pub stats: TlsStats,
}

/// What new connections go by.
struct Current {
    files: TlsFiles,
    config: Arc<ServerConfig>,
}

struct Loading {
    /// The files as they were when they were read last, with success or without.
    seen: Seen,
    looked: Instant,
}

#[derive(Default)]
pub struct TlsStats {
    /// Handshakes that came to their end.
    pub handshakes: AtomicU64,
    /// Connections that were closed because of what the client said, or did not say.
    pub failures: AtomicU64,
    pub loads: AtomicU64,
    pub failed_loads: AtomicU64,
}

impl Tls {
    pub fn new(options: &TlsOptions) -> Result<Self, String> {
        let files = options.files.clone();
        let seen = files.look();
        let config = Arc::new(files.load()?);
        let started = Instant::now();
        Ok(Self {
            options: options.clone(),
            current: RwLock::new(Current { files, config }),
            loading: Mutex::new(Loading { seen, looked: started }),
            address: OnceLock::new(),
            acceptor: OnceLock::new(),
            is_awaited: AtomicBool::new(false),
            shaking: AtomicUsize::new(0),
            started,
            logged_s: AtomicU64::new(0),
            stats: TlsStats::default(),
        })
    }

    /// Where it listens, once it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.get().copied()
    }

    /// It listens from now on; `acceptor` accepts connections.
    pub fn listens(&self, address: SocketAddr, acceptor: Arc<Mailbox>) {
        let _ = self.address.set(address);
        let _ = self.acceptor.set(acceptor);
    }

    pub fn files(&self) -> TlsFiles {
        self.current.read().files.clone()
    }

    /// A new connection's side of TLS.
    pub fn session(&self) -> Result<ServerConnection, rustls::Error> {
        let config = self.current.read().config.clone();
        let mut session = ServerConnection::new(config)?;
        session.set_buffer_limit(Some(limits::TLS_OUTPUT_BYTES_MAX));
        Ok(session)
    }

    /// Reads the files anew, after `edit` has said which.
    pub fn reload(&self, edit: impl FnOnce(&mut TlsFiles) -> Result<(), String>) -> Result<(), String> {
        self.load(&mut self.loading.lock(), edit)
    }

    fn load(
        &self,
        loading: &mut Loading,
        edit: impl FnOnce(&mut TlsFiles) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut files = self.files();
        let loaded = edit(&mut files).and_then(|()| {
            // IMPORTANT: looked at before they are read, or what changes in between would go unnoticed.
            let seen = files.look();
            files.load().inspect(|_| loading.seen = seen)
        });
        match loaded {
            Ok(config) => {
                tracing::info!(cert = %files.cert.display(), "the TLS files were read");
                self.stats.loads.fetch_add(1, Ordering::Relaxed);
                *self.current.write() = Current { files, config: Arc::new(config) };
                Ok(())
            }
            Err(why) => {
                tracing::warn!(%why, "the TLS files cannot be used; those from before still are");
                self.stats.failed_loads.fetch_add(1, Ordering::Relaxed);
                Err(why)
            }
        }
    }

    /// Reads the files anew if they have changed. Cheap most of the time.
    pub fn look(&self) {
        // Somebody who reads them at this moment needs no help.
        let Some(mut loading) = self.loading.try_lock() else { return };
        if loading.looked.elapsed() < LOOK_PERIOD {
            return;
        }
        loading.looked = Instant::now();
        let seen = self.files().look();
        if seen != loading.seen {
            // What cannot be used is not tried again before it changes once more.
            loading.seen = seen;
            let _ = self.load(&mut loading, |_| Ok(()));
        }
    }

    /// A place for one more handshake, if there is one. If not, the acceptor is woken when there is.
    pub fn begin(self: &Arc<Self>) -> Option<Handshake> {
        self.try_begin().or_else(|| {
            self.is_awaited.store(true, Ordering::SeqCst);
            // IMPORTANT: once more, or one that ended in between would wake nobody.
            self.try_begin()
        })
    }

    fn try_begin(self: &Arc<Self>) -> Option<Handshake> {
        let more = |count| (count < self.options.handshakes_max).then_some(count + 1);
        self.shaking.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Handshake { tls: self.clone(), until: Instant::now() + self.options.handshake_timeout })
    }

    /// Handshakes that go on at this moment.
    pub fn handshakes(&self) -> usize {
        self.shaking.load(Ordering::SeqCst)
    }

    /// A connection is closed for this reason: counted, and logged once a second at most.
    pub fn failed(&self, peer: SocketAddr, why: &dyn Display) {
        let failures = self.stats.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let now_s = self.started.elapsed().as_secs() + 1;
        if self.logged_s.swap(now_s, Ordering::Relaxed) != now_s {
            tracing::debug!(%peer, %why, failures, "a TLS connection failed");
        }
    }
}

/// A place among the handshakes that go on, until it is dropped.
pub struct Handshake {
    pub tls: Arc<Tls>,
    /// By when it has to be done.
    pub until: Instant,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.tls.shaking.fetch_sub(1, Ordering::SeqCst);
        if self.tls.is_awaited.load(Ordering::SeqCst)
            && self.tls.is_awaited.swap(false, Ordering::SeqCst)
            && let Some(acceptor) = self.tls.acceptor.get()
        {
            acceptor.wake();
        }
    }
}
