//! A client that makes the server fold, reclaim and expire while the queues are under load, on
//! collections of its own, and looks at the shared ones at one moment.

use super::element;
use super::ledger::{Id, QUEUES, Queue, Rest};
use super::worker::Round;
use crate::client::Command;
use crate::{Client, Reply, Result, Rng, wait};
use std::collections::HashSet;
use std::time::Duration;

const OWN: &str = "own:list own:set own:hash own:zset";
const EXPIRY_LIMIT: Duration = Duration::from_secs(20);
/// Where a packed collection becomes a wide one: so low that collections cross it all the time.
const BORDERS: &[usize] = &[1, 4, 16, 64, 512];

/// Works until the round is over; says how many things it has done.
pub fn run(round: &Round, rng: &mut Rng) -> Result<u64> {
    let mut done = 0;
    match work(round, rng, &mut done) {
        Ok(()) => Ok(done),
        // A wrong answer is never excused.
        Err(Failure::Wrong(error)) => Err(error),
        Err(Failure::Broken(error)) => round.excuse(error).map(|()| done),
    }
}

/// Deletes what is its own, in whatever state a crash has left it.
pub fn clean(client: &mut Client) -> Result {
    client.want(&format!("DEL {OWN}")).map(drop)
}

type Done = std::result::Result<(), Failure>;

enum Failure {
    Broken(crate::Error),
    Wrong(crate::Error),
}

fn work(round: &Round, rng: &mut Rng, done: &mut u64) -> Done {
    let client = Client::connect(round.addr).map_err(Failure::Broken)?;
    let mut own = Own { client };
    own.check(&format!("DEL {OWN}"), |_| true)?;
    while round.goes_on() {
        let size = 100 + rng.below(2000);
        match rng.below(6) {
            0 => own.trim(size, rng)?,
            1 => own.delete(size)?,
            2 => own.expire(size)?,
            3 => own.remove_all(size)?,
            4 => own.move_borders(rng, round.is_peer)?,
            _ => own.look()?,
        }
        *done += 1;
    }
    Ok(())
}

struct Own {
    client: Client,
}

impl Own {
    fn call(&mut self, line: &str) -> std::result::Result<Reply, Failure> {
        self.client.line(line).map_err(Failure::Broken)
    }

    fn check(&mut self, line: &str, is_right: impl Fn(&Reply) -> bool) -> Done {
        let reply = self.call(line)?;
        if reply.is_error() || !is_right(&reply) {
            return Err(Failure::Wrong(format!("maintenance: {line}: {reply:?}").into()));
        }
        Ok(())
    }

    fn count(&mut self, line: &str, expected: usize) -> Done {
        self.check(line, |reply| reply.integer() == Some(expected as i64))
    }

    /// Adds numbers below `size`, some in a command.
    fn fill(&mut self, name: &str, key: &str, size: usize) -> Done {
        const AT_ONCE: usize = 37;
        let chunk = |first: usize| -> Command {
            let mut words = crate::client::words(&format!("{name} {key}"));
            for number in first..size.min(first + AT_ONCE) {
                if matches!(name, "HSET" | "ZADD") {
                    words.push(number.to_string().into_bytes());
                }
                words.push(number.to_string().into_bytes());
            }
            words
        };
        let commands: Vec<Command> = (0..size).step_by(AT_ONCE).map(chunk).collect();
        let replies = self.client.pipeline(&commands).map_err(Failure::Broken)?;
        match replies.into_iter().find(Reply::is_error) {
            Some(error) => Err(Failure::Wrong(format!("maintenance: {name} {key}: {error:?}").into())),
            None => Ok(()),
        }
    }

    fn trim(&mut self, size: usize, rng: &mut Rng) -> Done {
        self.fill("RPUSH", "own:list", size)?;
        let (from, to) = (rng.below(size / 2), size / 2 + rng.below(size / 2));
        self.check(&format!("LTRIM own:list {from} {to}"), |reply| *reply == Reply::ok())?;
        self.count("LLEN own:list", to + 1 - from)?;
        let expected = Reply::Array((from..=to).map(|number| Reply::bulk(number.to_string())).collect());
        self.check("LRANGE own:list 0 -1", |reply| *reply == expected)?;
        // What is pushed now lies where items were cut off.
        self.fill("RPUSH", "own:list", 300)?;
        self.fill("LPUSH", "own:list", 300)?;
        self.count("LLEN own:list", to + 1 - from + 600)?;
        let first = Reply::Array((0..300).rev().map(|number| Reply::bulk(number.to_string())).collect());
        self.check("LRANGE own:list 0 299", |reply| *reply == first)?;
        self.count("DEL own:list", 1)?;
        self.count("RPUSH own:list again", 1)?;
        self.check("LRANGE own:list 0 -1", |reply| *reply == Reply::Array(vec![Reply::bulk("again")]))?;
        self.count("DEL own:list", 1)
    }

