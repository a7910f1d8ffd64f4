//! `bulkhead`: the server and, later, what talks to a running one.

mod actors;
mod cli;
mod file;
mod serve;
#[cfg(test)]
mod tests;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(options) => serve::run(options),
        // clap prints help and version to stdout, and mistakes to stderr.
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
