//! DEBUG: what makes sense here. Faults can be switched on in builds with debug assertions only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use command::{Args, Command, Error, Flags, OwnedArgs, flags};
use resp::Reply;
use store::{Cancel, Scratch};

use super::rows::{self, ok};
use super::{Answer, Context, SessionRun};
use crate::engine::heavy::{Outcome, Told};
use crate::engine::node::Node;
use crate::net::dispatch;
use crate::net::route;
use crate::table::table;

const FLAGS: &[Flags] = &[flags::ADMIN, flags::NOSCRIPT, flags::LOADING, flags::STALE, flags::SYSTEM];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[rows::row("server", "debug", -2, FLAGS, debug).docs(
    "1.0.0",
    "Depends on subcommand.",
    "Holds what helps in finding defects.",
)];

const LINES: &[&str] = &[
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate Redis errors.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "SET-ACTIVE-EXPIRE (0|1)",
    "    Setting it to 0 disables expiring keys (and hash-fields) in background ",
    "    when they are not accessed (otherwise the Redis behavior). Setting it",
    "    to 1 reenables back the default.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed. (Here: only this client waits.)",
];

fn debug(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let count = args.len();
    if args.is(1, "help") && count == 2 {
        return rows::help("DEBUG", LINES);
    }
    if args.is(1, "sleep") && count == 3 {
        return sleep(args);
    }
    if args.is(1, "object") && count >= 3 {
        return object(context, args);
    }
    if args.is(1, "set-active-expire") && count == 3 {
        context.node.stats.set_active_expiry(args.int(2).unwrap_or(0) != 0);
        return ok();
    }
    if args.is(1, "error") && count == 3 {
        let line = args.get(2).iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
        return Err(Error::Bytes(line.collect()));
    }
    #[cfg(debug_assertions)]
    if args.is(1, "fault") && count == 4 && context.node.faults.command(args) {
        return ok();
    }
    Err(rows::wrong_subcommand("DEBUG", args))
}

/// Longer sleeps end here: a heavy thread sleeps along.
const SLEEP_S_MAX: f64 = 3600.0;
/// How often a sleeper looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(20);

fn sleep(args: &Args<'_>) -> rows::Result {
    let seconds = resp::parse_f64(args.get(2)).unwrap_or(0.0).clamp(0.0, SLEEP_S_MAX);
    let time = Duration::from_secs_f64(seconds);
    Ok(Answer::Heavy(Box::new(move |_, cancel| {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || cancel.is_cancelled() {
                return Outcome::ungated(Reply::Ok);
            }
            std::thread::sleep(left.min(POLL));
        }
    })))
}

fn object(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let key = args.get(2).to_vec();
    let database = context.session.database;
    Ok(Answer::Heavy(Box::new(move |node, cancel| describe(node, cancel, database, &key))))
}

/// Asks the commands that know.
fn describe(node: &Arc<Node>, cancel: &Arc<Cancel>, database: u8, key: &[u8]) -> Outcome {
    let ask = |command: [&[u8]; 2]| {
        let owned = OwnedArgs::of([command[0], command[1], key]);
        let args = owned.as_args();
        let entry = table().find(command[0]).and_then(|entry| table().find_sub(entry, command[1]))?;
        let target = route::target(node, entry, &args).ok()?;
        let call = dispatch::Call { entry, args, database, target, caller: None };
        Some(dispatch::run_heavy(node, &call, cancel, &mut Scratch::default()))
    };
    let (Some(encoding), Some(size)) = (ask([b"object", b"encoding"]), ask([b"memory", b"usage"])) else {
        return Outcome::ungated(Reply::error("ERR not available"));
    };
    let gates = [encoding.gates, size.gates].concat();
    let reply = match (encoding.told, size.told) {
        (Told::Reply(Reply::Bulk(encoding)), Told::Reply(Reply::Integer(bytes))) => {
            let encoding = String::from_utf8_lossy(encoding.as_slice()).into_owned();
            Reply::simple(format!(
                "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{bytes} lru:0 lru_seconds_idle:0"
            ))
        }
        (Told::Reply(error @ Reply::Error(_)), _) | (_, Told::Reply(error @ Reply::Error(_))) => error,
        _ => Error::NO_SUCH_KEY.reply(),
    };
    Outcome { told: Told::Reply(reply), gates }
}
