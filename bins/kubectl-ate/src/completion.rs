//! What a shell can complete: scripts for it, and answers for kubectl, which asks its plugins.

use clap::{Arg, Command, CommandFactory};

use crate::Session;
use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::push_line;

/// To kubectl: these are all, do not offer files.
const NO_FILES: &str = ":4";

pub async fn script(mut session: Session, shell: clap_complete::Shell) -> Result<(), Failure> {
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-ate", session.stdout.buffer());
    session.stdout.flush(&mut session.interrupt).await
}

/// One candidate a line and then a directive, as kubectl wants it from `kubectl_complete-ate`.
pub async fn complete(mut session: Session, words: &[String]) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    for candidate in candidates(&command, words) {
        push_line(session.stdout.buffer(), &candidate);
    }
    push_line(session.stdout.buffer(), NO_FILES);
    session.stdout.flush(&mut session.interrupt).await
}

/// What the last word may be, after those before it.
fn candidates(command: &Command, words: &[String]) -> Vec<String> {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut command = command;
    let mut position = 1;
    let mut option: Option<&Arg> = None;
    for word in before {
        if option.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            option = find(command, word).filter(|arg| arg.get_action().takes_values());
        } else if let Some(sub) = command.find_subcommand(word) {
            (command, position) = (sub, 1);
        } else {
            position += 1;
        }
    }
    let all: Vec<String> = if let Some(arg) = option {
        values(arg)
    } else if last.starts_with('-') {
        let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
        args.filter_map(Arg::get_long).map(|long| format!("--{long}")).collect()
    } else {
        let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        let positional = command.get_positionals().find(|arg| arg.get_index() == Some(position));
        subs.map(|sub| sub.get_name().to_owned()).chain(positional.into_iter().flat_map(values)).collect()
    };
    all.into_iter().filter(|candidate| candidate.starts_with(last)).collect()
}

/// The option that a word is, without a value in it.
fn find<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| word.strip_prefix('-') == Some(&short.to_string())),
    })
}

fn values(arg: &Arg) -> Vec<String> {
    arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let mut command = Cli::command();
        command.build();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(candidates(&command, &words), expected, "{line}");
    }

    #[test]
    fn verbs_types_options_and_values_are_completed() {
        check("re", &["resume"]);
        check("get ", &["actors", "workers", "atespaces"]);
        check("get a", &["actors", "atespaces"]);
        check("--endpoint x:1 get -a demo w", &["workers"]);
        check("get actors -o ", &["table", "wide", "json", "yaml", "name"]);
        check("get actors --output=json --chunk", &["--chunk-size"]);
        check("admin ", &["load", "help"]);
        check("completion ba", &["bash"]);
        check("get actors ", &[]);
    }

    #[test]
    fn hidden_commands_are_not_offered() {
        check("__", &[]);
    }
}
