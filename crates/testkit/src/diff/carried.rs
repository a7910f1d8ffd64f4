//! Values that are dumped and restored: by the same server, or carried from one to the other.
//!
//! The step is written `DUMP key RESTORE other OWN` or `DUMP key RESTORE other ACROSS`. No server knows such a
//! command: what one of them dumps is in no other's words until it is restored there.

use crate::client::Client;
use crate::{Flavour, Reply, Result};

/// The newest version of payloads that Redis 7.0 takes.
const VERSION_OF_REDIS: u16 = 10;

/// Has both servers dump a key and restore another one of that, or of what the other one has dumped; returns
/// what each says to the latter.
pub(super) fn carry(
    (tested, its_flavour): (&mut Client, Flavour),
    (reference, flavour): (&mut Client, Flavour),
    command: &[Vec<u8>],
) -> Result<(Reply, Reply)> {
    let [_, from, _, to, how] = command else {
        return Err("a value is carried from one key to another".into());
    };
    let dump: [&[u8]; 2] = [b"DUMP", from];
    let (left, right) = (tested.call(&dump)?, reference.call(&dump)?);
    let (Some(left), Some(right)) = (left.bytes(), right.bytes()) else { return Ok((left, right)) };
    let is_across = how.eq_ignore_ascii_case(b"ACROSS");
    let restore = |client: &mut Client, flavour: Flavour, own: &[u8], other: &[u8]| {
        let payload = if is_across && is_known(other, flavour) { other } else { own };
        client.call(&[&b"RESTORE"[..], to, b"0", payload, b"REPLACE"])
    };
    Ok((restore(tested, its_flavour, left, right)?, restore(reference, flavour, right, left)?))
}

/// Whether a server takes payloads of this version.
fn is_known(payload: &[u8], flavour: Flavour) -> bool {
    let version = payload.len().checked_sub(10).and_then(|at| payload.get(at..)?.first_chunk());
    flavour != Flavour::Redis
        || version.is_some_and(|version| u16::from_le_bytes(*version) <= VERSION_OF_REDIS)
}
