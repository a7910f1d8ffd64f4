//! Logs go to stderr; a panic ends the process.

use std::backtrace::Backtrace;
use std::fmt::{self, Display, Formatter};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    /// One JSON object a line.
    Json,
}

/// As the command line has it.
impl Display for LogFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// Starts logging.
pub fn start(level: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|error| format!("--log-level: {error}"))?;
    // IMPORTANT: a line that cannot be written is dropped. By default tracing-subscriber would say so with
    // eprintln!, which panics when stderr is what fails: on a full disk, a log file would end the server.
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => {
            builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init();
        }
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// Fail closed: after a panic nothing is known of what the other threads see. What was acknowledged is
/// in the log, and the next start recovers it.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let backtrace = Backtrace::force_capture();
        tracing::error!(thread = thread.name().unwrap_or("?"), "{info}\n{backtrace}");
        std::process::abort();
    }));
}
