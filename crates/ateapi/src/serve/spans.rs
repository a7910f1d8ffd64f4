//! One span per call, sent to a collector that speaks OTLP over gRPC.
//!
//! This is the whole of an exporter: one message with a few fields, which is stable, sent in batches by one
//! task. The crates of OpenTelemetry would be twelve more to build for the same bytes on the wire.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::client::Grpc;
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::collector::Collector;
use super::metrics::{Metrics, code_name};
use crate::document::random;

/// Spans that wait to be sent: what comes while they are as many is dropped, and counted.
const QUEUE_MAX: usize = 4096;
const BATCH_MAX: usize = 512;
/// A batch that is not full is sent after this.
const BATCH_TIME: Duration = Duration::from_secs(1);
pub const SEND_TIME_MAX: Duration = Duration::from_secs(5);
/// A collector that is not there is mentioned so often.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(60);

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Where a call belongs in a trace: from the caller's `traceparent`, or a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    trace: u128,
    /// 0: it is the first of its trace.
    span: u64,
    is_sampled: bool,
}

impl Parent {
    pub fn of(headers: &HeaderMap) -> Self {
        let text = headers.get("traceparent").and_then(|value| value.to_str().ok());
        text.and_then(Self::parse).unwrap_or_else(|| {
            let trace = u128::from(random()) << 64 | u128::from(random());
            Self { trace, span: 0, is_sampled: true }
        })
    }

