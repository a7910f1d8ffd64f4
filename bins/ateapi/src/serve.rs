//! Starts the server, says so, and stops it when it is asked to.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use ateapi::serve::Host;
use ateapi::service::{self, Acknowledge};
use ateapi::store::redis::RedisStore;
use console::logging;
use observe::HttpServer;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use threads::Class;

use crate::cli::Options;

pub fn run(options: &Options) -> ExitCode {
    if let Err(why) = logging::start(&options.log_level, options.log_format) {
        return fail(&why);
    }
    logging::abort_on_panic();
    // Before anything starts: a signal that comes early is not lost.
    let stops = match Signals::new([SIGTERM, SIGINT]).and_then(watch_signals) {
        Ok(stops) => stops,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    match serve(options, &stops) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn serve(options: &Options, stops: &Receiver<()>) -> Result<(), String> {
    let store = options.store()?;
    let seeds: Vec<String> = store.seeds.iter().map(ToString::to_string).collect();
    let rights = service::Options {
        allow_debug_clear: options.allow_debug_clear,
        clear_refusal: "the server must be started with --allow-debug-clear",
        token_key: options.token_key()?,
    };
    let host = Host::start(options.server()?, RedisStore::new(store), Acknowledge, rights)
        .map_err(|error| error.to_string())?;
    let http = match options.metrics.0 {
        Some(address) => {
            let started = HttpServer::start(address, host.shown());
            Some(started.map_err(|error| format!("cannot serve metrics on {address}: {error}"))?)
        }
        None => None,
    };
    let metrics = http.as_ref().map_or_else(|| "off".to_owned(), |http| http.address().to_string());
    let tls = if options.tls_cert.is_some() { " (TLS)" } else { "" };
    let banner = format!(
        "ateapi {}: grpc {}{tls}, store {}, metrics {metrics}",
        env!("CARGO_PKG_VERSION"),
        host.address(),
        seeds.join(","),
    );
    // Whoever started this may have closed its end.
    let _ = writeln!(io::stdout(), "{banner}");
    let _ = io::stdout().flush();
    let _ = stops.recv();
    tracing::info!("stopping: no new calls, those that are going on are answered");
    host.stop();
    drop(http);
    tracing::info!("stopped");
    Ok(())
}

fn fail(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "ateapi: {why}");
    ExitCode::FAILURE
}

/// The first signal asks for a clean stop, the second one ends the process at once.
fn watch_signals(mut signals: Signals) -> io::Result<Receiver<()>> {
    let (asks, stops): (SyncSender<()>, _) = sync_channel(1);
    let body = move || {
        let mut asked = false;
        for signal in signals.forever() {
            if asked {
                std::process::exit(128 + signal);
            }
            asked = true;
            let _ = asks.try_send(());
        }
    };
    Class::Maint.spawn("signals", body)?;
    Ok(stops)
}
