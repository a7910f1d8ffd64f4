//! Making, reading and deleting atespaces.

use std::time::Duration;

use tokio::time::Instant;

use super::Service;
use super::actors::BEGINNINGS_MAX;
use super::error::{Error, Result};
use super::mark::{self, Mark};
use super::records::{name, pause};
use super::runtime::WorkerRuntime;
use crate::document::Document;
use crate::listing::{ListError, Looked};
use crate::names::{self, Key};
use crate::proto::{Atespace, GOES_ON};
use crate::store::Store;

/// How often it is written down how far a walk has come: a call that is given up loses no more. One that is
/// to end has a tenth of its time left for it.
const SAVE_PERIOD: Duration = Duration::from_secs(2);

/// What became of a walk.
enum Walked {
    Empty,
    /// It has met an actor.
    Inhabited,
    Interrupted,
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
                Walked::Interrupted => return Err(unfinished(&key)),
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
        let began = Instant::now();
        let stop = deadline - deadline.saturating_duration_since(began) / 10;
        let name = marked.record.name.clone();
        let mut token = mark.token.clone();
        let mut saved = began;
        loop {
            let is_over = match self.lister.look_for_actor(&name, &token, stop).await {
                Ok(Looked::Somebody) => return Ok(Walked::Inhabited),
                Ok(Looked::Nobody) => return Ok(Walked::Empty),
                Ok(Looked::Further(further)) => {
                    token = further;
                    Instant::now() >= stop
                }
                Err(ListError::Deadline) => true,
                Err(error) => return Err(error.into()),
            };
            if is_over || saved.elapsed() >= SAVE_PERIOD {
                saved = Instant::now();
                let moved = mark::moved(marked, mark, &token);
                let moved = moved.map_err(|problem| Error::Record { key: name.clone(), problem })?;
                if !self.records.replace(marked, &moved, deadline).await? {
                    return Ok(Walked::Overtaken);
                }
                *marked = moved;
            }
            if is_over {
                return Ok(Walked::Interrupted);
            }
        }
    }
}

fn unfinished(key: &Key<'_>) -> Error {
    let text = "there was no time to see whether";
    Error::Unfinished(format!("{text} {} is empty: {GOES_ON}", name(key)))
}
