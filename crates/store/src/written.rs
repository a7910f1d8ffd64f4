//! What a transaction has written, as far as those who wait, watch or look on have to know.

use std::collections::HashSet;

use crate::collection::stream::Head;
use crate::group::Group;
use crate::keys::{self, Entries, Home, KeyRecord, Unreachable};
use crate::record::{Kind, Peek, Record, Value};
use crate::scratch::{Scratch, Touched};
use crate::watches::Name;

/// A key that a transaction has written, and what it holds then.
pub(crate) struct WrittenKey {
    pub(crate) name: Name,
    pub(crate) kind: Option<Kind>,
    /// It holds nothing, but did in between.
    pub(crate) came_and_went: bool,
    /// To who watches it nothing has changed.
    pub(crate) is_quiet: bool,
    /// Who waits for it has to look.
    pub(crate) has_news: bool,
}

/// What has happened to streams.
struct Streams {
    /// Where entries were added.
    appended: HashSet<Entries>,
    /// Where groups have gone.
    left: HashSet<Home>,
}

impl Streams {
    fn new(scratch: &Scratch) -> Self {
        let group = |row: &Touched| match Unreachable::decode(scratch.keys.get(row.key.clone())?) {
            Ok(Unreachable::Group(group)) if row.is_written() => Some(group.home),
            _ => None,
        };
        Self {
            appended: scratch.appended.iter().map(|new| new.entries).collect(),
            left: scratch.rows.iter().filter_map(group).collect(),
        }
    }

    /// Whether there may be something for who waits for a stream: it is another one, it has got entries, or groups
    /// have gone. Whatever else happens to it leaves those waiting who found nothing before.
    fn have_news(&self, row: &Touched) -> bool {
        let head = |value: &Value| Head::decode(Record::decode(value.clone()).ok()?.payload()).ok();
        let (Some(now), before) = (row.value().and_then(head), row.before().and_then(head)) else {
            return true;
        };
        before.is_none_or(|before| before.home() != now.home())
            || self.appended.contains(&now.entries)
            || self.left.contains(&now.home())
    }
}

impl Group {
    /// The keys that a transaction has written, with what they hold.
    pub(crate) fn written_keys(scratch: &Scratch) -> Vec<WrittenKey> {
        let mut streams = None;
        let written = scratch.rows.iter().filter_map(|row| {
            let is_quiet = !row.is_changed_key();
            if is_quiet && !row.is_written() {
                return None;
            }
            let key = scratch.keys.get(row.key.clone()).filter(|key| key.first() == Some(&keys::KEY))?;
            let KeyRecord { space, key, .. } = KeyRecord::decode(key).ok()?;
            let kind = row.value().and_then(|value| Peek::at(value)).map(|peek| peek.kind);
            let has_news = match kind {
                Some(Kind::Stream) => streams.get_or_insert_with(|| Streams::new(scratch)).have_news(row),
                _ => !is_quiet,
            };
            let (name, came_and_went) = ((space, key.to_vec()), row.came_and_went);
            let written = WrittenKey { name, kind, came_and_went, is_quiet, has_news };
            (has_news || !is_quiet).then_some((row.came, written))
        });
        // Who waits for what came first is served first.
        let mut written: Vec<_> = written.collect();
        written.sort_by_key(|(came, _)| *came);
        written.into_iter().map(|(_, written)| written).collect()
    }
}
