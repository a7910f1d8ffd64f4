//! The HTTP server: the dashboard, health, readiness, metrics. One thread, few connections, none of them for long, and no
//! address has most of them.

mod few;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use threads::Class;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use few::Few;

/// The dashboard: one file, which asks for `status.json` once a second. What changes from one answer to the next, and what
/// was before, is worked out in the browser: this side keeps nothing for anybody.
const DASHBOARD: &str = include_str!("dashboard.html");
/// What a stop waits for.
const STOP_WITHIN: Duration = Duration::from_millis(500);

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
        Self::start_with(address, source, few::HEAD_TIME_MAX)
    }

    fn start_with(address: SocketAddr, source: Arc<dyn Source>, head_time: Duration) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            runtime.block_on(serve(listener, head_time, source, stopped));
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

async fn serve(
    listener: StdListener,
    head_time: Duration,
    source: Arc<dyn Source>,
    stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let listener = Few::new(listener, head_time);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

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
        ask(connect(address), path).unwrap()
    }

    fn ask(mut stream: std::net::TcpStream, path: &str) -> io::Result<String> {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
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

    fn connect(to: SocketAddr) -> std::net::TcpStream {
        let stream = std::net::TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// What is said until the connection is closed, in whatever way.
    fn rest(stream: &mut std::net::TcpStream) -> io::Result<usize> {
        match stream.read(&mut [0; 1000]) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            other => other,
        }
    }

    #[test]
    fn one_address_has_so_many_connections_and_no_more() {
        let server = HttpServer::start(([127, 0, 0, 1], 0).into(), Arc::new(Fake::default())).unwrap();
        let at = server.address();
        let mut idle: Vec<_> = (0..few::CONNECTIONS_PER_ADDRESS).map(|_| connect(at)).collect();
        // The next one is closed at once.
        assert_eq!(rest(&mut connect(at)).unwrap(), 0);
        // One that ends makes room, as soon as that is seen.
        idle.pop();
        let until = Instant::now() + Duration::from_secs(20);
        while !ask(connect(at), "/healthz").is_ok_and(|reply| reply.contains("200 OK")) {
            assert!(Instant::now() < until, "there is no room again");
        }
    }

    #[test]
    fn who_asks_for_nothing_is_closed() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let short = Duration::from_millis(500);
        let server = HttpServer::start_with(address, Arc::new(Fake::default()), short).unwrap();
        for said in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\n"] {
            let mut stream = connect(server.address());
            stream.write_all(said.as_bytes()).unwrap();
            // Hyper may tell whoever has begun to ask that he was late.
            while rest(&mut stream).unwrap() > 0 {}
        }
        // Nor is one kept that has been answered and asks for nothing more.
        let mut stream = connect(server.address());
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        check(&reply, "200", "ok");
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
