//! `get -w`: lists again and again, and says what is different. The API has no call for changes.
//!
//! What is remembered is each thing's name and version, and no more of them than the user allows.
//! Something is known to be deleted only after a complete listing without it, as a listing names
//! everything that exists all the while.

use std::collections::HashMap;
use std::time::Duration;

use crate::Session;
use crate::api::Page;
use crate::failure::Failure;
use crate::output::{Event, Format, Look, Printer};
use crate::resource::Resource;
use crate::retry;
use crate::walk::{Step, Walk};

/// Things that are gone are said in pages as well.
const GONE_PAGE: usize = 500;

pub struct Watching {
    pub format: Format,
    pub look: Look,
    pub chunk: i32,
    pub limit: usize,
    pub interval: Duration,
}

pub async fn run<R: Resource>(
    session: &mut Session,
    watching: Watching,
    fetch: impl AsyncFn(i32, String) -> Result<Page<R>, Failure>,
) -> Result<(), Failure> {
    let mut printer = Printer::<R>::new(watching.format, watching.look);
    let mut known = Known::new(watching.limit);
    loop {
        pass(session, &watching, &mut printer, &mut known, &fetch).await?;
        let gone = known.end_pass();
        for gone in gone.chunks(GONE_PAGE) {
            let events: Vec<(Event, R)> =
                gone.iter().map(|(key, version)| (Event::Deleted, R::gone(key, *version))).collect();
            printer.events(&events, session.stdout.buffer())?;
            session.stdout.flush(&mut session.interrupt).await?;
        }
        session.interrupt.or(tokio::time::sleep(watching.interval)).await?;
    }
}

/// One complete listing.
async fn pass<R: Resource>(
    session: &mut Session,
    watching: &Watching,
    printer: &mut Printer<R>,
    known: &mut Known,
    fetch: &impl AsyncFn(i32, String) -> Result<Page<R>, Failure>,
) -> Result<(), Failure> {
    let mut walk = Walk::new(watching.chunk, None, String::new());
    loop {
        let (size, token) = walk.next();
        let page = session.interrupt.or(fetch(size, token)).await??;
        let count = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
        let mut events = Vec::new();
        for item in page.items {
            if let Some(event) = known.see(item.key(), item.version())? {
                events.push((event, item));
            }
        }
        printer.events(&events, session.stdout.buffer())?;
        session.stdout.flush(&mut session.interrupt).await?;
        match walk.printed(count, page.next) {
            Step::More => {}
            Step::Wait(stalls) => session.interrupt.or(tokio::time::sleep(retry::backoff(stalls))).await?,
            Step::Stalled => {
                return Err(Failure::Local("the server gives the same page again and again".into()));
            }
            Step::Complete | Step::Enough => return Ok(()),
        }
    }
}

/// What has been seen, and in which pass.
struct Known {
    versions: HashMap<Box<str>, Seen>,
    limit: usize,
    is_odd_pass: bool,
}

struct Seen {
    version: i64,
    in_odd_pass: bool,
}

impl Known {
    fn new(limit: usize) -> Self {
        Self { versions: HashMap::new(), limit, is_odd_pass: false }
    }

    fn see(&mut self, key: String, version: i64) -> Result<Option<Event>, Failure> {
        if let Some(seen) = self.versions.get_mut(key.as_str()) {
            seen.in_odd_pass = self.is_odd_pass;
            let is_same = std::mem::replace(&mut seen.version, version) == version;
            return Ok((!is_same).then_some(Event::Modified));
        }
        if self.versions.len() >= self.limit {
            return Err(Failure::Local(format!(
                "more than {} things to watch: watch one atespace (-a) or some by their names, or allow more (--watch-limit)",
                self.limit
            )));
        }
        self.versions.insert(key.into(), Seen { version, in_odd_pass: self.is_odd_pass });
        Ok(Some(Event::Added))
    }

    /// What was not seen in the pass that ends here, with its last version.
    fn end_pass(&mut self) -> Vec<(Box<str>, i64)> {
        let is_odd = self.is_odd_pass;
        self.is_odd_pass = !is_odd;
        let mut gone: Vec<(Box<str>, i64)> = self
            .versions
            .extract_if(|_, seen| seen.in_odd_pass != is_odd)
            .map(|(key, seen)| (key, seen.version))
            .collect();
        gone.sort_unstable();
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(known: &mut Known, key: &str, version: i64) -> Option<Event> {
        known.see(key.to_owned(), version).unwrap()
    }

    #[test]
    fn what_is_new_or_different_is_an_event_and_what_comes_twice_is_not() {
        let mut known = Known::new(10);
        assert_eq!(see(&mut known, "a", 1), Some(Event::Added));
        assert_eq!(see(&mut known, "a", 1), None);
        assert_eq!(see(&mut known, "a", 2), Some(Event::Modified));
        assert!(known.end_pass().is_empty());
        assert_eq!(see(&mut known, "a", 2), None);
        assert_eq!(see(&mut known, "a", 1), Some(Event::Modified), "deleted and made again");
    }

    #[test]
    fn only_a_complete_pass_without_it_tells_that_something_is_gone() {
        let mut known = Known::new(10);
        for key in ["a", "b", "c"] {
            see(&mut known, key, 7);
        }
        assert!(known.end_pass().is_empty());
        see(&mut known, "b", 7);
        assert_eq!(known.end_pass(), [("a".into(), 7), ("c".into(), 7)]);
        assert_eq!(see(&mut known, "a", 1), Some(Event::Added), "it is there again");
        assert_eq!(known.end_pass(), [("b".into(), 7)]);
        assert!(known.end_pass().len() == 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = Known::new(2);
        see(&mut known, "a", 1);
        see(&mut known, "b", 1);
        assert_eq!(see(&mut known, "a", 2), Some(Event::Modified));
        let text = known.see("c".into(), 1).unwrap_err().text().unwrap();
        assert!(text.contains("--watch-limit"), "{text}");
    }
}
