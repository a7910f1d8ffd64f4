//! When two replies count as the same.

use super::scripts;
use crate::Reply;

/// How the replies to a step are compared.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) compare: Compare,
    /// Of a script: how each of its commands is compared, if they are several.
    pub(super) parts: Option<Vec<Compare>>,
}

impl Rule {
    pub(super) fn same(&self, left: &Reply, right: &Reply) -> bool {
        match &self.parts {
            Some(parts) => scripts::same(self.compare, parts, left, right),
            None => same(self.compare, left, right),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// Byte for byte.
    Exact,
    /// The same items in any order.
    Unordered,
    /// Items with distances, nearest or furthest first: of those equally far away any may come first, and
    /// any may be the ones that are left out at the end.
    Distances,
    /// Times, which differ by what passed between the two servers' looks at their clocks.
    Seconds,
    Millis,
    /// The same kind of reply; errors are compared exactly.
    Kind,
    /// Both null or both not; errors are compared exactly.
    Nullness,
    /// Not at all.
    Ignored,
    /// What is told of a stream: times as above, and not how it is kept.
    Stream,
    /// What is told of groups, but how many consumers they have.
    Groups,
    /// How a value is kept: servers of other versions keep some of them in other ways.
    Encoding,
    /// The keys of a whole scan, from a first command on. (Its replies are gathered elsewhere.)
    Scan,
    /// What is said to the restoring of a value that was dumped. (See `carried.rs`.)
    Carried,
}

impl Compare {
    /// Whether a step is more than one command, so that it is in no pipeline, transaction or script.
    pub(super) fn is_alone(self) -> bool {
        matches!(self, Self::Scan | Self::Carried)
    }
}

/// The servers may come to a command so long after each other.
const SLACK_MS: i64 = 5_000;

pub(super) fn same(compare: Compare, left: &Reply, right: &Reply) -> bool {
    if left == right || compare == Compare::Ignored {
        return true;
    }
    if let (Reply::Error(left), Reply::Error(right)) = (left, right) {
        return reworded(left) == reworded(right);
    }
    if left.is_error() || right.is_error() {
        return false;
    }
    match compare {
        Compare::Exact | Compare::Carried | Compare::Ignored => false,
        Compare::Unordered | Compare::Scan => sorted(left).is_some_and(|left| Some(left) == sorted(right)),
        Compare::Distances => same_distances(left, right),
        Compare::Stream => same_stream(left, right),
        Compare::Groups => without_consumers(left) == without_consumers(right),
        Compare::Encoding => {
            let pair = (left.bytes().unwrap_or_default(), right.bytes().unwrap_or_default());
            SAME_ENCODINGS.iter().any(|(ours, theirs)| pair == (ours.as_bytes(), theirs.as_bytes()))
        }
        Compare::Seconds => is_close(left, right, SLACK_MS / 1000),
        Compare::Millis => is_close(left, right, SLACK_MS),
        Compare::Kind => std::mem::discriminant(left) == std::mem::discriminant(right),
        Compare::Nullness => left.is_null() == right.is_null(),
    }
}

/// Redis 7.0 says the same to XREAD and XREADGROUP that lack a key or an id; Valkey and Bulkhead name the command,
/// and the id that belongs to it.
const UNBALANCED: &str =
    "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";
const UNBALANCED_TODAY: &[&str] = &[
    "Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
    "Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
];

/// An error's text in the words of Redis 7.0, where a server has other words for the same. A script may have put more
/// around it.
pub(super) fn reworded(text: &str) -> String {
    UNBALANCED_TODAY.iter().fold(text.to_owned(), |text, today| text.replace(today, UNBALANCED))
}

/// What a server says of the same value, and what another one says.
const SAME_ENCODINGS: &[(&str, &str)] = &[
    // Redis 7.0 knows no packed lists, and no packed sets but those of integers.
    ("listpack", "quicklist"),
    ("listpack", "hashtable"),
    // A list that has been long stays so here.
    ("quicklist", "listpack"),
    // Redis 7.0 begins every intersection as a set of integers.
    ("listpack", "intset"),
    ("hashtable", "intset"),
    // Redis unpacks a sorted set that it sorts.
    ("listpack", "skiplist"),
    // Redis 7.0 looks at what comes later than Redis 7.2 does.
    ("skiplist", "listpack"),
    // Valkey embeds by the length of key and value together.
    ("embstr", "raw"),
    ("raw", "embstr"),
];

/// Fields of which only one server says how many there are: how it keeps a stream.
const OWN_FIELDS: &[&[u8]] = &[b"radix-tree-keys", b"radix-tree-nodes"];
const TIME_FIELDS: &[&[u8]] = &[b"idle", b"inactive", b"seen-time", b"active-time"];
/// Integers above this are times.
const TIMES_FROM: i64 = 1_000_000_000_000;

fn same_stream(left: &Reply, right: &Reply) -> bool {
    let is_time = |left: &Reply, right: &Reply| match (left.integer(), right.integer()) {
        (Some(left), Some(right)) => (left < 0) == (right < 0) && left.abs_diff(right) <= SLACK_MS as u64,
        _ => false,
    };
    let same_field = |name: &Reply, left: &Reply, right: &Reply| {
        let name = name.bytes().unwrap_or_default();
        OWN_FIELDS.contains(&name)
            || (TIME_FIELDS.contains(&name) && is_time(left, right))
            || same_stream(left, right)
    };
    match (left, right) {
        (Reply::Map(left), Reply::Map(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.0 == right.0 && same_field(&left.0, &left.1, &right.1))
        }
        (Reply::Array(left), Reply::Array(right)) if left.len() == right.len() => {
            // What is pending: id, consumer, how long ago, how often.
            let is_pending = left.len() == 4 && matches!(left[2..], [Reply::Integer(_), Reply::Integer(_)]);
            (0..left.len()).all(|at| {
                let name = at.checked_sub(1).and_then(|at| left.get(at)).unwrap_or(&Reply::Null);
                (is_pending && at == 2 && is_time(&left[at], &right[at]))
                    || same_field(name, &left[at], &right[at])
            })
        }
        (Reply::Integer(at), Reply::Integer(_)) if *at >= TIMES_FROM => is_time(left, right),
        _ => left == right,
    }
}

/// What XINFO GROUPS replies, without the numbers of consumers.
pub(super) fn without_consumers(reply: &Reply) -> Reply {
    let is_number = |name: &Reply| *name == Reply::bulk("consumers");
    match reply {
        Reply::Array(items) => {
            let names = std::iter::once(None).chain(items.iter().map(Some));
            let kept = items.iter().zip(names).filter(|(_, name)| !name.is_some_and(is_number));
            Reply::Array(kept.map(|(item, _)| without_consumers(item)).collect())
        }
        Reply::Map(fields) => {
            Reply::Map(fields.iter().filter(|(name, _)| !is_number(name)).cloned().collect())
        }
        other => other.clone(),
    }
}

fn sorted(reply: &Reply) -> Option<Vec<Reply>> {
    let mut items = match reply {
        Reply::Map(entries) => {
            entries.iter().map(|(key, value)| Reply::Array(vec![key.clone(), value.clone()])).collect()
        }
        other => other.items()?.to_vec(),
    };
    items.sort();
    Some(items)
}

fn same_distances(left: &Reply, right: &Reply) -> bool {
    let distance = |item: &Reply| item.items().and_then(|parts| parts.get(1)).cloned();
    let (Some(left), Some(right)) = (left.items(), right.items()) else { return false };
    let distances = |items: &[Reply]| items.iter().map(distance).collect::<Vec<_>>();
    let last = left.last().and_then(distance);
    let certain = |items: &[Reply]| {
        let mut items: Vec<Reply> = items.iter().filter(|item| distance(item) != last).cloned().collect();
        items.sort();
        items
    };
    last.is_some() && distances(left) == distances(right) && certain(left) == certain(right)
}

/// Times only: -1, -2 and 0 have meanings of their own.
fn is_close(left: &Reply, right: &Reply, slack: i64) -> bool {
    match (left.integer(), right.integer()) {
        (Some(left), Some(right)) => left > 0 && right > 0 && left.abs_diff(right) <= slack as u64,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(compare: Compare, left: Reply, right: Reply, expected: bool) {
        assert_eq!(same(compare, &left, &right), expected, "{compare:?} {left:?} {right:?}");
    }

    #[test]
    fn what_is_told_of_a_stream_is_the_same_but_for_times() {
        let field = |name: &str, value| Reply::Array(vec![Reply::bulk(name), Reply::Integer(value)]);
        check(Compare::Stream, field("idle", 5), field("idle", 9), true);
        check(Compare::Stream, field("inactive", -1), field("inactive", 9), false);
        check(Compare::Stream, field("lag", 5), field("lag", 9), false);
        check(Compare::Stream, field("radix-tree-keys", 5), field("radix-tree-keys", 9), true);
        let pending = |idle, times| {
            Reply::Array(vec![
                Reply::bulk("1-0"),
                Reply::bulk("c"),
                Reply::Integer(idle),
                Reply::Integer(times),
            ])
        };
        check(Compare::Stream, pending(1, 2), pending(3, 2), true);
        check(Compare::Stream, pending(1, 2), pending(1, 3), false);
        let group = |consumers, lag| {
            let fields = [("consumers", consumers), ("lag", lag)];
            let flat = fields.map(|(name, value)| [Reply::bulk(name), Reply::Integer(value)]);
            Reply::Array(vec![Reply::Array(flat.into_iter().flatten().collect())])
        };
        check(Compare::Groups, group(1, 2), group(3, 2), true);
        check(Compare::Groups, group(1, 2), group(1, 3), false);
    }

    #[test]
    fn the_same_in_other_words_is_the_same_also_in_the_error_of_a_script() {
        for today in UNBALANCED_TODAY {
            for (before, behind) in
                [("ERR ", ""), ("ERR user_script:1: ERR ", " script: a, on @user_script:1.")]
            {
                let error = |words: &str| Reply::Error(format!("{before}{words}{behind}"));
                check(Compare::Exact, error(today), error(UNBALANCED), true);
                check(Compare::Exact, error(today), error("Unbalanced"), false);
            }
        }
    }

    #[test]
    fn replies_are_the_same_byte_for_byte_or_as_far_as_redis_promises() {
        let array = |items: &[&str]| Reply::Array(items.iter().map(Reply::bulk).collect());
        check(Compare::Exact, Reply::bulk("a"), Reply::bulk("a"), true);
        check(Compare::Exact, Reply::bulk("a"), Reply::Simple("a".into()), false);
        check(Compare::Exact, array(&["a", "b"]), array(&["b", "a"]), false);
        check(Compare::Unordered, array(&["a", "b"]), array(&["b", "a"]), true);
        check(Compare::Unordered, array(&["a", "b"]), array(&["b", "b"]), false);
        check(Compare::Unordered, array(&["a"]), Reply::Error("ERR".into()), false);
        check(Compare::Seconds, Reply::Integer(100), Reply::Integer(99), true);
        check(Compare::Seconds, Reply::Integer(100), Reply::Integer(90), false);
        check(Compare::Seconds, Reply::Integer(-1), Reply::Integer(-2), false);
        let far = |items: &[(&str, &str)]| {
            Reply::Array(items.iter().map(|(name, distance)| array(&[name, distance])).collect())
        };
        let near = far(&[("a", "1"), ("b", "1"), ("c", "2")]);
        check(Compare::Distances, near.clone(), far(&[("b", "1"), ("a", "1"), ("d", "2")]), true);
        check(Compare::Distances, near.clone(), far(&[("a", "1"), ("x", "1"), ("c", "2")]), false);
        check(Compare::Distances, near, far(&[("a", "1"), ("b", "2"), ("c", "2")]), false);
        check(Compare::Distances, array(&["a", "b"]), array(&["a", "c"]), false);
        check(Compare::Kind, Reply::Integer(1), Reply::Integer(7), true);
        check(Compare::Kind, Reply::Error("ERR a".into()), Reply::Error("ERR b".into()), false);
        check(Compare::Nullness, Reply::bulk("a"), Reply::NullBulk, false);
    }
}
