//! A listing, page by page: fetched, printed and forgotten, until it is complete, the user has enough,
//! or something fails. However it ends, the output is whole and the user knows how to go on.

use std::time::Instant;

use crate::api::Page;
use crate::failure::Failure;
use crate::hint;
use crate::numbers::{clock, grouped, rate};
use crate::output::{Format, Look, Printer};
use crate::resource::Resource;
use crate::status::{StatusLine, say};
use crate::walk::{Step, Walk};
use crate::{Session, retry};

pub struct Listing {
    pub format: Format,
    pub look: Look,
    pub chunk: i32,
    pub limit: Option<u64>,
    /// Where it begins.
    pub token: String,
    /// What to add where nothing is found.
    pub place: String,
}

pub async fn run<R: Resource>(
    session: &mut Session,
    listing: Listing,
    fetch: impl AsyncFn(i32, String) -> Result<Page<R>, Failure>,
) -> Result<(), Failure> {
    let mut going = Going {
        printer: Printer::<R>::new(listing.format, listing.look),
        walk: Walk::new(listing.chunk, listing.limit, listing.token),
        status: StatusLine::new(),
        start: Instant::now(),
        has_begun: false,
        place: listing.place,
    };
    let outcome = going.pages(session, fetch).await;
    going.finish(session, outcome).await
}

struct Going<R: Resource> {
    printer: Printer<R>,
    walk: Walk,
    status: StatusLine,
    start: Instant,
    /// A page has come.
    has_begun: bool,
    place: String,
}

impl<R: Resource> Going<R> {
    async fn pages(
        &mut self,
        session: &mut Session,
        fetch: impl AsyncFn(i32, String) -> Result<Page<R>, Failure>,
    ) -> Result<Step, Failure> {
        loop {
            let (size, token) = self.walk.next();
            let (count, start) = (self.walk.count, self.start);
            let text = || progress::<R>(count, start);
            let page = self.status.during(fetch(size, token), &mut session.interrupt, text).await??;
            self.has_begun = true;
            self.printer.page(&page.items, session.stdout.buffer())?;
            if !page.items.is_empty() {
                self.status.make_room();
            }
            session.stdout.flush(&mut session.interrupt).await?;
            // Only now: what is not printed comes again with the token that we would tell.
            let count = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
            let step = self.walk.printed(count, page.next);
            let (count, start) = (self.walk.count, self.start);
            self.status.show(|| progress::<R>(count, start));
            match step {
                Step::More => {}
                Step::Wait(stalls) => {
                    session.interrupt.or(tokio::time::sleep(retry::backoff(stalls))).await?;
                }
                Step::Stalled => {
                    return Err(Failure::Local("the server gives the same page again and again".into()));
                }
                Step::Complete | Step::Enough => return Ok(step),
            }
        }
    }

    async fn finish(mut self, session: &mut Session, outcome: Result<Step, Failure>) -> Result<(), Failure> {
        if outcome == Err(Failure::ClosedPipe) {
            return Err(Failure::ClosedPipe);
        }
        let token = if outcome == Ok(Step::Complete) { None } else { self.walk.token() };
        self.status.hide();
        if self.has_begun || outcome.is_ok() {
            self.printer.end(token, session.stdout.buffer());
            match session.stdout.flush(&mut session.interrupt).await {
                // After Ctrl-C it says again that there was one.
                Ok(()) | Err(Failure::Interrupted(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        let count = self.walk.count;
        if outcome == Ok(Step::Complete) && count == 0 && self.printer.is_for_people() {
            say(&format!("No resources found{}", self.place));
        } else if outcome.is_ok() {
            self.status.leave(&progress::<R>(count, self.start));
        }
        if let Some(text) = outcome.as_ref().err().and_then(Failure::text) {
            say(&text);
        }
        if let Some(token) = token.filter(|_| self.has_begun || count > 0) {
            let what = format!("{} {}", grouped(count), R::KIND.plural());
            let why = match &outcome {
                Ok(_) => format!("There are more than these {what}."),
                Err(Failure::Interrupted(_)) => format!("Interrupted after {what}."),
                Err(_) => format!("The listing is not complete: {what} came."),
            };
            say(&format!("{why} To go on:\n  {}", hint::resume(&session.args, "--page-token", token)));
        }
        match outcome {
            Ok(_) => Ok(()),
            Err(interrupted @ Failure::Interrupted(_)) => Err(interrupted),
            Err(_) => Err(Failure::Said),
        }
    }
}

/// `1,234,500 actors  45,678/s  0:27`.
fn progress<R: Resource>(count: u64, start: Instant) -> String {
    let elapsed = start.elapsed();
    format!(
        "{} {}  {}/s  {}",
        grouped(count),
        R::KIND.plural(),
        grouped(rate(count, elapsed)),
        clock(elapsed)
    )
}
