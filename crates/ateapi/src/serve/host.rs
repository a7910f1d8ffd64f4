//! A server and its threads: start, drain, stop.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use observe::{Exposition, Source};
use parking_lot::Mutex;
use threads::Class;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tonic::transport::Server;
use tonic_health::ServingStatus;

use super::Options;
use super::calls::{Calls, Shared};
use super::health::{self, Readiness};
use super::incoming::incoming;
use super::metered::Metered;
use super::metrics::Metrics;
use super::peers::{Peers, Share};
use super::spans::Spans;
use super::tls::Tls;
use crate::listing;
use crate::proto::control_server::{ControlServer, SERVICE_NAME};
use crate::service::{self, Counts, Service, WorkerRuntime};
use crate::store::Store;

/// A request names an actor and some labels.
const REQUEST_BYTES_MAX: usize = 512 << 10;

/// Calls of one connection at a time.
const STREAMS_MAX: u32 = 256;

/// A connection whose other end has vanished is found out within twice this.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// What is left of calls and connections when a stop has waited long enough is dropped within this.
const ABORT_MAX: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the collector's address or certificates cannot be used: {0}")]
    Otlp(String),
    #[error("a thread cannot start: {0}")]
    Thread(#[from] io::Error),
}

/// A running server. It stops at once when it is dropped; [`Host::stop`] drains it first.
pub struct Host {
    address: SocketAddr,
    draining: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shown: Arc<Shown>,
}

/// What others may see of it, also when it is gone.
pub struct Shown {
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    counts: Box<dyn Fn() -> Counts + Send + Sync>,
    listing: Arc<listing::Counters>,
}

impl Shown {
    /// Writes the metrics down.
    pub fn show(&self, page: &mut Exposition) {
        self.metrics.show(page, &(self.counts)(), &self.listing);
    }

    /// Calls that have come to their end.
    pub fn calls(&self) -> u64 {
        self.metrics.calls()
    }
}

impl Source for Shown {
    fn ready(&self) -> Result<(), String> {
        self.readiness.get()
    }

    fn metrics(&self) -> String {
        let mut page = Exposition::default();
        self.show(&mut page);
        page.finish()
    }

    fn status(&self) -> Option<String> {
        None
    }

    fn has_dashboard(&self) -> bool {
        false
    }
}

/// A server that has its address, and does not serve yet: who connects waits.
pub struct Bound {
    options: Options,
    listener: StdListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl Bound {
    /// Whatever can be wrong with the options is said now.
    pub fn new(options: Options) -> Result<Self, StartError> {
        let tls = options.tls.clone().map(Tls::new).transpose().map_err(StartError::Tls)?;
        let address = options.listen;
        let listen = || {
            let listener = StdListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = listen().map_err(|error| StartError::Listen { address, error })?;
        let address = listener.local_addr()?;
        Ok(Self { options, listener, address, tls })
    }
}

impl Host {
    /// Serves from now on, whether or not the store is there yet.
    pub fn start<S: Store, W: WorkerRuntime>(
        options: Options,
        store: S,
        machines: W,
        rights: service::Options,
    ) -> Result<Self, StartError> {
        Self::serve(Bound::new(options)?, store, machines, rights)
    }

    /// Serves from now on what is bound.
    pub fn serve<S: Store, W: WorkerRuntime>(
        bound: Bound,
        store: S,
        machines: W,
        rights: service::Options,
    ) -> Result<Self, StartError> {
        let Bound { options, listener, address, tls } = bound;
        let metrics = Arc::new(Metrics::default());
        let store = Arc::new(Metered::new(store, Arc::clone(&metrics)));
        let service = Arc::new(Service::new(store, machines, rights));
        let counted = Arc::clone(&service);
        let shown = Arc::new(Shown {
            metrics: Arc::clone(&metrics),
            readiness: Arc::default(),
            listing: Arc::clone(service.listing()),
            counts: Box::new(move || counted.counts()),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name(format!("{}-api", Class::Ate.name()))
            .on_thread_start(|| Class::Ate.enter())
            .enable_all()
            .build()?;
        let spans = runtime.block_on(async {
            options.collector.as_ref().map(|of| Spans::start(of, Arc::clone(&metrics))).transpose()
        });
        let spans = spans.map_err(|error| StartError::Otlp(error.to_string()))?;
        let (draining, is_draining) = watch::channel(false);
        let parts = Parts { listener, tls, service, spans, readiness: Arc::clone(&shown.readiness), metrics };
        let thread = Class::Ate.spawn("main", move || run(runtime, parts, &options, is_draining))?;
        Ok(Self { address, draining, thread: Mutex::new(Some(thread)), shown })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its metrics and whether it is ready.
    pub fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// Lets no new calls in, and waits for those that are going on, within a bound.
    pub fn stop(&self) {
        self.draining.send_replace(true);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the main thread takes along.
struct Parts<S, W> {
    listener: StdListener,
    tls: Option<Tls>,
    service: Arc<Service<S, W>>,
    spans: Option<(Spans, tokio::task::JoinHandle<()>)>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

fn run<S: Store, W: WorkerRuntime>(
    runtime: Runtime,
    parts: Parts<S, W>,
    options: &Options,
    draining: watch::Receiver<bool>,
) {
    runtime.block_on(async {
        if let Err(error) = serve(parts, options, draining).await {
            tracing::error!(%error, "the API cannot be served any more");
        }
    });
    runtime.shutdown_timeout(ABORT_MAX);
}

async fn serve<S: Store, W: WorkerRuntime>(
    parts: Parts<S, W>,
    options: &Options,
    draining: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error>> {
    let Parts { listener, tls, service, spans, readiness, metrics } = parts;
    let (spans, sending) = spans.unzip();
    let (reporter, health) = tonic_health::server::health_reporter();
    let store = Arc::clone(service.store());
    // Whoever asks before the store has been is told that it is not ready, and not that there is no such service.
    reporter.set_service_status(SERVICE_NAME, ServingStatus::NotServing).await;
    let watching = tokio::spawn(health::watch(store, reporter, readiness, draining.clone()));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let shared = Arc::new(Shared {
        metrics: Arc::clone(&metrics),
        places: Arc::new(Semaphore::new(options.calls_max)),
        deadline_max: options.deadline_max,
        spans,
    });
    let control = ControlServer::from_arc(service).max_decoding_message_size(REQUEST_BYTES_MAX);
    let router = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(Calls::new(control, shared))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        // The older of the two, which is all that clients of some languages speak, Python's for one.
        .add_service(reflection().build_v1alpha()?);
    let peers = Peers::new(Share {
        connections: options.connections_per_peer_max,
        calls: options.calls_max.div_ceil(2),
    });
    let incoming = incoming(TcpListener::from_std(listener)?, tls, options.connections_max, peers, metrics);
    let mut asked = draining.clone();
    let asked = async move { drop(asked.wait_for(|is_draining| *is_draining).await) };
    let mut also_asked = draining;
    let served = router.serve_with_incoming_shutdown(incoming, asked);
    let bounded = async {
        let _ = also_asked.wait_for(|is_draining| *is_draining).await;
        tokio::time::sleep(options.drain_max).await;
    };
    tokio::select! {
        served = served => served?,
        () = bounded => tracing::warn!("calls that did not end in time are given up"),
    }
    watching.await?;
    if let Some(sending) = sending {
        // The last handle is gone with the router: what is queued is sent.
        let _ = timeout(Duration::from_secs(1), sending).await;
    }
    Ok(())
}
