//! The HTTP server: the dashboard, health, readiness, metrics. One thread, few connections, none of them for long.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use threads::Class;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Sleep;

/// The dashboard: one file, which asks for `status.json` once a second. What changes from one answer to the next, and what
/// was before, is worked out in the browser: this side keeps nothing for anybody.
const DASHBOARD: &str = include_str!("dashboard.html");
/// Connections at a time: scrapers, probes and a few people.
const CONNECTIONS_MAX: usize = 64;
/// A connection is closed after this long, whatever it does: nobody can occupy one for ever.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);
/// What a stop waits for.
const STOP_WITHIN: Duration = Duration::from_millis(500);
/// After an accept that failed, usually because file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the numbers come from.
pub trait Source: Send + Sync + 'static {
    /// Whether this node serves; if not, why.
    fn ready(&self) -> Result<(), String>;
    /// The page of metrics.
    fn metrics(&self) -> String;
    /// What the dashboard shows, as JSON; nothing if the node has stopped.
    fn status(&self) -> Option<String>;
    /// Whether there is a dashboard to show it.
    fn has_dashboard(&self) -> bool {
        true
    }
}

/// The running server. It stops when it is dropped.
pub struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Serves from now on.
    pub fn start(address: SocketAddr, source: Arc<dyn Source>) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            runtime.block_on(serve(listener, source, stopped));
            runtime.shutdown_timeout(STOP_WITHIN);
        };
        let thread = Class::Maint.spawn("http", body)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.take();
        // A page that is being rendered may hold the last handle on what owns this server.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: StdListener, source: Arc<dyn Source>, stopped: oneshot::Receiver<()>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let listener = Few { listener, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
    let router = Router::new()
        .route("/", get(front))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status.json", get(status))
        .with_state(source);
    // Not gracefully: a connection that is kept alive would hold up the stop.
    tokio::select! {
        _ = axum::serve(listener, router) => {}
        _ = stopped => {}
    }
}

type Shared = State<Arc<dyn Source>>;

async fn ready(State(source): Shared) -> Response {
    match source.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

async fn metrics(State(source): Shared) -> Response {
    const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, FORMAT)], source.metrics()).into_response()
}

async fn status(State(source): Shared) -> Response {
    let Some(status) = source.status() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store"), NO_SNIFFING];
    (headers, status).into_response()
}

const NO_SNIFFING: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

async fn front(State(source): Shared) -> Response {
    if !source.has_dashboard() {
        return "/metrics, /readyz, /healthz\n".into_response();
    }
    static POLICY: LazyLock<String> = LazyLock::new(policy);
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
        NO_SNIFFING,
    ];
    (headers, DASHBOARD).into_response()
}

/// The dashboard runs the code that is in it and talks to who sent it; nothing else.
fn policy() -> String {
    let script = hash_of(DASHBOARD, "<script>", "</script>");
    let style = hash_of(DASHBOARD, "<style>", "</style>");
    format!(
        "default-src 'none'; connect-src 'self'; img-src data:; script-src {script}; style-src {style}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// What is between two tags, as a content security policy names it.
fn hash_of(page: &str, open: &str, close: &str) -> String {
    let inside = page.split_once(open).and_then(|(_, rest)| rest.split_once(close));
    let hash = Sha256::digest(inside.map_or("", |(inside, _)| inside));
    format!("'sha256-{}'", BASE64_STANDARD.encode(hash))
}

/// A listener that has few connections open at a time; more wait to be accepted.
struct Few {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Listener for Few {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = self.permits.clone().acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let until = Box::pin(tokio::time::sleep(CONNECTION_TIME_MAX));
                    return (Connection { stream, until, _permit: permit }, peer);
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after a while.
struct Connection {
    stream: TcpStream,
    until: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.until.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_time(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Default)]
    struct Fake {
        ready: AtomicBool,
    }

    impl Source for Fake {
        fn ready(&self) -> Result<(), String> {
            if self.ready.load(Ordering::SeqCst) { Ok(()) } else { Err("it starts".into()) }
        }

        fn metrics(&self) -> String {
            "x 1\n".into()
        }

        fn status(&self) -> Option<String> {
            self.ready.load(Ordering::SeqCst).then(|| "{\"x\":1}".into())
        }
    }

    fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    #[track_caller]
    fn check(reply: &str, status: &str, body: &str) {
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{reply}");
        assert!(reply.contains(body), "{reply}");
    }

    #[test]
    fn pages_say_how_the_node_is() {
        let source = Arc::new(Fake::default());
        let server = HttpServer::start(SocketAddr::from(([127, 0, 0, 1], 0)), source.clone()).unwrap();
        let at = server.address();
        check(&fetch(at, "/healthz"), "200", "ok");
        check(&fetch(at, "/readyz"), "503", "not ready: it starts");
        check(&fetch(at, "/status.json"), "503", "");
        source.ready.store(true, Ordering::SeqCst);
        check(&fetch(at, "/readyz"), "200", "ready");
        check(&fetch(at, "/metrics"), "200", "x 1");
        check(&fetch(at, "/metrics"), "200", "text/plain; version=0.0.4");
        check(&fetch(at, "/status.json"), "200", "{\"x\":1}");
        check(&fetch(at, "/status.json"), "200", "application/json");
        check(&fetch(at, "/"), "200", "text/html; charset=utf-8");
        check(&fetch(at, "/"), "200", "</html>");
        check(&fetch(at, "/nonsense"), "404", "");
        drop(server);
        assert!(std::net::TcpStream::connect(at).is_err());
    }

    #[test]
    fn the_dashboard_runs_its_own_code_only() {
        for tag in ["<style>", "</style>", "<script>", "</script>"] {
            assert_eq!(DASHBOARD.matches(tag).count(), 1, "{tag}: the policy names one of them");
        }
        for none in [" style=", " onclick=", " onload=", "http://", "https://", "innerHTML", "eval("] {
            assert!(!DASHBOARD.replace("http://www.w3.org/2000/svg", "").contains(none), "{none}");
        }
        let policy = policy();
        assert!(policy.starts_with("default-src 'none'; connect-src 'self';"), "{policy}");
        assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn what_is_between_tags_is_named_by_its_hash() {
        let page = "<p><style>abc</style>";
        let of_abc = "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='";
        assert_eq!(hash_of(page, "<style>", "</style>"), of_abc);
    }
}
