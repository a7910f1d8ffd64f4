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
//! A creation that finds the actor there takes step 3 as well before it says so: whoever repeats a creation
//! that has failed after its step 2, and is told that the actor exists, takes it for acknowledged.
//!
//! A creation that dies between its steps 2 and 3 may leave an actor behind that nobody was told of. It is
//! found when an atespace of that name exists again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::{Document, nonce};
use crate::proto::Atespace;
use crate::record::Error;

/// The field of an atespace's record that has the mark.
const FIELD: &str = "deleting";

/// What the field holds: whose deletion it is, and how far its walk has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    id: String,
    /// As a token of a listing. Empty: it is at the beginning.
    #[serde(default)]
    pub token: String,
}

/// The mark on an atespace. `None`: there is none, or none that we understand.
pub fn of(atespace: &Document<Atespace>) -> Option<Mark> {
    serde_json::from_value(atespace.extra.get(FIELD)?.clone()).ok()
}

/// An atespace with a mark of its own.
pub fn with(atespace: &Document<Atespace>) -> Result<Document<Atespace>, Error> {
    set(atespace, &Mark { id: nonce(), token: String::new() })
}

/// The same mark, with a walk that has come further.
pub fn moved(atespace: &Document<Atespace>, mark: &Mark, token: &str) -> Result<Document<Atespace>, Error> {
    set(atespace, &Mark { id: mark.id.clone(), token: token.to_owned() })
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
        assert_eq!(mark.token, "");
        let moved = moved(&marked, &mark, "half").unwrap();
        let read = Document::read(b"atespace:a", moved.text).unwrap();
        assert_eq!(of(&read), Some(Mark { id: mark.id, token: "half".into() }));
        let unmarked = without(&read).unwrap().unwrap();
        assert!(of(&unmarked).is_none());
    }

    #[test]
    fn no_two_deletions_have_the_same_mark() {
        let atespace = Document::write(Atespace { name: "a".into() }, Map::new()).unwrap();
        assert_ne!(of(&with(&atespace).unwrap()), of(&with(&atespace).unwrap()));
    }
}
