//! What a node needs before it starts anything: settings that make sense, its store and its log.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use base::Clock;
use store::apply::{Applier, Queue, Watch};
use store::{Disk, DiskError, DiskOptions, GroupOptions};
use threads::Class;
use wal::Wal;

use super::{StartError, random_seed};
use crate::admission::Admission;
use crate::config::Config;
use crate::engine::clients::Wakers;
use crate::engine::group::Group;
use crate::engine::health::{Room, Space};
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

/// What a group's apply thread reports to.
struct StoreWatch {
    wakers: Arc<Wakers>,
    failure: Arc<OnceLock<String>>,
    room: Room,
    disk: Disk,
}

impl Watch for StoreWatch {
    fn progress(&self) {
        self.wakers.wake_all();
    }

    fn failed(&self, error: &DiskError) {
        let _ = self.failure.set(error.to_string());
        self.wakers.wake_all();
    }

    fn has_room(&self, bytes: u64) -> bool {
        let Some(free) = self.room.free_bytes() else { return true };
        let buffered = self.disk.write_buffer_bytes();
        Space { free, buffered, ..Space::default() }.has_room_for(bytes)
    }
}

/// A group's store and its apply thread.
pub(super) fn start_group(
    id: u16,
    config: &Config,
    disk: &Disk,
    room: &Room,
    clock: &Arc<dyn Clock>,
    wakers: &Arc<Wakers>,
) -> Result<(Arc<Group>, JoinHandle<()>), StartError> {
    let cache_bytes = config.cache_bytes / usize::from(config.groups.max(1));
    let dirty_bytes_max = config.shares.dirty_bytes;
    let options = GroupOptions { dirty_bytes_max, ..GroupOptions::new(cache_bytes, random_seed()) };
    let store = Arc::new(store::Group::new(disk.group(id)?, &options, clock.clone()));
    let queue = Arc::new(Queue::default());
    let failure: Arc<OnceLock<String>> = Arc::default();
    let (room, watched) = (room.clone(), disk.clone());
    let watch =
        Arc::new(StoreWatch { wakers: wakers.clone(), failure: failure.clone(), room, disk: watched });
    let applier = Applier::new(store.clone(), queue.clone(), watch)?;
    let stats = applier.stats();
    let thread = Class::Apply.spawn(id, move || applier.run())?;
    let group = Arc::new(Group::new(id, store, queue, stats, wakers.clone(), failure));
    let pumped = Arc::downgrade(&group);
    group.store.connect(Box::new(move || {
        if let Some(group) = pumped.upgrade() {
            group.pump();
        }
    }));
    Ok((group, thread))
}
