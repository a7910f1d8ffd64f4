//! Making, reading and deleting atespaces.

use std::time::Duration;

use tokio::time::Instant;

use super::actors::BEGINNINGS_MAX;
use super::error::{Error, Result};
use super::mark::{self, Mark};
use super::records::{name, pause};
use super::runtime::WorkerRuntime;
use super::Service;
use crate::document::Document;
use crate::names::{self, Key};
use crate::proto::Atespace;
use crate::store::{self, Store};
use crate::walk::{Progress, Walk};

/// What is kept of the time of a call to write down how far it has come.
const RESERVE_MAX: Duration = Duration::from_secs(1);

/// How often that is written down anyway: a call that is given up loses no more.
const SAVE_PERIOD: Duration = Duration::from_secs(2);

/// What became of a walk.
enum Walked {
    Empty,
    /// It has met an actor.
    Inhabited,
    Interrupted(Progress),
    /// The mark is no longer there, or has been moved by another call.
    Overtaken,
}

pub(super) fn key_of(atespace: &str) -> Result<Key<'_>> {
    names::label("name", atespace)?;
    Ok(Key::Atespace { name: atespace })
}

impl<S: Store, W: WorkerRuntime> Service<S, W> {
    pub(super) async fn create_atespace(&self, atespace: &str, deadline: Instant) -> Result<Atespace> {
        let key = key_of(atespace)?;
        let made = self.records.create(Atespace { name: atespace.to_owned() }, deadline).await?;
        made.map(|made| made.record).ok_or_else(|| Error::Exists(name(&key)))
    }

    pub(super) async fn get_atespace(&self, atespace: &str, deadline: Instant) -> Result<Atespace> {
        Ok(self.records.need(&key_of(atespace)?, deadline).await?.record)
    }

    /// See [`mark`] for how and why.
    pub(super) async fn delete_atespace(&self, atespace: &str, deadline: Instant) -> Result<()> {
        let key = key_of(atespace)?;
        for tries in 0..BEGINNINGS_MAX {
            let mut found = self.records.need::<Atespace>(&key, deadline).await?;
            let mark = match mark::of(&found) {
                Some(mark) => mark,
                None => match self.mark(&found, &key, deadline).await? {
                    Some((marked, mark)) => {
                        found = marked;
                        mark
                    }
                    None => {
                        pause(tries, deadline).await;
                        continue;
                    }
                },
            };
            match self.look_for_actors(&mut found, &mark, deadline).await? {
                Walked::Empty if self.records.delete(&found, deadline).await? => return Ok(()),
                Walked::Empty | Walked::Overtaken => pause(tries, deadline).await,
                Walked::Inhabited => {
                    self.unmark(&found, deadline).await;
                    return Err(Error::State(format!("{} has actors", name(&key))));
                }
                Walked::Interrupted(progress) => return Err(unfinished(&key, &progress)),
            }
        }
        Err(Error::Raced(name(&key)))
    }

    async fn mark(
        &self,
        atespace: &Document<Atespace>,
        key: &Key<'_>,
        deadline: Instant,
    ) -> Result<Option<(Document<Atespace>, Mark)>> {
        let unusable = |problem| Error::Record { key: key.to_string(), problem };
        let marked = mark::with(atespace).map_err(unusable)?;
        let Some(mark) = mark::of(&marked) else { return Ok(None) };
        let is_made = self.records.replace(atespace, &marked, deadline).await?;
        Ok(is_made.then_some((marked, mark)))
    }

    /// The atespace stays: spares those who create actors the trouble. If it fails, they take it.
    async fn unmark(&self, marked: &Document<Atespace>, deadline: Instant) {
        if let Some(Ok(unmarked)) = mark::without(marked) {
            let _ = self.records.replace(marked, &unmarked, deadline).await;
        }
    }

    /// Walks over all shards. `marked` is the record as it was written last.
    async fn look_for_actors(
        &self,
        marked: &mut Document<Atespace>,
        mark: &Mark,
        deadline: Instant,
    ) -> Result<Walked> {
        let now = Instant::now();
        let stop = deadline - (deadline.saturating_duration_since(now) / 5).min(RESERVE_MAX);
        let pattern = names::actor_pattern(Some(&marked.record.name));
        let mut walk = Walk::resume(pattern, mark.progress());
        let mut save_at = now + SAVE_PERIOD;
        loop {
            // In stretches, so that how far it has come is written down in between.
            let met = walk.next(&*self.records.store, stop.min(save_at)).await;
            match met {
                Ok(None) => return Ok(Walked::Empty),
                Ok(Some(found)) => {
                    let name = marked.record.name.as_str();
                    let is_one = |key: &[u8]| matches!(Key::parse(key), Some(Key::Actor { atespace, .. }) if atespace == name);
                    if found.keys.iter().any(|key| is_one(key)) {
                        return Ok(Walked::Inhabited);
                    }
                }
                Err(store::Error::Deadline) => {
                    let progress = walk.progress();
                    if !self.save_progress(marked, mark, progress.clone(), deadline).await? {
                        return Ok(Walked::Overtaken);
                    }
                    if Instant::now() >= stop {
                        return Ok(Walked::Interrupted(progress));
                    }
                    save_at = Instant::now() + SAVE_PERIOD;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn save_progress(
        &self,
        marked: &mut Document<Atespace>,
        mark: &Mark,
        progress: Progress,
        deadline: Instant,
    ) -> Result<bool> {
        // Slots that lie in too many pieces have no room in a record: then the next call begins anew.
        let Ok(moved) = mark::moved(marked, mark, progress) else { return Ok(true) };
        let is_made = self.records.replace(marked, &moved, deadline).await?;
        if is_made {
            *marked = moved;
        }
        Ok(is_made)
    }

    /// Makes an atespace whose record is written in one go, for tests.
    #[cfg(test)]
    pub(super) async fn has_mark(&self, atespace: &str, deadline: Instant) -> bool {
        let key = Key::Atespace { name: atespace };
        let found = self.records.get::<Atespace>(&key, deadline).await;
        found.is_ok_and(|found| found.is_some_and(|found| mark::of(&found).is_some()))
    }
}

fn unfinished(key: &Key<'_>, progress: &Progress) -> Error {
    let (done, all) = (progress.done.len(), base::slot::SLOTS);
    Error::Unfinished(format!(
        "there was no time to see whether {} is empty ({done} of {all} hash slots are): repeat the call to go on",
        name(key)
    ))
}

