//! TLS by files that are read anew when they have changed: new connections get what was read last, and a file that is not
//! right changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::{Seen, TlsFiles};
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;

/// How often somebody who connects looks whether the files have changed.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

pub struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    seen: Seen,
    looked: Instant,
}

impl Tls {
    pub fn new(files: TlsFiles) -> Result<Self, String> {
        // IMPORTANT: looked at before they are read, or what changes in between would go unnoticed.
        let seen = files.look();
        let current = Current { acceptor: acceptor(&files)?, seen, looked: Instant::now() };
        Ok(Self { files, current: Mutex::new(current) })
    }

    /// What a new connection is accepted with.
    pub fn acceptor(&self) -> TlsAcceptor {
        if self.is_due() {
            self.look();
        }
        self.current.lock().acceptor.clone()
    }

    /// True for one of those who connect in a period: nobody else waits for files.
    fn is_due(&self) -> bool {
        let mut current = self.current.lock();
        let is_due = current.looked.elapsed() >= LOOK_PERIOD;
        if is_due {
            current.looked = Instant::now();
        }
        is_due
    }

    fn look(&self) {
        let seen = self.files.look();
        // What cannot be used is not tried again before it changes once more.
        if std::mem::replace(&mut self.current.lock().seen, seen.clone()) == seen {
            return;
        }
        match acceptor(&self.files) {
            Ok(acceptor) => {
                tracing::info!(cert = %self.files.cert.display(), "the API's TLS files were read");
                self.current.lock().acceptor = acceptor;
            }
            Err(why) => {
                tracing::warn!(%why, "the API's TLS files cannot be used; those from before still are");
            }
        }
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let mut config = files.load()?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
