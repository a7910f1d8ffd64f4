//! CLIENT: what is known of connections, and what they want.

use std::sync::atomic::Ordering::Relaxed;

use base::limits;
use command::{Arg, Args, Command, Error, arg};
use resp::Reply;

use super::rows::{self, ADMIN, CONTAINER, HELP, PLAIN, ok, reply};
use super::{Answer, Context, Replies, SessionRun, client_kill, client_list, client_pause, client_unblock};
use crate::engine::clients::Client;

const fn row(
    name: &'static str,
    arity: i32,
    flags: &[command::Flags],
    run: SessionRun,
) -> Command<SessionRun> {
    rows::row("connection", name, arity, flags, run)
}

const EACH: &str = "O(N) where N is the number of client connections";
const TIPS: &[&str] = &["nondeterministic_output"];

const TYPE: Arg = arg::one_of(
    "client-type",
    &[arg::word("NORMAL"), arg::word("MASTER"), arg::word("REPLICA"), arg::word("PUBSUB")],
)
.after("TYPE")
.since("5.0.0");
/// Which connections to close: an address, or more exactly.
const FILTER: Arg = arg::one_of(
    "filter",
    &[
        arg::string("old-format").shown("ip:port").deprecated("2.8.12"),
        arg::one_of(
            "new-format",
            &[
                arg::integer("client-id").after("ID").since("2.8.12").optional(),
                arg::one_of(
                    "client-type",
                    &[
                        arg::word("NORMAL"),
                        arg::word("MASTER").since("3.2.0"),
                        arg::word("SLAVE"),
                        arg::word("REPLICA").since("5.0.0"),
                        arg::word("PUBSUB"),
                    ],
                )
                .after("TYPE")
                .since("2.8.12")
                .optional(),
                arg::string("username").after("USER").optional(),
                arg::string("addr").after("ADDR").shown("ip:port").optional(),
                arg::string("laddr").after("LADDR").shown("ip:port").since("6.2.0").optional(),
                arg::one_of("skipme", &[arg::word("YES"), arg::word("NO")]).after("SKIPME").optional(),
            ],
        )
        .multiple(),
    ],
);

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("client", -2, CONTAINER, unknown).docs(
        "2.4.0",
        "Depends on subcommand.",
        "Holds the commands about client connections.",
    ),
    row("client|getname", 2, PLAIN, get_name).docs("2.6.9", "O(1)", "Returns the connection's name."),
    row("client|help", 2, HELP, help).docs("5.0.0", "O(1)", "Returns what the subcommands do."),
    row("client|id", 2, PLAIN, id).docs("5.0.0", "O(1)", "Returns the connection's unique number."),
    row("client|info", 2, PLAIN, client_list::info)
        .docs("6.2.0", "O(1)", "Returns what is known of this connection.")
        .tips(TIPS),
    row("client|kill", -3, ADMIN, client_kill::kill)
        .docs("2.4.0", EACH, "Closes connections.")
        .takes(&[FILTER]),
    row("client|list", -2, ADMIN, client_list::list)
        .docs("2.4.0", EACH, "Lists open connections.")
        .tips(TIPS)
        .takes(&[
            TYPE.optional(),
            arg::integer("client-id").after("ID").since("6.2.0").optional().multiple(),
        ]),
    row("client|no-evict", 3, ADMIN, no_evict)
        .docs("7.0.0", "O(1)", "Says whether this connection may be evicted.")
        .takes(&[arg::one_of("enabled", &[arg::word("ON"), arg::word("OFF")])]),
    row("client|no-touch", 3, PLAIN, no_touch)
        .docs("7.2.0", "O(1)", "Says whether this connection's commands count as use of their keys.")
        .takes(&[arg::one_of("enabled", &[arg::word("ON"), arg::word("OFF")])]),
    row("client|pause", -3, ADMIN, client_pause::pause)
        .docs("3.0.0", "O(1)", "Has commands wait, all or those that write.")
        .takes(&[
            arg::integer("timeout"),
            arg::one_of("mode", &[arg::word("WRITE"), arg::word("ALL")]).since("6.2.0").optional(),
        ]),
    row("client|reply", 3, PLAIN, replies)
        .docs("3.2.0", "O(1)", "Says whether commands are answered.")
        .takes(&[arg::one_of("action", &[arg::word("ON"), arg::word("OFF"), arg::word("SKIP")])]),
    row("client|setinfo", 4, PLAIN, set_info)
        .docs("7.2.0", "O(1)", "Sets what library the client uses.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .takes(&[arg::one_of(
            "attr",
            &[arg::string("libname").after("LIB-NAME"), arg::string("libver").after("LIB-VER")],
        )]),
    row("client|setname", 3, PLAIN, set_name)
        .docs("2.6.9", "O(1)", "Names the connection.")
        .takes(&[arg::string("connection-name")]),
    row("client|unblock", -3, ADMIN, client_unblock::unblock)
        .docs(
            "5.0.0",
            "O(log N) where N is the number of client connections",
            "Ends the wait of a blocked client.",
        )
        .takes(&[
            arg::integer("client-id"),
            arg::one_of("unblock-type", &[arg::word("TIMEOUT"), arg::word("ERROR")]).optional(),
        ]),
    row("client|unpause", 2, ADMIN, client_pause::unpause).docs(
        "6.2.0",
        "O(N) Where N is the number of paused clients",
        "Lets paused commands run.",
    ),
];

