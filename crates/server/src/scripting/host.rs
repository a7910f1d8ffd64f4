//! What scripts call: the commands, on the transaction that the script runs in.

use std::time::{Duration, Instant};

use base::{limits, slot};
use command::{Args, Error, Lane, flags};
use resp::{Reply, Span};
use rustix::time::{ClockId, clock_gettime};
use script::{Host, Level, Stopped};
use store::{Stop, Txn};

use super::{Called, Env, OnData};
use crate::net::dispatch;
use crate::net::route;
use crate::session::acl::{self, Denied, Place, User};
use crate::session::connection::selected;
use crate::session::{Answer, Context, Session};
use crate::table::{Entry, Handler, table};

/// The host of a script.
pub struct InTxn<'h, 't, 'e> {
    pub txn: &'h mut Txn<'t>,
    pub env: &'h mut Env<'e>,
    /// It must not write.
    pub only_reads: bool,
    /// Why it was stopped.
    pub stop: Option<Stop>,
    /// It needs the heavy pool, and will the next time: not because of what is so at this moment.
    pub is_long: bool,
    /// What this thread had run for at the first of its many steps.
    since: Option<Duration>,
    /// The most that the interpreter has held so far: in the heavy pool it counts like what is read.
    held_bytes: usize,
}

/// What this thread has run for: whoever has to wait for the processor has taken nothing of it.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

const UNKNOWN: &str = "ERR Unknown Redis command called from script";
const WRONG_ARITY: &str = "ERR Wrong number of args calling Redis command from script";
const NOT_ALLOWED: &str = "ERR This Redis command is not allowed from script";
const ONLY_READS: &str = "ERR Write commands are not allowed from read-only scripts.";
const NOT_LOCAL: &str = "ERR Script attempted to access a non local key in a cluster node";

/// Commands on the session that look at no group.
const IN_SECTION: &[&str] = &["ping", "echo", "time"];

impl<'h, 't, 'e> InTxn<'h, 't, 'e> {
    pub fn new(txn: &'h mut Txn<'t>, env: &'h mut Env<'e>, only_reads: bool) -> Self {
        Self { txn, env, only_reads, stop: None, is_long: false, since: None, held_bytes: 0 }
    }
}

impl InTxn<'_, '_, '_> {
    fn stopped<R>(&mut self, stop: Stop) -> Result<R, Stopped> {
        self.is_long |= self.txn.is_spent();
        self.stop = Some(stop);
        Err(Stopped)
    }

    /// The command that is called, if a script may call it so.
    fn find(&self, args: &Args<'_>) -> Result<&'static Entry, Error> {
        let entry = find(args).ok_or(Error::line(UNKNOWN))?;
        let row = &entry.row;
        if !row.arity.accepts(args.len()) {
            return Err(Error::line(WRONG_ARITY));
        }
        if row.flags.has(flags::NOSCRIPT) {
            return Err(Error::line(NOT_ALLOWED));
        }
        if let Some(user) = self.env.user
            && let Err(denied) = acl::may(user, entry, args)
        {
            return Err(self.denied(user, entry, args, denied));
        }
        // As in Redis, what is told to replicas counts as writing here: PFCOUNT, PUBLISH.
        let writes =
            [flags::WRITE, flags::MAY_REPLICATE, flags::MAY_WRITE].iter().any(|flag| row.flags.has(*flag));
        if writes && self.only_reads {
            return Err(Error::line(ONLY_READS));
        }
        if let Some(why) = dispatch::refused(self.env.node, entry) {
            return Err(Error::text(why));
        }
        self.check_place(entry, args)?;
        Ok(entry)
    }

    #[cold]
    fn denied(&self, user: &User, entry: &Entry, args: &Args<'_>, denied: Denied) -> Error {
        if let Some(client) = self.env.node.clients.get(self.env.client) {
            acl::note_denied(self.env.node, (&client, user), entry, args, denied, Place::Lua);
        }
        denied.in_script(user, entry)
    }

    /// With several groups a script runs in one, whose keys alone it may touch.
    fn check_place(&self, entry: &Entry, args: &Args<'_>) -> Result<(), Error> {
        let node = self.env.node;
        if node.groups.len() == 1 {
            return Ok(());
        }
        route::target(node, entry, args)?;
        if entry.row.flags.has(flags::FANOUT) {
            let name = entry.row.name.to_ascii_uppercase();
            return Err(Error::text(format!("ERR {name} is not allowed in a script in cluster mode")));
        }
        let mut keys = entry.row.keys.positions(args).map(|at| args.get(at));
        if keys.any(|key| node.group_of(slot::of(key)) != self.env.group) {
            return Err(Error::line(NOT_LOCAL));
        }
        Ok(())
    }

    fn run(&mut self, entry: &'static Entry, args: &Args<'_>) -> Result<Reply, Stopped> {
        let on_data = match entry.row.run {
            Handler::Session(_) if entry.row.name == "select" => {
                return Ok(match selected(self.env.node, args) {
                    Ok(database) => {
                        self.txn.select(database);
                        Reply::Ok
                    }
                    Err(error) => error.reply(),
                });
            }
            // IMPORTANT: on a network thread a transaction is in the group's section, which must not be
            // entered twice: what may look at a group (INFO, MEMORY STATS) runs in the heavy pool.
            Handler::Session(_) if self.txn.is_metered() && !IN_SECTION.contains(&entry.row.name) => {
                return self.stopped(Stop::Outgrown);
            }
            Handler::Session(run) => return Ok(self.run_session(run, args)),
            Handler::Data(run) => OnData::Plain(run),
            Handler::Script(run) => OnData::Script(run),
        };
        // What is known to be long is not begun on a network thread.
        if entry.row.lane() == Lane::Heavy && self.txn.is_metered() {
            self.is_long = true;
            return self.stopped(Stop::Outgrown);
        }
        let env = &mut *self.env;
        match self.txn.attempt(|txn| on_data.run(entry, txn, args, env)) {
            Ok(reply) => Ok(reply),
            Err(Error::Stop(stop)) => self.stopped(stop),
            Err(Error::Wait(wait)) => Ok(wait.otherwise),
            Err(error) => Ok(error.reply()),
        }
    }

    /// A command on the session: on one that lasts as long as the command.
    fn run_session(&self, run: crate::session::SessionRun, args: &Args<'_>) -> Reply {
        let node = self.env.node;
        let Some(client) = node.clients.get(self.env.client) else { return Reply::error(NOT_ALLOWED) };
        let mut session = Session::new(client, &node.users);
        if let Some(user) = self.env.user {
            session.login.become_user(user.clone());
        }
        session.database = self.txn.database();
        match run(&mut Context { node, session: &mut session }, args) {
            Ok(Answer::Reply(reply)) => reply,
            Ok(_) => Reply::error(NOT_ALLOWED),
            Err(error) => error.reply(),
        }
    }
}

