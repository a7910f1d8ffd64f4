//! An answer on its way. A call has its place until the last byte of its answer has left the process: who does not
//! read what it has asked for takes up its own places, and no more memory than these allow.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic::{Code, Status};

use super::calls::Call;

/// An answer has at least so long, whatever is left of its call's time: a page has up to 3 MiB. Whoever has said how
/// long it waits gives up by itself before that.
const SENDING_MIN: Duration = Duration::from_secs(5);

/// The response, whose call ends when it has been sent.
pub fn follow(response: Response<Body>, call: Call, deadline: Instant) -> Response<Body> {
    let status = Status::from_header_map(response.headers());
    if status.is_some() || response.body().is_end_stream() {
        call.settle(status.unwrap_or_else(ok));
        return response;
    }
    let until = deadline.max(Instant::now() + SENDING_MIN);
    let held = Arc::new_cyclic(|held: &Weak<Held>| Held {
        watch: tokio::spawn(watch(Weak::clone(held), until)).abort_handle(),
        call,
    });
    response.map(|body| Body::new(Answer { body, held }))
}

fn ok() -> Status {
    Status::new(Code::Ok, "")
}

/// What an answer holds on to, and each of its pieces.
struct Held {
    call: Call,
    watch: AbortHandle,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Ends the connection of an answer that takes too long. What waits for room in the client's window is the transport's
/// and cannot be taken back from it alone.
async fn watch(held: Weak<Held>, until: Instant) {
    sleep_until(until).await;
    if let Some(held) = held.upgrade() {
        held.call.settle(Status::deadline_exceeded("the caller has not taken the answer in time"));
        held.call.cut();
    }
}

struct Answer {
    body: Body,
    held: Arc<Held>,
}

/// Bytes that know whose they are: the transport lets go of them when they have been written.
struct Piece {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let held = &self.held;
        polled.map(|next| {
            next.map(|frame| {
                let frame = frame.inspect_err(|status| held.call.settle(status.clone()))?;
                if let Some(trailers) = frame.trailers_ref() {
                    held.call.settle(Status::from_header_map(trailers).unwrap_or_else(ok));
                }
                let piece = |bytes| Bytes::from_owner(Piece { bytes, _held: Arc::clone(held) });
                Ok(frame.map_data(piece))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
