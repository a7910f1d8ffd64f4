//! CLIENT TRACKING and its kin: what a client keeps, and how it is told that it has changed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use base::limits;
use command::{Args, Command, Error, Flags, arg};
use resp::Reply;

use super::rows::{self, PLAIN, ok, reply};
use super::{Context, Session, SessionRun};
use crate::table::Entry;
use crate::tracking::{Mode, Options, Reader};

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("connection", name, arity, flags, run)
}

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("client|caching", 3, PLAIN, caching)
        .docs("6.0.0", "O(1)", "Says whether what the next command reads is tracked.")
        .takes(&[arg::one_of("mode", &[arg::word("YES"), arg::word("NO")])]),
    row("client|getredir", 2, PLAIN, get_redir).docs(
        "6.0.0",
        "O(1)",
        "Returns the client to which tracking notifications are redirected.",
    ),
    row("client|tracking", -3, PLAIN, tracking)
        .docs(
            "6.0.0",
            "O(1). Some options may introduce additional complexity.",
            "Says which keys are tracked for this connection.",
        )
        .takes(&[
            arg::one_of("status", &[arg::word("ON"), arg::word("OFF")]),
            arg::integer("client-id").after("REDIRECT").optional(),
            arg::string("prefix").after("PREFIX").optional().multiple_with_token(),
            arg::word("BCAST").optional(),
            arg::word("OPTIN").optional(),
            arg::word("OPTOUT").optional(),
            arg::word("NOLOOP").optional(),
        ]),
    row("client|trackinginfo", 2, PLAIN, info).docs(
        "6.2.0",
        "O(1)",
        "Returns how keys are tracked for this connection.",
    ),
];

impl Session {
    /// For whom it is noted what its client reads now, if it is; within a transaction it may have said that it
    /// wants that.
    #[inline]
    pub fn reader(&self, says_in_unit: bool) -> Option<Reader> {
        if !self.client.tracks.load(Relaxed) {
            return None;
        }
        let tracking = self.client.tracking.lock();
        let options = tracking.as_ref()?;
        let is_noted = options.notes(self.has_said) || (says_in_unit && options.mode == Mode::OptIn);
        is_noted.then(|| Reader::of(&self.client))
    }

    /// What CLIENT CACHING has said is about one command, or transaction.
    pub fn said_to(&mut self, entry: Option<&Entry>) {
        let is_of_client = entry.is_some_and(|entry| entry.row.name.starts_with("client|"));
        self.has_said &= is_of_client || self.is_queueing();
    }
}

/// The options as they are said.
#[derive(Default)]
struct Said {
    redirect: Option<u64>,
    is_broadcast: bool,
    opts_in: bool,
    opts_out: bool,
    no_loop: bool,
    prefixes: Vec<Arc<[u8]>>,
}

