//! The connection family: what a client says to begin, and to end.

use command::{Args, Command, Error, Flags, arg, flags};
use resp::{Protocol, Reply};

use super::acl;
use super::rows::{self, ok, reply};
use super::{Answer, Context, Replies, SessionRun, client};
use crate::engine::node::Node;

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("connection", name, arity, flags, run)
}

/// May be said before AUTH.
const GREETING: &[Flags] =
    &[flags::NOSCRIPT, flags::LOADING, flags::STALE, flags::FAST, flags::NO_AUTH, flags::ALLOW_BUSY];
/// As [`GREETING`], and whatever was queued before.
const LEAVING: &[Flags] = &[
    flags::NOSCRIPT,
    flags::LOADING,
    flags::STALE,
    flags::FAST,
    flags::NO_AUTH,
    flags::ALLOW_BUSY,
    flags::AT_ONCE,
];
const LIGHT: &[Flags] = &[flags::LOADING, flags::STALE, flags::FAST];
const READING: &[Flags] = &[flags::LOADING, flags::STALE, flags::FAST, flags::CONNECTION];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("ping", -1, &[flags::FAST], ping)
        .docs("1.0.0", "O(1)", "Answers PONG, or what it was given.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .takes(&[arg::string("message").optional()]),
    row("echo", 2, LIGHT, echo)
        .docs("1.0.0", "O(1)", "Returns what it was given.")
        .takes(&[arg::string("message")]),
    row("select", 2, LIGHT, select)
        .docs("1.0.0", "O(1)", "Selects the database that commands work on.")
        .takes(&[arg::integer("index")]),
    row("quit", -1, LEAVING, quit)
        .docs("1.0.0", "O(1)", "Closes the connection.")
        .deprecated("7.2.0", "just closing the connection"),
    row("reset", 1, LEAVING, reset).docs("6.2.0", "O(1)", "Returns the connection to how it began."),
    row("auth", -2, GREETING, auth)
        .docs(
            "1.0.0",
            "O(N) where N is the number of passwords defined for the user",
            "Authenticates the connection.",
        )
        .takes(&[arg::string("username").since("6.0.0").optional(), arg::string("password")]),
    row("hello", -1, GREETING, hello)
        .docs("6.0.0", "O(1)", "Agrees on a protocol, and authenticates.")
        .takes(&[arg::block(
            "arguments",
            &[
                arg::integer("protover"),
                arg::block("auth", &[arg::string("username"), arg::string("password")])
                    .after("AUTH")
                    .optional(),
                arg::string("clientname").after("SETNAME").optional(),
            ],
        )
        .optional()]),
    rows::row("cluster", "readonly", 1, READING, read_only).docs(
        "3.0.0",
        "O(1)",
        "Allows reads from a replica on this connection.",
    ),
    rows::row("cluster", "readwrite", 1, READING, read_only).docs("3.0.0", "O(1)", "Takes READONLY back."),
];

fn ping(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    match args.len() {
        // As a message, which is what such a client waits for.
        1 | 2 if context.session.only_hears() => {
            reply(Reply::Array(vec![Reply::bulk("pong"), Reply::copied(args.get(1))]))
        }
        1 => reply(Reply::PONG),
        2 => reply(Reply::copied(args.get(1))),
        _ => Err(Error::arity("ping")),
    }
}

fn echo(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    reply(Reply::copied(args.get(1)))
}

fn select(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let database = selected(context.node, args)?;
    context.session.select(database);
    ok()
}

/// The database that a SELECT selects.
pub fn selected(node: &Node, args: &Args<'_>) -> command::Result<u8> {
    let database = args.database(1)?;
    if database != 0 && node.groups.len() > 1 {
        return Err(Error::line("ERR SELECT is not allowed in cluster mode"));
    }
    Ok(database)
}

fn quit(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    Ok(Answer::Close(Reply::Ok))
}

