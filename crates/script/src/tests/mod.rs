//! Scripts as they run: with a host that knows a few commands.

mod bounds;
mod functions;
mod sandbox;
mod verified;

use crate::*;
use resp::{Protocol, Reply, Span};

/// Knows `echo`, `fail` and `reply N` (the N-th of its replies); counts steps.
#[derive(Default)]
pub(crate) struct Test {
    pub(crate) steps: u64,
    pub(crate) steps_max: u64,
    pub(crate) replies: Vec<Reply>,
    pub(crate) logged: Vec<String>,
    pub(crate) ran_out: bool,
    pub(crate) held_bytes_max: usize,
    /// Whether it stops who has no memory left.
    pub(crate) stops_large: bool,
}

impl Host for Test {
    fn call(&mut self, source: &[u8], spans: &[Span]) -> Result<Reply, Stopped> {
        let args: Vec<&[u8]> = spans.iter().map(|span| span.of(source)).collect();
        Ok(match args.as_slice() {
            [b"echo", text] => Reply::copied(text),
            [b"count", rest @ ..] => Reply::Integer(rest.len() as i64),
            [rest @ .., b"count"] => Reply::Integer(rest.len() as i64),
            [b"reply", at] => {
                let at: usize = std::str::from_utf8(at).unwrap().parse().unwrap();
                self.replies[at].clone()
            }
            _ => Reply::error("ERR no such command"),
        })
    }

    fn may_call(&mut self, _: &[u8], spans: &[Span]) -> Option<bool> {
        (spans.len() > 1).then_some(true)
    }

    fn step(&mut self, steps: u32, held_bytes: usize) -> Result<(), Stopped> {
        self.steps += u64::from(steps);
        self.held_bytes_max = self.held_bytes_max.max(held_bytes);
        if self.steps > self.steps_max { Err(Stopped) } else { Ok(()) }
    }

    fn out_of_memory(&mut self) -> Result<(), Stopped> {
        self.ran_out = true;
        if self.stops_large { Err(Stopped) } else { Ok(()) }
    }

    fn log(&mut self, level: Level, message: &[u8]) -> Result<(), Stopped> {
        self.logged.push(format!("{level:?} {}", String::from_utf8_lossy(message)));
        Ok(())
    }
}

pub(crate) fn host() -> Test {
    Test { steps_max: 10_000_000, ..Test::default() }
}

pub(crate) fn interpreter() -> Interpreter {
    Interpreter::new("7.2.4").unwrap()
}

pub(crate) fn run_on(interpreter: &mut Interpreter, code: &str, host: &mut Test) -> Result<Reply, Stopped> {
    let mut digest = [0; 20];
    let name = sha1_hex(code.as_bytes());
    digest.copy_from_slice(&name.as_bytes()[..20]);
    let program = Program { digest: &digest, name: "SHA", code: code.as_bytes() };
    let inputs = Inputs { keys: &[b"k"], arguments: &[b"a", b"b"], memory_bytes_max: 4 << 20 };
    interpreter.eval(&program, &inputs, host)
}

pub(crate) fn run(code: &str) -> Reply {
    run_on(&mut interpreter(), code, &mut host()).unwrap()
}

/// What a script answers, as a client of this protocol sees it.
#[track_caller]
pub(crate) fn check(code: &str, answer: &str) {
    let mut bytes = Vec::new();
    run(code).encode(Protocol::Resp3, &mut bytes);
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", " ");
    assert_eq!(text.trim_end(), answer, "{code}");
}
