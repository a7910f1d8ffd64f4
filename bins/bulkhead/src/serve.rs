//! `bulkhead serve`: starts a node, says so, and stops it when it is asked to.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ateapi::serve::Host;
use console::logging;
use server::config::Program;
use server::{Config, DataDir, Node};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use threads::Class;

use crate::actors;
use crate::cli::{Fsync, Options};

/// A clean stop that takes longer is given up. Nothing acknowledged is lost by that.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

pub fn run(options: Options) -> ExitCode {
    if let Err(why) = logging::start(&options.log_level, options.log_format) {
        return fail(&why);
    }
    logging::abort_on_panic();
    // Before anything starts: a signal that comes early is not lost.
    let signals = match Signals::new([SIGTERM, SIGINT, SIGHUP]) {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let mut config = match config(&options) {
        Ok(config) => config,
        Err(why) => return fail(&why),
    };
    let bound = match actors::bind(&options) {
        Ok(bound) => bound,
        Err(why) => return fail(&why),
    };
    // Before there are threads. From then on the thread that watches memory gives back what is freed.
    allocator::keep_what_is_freed();
    server::process::refuse_huge_pages();
    config.max_connections = server::process::allow_open_files(config.max_connections);
    let node = match Node::start(config) {
        Ok(node) => node,
        Err(error) => return fail(&error.to_string()),
    };
    let host = match bound.map(|bound| actors::serve(bound, &node)).transpose() {
        Ok(host) => host,
        Err(why) => {
            node.stop();
            return fail(&why);
        }
    };
    if let Err(error) = watch_signals(signals, &node) {
        return fail(&format!("cannot start a thread: {error}"));
    }
    // Whoever started this may have closed its end.
    let _ = writeln!(io::stdout(), "{}", banner(&node, host.as_ref().map(Host::address), &options));
    let _ = io::stdout().flush();
    node.wait_for_stop_request();
    tracing::info!("stopping");
    if let Err(error) = watch_stop() {
        return fail(&format!("cannot start a thread: {error}"));
    }
    if let Some(host) = host {
        // First what needs the node to come to its end.
        host.stop();
    }
    node.stop();
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "bulkhead: {why}");
    ExitCode::FAILURE
}

pub fn config(options: &Options) -> Result<Config, String> {
    let mut config = Config::new(options.data.clone());
    // What is not said is as it was when the directory was created.
    let created = DataDir::constants(&options.data).map_err(|error| error.to_string())?;
    config.groups = options.groups.or(created.map(|created| created.groups)).unwrap_or(config.groups);
    config.node_id = options.node_id.or(created.map(|created| created.node_id)).unwrap_or(config.node_id);
    config.listen = options.listen.0;
    config.http = options.http.0;
    config.fsync = match options.fsync {
        Fsync::Always => server::config::Fsync::Always,
        Fsync::Everysec => server::config::Fsync::EverySec,
    };
    config.net_threads = options.net_threads.map_or(config.net_threads, usize::from);
    config.heavy_threads = options.heavy_threads.map_or(config.heavy_threads, usize::from);
    config.background_cpus = options.background_cpus.map_or(config.background_cpus, usize::from);
    config.heavy_queue = options.heavy_queue as usize;
    config.heavy_timeout = options.heavy_timeout;
    config.stall_timeout = options.stall_timeout;
    config.max_connections = options.max_connections as usize;
    config.max_connections_per_peer = options.max_connections_per_peer as usize;
    config.memory_soft = options.memory_soft;
    config.memory_hard = options.memory_hard;
    config.sample_keys = options.sample_keys;
    config.set_cache(match options.cache {
        Some(bytes) => bytes,
        None => server::default_cache(&config)?,
    });
    config.requirepass = options.requirepass.clone();
    config.tls = options.tls.options()?;
    config.program = Program {
        config_file: options.config.clone(),
        log_level: options.log_level.clone(),
        log_format: options.log_format.to_string(),
        ateapi_otlp_endpoint: options.ateapi_otlp_endpoint.clone().unwrap_or_default(),
    };
    Ok(config)
}

/// The one thing on stdout.
fn banner(node: &Node, actors: Option<SocketAddr>, options: &Options) -> String {
    let address =
        |address: Option<SocketAddr>| address.map_or_else(|| "off".to_owned(), |address| address.to_string());
    let durability = match node.config.fsync {
        server::config::Fsync::Always => "every write is on disk before it is acknowledged",
        server::config::Fsync::EverySec => "a power cut may take the last second of writes",
    };
    let tls = node.tls_address().map(|address| format!(", tls {address}")).unwrap_or_default();
    let actors_tls = if actors.is_some() && options.tls.tls_cert.is_some() { " (TLS)" } else { "" };
    format!(
        "Bulkhead {}: redis {}{tls}, http {}, actors {}{actors_tls}, data {}, node {}, groups {}; {durability}",
        env!("CARGO_PKG_VERSION"),
        address(node.addresses().first().copied()),
        address(node.http_address()),
        address(actors),
        node.config.data.display(),
        node.config.node_id,
        node.config.groups,
    )
}

/// The first signal asks for a clean stop, the second one ends the process at once. SIGHUP has the files of
/// TLS read anew, and does nothing without.
fn watch_signals(mut signals: Signals, node: &Arc<Node>) -> io::Result<()> {
    let node = Arc::downgrade(node);
    let body = move || {
        let mut asked = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                // Logged, whatever comes of it.
                let tls = node.upgrade().and_then(|node| node.tls.clone());
                let _ = tls.map(|tls| tls.reload(|_| Ok(())));
                continue;
            }
            let stopping = node.upgrade().is_none_or(|node| node.is_stop_requested());
            if asked || stopping {
                std::process::exit(128 + signal);
            }
            asked = true;
            if let Some(node) = node.upgrade() {
                node.request_stop();
            }
        }
    };
    Class::Maint.spawn("signals", body).map(|_| ())
}

fn watch_stop() -> io::Result<()> {
    let body = || {
        thread::sleep(STOP_TIME_MAX);
        tracing::error!("the clean stop took too long; what was acknowledged is on disk");
        std::process::exit(1);
    };
    Class::Maint.spawn("stop", body).map(|_| ())
}
