//! A simulated disk with power cuts and faults, for tests of the log and of what stands on it.
//!
//! What was not synced may vanish or tear when the power is cut: of each write any subset of its
//! 512-byte sectors survives, and names that were not synced may be as before. Everything depends on
//! the seed alone.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::files::{File, Files};

const SECTOR_BYTES: u64 = 512;

/// A small generator of numbers: the tests' only source of chance.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    pub fn next_u64(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone)]
struct Write {
    offset: u64,
    bytes: Vec<u8>,
}

#[derive(Clone, Default)]
struct Node {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Write>,
}

#[derive(Clone)]
enum NameOp {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// What goes wrong. All off by default.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The power is cut at the operation after so many others that change the disk.
    pub cut_after: Option<u64>,
    /// The fdatasync after so many others fails, once: what it was to sync may be lost, and nobody will
    /// be told again.
    pub fail_sync_after: Option<u64>,
    /// A write after so many others fails.
    pub fail_write_after: Option<u64>,
    /// Space for all files.
    pub space_bytes: Option<u64>,
    /// Some writes take only a part.
    pub short_writes: bool,
}

#[derive(Clone)]
struct Disk {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameOp>,
    rng: Rng,
    faults: Faults,
    changes: u64,
    dead: bool,
}

type Hook = Box<dyn FnOnce() + Send>;

/// A handle to the disk; clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    disk: Arc<Mutex<Disk>>,
    before_read: Arc<Mutex<Option<Hook>>>,
}

impl SimDisk {
    pub fn new(seed: u64) -> Self {
        let disk = Disk {
            nodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            rng: Rng::new(seed),
            faults: Faults::default(),
            changes: 0,
            dead: false,
        };
        Self::of(disk)
    }

    fn of(disk: Disk) -> Self {
        Self { disk: Arc::new(Mutex::new(disk)), before_read: Arc::default() }
    }

    /// Runs when the next read begins: what another thread may have done just then.
    pub fn before_next_read(&self, hook: impl FnOnce() + Send + 'static) {
        *self.before_read.lock() = Some(Box::new(hook));
    }

    pub fn set_faults(&self, faults: Faults) {
        self.disk.lock().faults = faults;
    }

    /// The disk answers nobody while `during` runs, and has the faults that it sets from then on.
    pub fn while_it_hangs(&self, during: impl FnOnce(&mut Faults)) {
        during(&mut self.disk.lock().faults);
    }

    /// Operations that changed the disk, or were to: what `cut_after` counts from here on.
    pub fn changes(&self) -> u64 {
        self.disk.lock().changes
    }

    /// Whether the power was cut.
    pub fn is_dead(&self) -> bool {
        self.disk.lock().dead
    }

    /// Cuts the power: this disk fails for good, and what has survived is the one returned.
    pub fn power_cut(&self, seed: u64) -> Self {
        let mut disk = self.disk.lock();
        disk.dead = true;
        let mut survivor = disk.clone();
        survivor.survive(Rng::new(seed));
        Self::of(survivor)
    }

    /// The same contents on a disk of its own, as after a restart of the process only: the old
    /// process' handles work no longer, and nothing unsynced is lost.
    pub fn restart(&self) -> Self {
        let mut disk = self.disk.lock();
        let mut copy = disk.clone();
        disk.dead = true;
        copy.dead = false;
        copy.faults = Faults::default();
        Self::of(copy)
    }

    /// Names of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.disk.lock().names.keys().cloned().collect()
    }

    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk.lock();
        let node = disk.nodes.get(*disk.names.get(path)?)?;
        Some(node.current.clone())
    }

    /// Changes a file behind everybody's back, durably.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk.lock();
        let Some(&id) = disk.names.get(path) else { return };
        if let Some(node) = disk.nodes.get_mut(id) {
            change(&mut node.current);
            node.durable.clone_from(&node.current);
            node.unsynced.clear();
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn put(bytes: &mut Vec<u8>, write: &Write, from: u64, to: u64) {
    let (from, to) = (from.max(write.offset), to.min(write.offset + write.bytes.len() as u64));
    if from < to {
        if bytes.len() < to as usize {
            bytes.resize(to as usize, 0);
        }
        let source = &write.bytes[(from - write.offset) as usize..(to - write.offset) as usize];
        bytes[from as usize..to as usize].copy_from_slice(source);
    }
}

impl Node {
    /// Some of what was not synced reaches the platter: nothing, all, a prefix, or any sectors.
    fn settle(&mut self, rng: &mut Rng) {
        let way = rng.below(4);
        let keep_until = rng.below(self.unsynced.len() as u64 + 1);
        for (number, write) in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            let end = write.offset + write.bytes.len() as u64;
            match way {
                0 => {}
                1 => put(&mut self.durable, &write, 0, end),
                2 if (number as u64) < keep_until => put(&mut self.durable, &write, 0, end),
                2 if number as u64 == keep_until => {
                    let torn = write.offset + rng.below(write.bytes.len() as u64 + 1);
                    put(&mut self.durable, &write, 0, torn);
                }
                2 => {}
                _ => {
                    let mut at = write.offset / SECTOR_BYTES * SECTOR_BYTES;
                    while at < end {
                        if rng.one_in(2) {
                            put(&mut self.durable, &write, at, at + SECTOR_BYTES);
                        }
                        at += SECTOR_BYTES;
                    }
                }
            }
        }
    }
}