    /// Nothing of it may be in what is made anew under its name.
    fn delete(&mut self, size: usize) -> Done {
        self.fill("SADD", "own:set", size)?;
        self.count("SCARD own:set", size)?;
        self.count("DEL own:set", 1)?;
        self.count("EXISTS own:set", 0)?;
        self.fill("SADD", "own:set", 3)?;
        self.count("SCARD own:set", 3)?;
        self.check("SMEMBERS own:set", |reply| reply.items().is_some_and(|items| items.len() == 3))?;
        self.count("DEL own:set", 1)
    }

    fn expire(&mut self, size: usize) -> Done {
        self.fill("ZADD", "own:zset", size)?;
        self.count("ZCARD own:zset", size)?;
        self.count("PEXPIRE own:zset 3", 1)?;
        let mut broken = None;
        wait::until("an expiry", EXPIRY_LIMIT, || match self.client.line("EXISTS own:zset") {
            Ok(Reply::Integer(1)) => None,
            Ok(_) => Some(()),
            Err(error) => {
                broken = Some(error);
                Some(())
            }
        })
        .map_err(Failure::Wrong)?;
        if let Some(error) = broken {
            return Err(Failure::Broken(error));
        }
        self.count("ZADD own:zset 1 again", 1)?;
        self.count("ZCARD own:zset", 1)?;
        self.check("TTL own:zset", |reply| *reply == Reply::Integer(-1))?;
        self.count("DEL own:zset", 1)
    }

    /// Empties a collection element by element.
    fn remove_all(&mut self, size: usize) -> Done {
        self.fill("HSET", "own:hash", size)?;
        self.count("HLEN own:hash", size)?;
        let commands: Vec<Command> =
            (0..size).map(|number| crate::client::words(&format!("HDEL own:hash {number}"))).collect();
        let replies = self.client.pipeline(&commands).map_err(Failure::Broken)?;
        if let Some(reply) = replies.iter().find(|reply| **reply != Reply::Integer(1)) {
            return Err(Failure::Wrong(format!("maintenance: HDEL: {reply:?}").into()));
        }
        self.count("EXISTS own:hash", 0)
    }

    fn move_borders(&mut self, rng: &mut Rng, is_peer: bool) -> Done {
        for line in borders(*rng.pick(BORDERS)) {
            let reply = self.call(&line)?;
            if reply != Reply::ok() && !is_peer {
                return Err(Failure::Wrong(format!("maintenance: {line}: {reply:?}").into()));
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Done {
        for queue in QUEUES {
            let reply = self.call(whole(queue).1)?;
            let looked = ids_of(queue, &reply);
            looked.map_err(|error| Failure::Wrong(format!("{queue:?} under load: {error}").into()))?;
        }
        Ok(())
    }
}

fn borders(border: usize) -> [String; 5] {
    [
        format!("CONFIG SET list-max-listpack-size {border}"),
        format!("CONFIG SET hash-max-listpack-entries {border}"),
        format!("CONFIG SET set-max-listpack-entries {border}"),
        format!("CONFIG SET set-max-intset-entries {border}"),
        format!("CONFIG SET zset-max-listpack-entries {border}"),
    ]
}

/// The commands that give a collection's length and all that is in it.
fn whole(queue: Queue) -> (&'static str, &'static str) {
    match queue {
        Queue::Hot => ("LLEN {lists}:hot", "LRANGE {lists}:hot 0 -1"),
        Queue::Second => ("LLEN {lists}:second", "LRANGE {lists}:second 0 -1"),
        Queue::Set => ("SCARD the:set", "SMEMBERS the:set"),
        Queue::Hash => ("HLEN the:hash", "HGETALL the:hash"),
        Queue::SortedSet => ("ZCARD the:zset", "ZRANGE the:zset 0 -1 WITHSCORES"),
    }
}

/// The elements of a whole collection, none of them twice.
fn ids_of(queue: Queue, reply: &Reply) -> Result<Vec<Id>> {
    let items = reply.items().ok_or_else(|| format!("{reply:?}"))?;
    let strings: Vec<&[u8]> = items.iter().filter_map(Reply::bytes).collect();
    let ids = element::elements(&strings, element::with_of(queue))?;
    let mut seen = HashSet::new();
    match ids.iter().find(|id| !seen.insert(**id)) {
        Some(twice) => Err(format!("{twice} is there twice").into()),
        None => Ok(ids),
    }
}

/// What is in a collection that nobody uses.
pub fn rest(client: &mut Client, queue: Queue) -> Result<Rest> {
    let (len, all) = whole(queue);
    let len = client.want(len)?.integer().ok_or("a length is a number")?;
    let ids = ids_of(queue, &client.want(all)?).map_err(|error| format!("{queue:?}: {error}"))?;
    let exists = client.want(&format!("EXISTS {}", queue.key()))?;
    if exists != Reply::Integer(i64::from(!ids.is_empty())) {
        return Err(format!("{queue:?}: EXISTS is {exists:?} of {} elements", ids.len()).into());
    }
    Ok(Rest { len, ids })
}
