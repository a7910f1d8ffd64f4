//! A node's data directory: its lock, and the constants that it was created with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// The layout of the directory that this version reads and writes.
const FORMAT: u64 = 1;
const LOCK_FILE: &str = "LOCK";
const NODE_FILE: &str = "NODE";
/// What else is in a directory that holds data.
const DATA: &[&str] = &["store", "log"];

#[derive(Debug, Error)]
pub enum DataDirError {
    #[error("the data directory {path}: cannot {what}: {error}")]
    Io { path: PathBuf, what: String, error: io::Error },
    #[error("the data directory {0} is in use by another process")]
    Locked(PathBuf),
    #[error("{path} has format {found}, this version knows {FORMAT}: use the version that wrote it")]
    Format { path: PathBuf, found: u64 },
    #[error("{path} cannot be understood: {why}")]
    Malformed { path: PathBuf, why: String },
    #[error(
        "{path} holds data, but not the file {NODE_FILE} that says how it was created: it is incomplete, \
         or not a data directory of this server"
    )]
    Unknown { path: PathBuf },
    #[error(
        "{path} was created with {option} {created}, and that cannot be changed: not {asked}. Leave out \
         {option}, or use another data directory"
    )]
    Different { path: PathBuf, option: &'static str, created: u64, asked: u64 },
}

/// What is fixed when the directory is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants {
    pub node_id: u64,
    pub groups: u16,
}

/// The directory, locked for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    _lock: File,
}

impl DataDir {
    /// The constants of a directory, if it has been created.
    pub fn constants(path: &Path) -> Result<Option<Constants>, DataDirError> {
        let file = path.join(NODE_FILE);
        match fs::read_to_string(&file) {
            Ok(text) => parse(&file, &text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(path, "read NODE", error)),
        }
    }

    /// Locks the directory, and creates it if it is not there.
    pub fn open(path: &Path, node_id: u64, groups: u16) -> Result<Self, DataDirError> {
        fs::create_dir_all(path).map_err(|error| failed(path, "create it", error))?;
        let lock = lock(path)?;
        match Self::constants(path)? {
            Some(created) => {
                let different = |option, created, asked| DataDirError::Different {
                    path: path.to_owned(),
                    option,
                    created,
                    asked,
                };
                if created.groups != groups {
                    return Err(different("--groups", created.groups.into(), groups.into()));
                }
                if created.node_id != node_id {
                    return Err(different("--node-id", created.node_id, node_id));
                }
            }
            None if DATA.iter().any(|name| path.join(name).exists()) => {
                return Err(DataDirError::Unknown { path: path.to_owned() });
            }
            None => create(path, Constants { node_id, groups })?,
        }
        Ok(Self { _lock: lock })
    }
}

fn failed(path: &Path, what: &str, error: io::Error) -> DataDirError {
    DataDirError::Io { path: path.to_owned(), what: what.to_owned(), error }
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_FILE));
    let file = file.map_err(|error| failed(path, "open its lock", error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DataDirError::Locked(path.to_owned())),
        Err(error) => Err(failed(path, "lock it", error.into())),
    }
}

/// Writes the constants so that they are there after a power cut, whole or not at all.
fn create(path: &Path, constants: Constants) -> Result<(), DataDirError> {
    let Constants { node_id, groups } = constants;
    let text = format!(
        "# Written when this data directory was created. What is here cannot be changed.\n\
         format = {FORMAT}\nnode-id = {node_id}\ngroups = {groups}\n"
    );
    let write = || -> io::Result<()> {
        let temporary = path.join("NODE.new");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path.join(NODE_FILE))?;
        File::open(path)?.sync_all()?;
        // The directory's own entry.
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    };
    write().map_err(|error| failed(path, "write NODE", error))
}

fn parse(file: &Path, text: &str) -> Result<Constants, DataDirError> {
    let malformed = |why: String| DataDirError::Malformed { path: file.to_owned(), why };
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='));
        let line = line.ok_or_else(|| malformed(format!("it has no {name}")))?;
        line.trim().parse::<u64>().map_err(|_| malformed(format!("{name} is not a number")))
    };
    let found = value("format")?;
    if found != FORMAT {
        return Err(DataDirError::Format { path: file.to_owned(), found });
    }
    let groups = u16::try_from(value("groups")?).map_err(|_| malformed("groups is too large".into()))?;
    Ok(Constants { node_id: value("node-id")?, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(path: &Path, node_id: u64, groups: u16, expected: &str) {
        let error = DataDir::open(path, node_id, groups).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn constants_are_kept_and_cannot_be_changed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        assert_eq!(DataDir::constants(&path).unwrap(), None);
        drop(DataDir::open(&path, 7, 3).unwrap());
        assert_eq!(DataDir::constants(&path).unwrap(), Some(Constants { node_id: 7, groups: 3 }));
        refused(&path, 7, 4, "was created with --groups 3, and that cannot be changed: not 4");
        refused(&path, 8, 3, "was created with --node-id 7");
        drop(DataDir::open(&path, 7, 3).unwrap());
    }

    #[test]
    fn a_directory_is_used_by_one_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let first = DataDir::open(temp.path(), 1, 1).unwrap();
        refused(temp.path(), 1, 1, "is in use by another process");
        drop(first);
        DataDir::open(temp.path(), 1, 1).unwrap();
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let node = temp.path().join(NODE_FILE);
        fs::write(&node, "format = 2\nnode-id = 1\ngroups = 1\n").unwrap();
        refused(temp.path(), 1, 1, "has format 2, this version knows 1");
        fs::write(&node, "format = 1\nnode-id = x\ngroups = 1\n").unwrap();
        refused(temp.path(), 1, 1, "node-id is not a number");
        fs::write(&node, "").unwrap();
        refused(temp.path(), 1, 1, "it has no format");
        fs::remove_file(&node).unwrap();
        fs::create_dir(temp.path().join("log")).unwrap();
        refused(temp.path(), 1, 1, "holds data, but not the file NODE");
    }
}
