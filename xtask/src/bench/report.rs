//! What was measured, as a page that says where and how.

use super::measure::{Measure, Scenario};
use super::peers::{Results, Role, Subject};
use super::transactions;
use crate::Result;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use testkit::figures::{median, thousands};

type Column = fn(&Measure) -> f64;

pub(super) fn render(subjects: &[Subject], results: &Results, data: &Path) -> Result<String> {
    let mut out = String::from(HEAD);
    table(&mut out, "Requests per second", subjects, results, |measure| measure.per_second, 0);
    table(&mut out, "Latency, p50 in ms", subjects, results, |measure| measure.p50_ms, 3);
    table(&mut out, "Latency, p99 in ms", subjects, results, |measure| measure.p99_ms, 3);
    table(&mut out, "Server CPU time per request, in µs", subjects, results, |measure| measure.cpu_us, 2);
    if subjects.iter().any(|subject| subject.role == Role::Grouped) {
        groups(&mut out, subjects, results)?;
    }
    how(&mut out, subjects, results, data)?;
    Ok(out)
}

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench peers`. Each number is the median of the rounds; each ratio is the median of
the rounds' ratios of Bulkhead to Valkey, both with everything on disk before it is acknowledged. A ratio
above 1 is good for throughput, below 1 for latency and CPU time. Redis without persistence is there for reference only.
";

fn table(
    out: &mut String,
    title: &str,
    subjects: &[Subject],
    results: &Results,
    column: Column,
    digits: usize,
) {
    let shown: Vec<usize> = (0..subjects.len())
        .filter(|&index| subjects.get(index).is_some_and(|s| s.role != Role::Grouped))
        .collect();
    let _ = write!(out, "\n## {title}\n\n| |");
    for subject in shown.iter().filter_map(|&index| subjects.get(index)) {
        let _ = write!(out, " {} |", subject.name);
    }
    let _ = writeln!(out, " Bulkhead : Valkey |\n|---|{}", "---:|".repeat(shown.len() + 1));
    for (scenario, of_subjects) in results {
        let _ = write!(out, "| {} |", scenario.name());
        for of_subject in shown.iter().filter_map(|&index| of_subjects.get(index)) {
            let _ = write!(out, " {} |", number(median(of_subject.iter().map(column).collect()), digits));
        }
        let ratio = ratio(subjects, of_subjects, Role::Ours, Role::Bar, column);
        let _ = writeln!(out, " **{ratio:.2}** |");
    }
}

fn groups(out: &mut String, subjects: &[Subject], results: &Results) -> Result {
    writeln!(out, "\n## Eight groups against one\n")?;
    writeln!(out, "| | requests/s, 8 groups : 1 group | p99 | CPU time per request |\n|---|---:|---:|---:|")?;
    for (scenario, of_subjects) in results {
        let ratio = |column: Column| ratio(subjects, of_subjects, Role::Grouped, Role::Ours, column);
        let (speed, p99, cpu) = (ratio(|m| m.per_second), ratio(|m| m.p99_ms), ratio(|m| m.cpu_us));
        writeln!(out, "| {} | **{speed:.2}** | {p99:.2} | {cpu:.2} |", scenario.name())?;
    }
    Ok(())
}

/// The median of the rounds' ratios of one subject to another.
fn ratio(subjects: &[Subject], of_subjects: &[Vec<Measure>], over: Role, under: Role, column: Column) -> f64 {
    let of = |role: Role| {
        let index = subjects.iter().position(|subject| subject.role == role);
        index.and_then(|index| of_subjects.get(index)).map_or(&[][..], Vec::as_slice)
    };
    let pairs = of(over).iter().zip(of(under));
    median(pairs.map(|(over, under)| column(over) / column(under).max(f64::MIN_POSITIVE)).collect())
}

/// With thousands set apart.
fn number(value: f64, digits: usize) -> String {
    if digits > 0 {
        return format!("{value:.digits$}");
    }
    thousands(value)
}

fn how(out: &mut String, subjects: &[Subject], results: &Results, data: &Path) -> Result {
    let rounds = results.first().and_then(|(_, subjects)| subjects.first()).map_or(0, Vec::len);
    writeln!(out, "\n## Where and how\n")?;
    writeln!(
        out,
        "- {}; {rounds} rounds, the servers one at a time in changing order",
        said("date", &["-u", "+%F"])
    )?;
    machine(out, data)?;
    let benchmark = said(&testkit::tools::need("redis-benchmark")?.to_string_lossy(), &["--version"]);
    let scenario = results.first().map(|(scenario, _)| *scenario);
    let line =
        scenario.as_ref().map(|scenario: &Scenario| scenario.args("PORT", "N").join(" ")).unwrap_or_default();
    writeln!(out, "- {benchmark}: `redis-benchmark {line}` and so on, N for 2 to 3 seconds")?;
    writeln!(
        out,
        "- a script, and a MULTI, of {} commands on one key (HGET, HSET, EXPIRE, HLEN, HINCRBY) is one request; transactions are sent by \
         a thread for each connection, for redis-benchmark cannot send them; so are those of consumers: as many \
         entries as the pipeline is long with one XREADGROUP, then one XACK of all of them; each entry counts",
        transactions::COMMANDS.len()
    )?;
    for subject in subjects {
        let program = subject.spec.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = subject.spec.command_line().join(" ").replace("{port}", "PORT").replace("{dir}", "DIR");
        let words = words.replace("{empty}", "''");
        writeln!(out, "- {} {}: `{program} {words}`", subject.name, subject.version)?;
    }
    Ok(())
}

/// What a program prints, in one line.
pub(super) fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(|_| "?".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Lines about the machine, and about the disk that a folder is on.
pub(super) fn machine(out: &mut String, data: &Path) -> Result {
    let field = |file: &str, name: &str| -> String {
        let text = fs::read_to_string(file).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        value.map_or_else(|| "?".into(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (cpu, memory) = (field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"));
    writeln!(out, "- {cpu}, {cores} cores shared by server and load; {memory} of memory")?;
    let sync = sync_us(data)?;
    writeln!(out, "- Linux {}; a 2 KiB write with fdatasync takes {sync:.0} µs (median)", kernel.trim())?;
    Ok(())
}

/// What the disk under the data costs: the floor of every acknowledged write.
fn sync_us(data: &Path) -> Result<f64> {
    const WRITES: usize = 200;
    let path = data.join("sync-probe");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&[7; 2048])?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    Ok(median(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(number(1_234_567.4, 0), "1,234,567");
        assert_eq!(number(999.0, 0), "999");
        assert_eq!(number(0.1234, 3), "0.123");
    }
}
