//! Standard output, a page at a time. Who reads slowly makes us wait, and nobody else: the write has a
//! thread of its own, so that Ctrl-C is heard while it is stuck.

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::timeout;

use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// After Ctrl-C, a write that is under way may still end, so that the output is whole.
const GRACE: Duration = Duration::from_secs(1);
/// A buffer that one page has made larger than this is not kept.
const BUFFER_BYTES_MAX: usize = 8 << 20;

#[derive(Debug)]
pub struct Stdout {
    buffer: Vec<u8>,
    /// A write was given up or has failed: what comes after it would not stand where it belongs.
    is_broken: bool,
}

impl Stdout {
    pub fn new() -> Self {
        Self { buffer: Vec::new(), is_broken: false }
    }

    /// What is to be written next.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes what is in the buffer. An error after Ctrl-C means that it was not, or not wholly, written.
    pub async fn flush(&mut self, interrupt: &mut Interrupt) -> Result<(), Failure> {
        if self.buffer.is_empty() || self.is_broken {
            self.buffer.clear();
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let mut writing = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            let outcome = stdout.write_all(&buffer).and_then(|()| stdout.flush());
            (buffer, outcome)
        });
        let written = match interrupt.or(&mut writing).await {
            Ok(written) => written,
            Err(interrupted) => match timeout(GRACE, writing).await {
                Ok(written) => written,
                Err(_) => {
                    self.is_broken = true;
                    return Err(interrupted);
                }
            },
        };
        let (mut buffer, outcome) = written.map_err(|error| Failure::Local(error.to_string()))?;
        buffer.clear();
        if buffer.capacity() <= BUFFER_BYTES_MAX {
            self.buffer = buffer;
        }
        self.is_broken = outcome.is_err();
        outcome.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::Local(format!("stdout: {error}")),
        })
    }

    /// Writes a few lines, of a command that ends with them.
    pub async fn print(&mut self, text: &str, interrupt: &mut Interrupt) -> Result<(), Failure> {
        self.buffer.extend_from_slice(text.as_bytes());
        self.flush(interrupt).await
    }
}
