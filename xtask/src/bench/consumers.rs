//! Consumers of one group: each takes entries that nobody has taken, and acknowledges them.

use super::measure::VALUE_BYTES;
use crate::Result;
use testkit::{Client, Reply, Rng};

const STREAM: &str = "bench:entries";
const GROUP: &str = "workers";
/// Entries added at a time when the stream is filled.
const ADDED: u64 = 1_000;

/// A stream of so many entries, none of which has been taken.
pub(super) fn fill(client: &mut Client, entries: u64) -> Result {
    client.call(&["DEL", STREAM])?;
    client.call(&["XGROUP", "CREATE", STREAM, GROUP, "$", "MKSTREAM"])?;
    let data = "x".repeat(VALUE_BYTES);
    for first in (0..entries).step_by(ADDED as usize) {
        let some = ADDED.min(entries - first);
        (0..some).for_each(|_| client.queue(&["XADD", STREAM, "*", "data", &data]));
        client.flush()?;
        for _ in 0..some {
            if let error @ Reply::Error(_) = client.receive()? {
                return Err(format!("filling: {error:?}").into());
            }
        }
    }
    Ok(())
}

/// One consumer takes so many entries at once, and acknowledges them at once.
pub(super) fn round(client: &mut Client, rng: &mut Rng, some: u64) -> Result {
    // Whichever of fifty: what a consumer costs does not depend on who asks for it.
    let consumer = format!("consumer:{}", rng.below(50));
    let count = some.to_string();
    let told =
        client.call(&["XREADGROUP", "GROUP", GROUP, &consumer, "COUNT", &count, "STREAMS", STREAM, ">"])?;
    let ids = ids(&told).filter(|ids| ids.len() as u64 == some);
    let ids = ids.ok_or_else(|| format!("of {some} entries a consumer was told {told:?}"))?;
    let mut command: Vec<&[u8]> = vec![b"XACK", STREAM.as_bytes(), GROUP.as_bytes()];
    command.extend(ids);
    match client.call(&command)? {
        Reply::Integer(acknowledged) if acknowledged as u64 == some => Ok(()),
        other => Err(format!("XACK of {some} was answered {other:?}").into()),
    }
}

/// The ids of the entries of one stream.
fn ids(told: &Reply) -> Option<Vec<&[u8]>> {
    let [stream] = told.items()? else { return None };
    let [_, entries] = stream.items()? else { return None };
    entries.items()?.iter().map(|entry| entry.items()?.first()?.bytes()).collect()
}
