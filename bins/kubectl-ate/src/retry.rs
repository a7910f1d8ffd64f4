//! Whether a call that failed is made again, and after which pause. Pure: the client does it.

use std::time::Duration;

use ateproto::GOES_ON;
use tonic::Code;

use crate::failure::Failure;

/// Enough for a fail-over of the store (about nine seconds in all), not for an outage.
const RETRIES_MAX: u32 = 8;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What happens if the server carries a call out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing worse than if it were once.
    Harmless,
    /// Nothing either, and the call is one of very many: that the server is busy must not end them all.
    OneOfMany,
    /// The second one fails, and hides that the first succeeded.
    Misleading,
}

/// The pause before the next try, of which `tries` have failed; none if this failure is the answer.
pub fn pause(failure: &Failure, repeat: Repeat, tries: u32, left: Duration) -> Option<Duration> {
    let is_harmless = repeat != Repeat::Misleading;
    let goes_on = goes_on(failure);
    let may = match failure {
        Failure::Connection { is_sent, .. } => !is_sent || is_harmless,
        Failure::Server { code: Code::Unavailable, .. } => is_harmless || goes_on,
        // For others it may be an answer: no worker is free.
        Failure::Server { code: Code::ResourceExhausted, .. } => repeat == Repeat::OneOfMany,
        _ => false,
    };
    // Each of those has come further than the one before: only time bounds them.
    let (pause, has_tries) =
        if goes_on { (PAUSE_FIRST, true) } else { (backoff(tries), tries <= RETRIES_MAX) };
    (may && has_tries && pause < left).then_some(pause)
}

fn goes_on(failure: &Failure) -> bool {
    matches!(failure, Failure::Server { code: Code::Unavailable, message } if message.ends_with(GOES_ON))
}

/// Doubles with each failure, up to a bound.
pub fn backoff(tries: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn server(code: Code) -> Failure {
        Failure::Server { code, message: String::new() }
    }

    fn connection(is_sent: bool) -> Failure {
        Failure::Connection { why: String::new(), is_sent }
    }

    #[test]
    fn what_passes_is_tried_again_with_growing_pauses() {
        let pauses: Vec<u128> = (1..)
            .map_while(|tries| pause(&server(Code::Unavailable), Repeat::Harmless, tries, LONG))
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
    }

    #[test]
    fn what_does_not_pass_is_not() {
        for code in [Code::NotFound, Code::InvalidArgument, Code::DeadlineExceeded, Code::Internal] {
            assert_eq!(pause(&server(code), Repeat::Harmless, 1, LONG), None);
        }
    }

    #[test]
    fn what_must_not_be_done_twice_is_repeated_only_if_it_was_never_sent() {
        assert_eq!(pause(&server(Code::Unavailable), Repeat::Misleading, 1, LONG), None);
        assert_eq!(pause(&connection(true), Repeat::Misleading, 1, LONG), None);
        assert!(pause(&connection(false), Repeat::Misleading, 1, LONG).is_some());
        assert!(pause(&connection(true), Repeat::Harmless, 1, LONG).is_some());
    }

    #[test]
    fn what_goes_on_is_repeated_for_as_long_as_there_is_time() {
        let message = format!("there was no time to see whether x is empty: {GOES_ON}");
        let unfinished = Failure::Server { code: Code::Unavailable, message };
        for tries in [1, 2, 1000] {
            assert_eq!(pause(&unfinished, Repeat::Misleading, tries, LONG), Some(PAUSE_FIRST));
        }
        assert_eq!(pause(&unfinished, Repeat::Misleading, 1, PAUSE_FIRST), None);
    }

    #[test]
    fn a_busy_server_does_not_end_what_takes_many_calls() {
        let busy = server(Code::ResourceExhausted);
        assert!(pause(&busy, Repeat::OneOfMany, 1, LONG).is_some());
        assert_eq!(pause(&busy, Repeat::Harmless, 1, LONG), None);
    }

    #[test]
    fn a_pause_that_outlasts_the_time_is_not_begun() {
        assert_eq!(pause(&connection(false), Repeat::Harmless, 2, Duration::from_millis(200)), None);
    }
}
