//! Commands in transactions: of one client, or of several who watch each other's keys.

use super::compare::{Compare, Rule};
use super::{Step, grammar, scripts};
use crate::client::words;
use crate::{Flavour, Reply, Rng};

const CLIENTS: usize = 3;
/// Commands of a transaction, at most.
const LEN_MAX: usize = 8;
/// A client that is in a transaction ends it, and one that is not begins one, at so many of its steps.
const END_PERCENT: usize = 25;
const BEGIN_PERCENT: usize = 20;
const DISCARD_PERCENT: usize = 10;
const WATCH_PERCENT: usize = 60;

fn step(line: &str) -> Step {
    Step::new(words(line), Compare::Exact)
}

/// Whether a command can be in a transaction: a whole scan is many commands.
fn fits(step: &Step) -> bool {
    !step.compare.is_alone()
}

/// Puts commands into transactions.
pub(super) fn of_one(steps: Vec<Step>, rng: &mut Rng) -> Vec<Step> {
    let mut out = Vec::with_capacity(steps.len() * 2);
    let mut left = 0;
    for next in steps {
        if left == 0 && rng.chance(BEGIN_PERCENT) {
            out.push(step("MULTI"));
            left = 1 + rng.below(LEN_MAX);
        }
        if !fits(&next) && left > 0 {
            continue;
        }
        out.push(next);
        if left == 1 {
            out.push(end(rng));
        }
        left = left.saturating_sub(1);
    }
    out.push(step("DISCARD"));
    out
}

fn end(rng: &mut Rng) -> Step {
    step(if rng.chance(DISCARD_PERCENT) { "DISCARD" } else { "EXEC" })
}

/// Gives commands to several clients, who begin and end transactions in between, and watch keys.
pub(super) fn of_several(steps: Vec<Step>, reference: Flavour, rng: &mut Rng) -> Vec<Step> {
    let mut out = Vec::with_capacity(steps.len() * 2);
    let mut in_unit = [false; CLIENTS];
    // What XSETID does is a change to who watches, here; in Redis it is not.
    let is_other = |step: &Step| step.command.iter().any(|word| word.eq_ignore_ascii_case(b"XSETID"));
    for mut next in steps.into_iter().filter(|step| fits(step) && !is_other(step)) {
        changes_for_sure(&mut next, reference);
        let client = rng.below(CLIENTS);
        let mut say = |mut step: Step| {
            step.client = client;
            out.push(step);
        };
        if in_unit[client] && rng.chance(END_PERCENT) {
            in_unit[client] = false;
            say(end(rng));
        } else if !in_unit[client] && rng.chance(BEGIN_PERCENT) {
            in_unit[client] = true;
            if rng.chance(WATCH_PERCENT) {
                say(Step::new(grammar::expand("WATCH <key>+", rng), Compare::Exact));
                // It begins later: in between, others may change what is watched.
                in_unit[client] = rng.chance(50);
            }
            if in_unit[client] {
                say(step("MULTI"));
            }
        }
        next.client = client;
        out.push(next);
    }
    for client in 0..CLIENTS {
        for line in ["DISCARD", "UNWATCH"] {
            out.push(Step { client, ..step(line) });
        }
    }
    out
}

/// Has a step do what is a change to both servers, for those who are told of changes.
pub(super) fn changes_for_sure(step: &mut Step, reference: Flavour) {
    wrap(step);
    if reference == Flavour::Valkey {
        change_something(step);
    }
}

/// Has BITFIELD wrap where it would fail: for who watches a key, servers differ on whether it has changed when it was
/// made and nothing set in it.
fn wrap(step: &mut Step) {
    for at in 1..step.command.len() {
        if step.command[at].eq_ignore_ascii_case(b"FAIL")
            && step.command[at - 1].eq_ignore_ascii_case(b"OVERFLOW")
        {
            step.command[at] = b"WRAP".to_vec();
        }
    }
}

/// Has LTRIM trim where it might leave a key as it is: for who watches it, it has changed nevertheless in Bulkhead
/// and Redis, and has not in Valkey.
fn change_something(step: &mut Step) {
    let is_number = |word: &[u8]| String::from_utf8_lossy(word).parse::<i64>().is_ok();
    for words in scripts::commands(step) {
        match &mut step.command[words] {
            [name, _, from, to]
                if name.eq_ignore_ascii_case(b"LTRIM") && is_number(from) && is_number(to) =>
            {
                (*from, *to) = (b"1".to_vec(), b"-1".to_vec());
            }
            _ => {}
        }
    }
}

/// Whether there is no transaction behind it.
fn ends(step: &Step) -> bool {
    ["EXEC", "DISCARD", "RESET"].iter().any(|name| step.is(name))
}

/// Whether a client begins a transaction within another. That is never made up here, but it can be left over when
/// steps are taken away, and servers differ: only Valkey gives up the transaction around it.
pub(super) fn nest(steps: &[Step]) -> bool {
    let mut in_unit = [false; CLIENTS];
    steps.iter().any(|step| {
        let Some(in_unit) = in_unit.get_mut(step.client) else { return false };
        if step.is("MULTI") {
            return std::mem::replace(in_unit, true);
        }
        *in_unit &= !ends(step);
        false
    })
}

