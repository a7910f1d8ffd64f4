//! What the rows of session commands have in common.

use command::{Arity, Command, Docs, Flags, Keys, flags};
use resp::Reply;

use super::{Answer, SessionRun};

/// A row of a group, before its documentation.
pub(crate) const fn row(
    group: &'static str,
    name: &'static str,
    arity: i32,
    flags: &[Flags],
    run: SessionRun,
) -> Command<SessionRun> {
    let docs = Docs { summary: "", since: "", group, complexity: "" };
    Command::new(name, Arity(arity), Keys::NONE, flags, run, docs)
}

/// A command that only holds subcommands, which have rows of their own.
pub(crate) const CONTAINER: &[Flags] = &[flags::CONTAINER];
/// Answers about itself, whatever the state of the node.
pub(crate) const HELP: &[Flags] = &[flags::LOADING, flags::STALE];
/// For everybody, but not from a script.
pub(crate) const PLAIN: &[Flags] = &[flags::NOSCRIPT, flags::LOADING, flags::STALE];
/// For administrators.
pub(crate) const ADMIN: &[Flags] = &[flags::ADMIN, flags::NOSCRIPT, flags::LOADING, flags::STALE];

pub(crate) type Result = command::Result<Answer>;

pub(crate) fn ok() -> Result {
    Ok(Answer::Reply(Reply::Ok))
}

pub(crate) fn reply(reply: impl Into<Reply>) -> Result {
    Ok(Answer::Reply(reply.into()))
}

/// Text for people: verbatim in RESP3.
pub(crate) fn text(text: impl Into<String>) -> Result {
    let text = resp::Blob::from(text.into().into_bytes());
    Ok(Answer::Reply(Reply::Verbatim { format: *b"txt", text }))
}

/// What `… HELP` answers: the subcommands' lines between the usual first and last ones.
pub(crate) fn help(container: &str, lines: &'static [&'static str]) -> Result {
    let first = format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    let last = ["HELP", "    Print this help."];
    let lines = lines.iter().copied().chain(last).map(Reply::simple);
    reply(Reply::Array(std::iter::once(Reply::simple(first)).chain(lines).collect()))
}

/// What commands answer that find out about their subcommands by themselves.
pub(crate) fn wrong_subcommand(container: &str, args: &command::Args<'_>) -> command::Error {
    const SHOWN_BYTES_MAX: usize = 128;
    let name = args.get(1).get(..SHOWN_BYTES_MAX).unwrap_or(args.get(1));
    let tail = format!("'. Try {container} HELP.");
    let head = b"ERR unknown subcommand or wrong number of arguments for '";
    command::Error::Bytes([head, name, tail.as_bytes()].concat())
}