fn reset(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let Context { node, session } = context;
    if !node.hub.leave(&session.client) {
        return Ok(Answer::Part(0, Vec::new()));
    }
    session.speak(Protocol::Resp2);
    session.select(0);
    session.replies = Replies::On;
    session.set_multi(None);
    session.watching = None;
    session.monitoring = None;
    node.tracker.end(&session.client);
    (session.hears, session.has_said) = (false, false);
    session.become_nobody(&node.users);
    session.client.reset();
    reply(Reply::simple("RESET"))
}

fn read_only(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    if context.node.groups.len() == 1 {
        return Err(Error::line(super::cluster::DISABLED));
    }
    // A single replica is its own leader: what it may read does not depend on this.
    ok()
}

const WRONG_PASSWORD: Error = Error::line("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD: Error = Error::line(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure \
     your configuration is correct?",
);

fn auth(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    match args.len() {
        2 if context.node.users.default_user().has_no_password() => Err(NO_PASSWORD),
        2 => authenticate(context, args, (acl::DEFAULT, args.get(1))),
        3 => authenticate(context, args, (args.get(1), args.get(2))),
        _ => Err(Error::SYNTAX),
    }?;
    ok()
}

fn authenticate(
    context: &mut Context<'_>,
    args: &Args<'_>,
    (name, password): (&[u8], &[u8]),
) -> command::Result<()> {
    let Context { node, session } = context;
    match node.users.get(name).filter(|user| user.accepts(password)) {
        Some(user) => {
            session.become_user(user);
            Ok(())
        }
        None => {
            acl::refused_login(node, session, name, args.get(0));
            Err(WRONG_PASSWORD)
        }
    }
}

/// What HELLO asks for.
#[derive(Default)]
struct Greeting<'a> {
    protocol: Option<Protocol>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Greeting<'a> {
    fn parse(args: &Args<'a>) -> command::Result<Self> {
        let mut greeting = Self::default();
        if args.len() > 1 {
            let version = args
                .int(1)
                .map_err(|_| Error::line("ERR Protocol version is not an integer or out of range"))?;
            greeting.protocol = Some(match version {
                2 => Protocol::Resp2,
                3 => Protocol::Resp3,
                _ => return Err(Error::line("NOPROTO unsupported protocol version")),
            });
        }
        let mut at = 2;
        while at < args.len() {
            let more = args.len() - at - 1;
            if args.is(at, "auth") && more >= 2 {
                greeting.login = Some((args.get(at + 1), args.get(at + 2)));
                at += 3;
            } else if args.is(at, "setname") && more >= 1 {
                client::check_name(args.get(at + 1))?;
                greeting.name = Some(args.get(at + 1));
                at += 2;
            } else {
                let line = [b"ERR Syntax error in HELLO option '", args.get(at), b"'"].concat();
                return Err(Error::Bytes(line));
            }
        }
        Ok(greeting)
    }
}

const HELLO_NOAUTH: Error = Error::line(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> \
     AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
     version at the same time",
);

fn hello(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let greeting = Greeting::parse(args)?;
    if let Some(login) = greeting.login {
        authenticate(context, args, login)?;
    }
    let Context { node, session } = context;
    if !session.is_authenticated() {
        return Err(HELLO_NOAUTH);
    }
    if let Some(name) = greeting.name {
        session.client.details.lock().name = name.to_vec();
    }
    if let Some(protocol) = greeting.protocol {
        session.speak(protocol);
    }
    let version = if session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let mode = if node.groups.len() > 1 { "cluster" } else { "standalone" };
    let fields = [
        ("server", Reply::bulk("redis")),
        ("version", Reply::bulk(super::info::REDIS_VERSION)),
        ("proto", Reply::Integer(version)),
        ("id", Reply::Integer(session.client.id as i64)),
        ("mode", Reply::bulk(mode)),
        ("role", Reply::bulk("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    reply(Reply::Map(fields.map(|(name, value)| (Reply::bulk(name), value)).into()))
}
