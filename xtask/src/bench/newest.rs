//! What the newest entries of a stream cost, however many there are: as a table and as a picture.

use super::measure::{Measure, Scenario, Test, measure, scenario, test};
use super::page;
use super::svg::{Anchor, Picture};
use crate::{Result, install};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use testkit::figures::median;
use testkit::{Client, Reply, Server, Spec};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    /// Where the page is; the picture lies beside it.
    pub(super) out: Option<PathBuf>,
}

/// Streams of so many entries, whose ids count them.
const STREAMS: [(u64, Test); 4] = [
    (1_000, test("xread, 1,000", "XREAD COUNT 10 STREAMS newest:1000 990-0")),
    (10_000, test("xread, 10,000", "XREAD COUNT 10 STREAMS newest:10000 9990-0")),
    (100_000, test("xread, 100,000", "XREAD COUNT 10 STREAMS newest:100000 99990-0")),
    (1_000_000, test("xread, 1,000,000", "XREAD COUNT 10 STREAMS newest:1000000 999990-0")),
];
const PIPELINE: u32 = 16;
const ADDED: u64 = 1_000;
const PICTURE: &str = "xread-newest.svg";

/// One server's figures, by stream: requests per second, and µs of CPU time for each.
type Figures = Vec<(f64, f64)>;

pub(super) fn run(plan: &Plan) -> Result {
    install::servers()?;
    let subjects = [("Bulkhead", Spec::of_program(&plan.program)), ("Valkey", Spec::valkey()?)];
    let subjects = subjects.map(|(name, spec)| spec.start().map(|server| (name, server)));
    let subjects = subjects.into_iter().collect::<Result<Vec<_>>>()?;
    for (_, server) in &subjects {
        for (entries, _) in STREAMS {
            fill(&mut server.client()?, entries)?;
        }
    }
    let figures = figures(plan, &subjects)?;
    let text = table(&figures);
    println!("\n{text}");
    if let Some(out) = &plan.out {
        page::write(out, "newest", &text)?;
        fs::write(out.with_file_name(PICTURE), picture(&figures))?;
    }
    Ok(())
}

fn fill(client: &mut Client, entries: u64) -> Result {
    let stream = format!("newest:{entries}");
    let data = "x".repeat(super::measure::VALUE_BYTES);
    for first in (0..entries).step_by(ADDED as usize) {
        for at in first..first + ADDED {
            client.queue(&["XADD", &stream, &format!("{}-0", at + 1), "data", &data]);
        }
        client.flush()?;
        for _ in 0..ADDED {
            if let error @ Reply::Error(_) = client.receive()? {
                return Err(format!("filling: {error:?}").into());
            }
        }
    }
    Ok(())
}

fn figures(plan: &Plan, subjects: &[(&'static str, Server)]) -> Result<Vec<(&'static str, Figures)>> {
    let mut found: Vec<Vec<Vec<Measure>>> = vec![vec![Vec::new(); STREAMS.len()]; subjects.len()];
    for round in 0..=plan.rounds {
        for (at, (_, server)) in subjects.iter().enumerate() {
            for (stream, (_, test)) in STREAMS.into_iter().enumerate() {
                let measures = found.get_mut(at).and_then(|of| of.get_mut(stream)).ok_or("no such stream")?;
                let scenario: Scenario = scenario(test, PIPELINE);
                let rate = measures.last().map_or(0.0, |measure| measure.per_second);
                let requests = ((rate * plan.seconds) as u64).max(scenario.warm_up_requests());
                // The first round only says how long the others take.
                if round == 1 {
                    measures.clear();
                }
                measures.push(measure(server, scenario, requests)?);
            }
        }
    }
    let middle = |measures: &Vec<Measure>| {
        let of = |column: fn(&Measure) -> f64| median(measures.iter().map(column).collect());
        (of(|measure| measure.per_second), of(|measure| measure.cpu_us))
    };
    let names = subjects.iter().map(|(name, _)| *name);
    Ok(names.zip(found.iter().map(|of| of.iter().map(middle).collect())).collect())
}

fn table(figures: &[(&str, Figures)]) -> String {
    let mut out = String::from(
        "## The ten newest entries\n\nWritten by `cargo xtask bench newest`: XREAD COUNT 10 from the eleventh newest id, \
         50 connections, P=16; medians. In brackets: CPU time, as a multiple of that with a thousand entries.\n\n| entries |",
    );
    for (name, _) in figures {
        let _ = write!(out, " {name}, requests/s | CPU time in µs |");
    }
    let _ = writeln!(out, "\n|---:|{}", "---:|---:|".repeat(figures.len()));
    for (stream, (entries, _)) in STREAMS.iter().enumerate() {
        let _ = write!(out, "| {entries} |");
        for (_, figures) in figures {
            let (rate, cpu) = figures.get(stream).copied().unwrap_or_default();
            let first = figures.first().map_or(1.0, |first| first.1.max(f64::MIN_POSITIVE));
            let _ = write!(out, " {rate:.0} | {cpu:.2} ({:.2}) |", cpu / first);
        }
        out.push('\n');
    }
    let _ = writeln!(out, "\n![CPU time of the ten newest entries, by how many there are]({PICTURE})");
    out
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 48.0;
const TOP: f64 = 32.0;

fn picture(figures: &[(&str, Figures)]) -> String {
    const COLOURS: [&str; 2] = ["#1f6feb", "#9a6700"];
    const INK: &str = "#000";
    let most = figures.iter().flat_map(|(_, of)| of).map(|(_, cpu)| *cpu).fold(0.0, f64::max) * 1.15;
    let right = WIDTH - 90.0;
    let x = |stream: usize| LEFT + (right - LEFT) * stream as f64 / (STREAMS.len() - 1) as f64;
    let y = |cpu: f64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * cpu / most.max(f64::MIN_POSITIVE);
    let title = "XREAD of the ten newest entries: CPU time per request";
    let mut out = Picture::new(WIDTH, HEIGHT, title, LEFT);
    for step in 0..=4 {
        let cpu = most * f64::from(step) / 4.0;
        out.line((LEFT, y(cpu)), (right, y(cpu)), "#ddd");
        out.text((LEFT - 6.0, y(cpu) + 4.0), Anchor::End, INK, &format!("{cpu:.1} µs"));
    }
    for (stream, (entries, _)) in STREAMS.iter().enumerate() {
        out.text((x(stream), HEIGHT - BOTTOM + 18.0), Anchor::Middle, INK, &entries.to_string());
    }
    out.text((f64::midpoint(LEFT, right), HEIGHT - 10.0), Anchor::Middle, INK, "entries in the stream");
    for ((name, of), colour) in figures.iter().zip(COLOURS) {
        let points: Vec<_> = of.iter().enumerate().map(|(at, (_, cpu))| (x(at), y(*cpu))).collect();
        out.path(&points, colour);
        points.iter().for_each(|point| out.dot(*point, colour, false));
        if let Some((x, y)) = points.last() {
            out.text((x + 10.0, y + 4.0), Anchor::Start, colour, name);
        }
    }
    out.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_shown_as_a_table_and_as_a_picture() {
        let figures = [
            ("Bulkhead", vec![(100.0, 2.0), (100.0, 2.0), (100.0, 2.1), (90.0, 2.2)]),
            ("Valkey", vec![(100.0, 2.5); 4]),
        ];
        let table = table(&figures);
        assert!(table.contains("| 1000000 | 90 | 2.20 (1.10) | 100 | 2.50 (1.00) |"), "{table}");
        let picture = picture(&figures);
        assert_eq!(picture.matches("<circle").count(), 8);
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    }
}
