//! CONFIG: the node's settings under Redis' names where Redis has them, and under ours.

mod table;
mod tls_files;
mod values;

use base::glob;
use command::{Args, Command, Error, arg};
use resp::Reply;

use super::rows::{self, ADMIN, CONTAINER, HELP, ok, reply};
use super::{Answer, Context, SessionRun, client};
use crate::engine::heavy::Outcome;
use crate::engine::node::Node;
use table::{Change, SETTINGS, Setting};

const fn row(
    name: &'static str,
    arity: i32,
    flags: &[command::Flags],
    run: SessionRun,
) -> Command<SessionRun> {
    rows::row("server", name, arity, flags, run)
}

const EACH: &str = "O(N) when N is the number of configuration parameters provided";

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("config", -2, CONTAINER, client::unknown).docs(
        "2.0.0",
        "Depends on subcommand.",
        "Holds the commands about settings.",
    ),
    row("config|get", -3, ADMIN, get)
        .docs("2.0.0", EACH, "Returns settings.")
        .takes(&[arg::string("parameter").multiple()]),
    row("config|help", 2, HELP, help).docs("5.0.0", "O(1)", "Returns what the subcommands do."),
    row("config|resetstat", 2, ADMIN, reset_stat)
        .docs("2.0.0", "O(1)", "Sets statistics back to zero.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    row("config|rewrite", 2, ADMIN, rewrite)
        .docs("2.8.0", "O(1)", "Not offered: the configuration file is its owner's.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    row("config|set", -4, ADMIN, set)
        .docs("2.0.0", EACH, "Changes settings while the server runs.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .takes(&[arg::block("data", &[arg::string("parameter"), arg::string("value")]).multiple()]),
];

const LINES: &[&str] = &[
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
];

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("CONFIG", LINES)
}

fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

fn find(name: &[u8]) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| name.eq_ignore_ascii_case(setting.name.as_bytes()))
}

fn get(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let wanted = |setting: &&Setting| {
        let name = setting.name.as_bytes();
        args.from(2).any(|pattern| {
            if is_pattern(pattern) {
                glob::matches_nocase(pattern, name)
            } else {
                pattern.eq_ignore_ascii_case(name)
            }
        })
    };
    let pair = |setting: &Setting| (Reply::bulk(setting.name), Reply::bulk(setting.show(context.node)));
    reply(Reply::Map(SETTINGS.iter().filter(wanted).map(pair).collect()))
}

fn failed(name: &str, why: &str) -> Error {
    Error::text(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
}

/// All or nothing: every value is understood before any is set.
fn set(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    if !args.len().is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    let mut names: Vec<&str> = Vec::new();
    let mut changes: Vec<Change> = Vec::new();
    for at in (2..args.len()).step_by(2) {
        let (name, value) = (args.get(at), args.get(at + 1));
        let Some(setting) = find(name) else {
            let line = [b"ERR Unknown option or number of arguments for CONFIG SET - '", name, b"'"];
            return Err(Error::Bytes(line.concat()));
        };
        if names.contains(&setting.name) {
            return Err(failed(setting.name, "duplicate parameter"));
        }
        names.push(setting.name);
        changes.push(setting.parse(context.node, value).map_err(|why| failed(setting.name, &why))?);
    }
    check_thresholds(context.node, &names, &changes)?;
    let tls = changes.iter().zip(&names).find(|(change, _)| matches!(change, Change::Tls(..)));
    if let Some((_, name)) = tls {
        // Files are read elsewhere than on a network thread.
        let name = *name;
        return Ok(Answer::Heavy(Box::new(move |node, _| {
            Outcome::ungated(apply(node, Some(name), changes).map_or_else(Error::reply, |()| Reply::Ok))
        })));
    }
    apply(context.node, None, changes)?;
    ok()
}

/// Whether the thresholds of memory fit together with all of these changes, in whatever order they were said.
fn check_thresholds(node: &Node, names: &[&str], changes: &[Change]) -> command::Result<()> {
    let mut thresholds = node.admission.memory.thresholds();
    let mut last = "";
    for (name, change) in names.iter().zip(changes) {
        let before = thresholds;
        thresholds = change.thresholds(before);
        last = if thresholds == before { last } else { name };
    }
    thresholds.check().map_err(|why| failed(last, &why))
}

/// First what may fail. `tls` is the name of a setting of TLS, if there is one among them.
fn apply(node: &Node, tls: Option<&str>, changes: Vec<Change>) -> Result<(), Error> {
    let threads = node.heavy.threads();
    table::apply_threads(node, &changes).map_err(|why| failed("heavy-threads", &why))?;
    if let Some(name) = tls
        && let Err(why) = table::apply_tls(node, &changes)
    {
        if let Err(error) = node.heavy.set_threads(threads) {
            tracing::error!(%error, threads, "the heavy pool does not get back the threads that it had");
        }
        return Err(failed(name, &format!("Unable to update TLS configuration: {why}")));
    }
    changes.into_iter().for_each(|change| change.apply(node));
    Ok(())
}

fn reset_stat(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    context.node.stats.reset();
    context.node.groups.iter().for_each(|group| group.stats.commits.reset());
    ok()
}

fn rewrite(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    Err(Error::line(match context.node.config.program.config_file {
        Some(_) => "ERR The configuration file belongs to whoever wrote it",
        None => "ERR The server is running without a config file",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_one_name_in_lower_case() {
        let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase())));
    }
}
