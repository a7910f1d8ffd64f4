//! `ateapi`: the actor API as a program of its own, over any Redis-compatible store.

mod cli;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(options) => serve::run(&options),
        // clap prints help and version to stdout, and mistakes to stderr.
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
