//! What to do after one try of a call, and how long to wait before the next.

use super::connection::{Failure, backoff};
use super::limits::{BACKOFF_MAX, BACKOFF_MIN, REDIRECTS_MAX, TRIES_MAX};
use super::reply::Answer;
use crate::store::{Address, Error, Result};
use redis::Value;
use tokio::time::{Instant, sleep_until};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// May be sent as often as one likes.
    Read,
    Write,
}

/// Where a call goes next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) address: Address,
    /// Begins with ASKING.
    pub(super) asking: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Done(Value),
    Failed(Error),
    Redirected(Target),
    /// Nothing was done, or it does no harm to do it twice.
    Again(String),
}

/// Decides what follows from what came of a try. Pure.
pub(super) fn next(kind: Kind, outcome: Result<Answer, Failure>) -> Next {
    match (outcome, kind) {
        (Ok(Answer::Value(value)), _) => Next::Done(value),
        (Ok(Answer::Moved(address)), _) => Next::Redirected(Target { address, asking: false }),
        (Ok(Answer::Ask(address)), _) => Next::Redirected(Target { address, asking: true }),
        (Ok(Answer::Failed(error)), _) => Next::Failed(error),
        (Ok(Answer::Later(cause)) | Err(Failure::Unsent(cause)), _)
        | (Ok(Answer::Uncertain(cause)) | Err(Failure::Broken(cause)), Kind::Read) => Next::Again(cause),
        (Ok(Answer::Uncertain(cause)) | Err(Failure::Broken(cause)), Kind::Write) => {
            Next::Failed(Error::Unknown { cause })
        }
        (Err(Failure::Deadline), Kind::Read) => Next::Failed(Error::Deadline),
        (Err(Failure::Deadline), Kind::Write) => {
            Next::Failed(Error::unknown("the deadline passed while the store was writing"))
        }
    }
}

/// The tries of one call.
#[derive(Debug)]
pub(super) struct Tries {
    made: u32,
    redirects: usize,
    deadline: Instant,
}

impl Tries {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { made: 0, redirects: 0, deadline }
    }

    /// Waits before the next try, or says why there is none.
    pub(super) async fn wait(&mut self, cause: String) -> Result<()> {
        let until = Instant::now() + backoff(self.made, BACKOFF_MIN, BACKOFF_MAX);
        self.made += 1;
        if self.made >= TRIES_MAX || until >= self.deadline {
            return Err(Error::Unavailable { cause });
        }
        sleep_until(until).await;
        Ok(())
    }

    /// Goes on at once after the first redirects: many are a loop, or a map in the making.
    pub(super) async fn redirected(&mut self, to: &Target) -> Result<()> {
        self.redirects += 1;
        if self.redirects <= REDIRECTS_MAX {
            return Ok(());
        }
        self.wait(format!("redirected {} times, at last to {}", self.redirects, to.address)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> String {
        "why".into()
    }

    #[test]
    fn a_write_that_may_have_been_made_is_not_repeated() {
        let unknown = || Next::Failed(Error::unknown("why"));
        assert_eq!(next(Kind::Write, Err(Failure::Broken(cause()))), unknown());
        assert_eq!(next(Kind::Write, Ok(Answer::Uncertain(cause()))), unknown());
        let late = next(Kind::Write, Err(Failure::Deadline));
        assert!(matches!(late, Next::Failed(Error::Unknown { .. })), "{late:?}");
    }

    #[test]
    fn what_has_not_been_done_is_tried_again() {
        for kind in [Kind::Read, Kind::Write] {
            assert_eq!(next(kind, Err(Failure::Unsent(cause()))), Next::Again(cause()));
            assert_eq!(next(kind, Ok(Answer::Later(cause()))), Next::Again(cause()));
        }
        assert_eq!(next(Kind::Read, Err(Failure::Broken(cause()))), Next::Again(cause()));
        assert_eq!(next(Kind::Read, Err(Failure::Deadline)), Next::Failed(Error::Deadline));
    }

    #[test]
    fn redirects_say_whether_to_ask() {
        let address = || Address::new("a", 1);
        for (answer, asking) in [(Answer::Moved(address()), false), (Answer::Ask(address()), true)] {
            let target = Target { address: address(), asking };
            assert_eq!(next(Kind::Write, Ok(answer)), Next::Redirected(target));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tries_end_by_number_and_by_deadline() {
        let begin = Instant::now();
        let mut tries = Tries::new(begin + std::time::Duration::from_secs(3600));
        let mut waits = 0;
        while tries.wait(cause()).await.is_ok() {
            waits += 1;
        }
        assert_eq!(waits + 1, TRIES_MAX);
        assert!(begin.elapsed().as_secs() >= 2 && begin.elapsed().as_secs() <= 10, "{:?}", begin.elapsed());
        let mut late = Tries::new(Instant::now());
        assert_eq!(late.wait(cause()).await, Err(Error::unavailable("why")));
    }
}
