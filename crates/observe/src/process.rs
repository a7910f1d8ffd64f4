//! What Linux says of this process: memory, CPU time, threads. Elsewhere all of it reads as zero.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use threads::Class;

/// Linux counts CPU time in these on every architecture (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub resident_bytes: u64,
    pub resident_peak_bytes: u64,
    pub virtual_bytes: u64,
    /// Of the machine.
    pub total_bytes: u64,
}

impl Memory {
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            resident_bytes: kilobytes(&status, "VmRSS:"),
            resident_peak_bytes: kilobytes(&status, "VmHWM:"),
            virtual_bytes: kilobytes(&status, "VmSize:"),
            total_bytes: kilobytes(&machine, "MemTotal:"),
        }
    }
}

/// The value of a line such as `VmRSS:     1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    value.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Resident memory of the process.
pub fn resident_bytes() -> u64 {
    kilobytes(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmRSS:")
}

/// How much memory this process may take: the machine's, or what its control group, or one above that, is given if that is
/// less. Nothing if nobody says.
pub fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = group_limits(Path::new("/sys/fs/cgroup"), &groups);
    let machine = Some(Memory::read().total_bytes).filter(|bytes| *bytes > 0);
    limits.into_iter().chain(machine).min()
}

/// The limits of the control groups that a process is in, from the lines that the kernel has of these: of the second
/// version, or of the first one's memory controller.
fn group_limits(root: &Path, groups: &str) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            names if names.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // In a container, the path may be that of the machine, which is not to be seen: then its own group is the root.
        for group in Path::new(path.trim_start_matches('/')).ancestors() {
            let text = fs::read_to_string(root.join(group).join(file)).unwrap_or_default();
            limits.extend(text.trim().parse::<u64>());
        }
    }
    limits
}

/// CPU time of the process since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub user: Duration,
    pub system: Duration,
}

impl Cpu {
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        cpu_of(&stat).unwrap_or_default()
    }

    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

/// Fields 14 and 15 of a `stat` file. The name in the second field may hold anything, also spaces.
fn cpu_of(stat: &str) -> Option<Cpu> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || {
        let ticks = fields.next()?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND)))
    };
    Some(Cpu { user: ticks()?, system: ticks()? })
}

/// The threads of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadClass {
    pub threads: u64,
    pub cpu: Duration,
    /// Of the one that the scheduler prefers least.
    pub niceness: i64,
}

/// CPU time, number and priority of the threads, by the name of their class; what is of none is `other`. Threads that have
/// ended are not counted.
pub fn threads() -> BTreeMap<&'static str, ThreadClass> {
    threads_in(Path::new("/proc/self/task"))
}

const OTHER: &str = "other";

/// Field 19 of a `stat` file.
fn niceness_of(stat: &str) -> Option<i64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(16)?.parse().ok()
}

fn threads_in(tasks: &Path) -> BTreeMap<&'static str, ThreadClass> {
    let mut classes = BTreeMap::new();
    for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
        let name =
            stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(name, _)| name);
        let niceness = niceness_of(&stat).unwrap_or(0);
        let class = classes.entry(Class::of(name).map_or(OTHER, Class::name));
        let class = class.or_insert(ThreadClass { niceness, ..ThreadClass::default() });
        class.threads += 1;
        class.niceness = class.niceness.max(niceness);
        // Finer than the ticks, where the kernel has it.
        let schedule = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanos = schedule.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        class.cpu += match nanos {
            Some(nanos) => Duration::from_nanos(nanos),
            None => cpu_of(&stat).unwrap_or_default().total(),
        };
    }
    classes
}

/// File descriptors in use.
pub fn open_files() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 100 0 0";
        let cpu = Cpu { user: Duration::from_millis(2500), system: Duration::from_millis(500) };
        assert_eq!(cpu_of(stat), Some(cpu));
        assert_eq!(cpu_of("7 (x) S 1"), None);
    }

    #[test]
    fn limits_are_those_of_a_group_and_of_all_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "5000\n");
        write("a/b/memory.max", "max\n");
        write("memory/memory.limit_in_bytes", "7000\n");
        write("memory/c/memory.limit_in_bytes", "6000\n");
        for (groups, expected) in [
            ("0::/a/b\n", vec![5000]),
            ("0::/\n", vec![]),
            ("4:memory:/c\n1:cpu:/c\n", vec![6000, 7000]),
            ("4:cpu,memory:/not/to/be/seen\n0::/a\n", vec![7000, 5000]),
            ("nonsense", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(group_limits(dir.path(), groups), expected, "{groups}");
        }
        assert!(memory_limit().is_some_and(|limit| limit > resident_bytes()));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\n";
        assert_eq!(kilobytes(text, "VmRSS:"), 1_024_000);
        assert_eq!(kilobytes(text, "VmSize:"), 0);
    }

    #[test]
    fn threads_are_counted_by_class() {
        let dir = tempfile::tempdir().unwrap();
        for (id, name, nanos, niceness) in
            [(1, "raft-0", "10 1 1", -5), (2, "raft-1", "20 1 1", -7), (3, "main", "5 1 1", 0)]
        {
            let task = dir.path().join(id.to_string());
            fs::create_dir(&task).unwrap();
            let stat = format!("{id} ({name}) S 1 7 7 0 -1 0 0 0 0 0 1 0 0 0 15 {niceness} 9 0 100");
            fs::write(task.join("stat"), stat).unwrap();
            fs::write(task.join("schedstat"), nanos).unwrap();
        }
        let classes = threads_in(dir.path());
        let raft = ThreadClass { threads: 2, cpu: Duration::from_nanos(30), niceness: -5 };
        assert_eq!(classes.get("raft"), Some(&raft));
        assert_eq!(classes.get(OTHER).map(|class| (class.threads, class.niceness)), Some((1, 0)));
    }
}
