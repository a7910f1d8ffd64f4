//! Around every call of `Control`: its deadline, its place among those that go on at once, its metrics, its
//! span, and a line in the log if it fails.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};
use tracing::Instrument;

use super::incoming::Peer;
use super::metrics::{METHODS, Metrics, code_name, method_of};
use super::spans::{Ended, Parent, Spans};
use crate::service::Deadline;

/// What all calls share.
pub struct Shared {
    pub metrics: Arc<Metrics>,
    pub places: Arc<Semaphore>,
    pub deadline_max: Duration,
    pub spans: Option<Spans>,
}

/// A service whose calls are looked after.
#[derive(Clone)]
pub struct Calls<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Calls<S> {
    pub fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: NamedService> NamedService for Calls<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let began = Instant::now();
        let said = timeout_of(request.headers());
        let limit = said.unwrap_or(Duration::MAX).min(self.shared.deadline_max);
        let deadline = began + limit;
        request.extensions_mut().insert(Deadline(deadline));
        let mut call = Call::begin(&self.shared, &request, began);
        // What has been asked whether it is ready is what is to be called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let Ok(place) = Arc::clone(&self.shared.places).try_acquire_owned() else {
            let status = Status::resource_exhausted("too many calls are going on here: try again later");
            call.end(&status);
            return Box::pin(std::future::ready(Ok(status.into_http())));
        };
        let span = tracing::debug_span!("call", method = call.name(), trace = %call.parent.trace_text());
        let work = async move {
            let _place: OwnedSemaphorePermit = place;
            match timeout_at(deadline, inner.call(request)).await {
                Ok(Ok(response)) => {
                    let ok = || Status::new(Code::Ok, "");
                    call.end(&Status::from_header_map(response.headers()).unwrap_or_else(ok));
                    Ok(response)
                }
                Ok(Err(never)) => match never {},
                Err(_) => {
                    let text = format!("the call was not done within {} ms", limit.as_millis());
                    let status = Status::deadline_exceeded(text);
                    call.end(&status);
                    Ok(status.into_http())
                }
            }
        };
        Box::pin(work.instrument(span))
    }
}

/// A call that is going on. If it ends without a status, its caller has gone.
struct Call {
    shared: Arc<Shared>,
    method: usize,
    began: Instant,
    began_us: u64,
    peer: Option<Peer>,
    parent: Parent,
    has_ended: bool,
}

impl Call {
    fn begin(shared: &Arc<Shared>, request: &Request<Body>, began: Instant) -> Self {
        shared.metrics.in_flight.fetch_add(1, Relaxed);
        Self {
            method: method_of(request.uri().path()),
            began,
            began_us: base::Clock::wall_us(&base::SystemClock),
            peer: request.extensions().get::<Peer>().copied(),
            parent: Parent::of(request.headers()),
            has_ended: false,
            shared: Arc::clone(shared),
        }
    }

    fn name(&self) -> &'static str {
        METHODS.get(self.method).copied().unwrap_or("other")
    }

    fn end(&mut self, status: &Status) {
        self.has_ended = true;
        let (code, took) = (status.code(), self.began.elapsed());
        self.shared.metrics.in_flight.fetch_sub(1, Relaxed);
        self.shared.metrics.called(self.method, code, took);
        if code != Code::Ok {
            self.log(status, took);
        }
        if let Some(spans) = &self.shared.spans {
            spans.end(Ended {
                name: self.name(),
                parent: self.parent,
                began_us: self.began_us,
                took,
                code,
                message: status.message(),
            });
        }
    }

    /// What is the server's fault, or its store's, is a warning.
    fn log(&self, status: &Status, took: Duration) {
        let (method, code, message) = (self.name(), code_name(status.code()), status.message());
        let ms = took.as_millis() as u64;
        let peer = self.peer.map_or_else(String::new, |peer| peer.0.to_string());
        let is_ours = matches!(
            status.code(),
            Code::Internal | Code::DataLoss | Code::Unavailable | Code::Unknown | Code::DeadlineExceeded
        );
        let trace = self.parent.trace_text();
        if is_ours {
            tracing::warn!(method, code, message, ms, peer, trace, "a call failed");
        } else {
            tracing::info!(method, code, message, ms, peer, trace, "a call failed");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(&Status::cancelled("the caller has gone"));
        }
    }
}

/// The time that a caller gives: at most eight digits and a unit.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Duration>) {
        let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
        assert_eq!(timeout_of(&headers), expected, "{text}");
    }

    #[test]
    fn callers_say_how_long_they_wait() {
        check("3S", Some(Duration::from_secs(3)));
        check("250m", Some(Duration::from_millis(250)));
        check("99999999H", Some(Duration::from_secs(99_999_999 * 3600)));
        check("7u", Some(Duration::from_micros(7)));
        check("7n", Some(Duration::from_nanos(7)));
        check("2M", Some(Duration::from_secs(120)));
        for text in ["", "S", "3", "3s", "-1S", "999999999S", "1.5S"] {
            check(text, None);
        }
    }
}
