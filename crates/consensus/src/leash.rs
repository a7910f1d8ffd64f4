//! A stream that its maker can take back.
//!
//! openraft's replication hands the requests of a session to the transport as a stream, which reads
//! the log when it is polled. Once the session has ended, openraft may purge that log and begin
//! another session, so the transport, whose tasks end when they please, must not poll it any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;

struct State<S> {
    stream: Option<S>,
    waker: Option<Waker>,
}

pub(crate) struct Leashed<S>(Arc<Mutex<State<S>>>);

/// Ends the stream when it is dropped: whoever polls it sees its end.
pub(crate) struct Leash(Arc<dyn End>);

trait End: Send + Sync {
    fn end(&self);
}

impl<S: Send> End for Mutex<State<S>> {
    fn end(&self) {
        let mut state = self.lock();
        let stream = state.stream.take();
        let waker = state.waker.take();
        drop(state);
        drop(stream);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.end();
    }
}

pub(crate) fn leash<S: Send + 'static>(stream: S) -> (Leashed<S>, Leash) {
    let state = Arc::new(Mutex::new(State { stream: Some(stream), waker: None }));
    (Leashed(state.clone()), Leash(state))
}

impl<S: Stream + Unpin> Stream for Leashed<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut state = self.0.lock();
        let Some(stream) = &mut state.stream else {
            return Poll::Ready(None);
        };
        let polled = stream.poll_next_unpin(context);
        if polled.is_pending() {
            state.waker = Some(context.waker().clone());
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};

    use super::*;

    #[test]
    fn a_stream_that_was_taken_back_has_ended() {
        let (mut stream, leash) = leash(stream::iter(0..3).chain(stream::pending()));
        assert_eq!(stream.next().now_or_never(), Some(Some(0)));
        drop(leash);
        assert_eq!(stream.next().now_or_never(), Some(None));
    }

    #[test]
    fn whoever_waits_is_told() {
        let (mut stream, leash) = leash(stream::pending::<u8>());
        let waiting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(stream.next())
        });
        drop(leash);
        assert_eq!(waiting.join().unwrap(), None);
    }
}
