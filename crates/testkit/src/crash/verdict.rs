//! What must hold after a restart.

use super::Summary;
use super::collection::{self, Kind, Value};
use super::model::{Entry, Op, State, shared_key};
use super::worker::{SHARED_COUNTERS, Shared, Worker, number};
use crate::{Client, Result};

pub(super) fn check(client: &mut Client, workers: &mut [Worker], shared: &mut Shared) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut keys_expected = 0;
    check_shared(client, workers, shared)?;
    for worker in workers.iter_mut() {
        let mut actual = read(client, &worker.keys())?;
        read_collections(client, &worker.collections(), &mut actual)?;
        let uncertain = worker.uncertain.drain(..);
        let in_flight: Vec<Op> = uncertain.chain(worker.in_flight.drain(..)).collect();
        let applied = explain(&worker.sure, &in_flight, &actual)?;
        keys_expected += actual.len();
        summary.acknowledged += std::mem::take(&mut worker.acknowledged);
        summary.refused += std::mem::take(&mut worker.refused);
        summary.in_flight += in_flight.len() as u64;
        summary.applied += applied as u64;
        worker.sure = actual;
    }
    keys_expected += shared.base.iter().filter(|&&value| value != 0).count();
    let keys = client.want("DBSIZE")?.integer().unwrap_or(-1);
    if keys != keys_expected as i64 {
        return Err(format!("DBSIZE is {keys}, but {keys_expected} keys are there").into());
    }
    Ok(summary)
}

/// Finds the first part of the commands in flight that, applied after what was acknowledged, gives
/// what is there; its length. There must be one.
pub fn explain(sure: &State, in_flight: &[Op], actual: &State) -> Result<usize> {
    let mut state = sure.clone();
    let mut closest = differences(&state, actual);
    if closest.is_empty() {
        return Ok(0);
    }
    for (index, op) in in_flight.iter().enumerate() {
        op.apply(&mut state);
        let differences = differences(&state, actual);
        if differences.is_empty() {
            return Ok(index + 1);
        }
        if differences.len() < closest.len() {
            closest = differences;
        }
    }
    Err(format!(
        "what is there is not what was acknowledged, nor that with a first part of what was in flight.\n\
         Closest, it differs in:\n  {}\nIn flight were:\n  {}",
        closest.join("\n  "),
        in_flight.iter().map(|op| format!("{op:?}")).collect::<Vec<_>>().join("\n  ")
    )
    .into())
}

fn differences(expected: &State, actual: &State) -> Vec<String> {
    let show = |entry: Option<&Entry>| {
        entry.map_or("nothing".to_owned(), |entry| {
            format!("{} expiring {}", entry.value.show(), entry.expire_ms)
        })
    };
    let mut keys: Vec<&String> = expected.keys().chain(actual.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|key| (key, expected.get(key), actual.get(key)))
        .filter(|(_, expected, actual)| expected != actual)
        .map(|(key, expected, actual)| format!("{key}: expected {}, found {}", show(expected), show(actual)))
        .collect()
}

fn read(client: &mut Client, keys: &[String]) -> Result<State> {
    for key in keys {
        client.queue(&["GET", key]);
        client.queue(&["PEXPIRETIME", key]);
    }
    client.flush()?;
    let mut state = State::new();
    for key in keys {
        let (value, expiry) = (client.receive()?, client.receive()?);
        let expire_ms = expiry.integer().ok_or_else(|| format!("PEXPIRETIME {key}: {expiry:?}"))?;
        if let Some(value) = value.bytes() {
            state.insert(key.clone(), Entry { value: Value::Text(value.to_vec()), expire_ms });
        } else if !value.is_null() {
            return Err(format!("GET {key}: {value:?}").into());
        }
    }
    Ok(state)
}

fn read_collections(client: &mut Client, keys: &[(Kind, String)], state: &mut State) -> Result {
    for (kind, key) in keys {
        let expiry = client.want(&format!("PEXPIRETIME {key}"))?;
        let expire_ms = expiry.integer().ok_or_else(|| format!("PEXPIRETIME {key}: {expiry:?}"))?;
        if let Some(value) = collection::read(client, *kind, key)? {
            state.insert(key.clone(), Entry { value, expire_ms });
        }
    }
    Ok(())
}

fn check_shared(client: &mut Client, workers: &mut [Worker], shared: &mut Shared) -> Result {
    for counter in 0..SHARED_COUNTERS {
        let actual = number(&client.call(&["GET", &shared_key(counter)])?);
        let sent: u64 = workers
            .iter_mut()
            .filter_map(|worker| worker.shared_sent.get_mut(counter))
            .map(std::mem::take)
            .sum();
        let mut replies: Vec<i64> = Vec::new();
        for worker in workers.iter_mut() {
            replies.append(worker.shared_replies.get_mut(counter).unwrap_or(&mut Vec::new()));
        }
        let (Some(base), Some(seen)) = (shared.base.get_mut(counter), shared.seen.get_mut(counter)) else {
            continue;
        };
        let shown = replies.iter().copied().max().unwrap_or(0).max(*seen);
        check_counter(*base, sent, replies, shown, actual)
            .map_err(|error| format!("{}: {error}", shared_key(counter)))?;
        (*base, *seen) = (actual, actual);
    }
    Ok(())
}

/// Every acknowledged increment counts once, one in flight at most once, and no two got one number.
fn check_counter(base: i64, sent: u64, mut replies: Vec<i64>, shown: i64, actual: i64) -> Result {
    let acknowledged = replies.len() as u64;
    replies.sort_unstable();
    if let Some(pair) = replies.windows(2).find(|pair| pair.first() == pair.last()) {
        return Err(format!("two increments were answered with the same {pair:?}").into());
    }
    let (least, most) = (base + acknowledged as i64, base + sent as i64);
    if !(least..=most).contains(&actual) || actual < shown {
        return Err(format!(
            "it was {base}, {acknowledged} increments were acknowledged of {sent} sent, {shown} was shown \
             to somebody, and now it is {actual}"
        )
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_counts_each_acknowledged_increment_once() {
        assert!(check_counter(10, 3, vec![11, 12], 12, 12).is_ok());
        assert!(check_counter(10, 3, vec![11, 12], 12, 13).is_ok());
        assert!(check_counter(10, 3, vec![11, 12], 12, 11).is_err(), "one was lost");
        assert!(check_counter(10, 3, vec![11, 12], 12, 14).is_err(), "one was repeated");
        assert!(check_counter(10, 3, vec![11, 11], 12, 12).is_err(), "two are the same");
        assert!(check_counter(10, 3, vec![11], 13, 12).is_err(), "somebody saw more");
    }
}
