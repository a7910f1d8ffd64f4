//! Commands in scripts: what they reply, and what they do, is the same as outside.

use super::Step;
use super::compare::{self, Compare};
use crate::client::{Command, Protocol};
use crate::{Client, Flavour, Reply, Result, Rng};
use std::ops::Range;

/// So many commands of a session with scripts are in one.
const SCRIPT_PERCENT: usize = 40;
/// Commands in one script, at most.
const LEN_MAX: usize = 6;
const SEVERAL_PERCENT: usize = 20;
/// More than Bulkhead lets a script do on a network thread.
const LONG_STEPS: usize = 20_000;
const LONG_PERCENT: usize = 8;
const READS_PERCENT: usize = 8;
const KEYS_PERCENT: usize = 40;

/// One command: it is all of ARGV.
const BODIES: &[&str] = &[
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "local reply = redis.call(unpack(ARGV)) return reply",
    "local done, reply = pcall(redis.call, unpack(ARGV)) if done then return reply end error(reply)",
    "local reply = redis.pcall(unpack(ARGV))\nif type(reply) == 'table' and reply.err then return reply end\nreturn reply",
    "return coroutine.wrap(function() return redis.pcall(unpack(ARGV)) end)()",
];
/// Several commands: each is in ARGV behind the number of its words. Replies are in tables of their own,
/// since what is nil would leave no trace.
const SEVERAL: &[&str] = &["call", "pcall"];
const THREE: &str = "redis.setresp(3) ";

fn body(rng: &mut Rng, is_several: bool, speaks_three: bool) -> String {
    let body = match is_several {
        true => several(SEVERAL[rng.below(SEVERAL.len())]),
        false => (*rng.pick(BODIES)).to_owned(),
    };
    let three = if speaks_three { THREE } else { "" };
    let wait = format!("for i = 1, {LONG_STEPS} do end ");
    let wait = if rng.chance(LONG_PERCENT) { &*wait } else { "" };
    format!("{three}{wait}{body}")
}

pub(super) fn several(call: &str) -> String {
    format!(
        "local replies, at = {{}}, 1
while ARGV[at] do
  local last = at + tonumber(ARGV[at])
  replies[#replies + 1] = {{redis.{call}(unpack(ARGV, at + 1, last))}}
  at = last + 1
end
return replies"
    )
}

/// The functions of the library, each with its flags: the name says what it does.
const FUNCTIONS: &[(&str, &str, bool)] =
    &[("one", "", false), ("one_3", THREE, false), ("one_ro", "", true), ("one_ro_3", THREE, true)];

fn library() -> String {
    let mut code = String::from("#!lua name=diff\n");
    for (name, three, only_reads) in FUNCTIONS {
        let flags = if *only_reads { "'no-writes'" } else { "" };
        code += &format!(
            "redis.register_function{{function_name = '{name}', flags = {{{flags}}},\n\
             callback = function(_, ARGV) {three}return redis.call(unpack(ARGV)) end}}\n"
        );
    }
    code
}

/// Has a server know the library, and what EVALSHA names; the digests are those of `BODIES`.
pub(super) fn load(client: &mut Client) -> Result<Vec<String>> {
    let mut want = |command: &[&str]| -> Result<Reply> {
        let reply = client.call(command)?;
        if reply.is_error() { Err(format!("{command:?}: {reply:?}").into()) } else { Ok(reply) }
    };
    want(&["FUNCTION", "LOAD", "REPLACE", &library()])?;
    let mut digests = Vec::new();
    for three in ["", THREE] {
        for body in BODIES {
            let digest = want(&["SCRIPT", "LOAD", &format!("{three}{body}")])?;
            digests.push(String::from_utf8_lossy(digest.bytes().unwrap_or_default()).into_owned());
        }
    }
    Ok(digests)
}

/// What a session's scripts are made with.
#[derive(Clone, Copy)]
pub(super) struct Maker<'d> {
    pub(super) digests: &'d [String],
    pub(super) protocol: Protocol,
    pub(super) reference: Flavour,
}

