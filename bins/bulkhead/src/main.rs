//! `bulkhead`: the server and what talks to a running one.

use std::path::PathBuf;

use server::{Config, Node};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut config = Config::new(PathBuf::from("./bulkhead-data"));
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_default();
        match arg.as_str() {
            "--listen" => config.listen = value().parse().ok(),
            "--data" => config.data = value().into(),
            "--groups" => config.groups = value().parse().unwrap_or(1),
            "--http" => { value(); }
            _ => {}
        }
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let node = match Node::start(config) {
        Ok(node) => node,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            std::process::exit(1);
        }
    };
    let Ok(mut signals) = Signals::new([SIGTERM, SIGINT]) else { return };
    signals.forever().next();
    node.stop();
}