    /// Reads `00-<trace>-<span>-<flags>`, in hexadecimal digits.
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let &[version, trace, span, flags] = parts.as_slice() else { return None };
        let is_well_formed = (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2);
        let is_hex = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !is_well_formed || !is_hex || version == "ff" {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        Some(Self { trace, span, is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
    }

    pub fn trace_text(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// A call that has ended.
pub struct Ended<'a> {
    pub name: &'static str,
    pub parent: Parent,
    pub began_us: u64,
    pub took: Duration,
    pub code: Code,
    pub message: &'a str,
}

/// Takes spans, never waits.
#[derive(Clone)]
pub struct Spans {
    queue: mpsc::Sender<wire::Span>,
    metrics: Arc<Metrics>,
}

impl Spans {
    /// Starts the task that sends them. It ends, after what is queued, when the last handle is dropped.
    pub fn start(
        collector: &Collector,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, tokio::task::JoinHandle<()>), tonic::transport::Error> {
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        let way = Way { client: Grpc::new(collector.channel()?), headers: collector.headers.clone() };
        let task = tokio::spawn(send(way, spans, Arc::clone(&metrics)));
        Ok((Self { queue, metrics }, task))
    }

    pub fn end(&self, ended: Ended<'_>) {
        if ended.parent.is_sampled && self.queue.try_send(ended.into()).is_err() {
            self.metrics.spans_dropped.fetch_add(1, Relaxed);
        }
    }
}

impl From<Ended<'_>> for wire::Span {
    fn from(ended: Ended<'_>) -> Self {
        let began_ns = ended.began_us.saturating_mul(1000);
        let took_ns = u64::try_from(ended.took.as_nanos()).unwrap_or(u64::MAX);
        let is_fault = matches!(
            ended.code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        let status = is_fault.then(|| wire::Status { message: ended.message.to_owned(), code: wire::ERROR });
        Self {
            trace_id: ended.parent.trace.to_be_bytes().to_vec(),
            span_id: random().max(1).to_be_bytes().to_vec(),
            parent_span_id: match ended.parent.span {
                0 => Vec::new(),
                span => span.to_be_bytes().to_vec(),
            },
            name: format!("ateapi.Control/{}", ended.name),
            kind: wire::SERVER,
            start_time_unix_nano: began_ns,
            end_time_unix_nano: began_ns.saturating_add(took_ns),
            attributes: vec![
                wire::text("rpc.system", "grpc"),
                wire::text("rpc.service", "ateapi.Control"),
                wire::text("rpc.method", ended.name),
                wire::number("rpc.grpc.status_code", ended.code as i64),
                wire::text("rpc.grpc.status_name", code_name(ended.code)),
            ],
            status,
        }
    }
}

/// Sends what is queued until nobody can queue any more.
async fn send(mut way: Way, mut spans: mpsc::Receiver<wire::Span>, metrics: Arc<Metrics>) {
    let mut complained: Option<Instant> = None;
    while let Some(batch) = next_batch(&mut spans).await {
        let count = batch.len() as u64;
        let outcome = timeout(SEND_TIME_MAX, way.export(batch)).await;
        let why = match outcome {
            Ok(Ok(())) => {
                metrics.spans_sent.fetch_add(count, Relaxed);
                continue;
            }
            Ok(Err(status)) => status.to_string(),
            Err(_) => format!("no answer within {SEND_TIME_MAX:?}"),
        };
        metrics.spans_dropped.fetch_add(count, Relaxed);
        if complained.is_none_or(|when| when.elapsed() >= COMPLAINT_PERIOD) {
            complained = Some(Instant::now());
            tracing::warn!(why, count, "the collector does not take spans; they are dropped");
        }
    }
}

async fn next_batch(spans: &mut mpsc::Receiver<wire::Span>) -> Option<Vec<wire::Span>> {
    let mut batch = vec![spans.recv().await?];
    let until = Instant::now() + BATCH_TIME;
    while batch.len() < BATCH_MAX {
        match timeout_at(until, spans.recv()).await {
            Ok(Some(span)) => batch.push(span),
            Ok(None) | Err(_) => break,
        }
    }
    Some(batch)
}

/// The way to a collector.
struct Way {
    client: Grpc<Channel>,
    headers: MetadataMap,
}

impl Way {
    async fn export(&mut self, spans: Vec<wire::Span>) -> Result<(), Status> {
        self.client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<wire::Request, wire::Response>::default();
        let mut request = Request::new(wire::Request::of(spans));
        *request.metadata_mut() = self.headers.clone();
        self.client.unary(request, PathAndQuery::from_static(PATH), codec).await.map(|_| ())
    }
}

/// What of OTLP is needed, by the numbers of its fields.
mod wire {
    use super::Message;

    pub const SERVER: i32 = 2;
    pub const ERROR: i32 = 2;

    #[derive(Clone, PartialEq, Message)]
    pub struct Request {
        #[prost(message, repeated, tag = "1")]
        pub resource_spans: Vec<ResourceSpans>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Response {}

    #[derive(Clone, PartialEq, Message)]
    pub struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub scope_spans: Vec<ScopeSpans>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub attributes: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ScopeSpans {
        #[prost(message, optional, tag = "1")]
        pub scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub spans: Vec<Span>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Scope {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub version: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")]
        pub name: String,
        #[prost(int32, tag = "6")]
        pub kind: i32,
        #[prost(fixed64, tag = "7")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        pub end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        pub attributes: Vec<KeyValue>,
        #[prost(message, optional, tag = "15")]
        pub status: Option<Status>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Status {
        #[prost(string, tag = "2")]
        pub message: String,
        #[prost(int32, tag = "3")]
        pub code: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct KeyValue {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(message, optional, tag = "2")]
        pub value: Option<AnyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct AnyValue {
        #[prost(oneof = "Value", tags = "1, 3")]
        pub value: Option<Value>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Value {
        #[prost(string, tag = "1")]
        Text(String),
        #[prost(int64, tag = "3")]
        Number(i64),
    }

    impl Request {
        pub fn of(spans: Vec<Span>) -> Self {
            let resource = Resource { attributes: vec![text("service.name", "ateapi")] };
            let scope = Scope { name: "ateapi".into(), version: env!("CARGO_PKG_VERSION").into() };
            let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
            Self { resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans }] }
        }
    }

    pub fn text(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Value::Text(value.into())) }) }
    }

    pub fn number(key: &str, value: i64) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Value::Number(value)) }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::task::{Context, Poll};
    use tokio::net::TcpListener;
    use tonic::Response;
    use tonic::body::Body;
    use tonic::codegen::{BoxFuture, Service, http};
    use tonic::server::{NamedService, UnaryService};
    use tonic::transport::server::TcpIncoming;
    use tonic::transport::{Identity, Server, ServerTlsConfig};

    fn headers(text: &str) -> HeaderMap {
        HeaderMap::from_iter([("traceparent".parse().unwrap(), text.parse().unwrap())])
    }