impl Maker<'_> {
    /// Puts commands into scripts.
    pub(super) fn scripts(mut self, steps: Vec<Step>, rng: &mut Rng) -> Vec<Step> {
        let mut out = Vec::with_capacity(steps.len());
        let mut steps = steps.into_iter().peekable();
        while let Some(step) = steps.next() {
            if speaks_two_after(&step) {
                self.protocol = Protocol::Resp2;
            }
            if step.compare == Compare::Carried
                || !rng.chance(SCRIPT_PERCENT)
                || !fits(&step.command, self.reference)
            {
                out.push(step);
                continue;
            }
            let mut together = vec![step];
            if !together[0].compare.is_alone() && rng.chance(SEVERAL_PERCENT) {
                let count = rng.range(1, LEN_MAX as i64) as usize;
                let may_join = |step: &Step| !step.compare.is_alone() && fits(&step.command, self.reference);
                while together.len() < count
                    && let Some(step) = steps.next_if(may_join)
                {
                    together.push(step);
                }
                out.push(self.of_several(&together, rng));
            } else {
                out.extend(together.into_iter().map(|step| self.of_one(step, rng)));
            }
        }
        out
    }

    /// In half of the scripts that can, replies come as in RESP3.
    fn speaks_three(&self, rng: &mut Rng) -> bool {
        self.protocol == Protocol::Resp3 && rng.chance(50)
    }

    fn of_one(&self, step: Step, rng: &mut Rng) -> Step {
        let three = self.speaks_three(rng) && is_faithful(&step.command, self.reference);
        let only_reads = rng.chance(READS_PERCENT);
        let suffix = if only_reads { "_RO" } else { "" };
        let (name, what) = match rng.below(10) {
            0..6 => ("EVAL", body(rng, false, three)),
            6..8 => {
                let half = self.digests.len() / 2;
                let (low, high) = self.digests.split_at(half);
                ("EVALSHA", rng.pick(if three { high } else { low }).clone())
            }
            _ => {
                let function = match (only_reads, three) {
                    (false, false) => "one",
                    (false, true) => "one_3",
                    (true, false) => "one_ro",
                    (true, true) => "one_ro_3",
                };
                // What only reads may be called as if it wrote, and not the other way around.
                let function = if rng.chance(3) { "one" } else { function };
                ("FCALL", function.to_owned())
            }
        };
        let mut command = begin(&format!("{name}{suffix}"), &what, &step.command, rng);
        let before = command.len();
        command.extend(step.command);
        Step { command, before, parts: Some(Vec::new()), ..step }
    }

    fn of_several(&self, steps: &[Step], rng: &mut Rng) -> Step {
        let are_faithful = steps.iter().all(|step| is_faithful(&step.command, self.reference));
        let three = self.speaks_three(rng) && are_faithful;
        let body = body(rng, true, three);
        let mut command = begin("EVAL", &body, &steps[0].command, rng);
        for step in steps {
            command.push(step.command.len().to_string().into_bytes());
            command.extend(step.command.iter().cloned());
        }
        let parts = steps.iter().map(|step| step.compare).collect();
        Step { parts: Some(parts), ..Step::new(command, Compare::Exact) }
    }
}

/// Where the words of the commands are that a step has: it is one, or a script of one or several.
pub(super) fn commands(step: &Step) -> Vec<Range<usize>> {
    let number = |at: usize| -> Option<usize> { String::from_utf8_lossy(step.command.get(at)?).parse().ok() };
    if step.parts.as_ref().is_none_or(Vec::is_empty) {
        return std::iter::once(step.before..step.command.len()).collect();
    }
    // The name, the script, how many keys, and those.
    let mut at = 3 + number(2).unwrap_or(0);
    let mut commands = Vec::new();
    while let Some(len) = number(at) {
        commands.push(at + 1..at + 1 + len);
        at += 1 + len;
    }
    commands
}

/// The words before those of the command: the keys are named, or not.
fn begin(name: &str, what: &str, about: &Command, rng: &mut Rng) -> Command {
    let keys = about.get(1).filter(|_| rng.chance(KEYS_PERCENT));
    let count = if keys.is_some() { "1" } else { "0" };
    let words = [name, what, count].map(|word| word.as_bytes().to_vec());
    words.into_iter().chain(keys.cloned()).collect()
}

/// Whether a client may speak RESP2 from here on: then a map that a script has comes as a list, in whatever order Lua
/// has it. HELLO 3 does not take that back, for it may be another client who says it.
fn speaks_two_after(step: &Step) -> bool {
    step.is("RESET") || step.is("HELLO") && step.command.get(1).is_some_and(|version| version == b"2")
}

/// Whether a script may call a command on the reference as it may here.
fn fits(command: &Command, reference: Flavour) -> bool {
    /// What Redis 7.0 does not let scripts call, and Redis 7.2 does.
    const NEW: &[&str] = &["BL", "BR", "BZ", "WAIT"];
    reference != Flavour::Redis || !begins_with(command, NEW)
}

/// Whether numbers keep all of their digits on the way through a script.
fn is_faithful(command: &Command, reference: Flavour) -> bool {
    // Redis 7.0 writes doubles with more digits than need be.
    reference != Flavour::Redis || !begins_with(command, &["Z", "GEO"])
}

fn begins_with(command: &Command, names: &[&str]) -> bool {
    let name = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    names.iter().any(|begin| name.starts_with(begin.as_bytes()))
}

/// Whether the replies of a script are the same: it has one command, compared in its own way, or several,
/// each in a list of its own.
pub(super) fn same(compare: Compare, parts: &[Compare], left: &Reply, right: &Reply) -> bool {
    let (left, right) = (tidied(left), tidied(right));
    match (left.items(), right.items()) {
        (Some(left), Some(right)) if !parts.is_empty() => {
            let is_same = |((left, right), compare): ((&Reply, &Reply), &Compare)| match (
                left.items(),
                right.items(),
            ) {
                (Some([left]), Some([right])) => compare::same(*compare, left, right),
                _ => left == right,
            };
            left.len() == right.len()
                && left.len() == parts.len()
                && left.iter().zip(right).zip(parts).all(is_same)
        }
        _ => compare::same(compare, &left, &right),
    }
}

