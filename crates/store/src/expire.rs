//! Active expiry: removes keys whose time has come, in slices, as ordinary transactions on the
//! leader. Replicas never expire anything by their own clock.

use std::sync::atomic::Ordering;

use crate::group::Group;
use crate::keys;
use crate::lanes::Leave;
use crate::txn::{Scratch, Stop};

/// Keys looked at in one slice.
pub const SLICE: usize = 128;

/// What a slice of active expiry did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub keys: u64,
    /// There was more than a slice of work.
    pub more: bool,
}

impl Group {
    /// Remembers the earliest expiry that a committed write set added: the index is read from
    /// there.
    pub(crate) fn note_expiry(&self, earliest_ms: Option<u64>) {
        if let Some(at) = earliest_ms {
            self.expiry_head_ms.fetch_min(at, Ordering::SeqCst);
        }
    }

    /// Removes up to a slice of the keys that have expired.
    pub fn expire(&self, scratch: &mut Scratch) -> Result<Expired, Leave> {
        let now = self.now_ms();
        let head = self.expiry_head_ms.load(Ordering::SeqCst);
        if head > now {
            return Ok(Expired::default());
        }
        // IMPORTANT: the head moves up before the index is read, so that a write that comes
        // meanwhile moves it down again.
        self.expiry_head_ms.store(now + 1, Ordering::SeqCst);
        let due = self.due(head, now);
        let result = due.and_then(|due| {
            let mut expired = Expired { keys: 0, more: due.len() == SLICE };
            for key in due {
                expired.keys += u64::from(self.expire_one(&key, scratch)?);
            }
            Ok(expired)
        });
        if !matches!(result, Ok(Expired { more: false, .. })) {
            self.expiry_head_ms.fetch_min(head, Ordering::SeqCst);
        }
        result
    }

    fn due(&self, head: u64, now: u64) -> Result<Vec<Vec<u8>>, Leave> {
        let (from, to) = (keys::expiry_seek(head), keys::expiry_seek(now + 1));
        self.peek_range(&from, &to, SLICE).map_err(|stop| match stop {
            Stop::Disk(error) => Leave::Disk(error),
            _ => Leave::Outgrown,
        })
    }

    /// Removes a key if its record still expires at the index entry's time.
    fn expire_one(&self, index_key: &[u8], scratch: &mut Scratch) -> Result<bool, Leave> {
        let Ok((at, owner)) = keys::decode_expiry(index_key) else { return Ok(false) };
        let done = self.run_inline(0, scratch, |txn| -> Result<bool, Stop> {
            // A database that was flushed: the reclaimer deals with it.
            let Some(database) = txn.begin.spaces.iter().position(|space| *space == owner.space) else {
                return Ok(false);
            };
            txn.select(database as u8);
            txn.remove_if_expires_at(owner.key, at)
        });
        match done {
            Ok(done) => Ok(matches!(done.result, Ok(true))),
            // A reserved key is expired by its next reader or the next round.
            Err(Leave::Outgrown) => Ok(false),
            Err(leave) => Err(leave),
        }
    }
}

