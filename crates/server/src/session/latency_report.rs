//! What LATENCY DOCTOR and GRAPH say: events for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::latency::{COMMAND, EXPIRE_CYCLE, FAST_COMMAND, FDATASYNC, Series};

/// As wide and as high as Redis draws.
const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// What a row is drawn with, from low to high; below that it is filled.
const SHADES: &[char] = &['_', 'o', '#'];
const FILLED: char = '|';

/// When something happened.
fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The samples of an event, as Redis draws them.
pub(super) fn graph(name: &str, series: &Series, now_s: u64) -> String {
    let values = || series.samples.iter().map(|sample| sample.ms);
    let (high, low) = (values().max().unwrap_or(0), values().min().unwrap_or(0));
    let mut graph = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max_ms);
    graph.extend(std::iter::repeat_n('-', COLUMNS));
    graph.push('\n');
    let columns: Vec<(usize, String)> = series
        .samples
        .iter()
        .map(|sample| (step(sample.ms, low, high), ago(now_s.saturating_sub(sample.at_s))))
        .collect();
    for (at, part) in columns.chunks(COLUMNS).enumerate() {
        if at > 0 {
            graph.push('\n');
        }
        draw(part, &mut graph);
    }
    graph
}

/// How high a value stands.
fn step(value: u64, low: u64, high: u64) -> usize {
    let steps = SHADES.len() * ROWS;
    let share = (value - low) as f64 / (high - low).max(1) as f64;
    ((share * steps as f64) as usize).min(steps - 1)
}

fn draw(columns: &[(usize, String)], graph: &mut String) {
    for row in (0..ROWS).rev() {
        let base = row * SHADES.len();
        graph.extend(columns.iter().map(|(step, _)| match step.checked_sub(base) {
            None => ' ',
            Some(above) => SHADES.get(above).copied().unwrap_or(FILLED),
        }));
        graph.push('\n');
    }
    // An empty line, and the labels from top to bottom.
    graph.extend(std::iter::repeat_n(' ', columns.len()));
    graph.push('\n');
    let longest = columns.iter().map(|(_, label)| label.len()).max().unwrap_or(0);
    for line in 0..longest {
        graph.extend(columns.iter().map(|(_, label)| label.chars().nth(line).unwrap_or(' ')));
        graph.push('\n');
    }
}

/// What the samples of an event have in common.
struct Analysis {
    spikes: u64,
    average_ms: u64,
    deviation_ms: u64,
    /// How often it happens.
    period_s: f64,
}

fn analyse(series: &Series) -> Analysis {
    let spikes = series.samples.len() as u64;
    let values = || series.samples.iter().map(|sample| sample.ms);
    let average_ms = values().sum::<u64>() / spikes.max(1);
    let deviation_ms = values().map(|ms| ms.abs_diff(average_ms)).sum::<u64>() / spikes.max(1);
    let ends = (series.samples.front(), series.samples.back());
    let span_s = if let (Some(first), Some(last)) = ends { last.at_s.saturating_sub(first.at_s) } else { 0 };
    Analysis { spikes, average_ms, deviation_ms, period_s: span_s as f64 / spikes.max(1) as f64 }
}

fn advice(event: &str, slower_than_us: Option<u64>) -> Vec<String> {
    match event {
        COMMAND => {
            let log = match slower_than_us {
                None => "The slow log is off: CONFIG SET slowlog-log-slower-than <microseconds>.".into(),
                Some(us) => format!("SLOWLOG GET shows which ones took {us} microseconds or more."),
            };
            vec![
                log,
                "Long commands run in the heavy pool and hold up nobody else; LATENCY HISTOGRAM tells which \
                 commands take long as a rule."
                    .into(),
            ]
        }
        FAST_COMMAND => vec![
            "These commands do little: that one took long says that its thread did not run, or that what it \
             read was not in memory. Look at the machine's CPUs, at swapping, and at --cache (INFO threads, \
             INFO memory)."
                .into(),
        ],
        EXPIRE_CYCLE => {
            vec!["Many keys expire at the same time. Spread their times over a few minutes.".into()]
        }
        FDATASYNC => vec![
            "Every write waits until the log is on disk. Look for others who write to the same disk, and at \
             bulkhead_wal_fsync_seconds; --fsync everysec does not wait, and may lose a second."
                .into(),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn doctor(
    threshold_ms: u64,
    events: &BTreeMap<&'static str, Series>,
    slower_than_us: Option<u64>,
) -> String {
    if threshold_ms == 0 && events.is_empty() {
        return "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> has events kept \
                that take at least so long.\n"
            .into();
    }
    if events.is_empty() {
        return format!("No event has taken {threshold_ms} ms or longer since they were last reset.\n");
    }
    let mut report = String::from("These events have taken long:\n\n");
    for (at, (name, series)) in events.iter().enumerate() {
        let Analysis { spikes, average_ms, deviation_ms, period_s } = analyse(series);
        let _ = writeln!(
            report,
            "{}. {name}: {spikes} latency spikes (average {average_ms}ms, mean deviation {deviation_ms}ms, \
             period {period_s:.2} sec). Worst all time event {}ms.",
            at + 1,
            series.max_ms
        );
    }
    report.push_str("\nWhat may help:\n\n");
    for advice in events.keys().flat_map(|event| advice(event, slower_than_us)) {
        let _ = writeln!(report, "- {advice}");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::super::latency::Sample;
    use super::*;

    fn series(samples: &[(u64, u64)]) -> Series {
        let samples = samples.iter().map(|&(at_s, ms)| Sample { at_s, ms });
        Series { samples: samples.collect(), max_ms: 500 }
    }

    #[test]
    fn a_graph_is_drawn_as_redis_draws_it() {
        let series = series(&[(1_000, 5), (4_000, 500), (7_100, 250), (7_195, 100)]);
        let line = "-".repeat(80);
        let expected = format!(
            "command - high 500 ms, low 5 ms (all time high 500 ms)\n{line}\n #  \n |  \n |# \n_||#\n    \n\
             1515\nh3ms\n m  \n"
        );
        assert_eq!(graph("command", &series, 7_200), expected);
    }

    #[test]
    fn the_doctor_says_what_is_true() {
        assert!(doctor(0, &BTreeMap::new(), None).contains("is off"));
        assert!(doctor(10, &BTreeMap::new(), None).contains("10 ms or longer"));
        let events = BTreeMap::from([(COMMAND, series(&[(100, 100), (110, 200), (130, 300)]))]);
        let report = doctor(10, &events, Some(10_000));
        let line = "1. command: 3 latency spikes (average 200ms, mean deviation 66ms, period 10.00 sec). Worst \
                    all time event 500ms.\n";
        assert!(report.contains(line) && report.contains("took 10000 microseconds"), "{report}");
    }
}
