//! One entry for everything a developer does: `cargo xtask help` lists it.
//!
//! Few dependencies on purpose: it is what everybody compiles first.
#![allow(clippy::print_stdout)] // a command line talks on its standard output

mod args;
mod bench;
mod cargo;
mod dashboard;
mod install;
mod stress;
mod tidy;
mod verify;

use std::process::ExitCode;
use testkit::Result;

struct Command {
    name: &'static str,
    summary: &'static str,
    help: &'static str,
    run: fn(args::Args) -> Result,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "run",
        summary: "build the release binary and start a server",
        help: cargo::RUN_HELP,
        run: cargo::run,
    },
    Command {
        name: "test",
        summary: "install what the tests need, then run every test",
        help: cargo::TEST_HELP,
        run: cargo::test,
    },
    Command {
        name: "verify",
        summary: "check format, lints and habits; writes nothing",
        help: verify::VERIFY_HELP,
        run: verify::verify,
    },
    Command {
        name: "fix",
        summary: "format, and let clippy repair what it can",
        help: verify::FIX_HELP,
        run: verify::fix,
    },
    Command {
        name: "tidy",
        summary: "check only the project's own habits",
        help: tidy::HELP,
        run: tidy::command,
    },
    Command {
        name: "bench",
        summary: "compare with Valkey and Redis, or run the micro-benchmarks",
        help: bench::HELP,
        run: bench::command,
    },
    Command {
        name: "dashboard-look",
        summary: "open and draw a running server's dashboard in a headless browser",
        help: dashboard::HELP,
        run: dashboard::look,
    },
    Command {
        name: "stress",
        summary: "kill -9 and failing disks under load, shared queues, consumer groups, endless differential tests, scans of a million keys, listings of actors, crowds",
        help: stress::HELP,
        run: stress::command,
    },
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "help".into());
    let rest: Vec<String> = words.collect();
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", help(rest.first().map(String::as_str)));
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("xtask: no command '{name}'\n\n{}", help(None));
        return ExitCode::from(2);
    };
    let own = rest.iter().take_while(|word| *word != "--");
    if own.clone().any(|word| word == "--help" || word == "-h") {
        print!("{}", command.help);
        return ExitCode::SUCCESS;
    }
    match (command.run)(args::Args::new(rest)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn help(about: Option<&str>) -> String {
    if let Some(command) = about.and_then(|name| COMMANDS.iter().find(|command| command.name == name)) {
        return command.help.to_owned();
    }
    let mut text = String::from("Usage: cargo xtask COMMAND [OPTIONS]\n\nCommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<14} {}\n", command.name, command.summary));
    }
    text.push_str("\n'cargo xtask COMMAND --help' tells more about one.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_help_that_names_it() {
        for command in COMMANDS {
            assert!(command.help.contains(&format!("cargo xtask {}", command.name)), "{}", command.name);
            assert!(help(None).contains(command.summary));
        }
    }
}