/// A reply of a script so that it can be compared: maps and sets come out of Lua in any order, and the servers have
/// different names for themselves.
pub fn tidied(reply: &Reply) -> Reply {
    const WORDS: &[(&str, &str)] = &[
        ("Unknown Redis command called", "Unknown command called"),
        ("args calling Redis command from", "args calling command from"),
        ("This Redis command is not", "This command is not"),
        ("Lua redis lib command", "Command"),
        ("this redis lib call", "this call"),
        ("this server.call", "this call"),
    ];
    let all = |items: &[Reply]| items.iter().map(tidied).collect::<Vec<_>>();
    match reply {
        Reply::Error(text) => Reply::Error(
            WORDS.iter().fold(compare::reworded(text), |text, (old, new)| text.replace(old, new)),
        ),
        Reply::Array(items) => Reply::Array(all(items)),
        Reply::Set(items) => {
            let mut items = all(items);
            items.sort();
            Reply::Set(items)
        }
        Reply::Map(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(key, value)| (tidied(key), tidied(value))).collect();
            entries.sort();
            Reply::Map(entries)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_a_script_are_compared_each_in_its_way() {
        let array = |items: &[&str]| Reply::Array(items.iter().map(Reply::bulk).collect());
        let list = |reply: Reply| Reply::Array(vec![reply]);
        let parts = [Compare::Unordered, Compare::Exact];
        let check = |left: [Reply; 2], right: [Reply; 2], expected: bool| {
            let [left, right] = [left, right].map(|replies| Reply::Array(replies.map(list).to_vec()));
            assert_eq!(same(Compare::Exact, &parts, &left, &right), expected, "{left:?} {right:?}");
        };
        let one = Reply::Integer(1);
        check([array(&["a", "b"]), one.clone()], [array(&["b", "a"]), one.clone()], true);
        check([array(&["a", "b"]), one.clone()], [array(&["b", "a"]), Reply::Integer(2)], false);
        check([one.clone(), array(&["a", "b"])], [one, array(&["b", "a"])], false);
        let error = |text: &str| Reply::Error(text.into());
        let (redis, valkey) =
            (error("ERR This Redis command is not allowed"), error("ERR This command is not allowed"));
        assert!(same(Compare::Exact, &[], &redis, &valkey));
        assert!(!same(Compare::Exact, &[], &redis, &error("ERR")));
        assert!(same(Compare::Kind, &[], &Reply::Integer(1), &Reply::Integer(2)));
        let pair = |name: &str| (Reply::bulk(name), Reply::Integer(1));
        let (left, right) = (Reply::Map(vec![pair("a"), pair("b")]), Reply::Map(vec![pair("b"), pair("a")]));
        assert!(same(Compare::Exact, &[], &left, &right), "maps have no order");
    }

    #[test]
    fn commands_are_put_into_scripts_and_none_is_lost() {
        let digests: Vec<String> = (0..BODIES.len() * 2).map(|at| at.to_string()).collect();
        let maker = Maker { digests: &digests, protocol: Protocol::Resp2, reference: Flavour::Redis };
        let words = |line: &str| crate::client::words(line);
        let steps: Vec<Step> =
            (0..400).map(|at| Step::new(words(&format!("GET k{at}")), Compare::Exact)).collect();
        let scripts = maker.scripts(steps.clone(), &mut Rng::new(1));
        let said: Vec<&[u8]> = scripts.iter().flat_map(|step| &step.command).map(|word| &**word).collect();
        for at in 0..400 {
            let key = format!("k{at}").into_bytes();
            assert!(said.iter().any(|word| *word == key));
        }
        for name in ["GET", "EVAL", "EVAL_RO", "EVALSHA", "FCALL"] {
            assert!(scripts.iter().any(|step| step.command[0] == name.as_bytes()), "{name}");
        }
        let three = |first: &str| {
            let maker = Maker { protocol: Protocol::Resp3, ..maker };
            let first = Step::new(words(first), Compare::Ignored);
            let steps = std::iter::once(first).chain(steps.clone()).collect();
            let speaks = |word: &Vec<u8>| word.starts_with(THREE.as_bytes()) || word.ends_with(b"_3");
            maker.scripts(steps, &mut Rng::new(1)).iter().any(|step| step.command.iter().any(speaks))
        };
        assert!(three("HELLO 3") && three("HELLO"));
        assert!(!three("RESET") && !three("hello 2"), "a map would come as a list, in any order");
        let blocking = Step::new(words("BLPOP k 0.01"), Compare::Exact);
        let kept = maker.scripts(vec![blocking; 50], &mut Rng::new(1));
        assert!(kept.iter().all(|step| step.parts.is_none()), "Redis 7.0 does not let scripts call it");
    }
}