/// What the clients have queued, as far as replies tell.
pub(super) struct Units(Vec<Vec<Rule>>);

impl Units {
    pub(super) fn new(clients: usize) -> Self {
        Self(vec![Vec::new(); clients])
    }

    /// Whether the replies to a step are the same. Those of a transaction come in one, each to be
    /// compared in its own way.
    pub(super) fn same(&mut self, step: &Step, left: &Reply, right: &Reply) -> bool {
        let queued = &mut self.0[step.client];
        if *left == Reply::Simple("QUEUED".into()) && left == right {
            queued.push(step.rule());
            return true;
        }
        let queued = if ends(step) { std::mem::take(queued) } else { Vec::new() };
        match (left, right) {
            // Valkey has other words for what is not queued in a transaction.
            (Reply::Error(_), Reply::Error(_)) if step.is("MULTI") || step.is("WATCH") => true,
            (Reply::Array(left), Reply::Array(right)) if step.is("EXEC") => {
                let is_same = |((left, right), rule): ((&Reply, &Reply), &Rule)| rule.same(left, right);
                left.len() == right.len()
                    && left.len() == queued.len()
                    && left.iter().zip(right).zip(&queued).all(is_same)
            }
            _ => step.rule().same(left, right),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_within_another_is_seen() {
        let steps = |lines: &[&str]| lines.iter().map(|line| step(line)).collect::<Vec<_>>();
        let other = Step { client: 1, ..step("MULTI") };
        let mut of_two = steps(&["MULTI", "GET a"]);
        of_two.push(other);
        assert!(!nest(&of_two));
        assert!(!nest(&steps(&["MULTI", "EXEC", "multi", "DISCARD", "MULTI", "RESET", "MULTI"])));
        assert!(nest(&steps(&["MULTI", "GET a", "multi"])));
    }

    #[test]
    fn what_is_made_up_nests_no_transactions() {
        let mut rng = Rng::new(11);
        for _ in 0..200 {
            let lines = (0..60).map(|_| step(if rng.chance(5) { "RESET" } else { "GET a" }));
            let lines: Vec<_> = lines.collect();
            assert!(!nest(&of_one(lines.clone(), &mut rng)));
            assert!(!nest(&of_several(lines, Flavour::Redis, &mut rng)));
        }
    }

    #[test]
    fn a_list_is_trimmed_where_servers_differ() {
        let script = |line: &str, before| Step { before, parts: Some(Vec::new()), ..step(line) };
        let several = "EVAL code 1 k 4 LTRIM k 0 x 4 LTRIM k 0 9 3 LTRIM k 0 4 ltrim k 5 0";
        let cases = [
            (step("LTRIM k 0 -1"), "LTRIM k 1 -1"),
            (step("LTRIM k 0"), "LTRIM k 0"),
            (step("SET LTRIM 0 9"), "SET LTRIM 0 9"),
            (script("EVALSHA sha 0 LTRIM k 0 9", 3), "EVALSHA sha 0 LTRIM k 1 -1"),
            (
                Step { parts: Some(vec![Compare::Exact; 4]), ..step(several) },
                "EVAL code 1 k 4 LTRIM k 0 x 4 LTRIM k 1 -1 3 LTRIM k 0 4 ltrim k 1 -1",
            ),
        ];
        for (mut step, expected) in cases {
            change_something(&mut step);
            assert_eq!(step.command, words(expected));
        }
    }

    #[test]
    fn replies_of_a_transaction_are_compared_each_in_its_way() {
        let mut units = Units::new(1);
        let ok = Reply::Simple("OK".into());
        let queued = Reply::Simple("QUEUED".into());
        let array = |items: &[&str]| Reply::Array(items.iter().map(Reply::bulk).collect());
        assert!(units.same(&step("MULTI"), &ok, &ok));
        assert!(units.same(&Step::new(words("KEYS *"), Compare::Unordered), &queued, &queued));
        assert!(units.same(&step("GET a"), &queued, &queued));
        assert!(!units.same(&step("GET a"), &queued, &ok));
        let reply = |keys: &[&str], value: &str| Reply::Array(vec![array(keys), Reply::bulk(value)]);
        let exec = step("EXEC");
        let mut compare = |left: Reply, right: Reply| {
            let before = units.0.clone();
            let same = units.same(&exec, &left, &right);
            units.0 = before;
            same
        };
        assert!(compare(reply(&["a", "b"], "1"), reply(&["b", "a"], "1")));
        assert!(!compare(reply(&["a", "b"], "1"), reply(&["b", "a"], "2")));
        assert!(!compare(reply(&["a", "b"], "1"), reply(&["b", "c"], "1")));
        assert!(!compare(reply(&["a"], "1"), Reply::NullArray));
    }
}
