//! The connection family.

use command::{Args, Arity, Command, Docs, Error, Keys, flags};
use resp::Reply;

use crate::session::{Answer, Context, SessionRun};

const fn docs(summary: &'static str, since: &'static str, complexity: &'static str) -> Docs {
    Docs { summary, since, group: "connection", complexity }
}

pub(crate) const COMMANDS: &[Command<SessionRun>] = &[
    Command::new("ping", Arity::at_least(1), Keys::NONE, &[flags::FAST], ping,
        docs("Returns the server's liveliness response.", "1.0.0", "O(1)")),
    Command::new("select", Arity::exactly(2), Keys::NONE, &[flags::LOADING, flags::STALE, flags::FAST], select,
        docs("Changes the selected database.", "1.0.0", "O(1)")),
];

fn ping(_: &mut Context<'_>, args: &Args<'_>) -> command::Result<Answer> {
    match args.len() {
        1 => Ok(Answer::Reply(Reply::PONG)),
        2 => Ok(Answer::Reply(Reply::copied(args.get(1)))),
        _ => Err(Error::arity("ping")),
    }
}

fn select(context: &mut Context<'_>, args: &Args<'_>) -> command::Result<Answer> {
    let database = args.int(1).map_err(|_| Error::line("ERR value is not an integer or out of range"))?;
    let database = u8::try_from(database).ok().filter(|db| usize::from(*db) < base::limits::DATABASES);
    context.session.database = database.ok_or(Error::DB_RANGE)?;
    Ok(Answer::Reply(Reply::Ok))
}
