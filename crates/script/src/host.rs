//! What a script runs in: whoever runs it does its commands, counts its steps, and may stop it.

use mlua::Value;
use resp::{Reply, Span};

/// A script was stopped: it has to leave where it is, or was killed. Why is known to the host. Nothing that
/// the script does keeps it from ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// How urgent a line is that a script logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// Who runs a script: does what it calls, is told how far it has come, and may stop it at any of these moments.
pub trait Host {
    /// Runs a command. What it fails with is a reply like any other.
    fn call(&mut self, source: &[u8], spans: &[Span]) -> Result<Reply, Stopped>;

    /// Whether the script's user may run a command; `None` if there is no such command.
    fn may_call(&mut self, source: &[u8], spans: &[Span]) -> Option<bool>;

    /// The interpreter has taken so many steps more, and holds so much more than when the script began.
    fn step(&mut self, steps: u32, held_bytes: usize) -> Result<(), Stopped>;

    /// The memory that it may take here is used up. It may be more elsewhere.
    fn out_of_memory(&mut self) -> Result<(), Stopped>;

    fn log(&mut self, level: Level, message: &[u8]) -> Result<(), Stopped>;
}

scoped_tls_hkt::scoped_thread_local!(static mut HOST: for<'a> &'a mut (dyn Host + 'a));

/// Does something with the host of the script that runs on this thread; `None` if none does, as when a library
/// is loaded.
pub(crate) fn with<R>(f: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
    HOST.is_set().then(|| HOST.with(|host| f(host)))
}

/// Runs something of which `host` is the host.
pub(crate) fn set<R>(host: &mut dyn Host, f: impl FnOnce() -> R) -> R {
    crate::meter::reset();
    HOST.set(host, f)
}

/// The arguments of a command as a script gives them, one behind the other.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) source: Vec<u8>,
    pub(crate) spans: Vec<Span>,
}

/// Buffers above this are given back.
const KEPT_BYTES_MAX: usize = 64 << 10;
/// Largest double that is an integer for sure, and prints as one.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl Arguments {
    /// Takes arguments from Lua's values: strings and numbers. Says whether all were.
    pub(crate) fn take(&mut self, values: impl Iterator<Item = Value>) -> bool {
        self.clear();
        values.into_iter().all(|value| self.push(value))
    }

    fn clear(&mut self) {
        if self.source.capacity() > KEPT_BYTES_MAX {
            self.source = Vec::new();
        }
        self.source.clear();
        self.spans.clear();
    }

    fn push(&mut self, value: Value) -> bool {
        let start = self.source.len();
        match value {
            Value::String(text) => self.source.extend_from_slice(&text.as_bytes()),
            Value::Integer(number) => self.source.extend_from_slice(resp::Blob::integer(number).as_slice()),
            Value::Number(number) => write_number(number, &mut self.source),
            _ => return false,
        }
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(self.source.len())) else {
            return false;
        };
        self.spans.push(Span { start, end });
        true
    }
}

/// A number as commands are given it: whole ones without an exponent.
pub(crate) fn write_number(number: f64, out: &mut Vec<u8>) {
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        out.extend_from_slice(resp::Blob::integer(number as i64).as_slice());
    } else {
        resp::format_double(number, out);
    }
}

/// What a script's function fails with when the script is stopped.
pub(crate) fn stopped() -> mlua::Error {
    mlua::Error::RuntimeError(String::new())
}
