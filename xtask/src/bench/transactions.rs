//! Five commands at once: as a script, which redis-benchmark sends, and as a transaction, which it cannot send.

use super::measure::{KEYS, VALUE_BYTES};
use crate::Result;
use testkit::{Client, Reply, Rng};

/// What is done at once, with a key's number for `#`. One key, so that a cluster does it as well.
pub(super) const COMMANDS: [&str; 5] = [
    "HGET job:# state",
    "HSET job:# state __data__",
    "EXPIRE job:# 3600",
    "HLEN job:#",
    "HINCRBY job:# tries 1",
];

/// The same as a script.
pub(super) const SCRIPT: &str = "redis.call('HGET', KEYS[1], 'state')
redis.call('HSET', KEYS[1], 'state', ARGV[1])
redis.call('EXPIRE', KEYS[1], 3600)
redis.call('HLEN', KEYS[1])
return redis.call('HINCRBY', KEYS[1], 'tries', 1)";

/// A transaction's replies: to MULTI, to each command, to EXEC.
const REPLIES: usize = COMMANDS.len() + 2;

/// So many transactions of one connection, all of them sent before the first is answered.
pub(super) fn round(client: &mut Client, rng: &mut Rng, some: u64) -> Result {
    for _ in 0..some {
        queue(client, rng);
    }
    client.flush()?;
    (0..some).try_for_each(|_| done(client))
}

fn queue(client: &mut Client, rng: &mut Rng) {
    let key = format!("{:012}", rng.below(KEYS as usize));
    let data = "x".repeat(VALUE_BYTES);
    client.queue(&["MULTI"]);
    for command in COMMANDS {
        let words: Vec<String> =
            command.split(' ').map(|word| word.replace('#', &key).replace("__data__", &data)).collect();
        client.queue(&words);
    }
    client.queue(&["EXEC"]);
}

fn done(client: &mut Client) -> Result {
    let mut last = Reply::Null;
    for _ in 0..REPLIES {
        last = client.receive()?;
    }
    let is_done =
        last.items().is_some_and(|items| items.len() == COMMANDS.len() && !items.iter().any(Reply::is_error));
    if is_done { Ok(()) } else { Err(format!("a transaction was answered {last:?}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_and_the_transaction_do_the_same() {
        let names = COMMANDS.iter().map(|command| command.split(' ').next().unwrap());
        let called = SCRIPT.lines().map(|line| line.split('\'').nth(1).unwrap());
        assert!(names.eq(called));
    }
}
