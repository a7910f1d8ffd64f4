//! Values that are dumped and restored: by the same server, or carried from one to the other.
//!
//! The step is written `DUMP key RESTORE other OWN` or `DUMP key RESTORE other ACROSS`. No server knows such a
//! command: what one of them dumps is in no other's words until it is restored there.

use crate::client::Client;
use crate::{Reply, Result};

/// Has both servers dump a key and restore another one of that, or of what the other one has dumped; returns
/// what each says to the latter.
pub(super) fn carry(
    tested: &mut Client,
    reference: &mut Client,
    command: &[Vec<u8>],
) -> Result<(Reply, Reply)> {
    let [_, from, _, to, how] = command else {
        return Err("a value is carried from one key to another".into());
    };
    let dump: [&[u8]; 2] = [b"DUMP", from];
    let (left, right) = (tested.call(&dump)?, reference.call(&dump)?);
    let (Some(left), Some(right)) = (left.bytes(), right.bytes()) else { return Ok((left, right)) };
    let is_across = how.eq_ignore_ascii_case(b"ACROSS");
    let restore = |client: &mut Client, own: &[u8], other: &[u8]| {
        let payload = if is_across { other } else { own };
        client.call(&[&b"RESTORE"[..], to, b"0", payload, b"REPLACE"])
    };
    Ok((restore(tested, left, right)?, restore(reference, right, left)?))
}