    #[test]
    fn a_call_belongs_to_its_callers_trace() {
        let parent = Parent::of(&headers("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert_eq!(parent.trace_text(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((parent.span, parent.is_sampled), (0xb7ad_6b71_6920_3331, true));
        assert!(!Parent::of(&headers("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")).is_sampled);
    }

    #[test]
    fn what_is_no_parent_begins_a_trace() {
        for text in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            let parent = Parent::of(&headers(text));
            assert!(parent.span == 0 && parent.is_sampled && parent.trace != 0, "{text}");
        }
    }

    #[test]
    fn a_span_says_what_the_call_was() {
        let parent = Parent { trace: 7, span: 9, is_sampled: true };
        let ended = |code| Ended {
            name: "GetActor",
            parent,
            began_us: 5,
            took: Duration::from_micros(3),
            code,
            message: "why",
        };
        let span = wire::Span::from(ended(Code::Unavailable));
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (5_000, 8_000));
        assert_eq!(span.trace_id, 7u128.to_be_bytes());
        assert_eq!(span.parent_span_id, 9u64.to_be_bytes());
        assert_eq!(span.status.unwrap().code, wire::ERROR);
        // Not the server's fault.
        assert!(wire::Span::from(ended(Code::NotFound)).status.is_none());
    }

    type Taken = mpsc::UnboundedSender<(MetadataMap, wire::Request)>;

    /// A collector that passes on what it is sent.
    #[derive(Clone)]
    struct Taker(Taken);

    impl UnaryService<wire::Request> for Taker {
        type Response = wire::Response;
        type Future = Ready<Result<Response<wire::Response>, Status>>;

        fn call(&mut self, request: Request<wire::Request>) -> Self::Future {
            let (headers, _, message) = request.into_parts();
            self.0.send((headers, message)).unwrap();
            ready(Ok(Response::new(wire::Response {})))
        }
    }

    impl NamedService for Taker {
        const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
    }

    impl Service<http::Request<Body>> for Taker {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Self::Response, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            assert_eq!(request.uri().path(), PATH);
            let mut server = tonic::server::Grpc::new(ProstCodec::default());
            let taker = self.clone();
            Box::pin(async move { Ok(server.unary(taker, request).await) })
        }
    }

    /// A collector takes what a call was, by an address that begins so.
    async fn a_span_arrives(mut server: Server, scheme: &str, ca: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let (taken, mut takes) = mpsc::unbounded_channel();
        let serving = server.add_service(Taker(taken)).serve_with_incoming(TcpIncoming::from(listener));
        let serving = tokio::spawn(serving);
        let collector = Collector::find(Some(&endpoint), |name| match name {
            "OTEL_EXPORTER_OTLP_HEADERS" => Some("api-key=k".into()),
            "OTEL_EXPORTER_OTLP_CERTIFICATE" => Some(ca.to_owned()),
            _ => None,
        });
        let metrics = Arc::new(Metrics::default());
        let (spans, sending) = Spans::start(&collector.unwrap().unwrap(), Arc::clone(&metrics)).unwrap();
        let parent = Parent { trace: 7, span: 9, is_sampled: true };
        let (took, code) = (Duration::from_millis(3), Code::NotFound);
        spans.end(Ended { name: "GetActor", parent, began_us: 5, took, code, message: "" });
        let (headers, message) = takes.recv().await.unwrap();
        assert_eq!(headers.get("api-key").unwrap(), "k");
        let span = &message.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!((&*span.name, &*span.trace_id), ("ateapi.Control/GetActor", &7u128.to_be_bytes()[..]));
        // What has been sent is counted when the last handle is gone, if not before.
        drop(spans);
        sending.await.unwrap();
        assert_eq!(metrics.spans_sent.load(Relaxed), 1);
        serving.abort();
    }

    #[tokio::test]
    async fn a_collector_takes_spans() {
        a_span_arrives(Server::builder(), "http", "").await;
    }

    #[tokio::test]
    async fn a_collector_takes_spans_by_tls() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.crt");
        std::fs::write(&ca, &cert).unwrap();
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
        a_span_arrives(Server::builder().tls_config(tls).unwrap(), "https", ca.to_str().unwrap()).await;
    }
}
