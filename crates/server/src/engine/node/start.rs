//! What a node needs before it starts anything: settings that make sense, its store and its log.

use std::sync::Arc;

use store::{Disk, DiskError, DiskOptions};
use wal::Wal;

use super::StartError;
use crate::admission::Admission;
use crate::config::Config;
use crate::engine::memory_watch;
use crate::engine::rubbish::Rubbish;
use crate::net::tls::Tls;

type Prepared = (Arc<Admission>, Arc<Rubbish>, Option<Arc<Tls>>);

/// What may be wrong with the settings is said before anything starts.
pub(super) fn prepare(config: &mut Config) -> Result<Prepared, StartError> {
    threads::set_background_cpus(config.background_cpus);
    let thresholds = memory_watch::share_out(config).map_err(StartError::Memory)?;
    let tls = config.tls.as_ref().map(Tls::new).transpose().map_err(StartError::Tls)?;
    let admission = Arc::new(Admission::new(thresholds));
    let rubbish = Arc::new(Rubbish::new(admission.clone()));
    Ok((admission, rubbish, tls.map(Arc::new)))
}

pub(super) fn open_disk(config: &Config) -> Result<Disk, DiskError> {
    let mut options = DiskOptions::new(&config.data.join("store"));
    options.cache_bytes = config.block_cache_bytes;
    options.write_buffer_bytes = config.shares.write_buffer_bytes;
    Disk::open(&options)
}

pub(super) fn log_options(config: &Config) -> wal::Options {
    wal::Options {
        fsync: config.fsync,
        cache_bytes: config.shares.log_cache_bytes as usize,
        ..wal::Options::new(config.data.join("log"))
    }
}

pub(super) fn open_log(
    files: Arc<dyn wal::Files>,
    options: wal::Options,
) -> Result<(Wal, wal::Recovered), wal::WalError> {
    let (wal, recovered) = Wal::open(files, options)?;
    if recovered.truncated_bytes > 0 {
        tracing::warn!(bytes = recovered.truncated_bytes, "a torn tail of the log was cut off");
    }
    Ok((wal, recovered))
}

/// What is synced once a second only is better left to the page cache until then.
pub(super) fn log_files(fsync: wal::Fsync) -> wal::DiskFiles {
    wal::DiskFiles { direct: fsync == wal::Fsync::Always }
}
