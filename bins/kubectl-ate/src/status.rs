//! Standard error: messages, and a line that changes while something long is under way on a terminal.
//!
//! Nothing here fails: nobody can be told.

use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::{Duration, Instant};

use rustix::stdio::stderr;
use rustix::termios::tcgetwinsize;
use tokio::time::{MissedTickBehavior, interval};

use crate::failure::Failure;
use crate::interrupt::Interrupt;

const REDRAW: Duration = Duration::from_millis(200);
const COLUMNS_DEFAULT: usize = 80;
/// Returns to the margin and erases the line.
const ERASE: &str = "\r\x1b[K";

/// A message on its own line or lines.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// One line at the bottom of the terminal; nothing at all where stderr is none.
#[derive(Debug)]
pub struct StatusLine {
    is_terminal: bool,
    /// Whether what is printed goes there, too.
    is_shared: bool,
    is_shown: bool,
    drawn: Option<Instant>,
}

impl StatusLine {
    pub fn new() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            is_terminal: io::stderr().is_terminal() && !is_dumb,
            is_shared: io::stdout().is_terminal(),
            is_shown: false,
            drawn: None,
        }
    }

    pub fn is_on_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Shows a line in place of the one before, unless that has just changed.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if self.is_terminal && is_due {
            self.draw(&text());
        }
    }

    /// Leaves a last line standing, unless it would stand below what was printed.
    pub fn leave(&mut self, text: &str) {
        if self.is_terminal && !self.is_shared {
            self.draw(text);
            let _ = writeln!(io::stderr());
            self.is_shown = false;
        }
    }

    /// Makes room for what is printed.
    pub fn make_room(&mut self) {
        if self.is_shared {
            self.hide();
        }
    }

    /// Erases the line.
    pub fn hide(&mut self) {
        if std::mem::replace(&mut self.is_shown, false) {
            let _ = write!(io::stderr(), "{ERASE}");
            // It is drawn again as soon as there is something to say.
            self.drawn = None;
        }
    }

    fn draw(&mut self, text: &str) {
        let columns = tcgetwinsize(stderr()).map_or(0, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { COLUMNS_DEFAULT } else { columns };
        // A line that wraps could not be erased.
        let fitting: String = text.chars().take(columns.saturating_sub(1)).collect();
        let _ = write!(io::stderr(), "{ERASE}{fitting}");
        let _ = io::stderr().flush();
        self.is_shown = true;
        self.drawn = Some(Instant::now());
    }

    /// Does some work, with the line kept up to date, until it is done or interrupted.
    pub async fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
        interrupt: &mut Interrupt,
        text: impl Fn() -> String,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        if !self.is_terminal {
            return interrupt.or(work).await;
        }
        let mut ticks = interval(REDRAW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                signal = interrupt.raised() => return Err(Failure::Interrupted(signal)),
                done = &mut work => return Ok(done),
                _ = ticks.tick() => self.show(&text),
            }
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.hide();
    }
}
