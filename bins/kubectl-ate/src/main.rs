//! `kubectl-ate`: the command line of the actor API, which kubectl also finds as its plugin `kubectl ate`.
//!
//! It must never know more of the service than its API (`ateproto`), and never hold more of a listing
//! than a page.

mod api;
mod change;
mod cli;
mod client;
mod completion;
mod failure;
mod get;
mod hint;
mod interrupt;
mod list;
mod load;
mod names;
mod numbers;
mod output;
mod resource;
mod retry;
mod status;
mod stdout;
mod text;
mod version;
mod walk;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use cli::{Admin, Cli, Command};
use failure::Failure;
use interrupt::Interrupt;
use stdout::Stdout;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, mistakes to stderr.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::EXIT_FAILURE } else { 0 });
        }
    };
    // One thread does: what blocks (stdout) runs beside it.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Local(error.to_string())),
    };
    let outcome = runtime.block_on(run(cli, args));
    // A write to a pipe that nobody reads may never end: it is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    if let Some(text) = failure.text() {
        status::say(&text);
    }
    ExitCode::from(failure.exit_code())
}

async fn run(cli: Cli, args: Vec<OsString>) -> Result<(), Failure> {
    let interrupt = Interrupt::listen().map_err(|error| Failure::Local(error.to_string()))?;
    let session = Session { connection: cli.connection, args, interrupt, stdout: Stdout::new() };
    match cli.command {
        Command::Get(args) => get::run(session, args).await,
        Command::Create(args) => change::create(session, args).await,
        Command::Delete(args) => change::delete(session, args).await,
        Command::Update(args) => change::update(session, args).await,
        Command::Suspend(args) => change::suspend(session, args).await,
        Command::Pause(args) => change::pause(session, args).await,
        Command::Resume(args) => change::resume(session, args).await,
        Command::Admin(Admin { command: cli::AdminCommand::Load(args) }) => load::run(session, args).await,
        Command::Version(args) => version::run(session, args).await,
        Command::Completion(args) => completion::script(session, args.shell).await,
        Command::Complete(args) => completion::complete(session, &args.words).await,
    }
}

/// What every command has at hand.
struct Session {
    connection: cli::Connection,
    /// The command line as it was given, to say how to go on.
    args: Vec<OsString>,
    interrupt: Interrupt,
    stdout: Stdout,
}

impl Session {
    async fn connect(&mut self) -> Result<client::Client, Failure> {
        let connecting = client::Client::connect(&self.connection);
        self.interrupt.or(connecting).await?
    }
}
