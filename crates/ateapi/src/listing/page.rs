//! A page while it is filled: what it has room for, and how much a step of a scan should look at. Pure.

use super::limits::{
    COUNT_MAX, COUNT_SMALL, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, RESPONSE_BYTES_MAX, TOKEN_CHARS_MAX,
};
use crate::proto::{Actor, ListActorsResponse};
use prost::Message;

/// What a field of a message takes beside what is in it: its number, and its length.
const FIELD_BYTES_MAX: usize = 6;

#[derive(Debug)]
pub(super) struct Page {
    size: usize,
    bytes: usize,
    actors: Vec<Actor>,
    /// A record did not fit any more.
    is_full: bool,
    /// Keys that steps have looked at in this call, roughly, and how many of them were wanted.
    looked: u64,
    wanted: u64,
}

/// How many actors a page holds. `None`: there is no such page.
pub(super) fn size_of(asked: i32) -> Option<u32> {
    match u32::try_from(asked).ok()? {
        0 => Some(PAGE_SIZE_DEFAULT),
        size => Some(size.min(PAGE_SIZE_MAX)),
    }
}

impl Page {
    pub(super) fn new(size: u32) -> Self {
        let bytes = TOKEN_CHARS_MAX + FIELD_BYTES_MAX;
        Self { size: size as usize, bytes, actors: Vec::new(), is_full: false, looked: 0, wanted: 0 }
    }

    /// How many actors still fit.
    pub(super) fn room(&self) -> usize {
        if self.is_full { 0 } else { self.size - self.actors.len() }
    }

    /// Takes an actor, or says that it does not fit.
    pub(super) fn push(&mut self, actor: Actor) -> bool {
        let bytes = self.bytes + actor.encoded_len() + FIELD_BYTES_MAX;
        // The first always fits, or a listing would stand still.
        self.is_full |= bytes > RESPONSE_BYTES_MAX && !self.actors.is_empty();
        if self.room() == 0 {
            return false;
        }
        self.bytes = bytes;
        self.actors.push(actor);
        true
    }

    /// Learns from a step that looked at some `count` keys, and found so many that are wanted.
    pub(super) fn note(&mut self, count: u32, wanted: usize) {
        self.looked += u64::from(count);
        self.wanted += wanted as u64;
    }

    /// What the next step should look at, so that what it finds just fits: first somewhat less than the room, as
    /// servers give what they like, then the little that is left. Where few keys are wanted, more.
    pub(super) fn count(&self) -> u32 {
        let room = u64::try_from(self.room()).unwrap_or(u64::MAX);
        let aim = if room > u64::from(COUNT_SMALL) { room - room / 8 } else { room };
        let count = match self.looked {
            0 => aim,
            looked => aim.saturating_mul(looked) / self.wanted.max(1),
        };
        u32::try_from(count).unwrap_or(u32::MAX).clamp(1, COUNT_MAX)
    }

    /// A step that looked at `count` has found more than there is room for. What to look at instead;
    /// `None`: it is little enough, take a part of it.
    pub(super) fn less(&self, count: u32, found: usize) -> Option<u32> {
        if count <= COUNT_SMALL || found <= self.room() {
            return None;
        }
        let fits = u64::from(count) * self.room() as u64 / found as u64;
        Some(u32::try_from(fits).unwrap_or(u32::MAX).clamp(1, count / 2))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.actors.is_empty()
    }

    pub(super) fn into_response(self, next_page_token: String) -> ListActorsResponse {
        ListActorsResponse { actors: self.actors, next_page_token }
    }
}
