//! Active expiry: removes keys whose time has come, in slices, as ordinary transactions on the
//! leader. Replicas never expire anything by their own clock.

use std::sync::atomic::Ordering;

use crate::group::Group;
use crate::keys;
use crate::lanes::Leave;
use crate::pace::Pace;
use crate::range::Window;
use crate::scratch::Scratch;
use crate::txn::{Stop, Txn};

/// Index entries looked at in one slice.
const SLICE: usize = 128;

/// What else is done, in its transaction, about a key that has expired.
pub type OnExpired<'f> = dyn FnMut(&mut Txn<'_>, &[u8]) -> Result<(), Stop> + 'f;

/// What a round of active expiry did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub keys: u64,
    /// There was more to do than the round was allowed.
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

    /// Removes keys that have expired, a slice of the index at a time while `goes_on` says so.
    pub fn expire(
        &self,
        scratch: &mut Scratch,
        goes_on: &mut dyn FnMut() -> bool,
        also: &mut OnExpired<'_>,
    ) -> Result<Expired, Leave> {
        let now = self.now_ms();
        let head = self.expiry_head_ms.load(Ordering::SeqCst);
        if head > now {
            return Ok(Expired::default());
        }
        // IMPORTANT: the head moves up before the index is read, so that a write that comes
        // meanwhile moves it down again.
        self.expiry_head_ms.store(u64::MAX, Ordering::SeqCst);
        let mut expired = Expired::default();
        let result = self.expire_from((head, now), goes_on, scratch, also, &mut expired);
        self.expiry_head_ms.fetch_min(*result.as_ref().unwrap_or(&head), Ordering::SeqCst);
        result.map(|_| expired)
    }

    /// Says from when on the index has to be looked at the next time.
    fn expire_from(
        &self,
        (head, now): (u64, u64),
        goes_on: &mut dyn FnMut() -> bool,
        scratch: &mut Scratch,
        also: &mut OnExpired<'_>,
        expired: &mut Expired,
    ) -> Result<u64, Leave> {
        let end = keys::expiry_seek(now + 1);
        let mut from = keys::expiry_seek(head).to_vec();
        let mut pace = Pace::new();
        while goes_on() {
            let window = self.peek(&from, &end)?;
            let before = self.sequencer.published();
            for key in &window.keys {
                expired.keys += u64::from(self.expire_one(key, scratch, also)?);
            }
            pace.turn(before, self.sequencer.published());
            match window.next {
                Some(next) => from = next,
                None => return self.next_expiry(now),
            }
        }
        expired.more = true;
        Ok(keys::decode_expiry(&from).map_or(head, |(at, _)| at))
    }

    /// When the first of the keys that have not expired by now does.
    fn next_expiry(&self, now: u64) -> Result<u64, Leave> {
        let window = self.peek(&keys::expiry_seek(now + 1), &[keys::EXPIRY + 1])?;
        let first = window.keys.first().or(window.next.as_ref());
        Ok(first.and_then(|key| keys::decode_expiry(key).ok()).map_or(u64::MAX, |(at, _)| at))
    }

    fn peek(&self, from: &[u8], to: &[u8]) -> Result<Window, Leave> {
        self.peek_window(from, to, SLICE).map_err(|stop| match stop {
            Stop::Disk(error) => Leave::Disk(error),
            _ => Leave::Outgrown,
        })
    }

    /// Removes a key if its record still expires at the index entry's time, and the entry itself if
    /// it does not: that of a database that was flushed, for instance.
    fn expire_one(
        &self,
        index_key: &[u8],
        scratch: &mut Scratch,
        also: &mut OnExpired<'_>,
    ) -> Result<bool, Leave> {
        let Ok((at, owner)) = keys::decode_expiry(index_key) else { return Ok(false) };
        let done = self.run_inline(0, scratch, |txn| -> Result<bool, Stop> {
            if let Some(database) = txn.begin.spaces.iter().position(|space| *space == owner.space) {
                txn.select(database as u8);
                if txn.remove_if_expires_at(owner.key, at)? {
                    also(txn, owner.key)?;
                    return Ok(true);
                }
            }
            txn.write_blind(index_key, None);
            Ok(false)
        })?;
        Ok(matches!(done.result, Ok(true)))
    }
}
