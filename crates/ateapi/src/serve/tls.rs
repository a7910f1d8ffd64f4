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
        let mut current = self.current.lock();
        if current.looked.elapsed() >= LOOK_PERIOD {
            current.looked = Instant::now();
            self.look(&mut current);
        }
        current.acceptor.clone()
    }

    fn look(&self, current: &mut Current) {
        let seen = self.files.look();
        if seen == current.seen {
            return;
        }
        // What cannot be used is not tried again before it changes once more.
        current.seen = seen;
        match acceptor(&self.files) {
            Ok(acceptor) => {
                tracing::info!(cert = %self.files.cert.display(), "the API's TLS files were read");
                current.acceptor = acceptor;
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
