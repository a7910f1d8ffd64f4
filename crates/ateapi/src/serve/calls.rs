//! Around every call of `Control`: its deadline, its place among those that go on at once, its metrics, its
//! span, and a line in the log if it fails.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};
use tracing::Instrument;

use super::answer;
use super::metrics::{METHODS, Metrics, code_name, method_of};
use super::peers::Peer;
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
        let limit = limit(timeout_of(request.headers()), self.shared.deadline_max);
        let deadline = began + limit;
        request.extensions_mut().insert(Deadline(deadline));
        let mut call = Call::begin(&self.shared, &request, began);
        // What has been asked whether it is ready is what is to be called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        if let Err(why) = call.take_places() {
            let status = Status::resource_exhausted(why);
            call.settle(status.clone());
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        let span = tracing::debug_span!("call", method = call.name(), trace = %call.parent.trace_text());
        let work = async move {
            match timeout_at(deadline, inner.call(request)).await {
                Ok(Ok(response)) => Ok(answer::follow(response, call, deadline)),
                Ok(Err(never)) => match never {},
                Err(_) => {
                    let text = format!("the call was not done within {} ms", limit.as_millis());
                    let status = Status::deadline_exceeded(text);
                    call.settle(status.clone());
                    Ok(status.into_http())
                }
            }
        };
        Box::pin(work.instrument(span))
    }
}

/// A call that goes on until this is dropped. If nothing has been settled by then, its caller has gone.
pub struct Call {
    shared: Arc<Shared>,
    method: usize,
    began: Instant,
    began_us: u64,
    peer: Option<Peer>,
    parent: Parent,
    /// Among its peer's calls, and among all.
    places: Vec<OwnedSemaphorePermit>,
    outcome: Mutex<Option<Status>>,
}

impl Call {
    fn begin(shared: &Arc<Shared>, request: &Request<Body>, began: Instant) -> Self {
        shared.metrics.in_flight.fetch_add(1, Relaxed);
        Self {
            method: method_of(request.uri().path()),
            began,
            began_us: base::Clock::wall_us(&base::SystemClock),
            peer: request.extensions().get::<Peer>().cloned(),
            parent: Parent::of(request.headers()),
            places: Vec::new(),
            outcome: Mutex::default(),
            shared: Arc::clone(shared),
        }
    }

    fn take_places(&mut self) -> Result<(), &'static str> {
        if let Some(Peer(link)) = &self.peer {
            let place = Arc::clone(&link.common.calls).try_acquire_owned();
            self.places.push(
                place.map_err(|_| "too many calls from your address are going on here: fewer at a time")?,
            );
        }
        let place = Arc::clone(&self.shared.places).try_acquire_owned();
        self.places.push(place.map_err(|_| "too many calls are going on here: try again later")?);
        Ok(())
    }

    fn name(&self) -> &'static str {
        METHODS.get(self.method).copied().unwrap_or("other")
    }

    /// Says how it ends, unless something else is said before it does.
    pub fn settle(&self, status: Status) {
        *self.outcome.lock() = Some(status);
    }

    /// Ends the connection that it came by.
    pub fn cut(&self) {
        if let Some(Peer(link)) = &self.peer {
            link.cut();
        }
    }

    /// What is the server's fault, or its store's, is a warning.
    fn log(&self, status: &Status, took: Duration) {
        let (method, code, message) = (self.name(), code_name(status.code()), status.message());
        let ms = took.as_millis() as u64;
        let peer = self.peer.as_ref().map_or_else(String::new, |Peer(link)| link.address.to_string());
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
        let settled = self.outcome.get_mut().take();
        let status = settled.unwrap_or_else(|| Status::cancelled("the caller has gone"));
        let (code, took) = (status.code(), self.began.elapsed());
        self.shared.metrics.in_flight.fetch_sub(1, Relaxed);
        self.shared.metrics.called(self.method, code, took);
        if code != Code::Ok {
            self.log(&status, took);
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
}

/// What a caller says less this, and at least a hundredth of it: the clocks of tonic and of the caller run out at the
/// time itself, and whoever is first says why the call ended.
const EARLIER_MIN: Duration = Duration::from_millis(2);

/// How long a call may take.
fn limit(said: Option<Duration>, max: Duration) -> Duration {
    said.map_or(max, |said| said.saturating_sub((said / 100).max(EARLIER_MIN)).min(max))
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

    /// Never answers.
    #[derive(Clone)]
    struct Silent;

    impl Service<Request<Body>> for Silent {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_callers_time_runs_out_here_before_it_does_anywhere_else() {
        for (said, upto_ms) in [("300m", 297), ("50m", 48), ("20S", 19_800), ("1H", 60_000), ("1m", 1)] {
            let shared = Shared {
                metrics: Arc::default(),
                places: Arc::new(Semaphore::new(1)),
                deadline_max: Duration::from_secs(60),
                spans: None,
            };
            let mut calls = Calls::new(Silent, Arc::new(shared));
            let request = Request::builder().header("grpc-timeout", said).body(Body::empty()).unwrap();
            let began = Instant::now();
            let answer = calls.call(request).await.unwrap();
            let status = Status::from_header_map(answer.headers()).unwrap();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{said}");
            // The clock of tokio has milliseconds.
            assert!(began.elapsed() <= Duration::from_millis(upto_ms + 1), "{said}: {:?}", began.elapsed());
        }
    }

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