const LINES: &[&str] = &[
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * ID <client-id>",
    "      Kill connections by client id.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "    * ID <client-id> [...]",
    "      Return clients of specified IDs only.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
];

/// Subcommands have rows of their own: this is called for one that does not exist.
pub(super) fn unknown(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    Err(Error::subcommand(&String::from_utf8_lossy(args.get(0)), args.get(1)))
}

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("CLIENT", LINES)
}

/// Kinds of clients that CLIENT LIST and KILL tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Master,
    Replica,
    PubSub,
}

impl Kind {
    pub(super) fn parse(word: &[u8]) -> command::Result<Self> {
        let kinds = [
            ("normal", Self::Normal),
            ("master", Self::Master),
            ("replica", Self::Replica),
            ("slave", Self::Replica),
            ("pubsub", Self::PubSub),
        ];
        let found = kinds.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        let unknown = || Error::quoting("ERR Unknown client type '", word, "'");
        found.map(|(_, kind)| kind).ok_or_else(unknown)
    }

    pub(super) fn of(client: &Client) -> Self {
        if client.hears.load(Relaxed) { Self::PubSub } else { Self::Normal }
    }
}

fn id(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(context.session.client.id as i64)
}

fn get_name(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let name = context.session.client.details.lock().name.clone();
    reply(if name.is_empty() { Reply::Null } else { Reply::bulk(name) })
}

/// What a client says of itself goes into the lines of CLIENT LIST, whose fields are separated by spaces.
fn check_said(what: &str, text: &[u8]) -> command::Result<()> {
    let why = if text.len() > limits::CLIENT_NAME_BYTES_MAX {
        format!("ERR {what} cannot have more than {} bytes.", limits::CLIENT_NAME_BYTES_MAX)
    } else if !text.iter().all(u8::is_ascii_graphic) {
        format!("ERR {what} cannot contain spaces, newlines or special characters.")
    } else {
        return Ok(());
    };
    Err(Error::text(why))
}

pub(super) fn check_name(name: &[u8]) -> command::Result<()> {
    check_said("Client names", name)
}

fn set_name(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    check_name(args.get(2))?;
    context.session.client.details.lock().name = args.get(2).to_vec();
    ok()
}

fn set_info(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    // Redis reads a C string.
    let (option, value) = (args.get(2), args.get(3).split(|byte| *byte == 0).next().unwrap_or_default());
    let mut details = context.session.client.details.lock();
    let field = if args.is(2, "lib-name") {
        &mut details.lib_name
    } else if args.is(2, "lib-ver") {
        &mut details.lib_version
    } else {
        return Err(Error::quoting("ERR Unrecognized option '", option, "'"));
    };
    check_said(&String::from_utf8_lossy(option), value)?;
    *field = value.to_vec();
    ok()
}

fn on_or_off(args: &Args<'_>) -> command::Result<bool> {
    match (args.is(2, "on"), args.is(2, "off")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(Error::SYNTAX),
    }
}

/// Whether it is spared when memory is short and clients that hold much are disconnected.
fn no_evict(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    context.session.client.no_evict.store(on_or_off(args)?, Relaxed);
    ok()
}

/// Use of keys is not recorded here: there is nothing to be told about it.
fn no_touch(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    context.session.client.no_touch.store(on_or_off(args)?, Relaxed);
    ok()
}

fn replies(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let session = &mut *context.session;
    if args.is(2, "on") {
        session.replies = Replies::On;
        return ok();
    }
    if args.is(2, "off") {
        session.replies = Replies::Off;
    } else if args.is(2, "skip") {
        if session.replies != Replies::Off {
            session.replies = Replies::SkipNext;
        }
    } else {
        return Err(Error::SYNTAX);
    }
    Ok(Answer::Silent)
}
