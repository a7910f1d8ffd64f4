//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends the process at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Int,
    Term,
}

impl Signal {
    /// What a shell shows for a process that this signal ended.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Int => 128 + 2,
            Self::Term => 128 + 15,
        }
    }
}

/// Whether to stop. Once raised it stays so.
#[derive(Clone)]
pub struct Interrupt(watch::Receiver<Option<Signal>>);

impl Interrupt {
    /// To be called within the runtime.
    pub fn listen() -> io::Result<Self> {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let (raise, raised) = watch::channel(None);
        tokio::spawn(async move {
            loop {
                let signal = tokio::select! {
                    _ = int.recv() => Signal::Int,
                    _ = term.recv() => Signal::Term,
                };
                if raise.borrow().is_some() {
                    // A clean stop takes too long for the user.
                    std::process::exit(signal.exit_code().into());
                }
                raise.send_replace(Some(signal));
            }
        });
        Ok(Self(raised))
    }

    /// Waits until it is raised.
    pub async fn raised(&mut self) -> Signal {
        match self.0.wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(signal)) => signal,
            // The listener is gone with its runtime: nothing can be raised any more.
            _ => std::future::pending().await,
        }
    }

    /// What `work` gives, unless it is raised before.
    pub async fn or<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            signal = self.raised() => Err(Failure::Interrupted(signal)),
            done = work => Ok(done),
        }
    }
}
