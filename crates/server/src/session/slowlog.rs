//! The slow log: the last commands that took longer than the setting says.

use std::collections::VecDeque;

use command::Args;
use parking_lot::Mutex;

/// As in Redis: long commands are cut.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

#[derive(Clone, Debug)]
pub struct SlowCommand {
    pub id: u64,
    pub at_ms: u64,
    pub took_us: u64,
    pub args: Vec<Vec<u8>>,
    pub peer: String,
    pub name: Vec<u8>,
}

/// Who ran a slow command, and when.
pub struct Caller {
    pub at_ms: u64,
    pub peer: String,
    pub name: Vec<u8>,
}

#[derive(Default)]
struct Entries {
    next_id: u64,
    newest_first: VecDeque<SlowCommand>,
}

#[derive(Default)]
pub struct SlowLog {
    entries: Mutex<Entries>,
}

impl SlowLog {
    /// Adds a command; the oldest ones beyond `len_max` go.
    pub fn add(&self, args: Vec<Vec<u8>>, took_us: u64, caller: Caller, len_max: usize) {
        let Caller { at_ms, peer, name } = caller;
        let mut entries = self.entries.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.newest_first.push_front(SlowCommand { id, at_ms, took_us, args, peer, name });
        entries.newest_first.truncate(len_max);
    }

    pub fn newest(&self, count: usize) -> Vec<SlowCommand> {
        self.entries.lock().newest_first.iter().take(count).cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.entries.lock().newest_first.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn clear(&self) {
        self.entries.lock().newest_first.clear();
    }
}

/// A command's arguments as the log keeps them: cut where they are many or long, and without secrets.
pub fn shown(name: &str, args: &Args<'_>) -> Vec<Vec<u8>> {
    let mut shown: Vec<Vec<u8>> = args.from(0).take(ARGS_MAX).map(cut).collect();
    if args.len() > ARGS_MAX {
        let more = format!("... ({} more arguments)", args.len() - ARGS_MAX + 1);
        if let Some(last) = shown.last_mut() {
            *last = more.into_bytes();
        }
    }
    for at in secrets(name, args) {
        if let Some(secret) = shown.get_mut(at) {
            *secret = b"(redacted)".to_vec();
        }
    }
    shown
}

fn cut(arg: &[u8]) -> Vec<u8> {
    let Some(head) = arg.get(..ARG_BYTES_MAX).filter(|_| arg.len() > ARG_BYTES_MAX) else {
        return arg.to_vec();
    };
    [head, format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).as_bytes()].concat()
}

/// Where passwords are among the arguments.
pub(super) fn secrets(name: &str, args: &Args<'_>) -> Vec<usize> {
    match name {
        "auth" => (1..args.len()).collect(),
        "hello" => {
            let auth = (1..args.len()).find(|&at| args.is(at, "auth"));
            auth.map_or_else(Vec::new, |at| vec![at + 1, at + 2])
        }
        "acl|setuser" | "acl|deluser" | "acl|getuser" => (2..args.len()).collect(),
        "config|set" => {
            let is_secret = |at: &usize| args.is(*at, "requirepass") || args.is(*at, "masterauth");
            (2..args.len()).step_by(2).filter(is_secret).map(|at| at + 1).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use command::OwnedArgs;

    fn check(name: &str, line: &str, expected: &str) {
        let args = OwnedArgs::of(line.split(' ').map(str::as_bytes));
        let shown = shown(name, &args.as_args());
        let shown: Vec<_> = shown.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn secrets_are_not_kept() {
        check("auth", "AUTH me hunter2", "AUTH (redacted) (redacted)");
        check("acl|setuser", "ACL SETUSER me >hunter2", "ACL SETUSER (redacted) (redacted)");
        check("hello", "HELLO 3 AUTH me hunter2 SETNAME x", "HELLO 3 AUTH (redacted) (redacted) SETNAME x");
        check(
            "config|set",
            "CONFIG SET timeout 0 requirepass hunter2",
            "CONFIG SET timeout 0 requirepass (redacted)",
        );
    }

    #[test]
    fn long_commands_are_cut() {
        let long = "x".repeat(ARG_BYTES_MAX + 5);
        check("set", &format!("SET k {long}"), &format!("SET k {}... (5 more bytes)", "x".repeat(128)));
        let many = vec!["k"; 40].join(" ");
        check("del", &many, &format!("{} ... (9 more arguments)", vec!["k"; 31].join(" ")));
    }

    #[test]
    fn only_the_newest_stay() {
        let log = SlowLog::default();
        for took in 0..5 {
            let caller = Caller { at_ms: took, peer: String::new(), name: Vec::new() };
            log.add(Vec::new(), took, caller, 3);
        }
        let kept: Vec<_> = log.newest(10).iter().map(|slow| (slow.id, slow.took_us)).collect();
        assert_eq!(kept, [(4, 4), (3, 3), (2, 2)]);
    }
}