impl Disk {
    fn survive(&mut self, mut rng: Rng) {
        for node in &mut self.nodes {
            node.settle(&mut rng);
            node.current.clone_from(&node.durable);
        }
        for op in std::mem::take(&mut self.unsynced_names) {
            if rng.one_in(2) {
                continue;
            }
            match op {
                NameOp::Create(path, id) => {
                    self.durable_names.insert(path, id);
                }
                NameOp::Rename(from, to) => {
                    if let Some(id) = self.durable_names.remove(&from) {
                        self.durable_names.insert(to, id);
                    }
                }
                NameOp::Remove(path) => {
                    self.durable_names.remove(&path);
                }
            }
        }
        self.names.clone_from(&self.durable_names);
        self.rng = rng;
        self.faults = Faults::default();
        self.changes = 0;
        self.dead = false;
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(power_is_off()) } else { Ok(()) }
    }

    /// Counts an operation that changes the disk. True if the power is cut in the middle of it.
    fn change(&mut self) -> io::Result<bool> {
        self.alive()?;
        self.changes += 1;
        let cut = count_down(&mut self.faults.cut_after);
        self.dead |= cut;
        Ok(cut)
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().filter_map(|&id| self.nodes.get(id)).map(|node| node.current.len() as u64).sum()
    }
}

fn count_down(counter: &mut Option<u64>) -> bool {
    match counter {
        Some(0) => {
            *counter = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

/// What an operation that the power cut met has to say.
fn unless_cut<T>(cut: bool, outcome: T) -> io::Result<T> {
    if cut { Err(power_is_off()) } else { Ok(outcome) }
}

impl Files for SimDisk {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        self.disk.lock().alive()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut disk = self.disk.lock();
        let cut = disk.change()?;
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = disk.nodes.len();
        disk.nodes.push(Node::default());
        disk.names.insert(path.to_path_buf(), id);
        disk.unsynced_names.push(NameOp::Create(path.to_path_buf(), id));
        unless_cut(cut, Arc::new(SimFile { disk: self.clone(), id }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let disk = self.disk.lock();
        disk.alive()?;
        let id = *disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), id }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk.lock();
        disk.alive()?;
        let inside = disk.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let cut = disk.change()?;
        let id = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        if disk.names.insert(to.to_path_buf(), id).is_some() {
            return Err(io::Error::other("a rename onto another file"));
        }
        disk.unsynced_names.push(NameOp::Rename(from.to_path_buf(), to.to_path_buf()));
        unless_cut(cut, ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let cut = disk.change()?;
        disk.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        disk.unsynced_names.push(NameOp::Remove(path.to_path_buf()));
        unless_cut(cut, ())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if disk.change()? {
            return Err(power_is_off());
        }
        disk.unsynced_names.clear();
        disk.durable_names = disk.names.clone();
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    id: usize,
}

impl SimFile {
    fn node<T>(&self, disk: &mut Disk, act: impl FnOnce(&mut Node) -> T) -> io::Result<T> {
        disk.nodes.get_mut(self.id).map(act).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let hook = self.disk.before_read.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        let mut disk = self.disk.disk.lock();
        disk.alive()?;
        self.node(&mut disk, |node| {
            let rest = node.current.get(offset as usize..).unwrap_or_default();
            let len = rest.len().min(into.len());
            into[..len].copy_from_slice(&rest[..len]);
            len
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.disk.disk.lock();
        let cut = disk.change()?;
        if count_down(&mut disk.faults.fail_write_after) {
            return Err(io::Error::other("a write fails, as asked for"));
        }
        let old_len = self.node(&mut disk, |node| node.current.len() as u64)?;
        let grown = (offset + bytes.len() as u64).saturating_sub(old_len);
        let room = disk.faults.space_bytes.map(|space| space.saturating_sub(disk.used_bytes()));
        let mut len = bytes.len() as u64;
        if let Some(room) = room.filter(|&room| room < grown) {
            len = len.saturating_sub(grown - room);
            if len == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        if disk.faults.short_writes && len > 1 && disk.rng.one_in(3) {
            len = 1 + disk.rng.below(len - 1);
        }
        let write = Write { offset, bytes: bytes[..len as usize].to_vec() };
        self.node(&mut disk, |node| {
            put(&mut node.current, &write, 0, u64::MAX);
            node.unsynced.push(write);
        })?;
        unless_cut(cut, len as usize)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk.disk.lock();
        if disk.change()? {
            return Err(power_is_off());
        }
        if count_down(&mut disk.faults.fail_sync_after) {
            // As on Linux: the pages count as clean from now on, whether they were written or not.
            let mut rng = disk.rng.clone();
            self.node(&mut disk, |node| node.settle(&mut rng))?;
            disk.rng = rng;
            return Err(io::Error::other("an fdatasync fails, as asked for"));
        }
        self.node(&mut disk, |node| {
            for write in std::mem::take(&mut node.unsynced) {
                put(&mut node.durable, &write, 0, u64::MAX);
            }
        })
    }

    fn len(&self) -> io::Result<u64> {
        let mut disk = self.disk.disk.lock();
        disk.alive()?;
        self.node(&mut disk, |node| node.current.len() as u64)
    }
}