impl Said {
    fn parse(context: &Context<'_>, args: &Args<'_>) -> command::Result<Self> {
        let mut said = Self::default();
        let mut at = 3;
        while at < args.len() {
            let has_more = at + 1 < args.len();
            if args.is(at, "redirect") && has_more {
                if said.redirect.is_some() {
                    return Err(Error::line("ERR A client can only redirect to a single other client"));
                }
                let id = args.int(at + 1)?;
                let known = u64::try_from(id).ok().filter(|id| context.node.clients.get(*id).is_some());
                let missing = Error::line("ERR The client ID you want redirect to does not exist");
                said.redirect = Some(known.ok_or(missing)?);
                at += 1;
            } else if args.is(at, "prefix") && has_more {
                said.prefixes.push(args.get(at + 1).into());
                at += 1;
            } else if args.is(at, "bcast") {
                said.is_broadcast = true;
            } else if args.is(at, "optin") {
                said.opts_in = true;
            } else if args.is(at, "optout") {
                said.opts_out = true;
            } else if args.is(at, "noloop") {
                said.no_loop = true;
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        Ok(said)
    }

    /// What becomes of them, if they go together, also with what was said before.
    fn options(self, before: Option<&Options>) -> command::Result<Options> {
        let was = |mode| before.is_some_and(|options| options.mode == mode);
        let refused = if !self.is_broadcast && !self.prefixes.is_empty() {
            "ERR PREFIX option requires BCAST mode to be enabled"
        } else if before.is_some() && was(Mode::Broadcast) != self.is_broadcast {
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
             re-enabling it with a different mode."
        } else if self.is_broadcast && (self.opts_in || self.opts_out) {
            "ERR OPTIN and OPTOUT are not compatible with BCAST"
        } else if self.opts_in && self.opts_out {
            "ERR You can't specify both OPTIN mode and OPTOUT mode"
        } else if (self.opts_in && was(Mode::OptOut)) || (self.opts_out && was(Mode::OptIn)) {
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
             re-enabling it with a different mode."
        } else {
            ""
        };
        if !refused.is_empty() {
            return Err(Error::line(refused));
        }
        let mode = match () {
            () if self.is_broadcast => Mode::Broadcast,
            () if self.opts_in => Mode::OptIn,
            () if self.opts_out => Mode::OptOut,
            () => Mode::All,
        };
        let known = before.map_or(&[][..], |options| &options.prefixes);
        let mut prefixes = prefixes(known, self.prefixes)?;
        if mode == Mode::Broadcast && prefixes.is_empty() {
            prefixes.push(Arc::default());
        }
        Ok(Options { mode, redirect: self.redirect, no_loop: self.no_loop, prefixes, is_broken: false })
    }
}

/// The prefixes that there are then. No key has two of them.
fn prefixes(known: &[Arc<[u8]>], new: Vec<Arc<[u8]>>) -> command::Result<Vec<Arc<[u8]>>> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let refuse = |prefix: &[u8], which: &[u8], other: &[u8]| {
        let line = [b"ERR Prefix '", prefix, b"' overlaps with ", which, b" prefix '", other];
        Error::Bytes([&line.concat()[..], b"'. Prefixes for a single client must not overlap."].concat())
    };
    if known.len() + new.len() > limits::PREFIXES_MAX {
        return Err(Error::text(format!("ERR a client has at most {} prefixes", limits::PREFIXES_MAX)));
    }
    // No key has a longer one.
    if new.iter().any(|prefix| prefix.len() > limits::KEY_BYTES_MAX) {
        return Err(Error::text(format!("ERR a prefix has at most {} bytes", limits::KEY_BYTES_MAX)));
    }
    for (at, prefix) in new.iter().enumerate() {
        if let Some(other) = known.iter().find(|other| overlap(prefix, other)) {
            return Err(refuse(prefix, b"an existing", other));
        }
        if let Some(other) = new.iter().skip(at + 1).find(|other| overlap(prefix, other)) {
            return Err(refuse(prefix, b"another provided", other));
        }
    }
    Ok(known.iter().cloned().chain(new).collect())
}

fn tracking(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let said = Said::parse(context, args)?;
    let Context { node, session } = context;
    if args.is(2, "off") {
        node.tracker.end(&session.client);
        return ok();
    }
    if !args.is(2, "on") {
        return Err(Error::SYNTAX);
    }
    node.check_memory()?;
    let before = session.client.tracking.lock().clone();
    node.tracker.begin(&session.client, said.options(before.as_ref())?);
    // IMPORTANT: whoever is in the section now may have found that nobody looks.
    node.groups.iter().for_each(|group| group.store.pass_section());
    ok()
}

fn caching(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let mode = context.session.client.tracking.lock().as_ref().map(|options| options.mode);
    let Some(mode @ (Mode::OptIn | Mode::OptOut)) = mode else {
        return Err(Error::line(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT \
             mode enabled",
        ));
    };
    let wanted = if args.is(2, "yes") {
        Mode::OptIn
    } else if args.is(2, "no") {
        Mode::OptOut
    } else {
        return Err(Error::SYNTAX);
    };
    if wanted != mode {
        return Err(Error::line(match wanted {
            Mode::OptIn => "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            _ => "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        }));
    }
    context.session.has_said = true;
    ok()
}

fn get_redir(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(redirect(context.session.client.tracking.lock().as_ref()))
}

/// As CLIENT GETREDIR and LIST show it.
pub(super) fn redirect(options: Option<&Options>) -> i64 {
    match options {
        None => -1,
        Some(options) => options.redirect.map_or(0, |id| i64::try_from(id).unwrap_or(i64::MAX)),
    }
}

fn info(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let session = &context.session;
    let tracking = session.client.tracking.lock();
    let mut flags = vec![if tracking.is_some() { "on" } else { "off" }];
    if let Some(options) = &*tracking {
        match options.mode {
            Mode::All => {}
            Mode::Broadcast => flags.push("bcast"),
            Mode::OptIn => {
                flags.extend(["optin"].into_iter().chain(session.has_said.then_some("caching-yes")));
            }
            Mode::OptOut => {
                flags.extend(["optout"].into_iter().chain(session.has_said.then_some("caching-no")));
            }
        }
        flags.extend(options.no_loop.then_some("noloop"));
        flags.extend(options.is_broken.then_some("broken_redirect"));
    }
    let prefixes = tracking.iter().flat_map(|options| &options.prefixes);
    let fields = [
        ("flags", Reply::Set(flags.into_iter().map(Reply::bulk).collect())),
        ("redirect", Reply::Integer(redirect(tracking.as_ref()))),
        ("prefixes", Reply::Array(prefixes.map(|prefix| Reply::copied(prefix)).collect())),
    ];
    reply(Reply::Map(fields.map(|(name, value)| (Reply::bulk(name), value)).into()))
}
