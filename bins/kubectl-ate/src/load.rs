//! `admin load`: makes or removes many actors, with so many calls under way at a time. It can be
//! stopped at any moment, and the same command goes on where it was.

use std::time::{Duration, Instant};

use ateproto::ActorRef;
use futures_util::{StreamExt, stream};
use tonic::Code;

use crate::cli::LoadArgs;
use crate::client::Client;
use crate::failure::Failure;
use crate::numbers::{clock, grouped, rate};
use crate::retry::Repeat;
use crate::status::{StatusLine, say};
use crate::{Session, change, hint};

/// How often it says how far it is where no terminal is.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_CHARS: usize = 30;

pub async fn run(mut session: Session, mut args: LoadArgs) -> Result<(), Failure> {
    if args.start >= args.count {
        return Err(Failure::Usage("--start must be less than --count".into()));
    }
    let client = session.connect().await?;
    let selection = crate::cli::Selection { labels: std::mem::take(&mut args.selection.labels) };
    let job = Job { client: &client, selector: change::selector(selection), args: &args };
    let mut tally = Tally::new(&args);
    let outcome = work(&job, &mut tally, &mut session).await;
    let summary = format!("{}\n", tally.summary());
    session.stdout.print(&summary, &mut session.interrupt).await.or_else(|failure| match failure {
        Failure::Interrupted(_) => Ok(()),
        other => Err(other),
    })?;
    let Err(failure) = outcome else { return Ok(()) };
    if let Some(text) = failure.text() {
        say(&text);
    }
    let command = hint::resume(&session.args, "--start", &tally.next().to_string());
    say(&format!("Not all is done. To go on:\n  {command}"));
    Err(if matches!(failure, Failure::Interrupted(_)) { failure } else { Failure::Said })
}

/// In order of their numbers, so that all before the first one that is not done are done.
async fn work(job: &Job<'_>, tally: &mut Tally, session: &mut Session) -> Result<(), Failure> {
    let mut status = StatusLine::new();
    let calls = stream::iter(job.args.start..job.args.count).map(|index| job.one(index));
    let mut calls = std::pin::pin!(calls.buffered(usize::from(job.args.concurrency)));
    let mut said = Instant::now();
    loop {
        let next = status.during(calls.next(), &mut session.interrupt, || tally.bar()).await?;
        let Some(outcome) = next else { return Ok(()) };
        tally.count(outcome?);
        status.show(|| tally.bar());
        if !status.is_on_terminal() && said.elapsed() >= PLAIN_LINE_EVERY {
            said = Instant::now();
            say(&tally.line());
        }
    }
}

struct Job<'a> {
    client: &'a Client,
    selector: Option<ateproto::Selector>,
    args: &'a LoadArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// By this call.
    Now,
    /// By one before.
    Already,
}

impl Job<'_> {
    async fn one(&self, index: u64) -> Result<Done, Failure> {
        let name = format!("{}-{index}", self.args.prefix);
        let actor = ActorRef { atespace: self.args.atespace.clone(), name };
        let (outcome, already) = if self.args.delete {
            (self.client.delete_actor(actor, Repeat::OneOfMany).await, Code::NotFound)
        } else {
            let selector = self.selector.clone();
            let made =
                self.client.create_actor(actor, &self.args.template, selector, Repeat::OneOfMany).await;
            (made.map(drop), Code::AlreadyExists)
        };
        match outcome {
            Ok(()) => Ok(Done::Now),
            Err(failure) if failure.is(already) => Ok(Done::Already),
            Err(failure) => Err(failure),
        }
    }
}

/// How far it is.
struct Tally {
    start: u64,
    count: u64,
    is_delete: bool,
    now: u64,
    already: u64,
    began: Instant,
}

impl Tally {
    fn new(args: &LoadArgs) -> Self {
        let (start, count, is_delete) = (args.start, args.count, args.delete);
        Self { start, count, is_delete, now: 0, already: 0, began: Instant::now() }
    }

    fn count(&mut self, done: Done) {
        match done {
            Done::Now => self.now += 1,
            Done::Already => self.already += 1,
        }
    }

    fn done(&self) -> u64 {
        self.now + self.already
    }

    /// The first one that is not done.
    fn next(&self) -> u64 {
        self.start + self.done()
    }

    /// `[=====>      ]  45%  450,000/1,000,000  12,345/s  0:36, 0:45 left`
    fn bar(&self) -> String {
        let share = usize::try_from(self.next() * BAR_CHARS as u64 / self.count).unwrap_or(0).min(BAR_CHARS);
        let head = if share < BAR_CHARS { ">" } else { "" };
        let bar = format!("{}{head}", "=".repeat(share));
        format!("[{bar:<BAR_CHARS$}] {}", self.line())
    }

    fn line(&self) -> String {
        let elapsed = self.began.elapsed();
        let percent = self.next() * 100 / self.count;
        let (next, count) = (grouped(self.next()), grouped(self.count));
        let rate = rate(self.done(), elapsed);
        let left = self.count - self.next();
        let left = left
            .checked_div(rate)
            .map_or_else(String::new, |left| format!(", {} left", clock(Duration::from_secs(left))));
        format!("{percent:>3}%  {next}/{count}  {}/s  {}{left}", grouped(rate), clock(elapsed))
    }

    fn summary(&self) -> String {
        let elapsed = self.began.elapsed();
        let (done, already) =
            if self.is_delete { ("deleted", "were not there") } else { ("created", "were there already") };
        format!(
            "{} actors {done}, {} {already}, in {:.1} s ({}/s)",
            grouped(self.now),
            grouped(self.already),
            elapsed.as_secs_f64(),
            grouped(rate(self.done(), elapsed))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(done: u64) -> Tally {
        Tally { start: 0, count: 1000, is_delete: false, now: done, already: 0, began: Instant::now() }
    }

    #[test]
    fn the_bar_fills_up_and_keeps_its_width() {
        let bars: Vec<String> =
            [0, 500, 999, 1000].map(|done| tally(done).bar().chars().take(BAR_CHARS + 7).collect()).into();
        assert_eq!(
            bars,
            [
                "[>                             ]   0%",
                "[===============>              ]  50%",
                "[=============================>]  99%",
                "[==============================] 100%",
            ]
        );
    }

    #[test]
    fn those_that_are_there_count_as_done() {
        let mut tally = tally(3);
        tally.start = 5;
        tally.count(Done::Already);
        assert_eq!(tally.next(), 9);
        assert!(tally.summary().starts_with("3 actors created, 1 were there already"), "{}", tally.summary());
    }
}