/// The command, or the subcommand, that is called.
fn find(args: &Args<'_>) -> Option<&'static Entry> {
    let entry = table().find(args.get(0))?;
    if entry.subcommands.is_empty() || args.len() < 2 {
        return Some(entry);
    }
    table().find_sub(entry, args.get(1))
}

impl Host for InTxn<'_, '_, '_> {
    fn call(&mut self, source: &[u8], spans: &[Span]) -> Result<Reply, Stopped> {
        let args = Args::new(source, spans);
        let entry = match self.find(&args) {
            Ok(entry) => entry,
            Err(error) => return Ok(error.reply()),
        };
        self.env.saw(self.txn.database(), false, &args);
        let began = Instant::now();
        let reply = self.run(entry, &args)?;
        let failed = reply.is_error().then(|| reply.clone());
        self.env.called.push(Called { entry, failed, took: began.elapsed() });
        Ok(reply)
    }

    fn may_call(&mut self, source: &[u8], spans: &[Span]) -> Option<bool> {
        let args = Args::new(source, spans);
        // What scripts may call, and with how many arguments, is not asked here.
        let entry = find(&args)?;
        Some(self.env.user.is_none_or(|user| acl::may(user, entry, &args).is_ok()))
    }

    fn step(&mut self, steps: u32, held_bytes: usize) -> Result<(), Stopped> {
        if let Err(stop) = self.txn.step(steps) {
            return self.stopped(stop);
        }
        if let Some(more) = held_bytes.checked_sub(self.held_bytes).filter(|_| !self.txn.is_metered()) {
            self.held_bytes = held_bytes;
            if let Err(stop) = self.txn.hold(0, more) {
                return self.stopped(stop);
            }
        }
        if self.txn.is_metered() {
            let now = processor_time();
            if now.saturating_sub(*self.since.get_or_insert(now)) > limits::BUDGET_TIME {
                self.is_long = true;
                return self.stopped(Stop::Outgrown);
            }
        }
        Ok(())
    }

    fn out_of_memory(&mut self) -> Result<(), Stopped> {
        // The heavy pool has more.
        if self.txn.is_metered() {
            self.is_long = true;
            return self.stopped(Stop::Outgrown);
        }
        Ok(())
    }

    fn log(&mut self, level: Level, message: &[u8]) -> Result<(), Stopped> {
        if !self.txn.is_metered() {
            log(level, message);
            return Ok(());
        }
        // Nobody waits in the section for whoever reads the log: it is written when the transaction has ended.
        self.env.logged.push((level, message.to_vec()));
        let bytes: usize = self.env.logged.iter().map(|(_, message)| message.len()).sum();
        if bytes > limits::SCRIPT_LOG_BYTES_INLINE || self.env.logged.len() > LOGGED_INLINE_MAX {
            self.is_long = true;
            return self.stopped(Stop::Outgrown);
        }
        Ok(())
    }
}

/// Lines that a script logs on a network thread: with more it goes to the heavy pool.
const LOGGED_INLINE_MAX: usize = 64;

/// Writes what a script logs.
pub fn log(level: Level, message: &[u8]) {
    let message = String::from_utf8_lossy(message);
    match level {
        Level::Debug => tracing::trace!(target: "script", "{message}"),
        Level::Verbose => tracing::debug!(target: "script", "{message}"),
        Level::Notice => tracing::info!(target: "script", "{message}"),
        Level::Warning => tracing::warn!(target: "script", "{message}"),
    }
}
