//! The mark on an atespace that somebody is about to delete.
//!
//! Actors of an atespace lie on all shards, and no step of a store covers two of them. So to delete one:
//!
//! 1. its record is marked: a field `deleting`, which other readers ignore;
//! 2. all shards are walked over: is there any actor of it? How far the walk has come is written into the
//!    mark, so that it may take many calls;
//! 3. the record is deleted, if it still is, byte for byte, the one with that mark.
//!
//! And to create an actor in it:
//!
//! 1. the atespace is read: it must be there;
//! 2. the actor is written;
//! 3. the atespace is read again. It is gone: the actor is taken back, and the call fails. It is marked: the
//!    mark is removed. It is neither: nothing is to be done.
//!
//! No actor that is acknowledged is left in an atespace that is deleted. Let the deletion's mark be made at
//! time M, and its step 3 succeed at time D. From M to D the record had this mark, as every text is unique
//! and each writer compares: whoever removes it makes step 3 fail. The creation reads the atespace for the
//! second time at time R, after it has written its actor. If R is before M, the actor was there before the
//! walk began, and all through it: the walk finds it, or it was deleted by then. If R is between M and D,
//! the creation sees the mark and removes it before it succeeds: step 3 cannot succeed at D. If R is after
//! D, it finds the atespace gone, or one that was created since, which is where the actor then lives.
//!
//! A creation that dies between its steps 2 and 3 may leave an actor behind that nobody was told of. It is
//! found when an atespace of that name exists again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::{Document, nonce};
use crate::proto::Atespace;
use crate::record::Error;
use crate::store::SlotSet;
use crate::walk::{Place, Progress};

/// The field of an atespace's record that has the mark.
const FIELD: &str = "deleting";

/// What the field holds: whose deletion it is, and how far its walk has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    id: String,
    /// The slots without an actor, as ranges.
    #[serde(default)]
    done: Vec<(u16, u16)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Spot>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Spot {
    node: String,
    run: String,
    epoch: u64,
    /// As text: JSON's numbers lose digits.
    cursor: String,
}

impl Mark {
    fn new() -> Self {
        Self { id: nonce(), done: Vec::new(), place: None }
    }

    /// Where the walk goes on.
    pub fn progress(&self) -> Progress {
        let mut done = SlotSet::new();
        self.done.iter().for_each(|&(first, last)| done.insert_range(first..=last));
        let place = self.place.as_ref().and_then(|spot| {
            let cursor = spot.cursor.parse().ok()?;
            Some(Place { node: spot.node.clone(), run: spot.run.clone(), epoch: spot.epoch, cursor })
        });
        Progress { done, place }
    }

    fn at(&self, progress: Progress) -> Self {
        let place = progress.place.map(|place| Spot {
            node: place.node,
            run: place.run,
            epoch: place.epoch,
            cursor: place.cursor.to_string(),
        });
        Self { id: self.id.clone(), done: progress.done.ranges(), place }
    }
}

/// The mark on an atespace. `None`: there is none, or none that we understand.
pub fn of(atespace: &Document<Atespace>) -> Option<Mark> {
    serde_json::from_value(atespace.extra.get(FIELD)?.clone()).ok()
}

/// An atespace with a mark of its own.
pub fn with(atespace: &Document<Atespace>) -> Result<Document<Atespace>, Error> {
    set(atespace, &Mark::new())
}

/// The same mark, with a walk that has come further.
pub fn moved(
    atespace: &Document<Atespace>,
    mark: &Mark,
    progress: Progress,
) -> Result<Document<Atespace>, Error> {
    set(atespace, &mark.at(progress))
}

fn set(atespace: &Document<Atespace>, mark: &Mark) -> Result<Document<Atespace>, Error> {
    let mut extra = atespace.extra.clone();
    extra.insert(FIELD.into(), serde_json::to_value(mark)?);
    Document::write(atespace.record.clone(), extra)
}

/// An atespace without its mark, whoever has made it. `None`: it has none.
pub fn without(atespace: &Document<Atespace>) -> Option<Result<Document<Atespace>, Error>> {
    let mut extra = atespace.extra.clone();
    extra.remove(FIELD).filter(|mark| *mark != Value::Null)?;
    Some(Document::write(atespace.record.clone(), extra))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    #[test]
    fn a_mark_keeps_how_far_the_walk_has_come() {
        let atespace = Document::write(Atespace { name: "a".into() }, Map::new()).unwrap();
        assert!(of(&atespace).is_none() && without(&atespace).is_none());
        let marked = with(&atespace).unwrap();
        let mark = of(&marked).unwrap();
        let place = Place { node: "n".into(), run: "r".into(), epoch: 7, cursor: u64::MAX };
        let progress = Progress { done: [1, 2, 3, 9].into_iter().collect(), place: Some(place) };
        let moved = moved(&marked, &mark, progress.clone()).unwrap();
        let read = Document::read(b"atespace:a", moved.text).unwrap();
        assert_eq!(of(&read).unwrap().progress(), progress);
        assert_eq!(of(&read).unwrap().id, mark.id);
        let unmarked = without(&read).unwrap().unwrap();
        assert!(of(&unmarked).is_none());
    }

    #[test]
    fn the_text_of_a_mark_has_room_in_a_record() {
        let atespace = Document::write(Atespace { name: "a".into() }, Map::new()).unwrap();
        let marked = with(&atespace).unwrap();
        let done = (0..base::slot::SLOTS).step_by(2).collect();
        let progress = Progress { done, place: None };
        assert!(moved(&marked, &of(&marked).unwrap(), progress).is_ok());
    }
}
