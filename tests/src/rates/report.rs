//! The tables.

use super::{Listed, Measured, Plan, Way};
use std::fmt::Write;
use std::time::Duration;
use testkit::figures::{median, thousands};

/// What the listing of many actors was to be.
const GROWTH_MAX: u64 = 64 << 20;
const RATIO_MIN: f64 = 10.0;

pub(super) fn text(plan: &Plan, all: &[Measured], trips: &[Duration]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} actors in {:?}, listed {} times in turn. Medians of the rounds; ratios are medians of the rounds' ratios.\n",
        thousands(plan.actors as f64),
        plan.kind,
        plan.rounds,
    );
    rates(&mut text, plan, all, trips);
    memory(&mut text, plan, all);
    pages(&mut text, all, trips.len());
    text
}

/// The measurements of a way, near or far, in the order of the rounds.
fn of(all: &[Measured], way: Way, is_far: bool) -> Vec<&Listed> {
    let wanted = all.iter().filter(|measured| measured.way == way && measured.is_far == is_far);
    let mut wanted: Vec<&Measured> = wanted.collect();
    wanted.sort_by_key(|measured| measured.round);
    wanted.into_iter().map(|measured| &measured.listed).collect()
}

fn rates(text: &mut String, plan: &Plan, all: &[Measured], trips: &[Duration]) {
    let _ = writeln!(
        text,
        "| actors a second | the API, pages of 1,000 | as before | `redis-cli` | API : before | API : `redis-cli` |"
    );
    let _ = writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: |");
    for (is_far, trip) in [false, true].into_iter().zip(trips) {
        let [api, before, typed] = [Way::Pages, Way::Before, Way::Typed].map(|way| of(all, way, is_far));
        let rate = |of: &[&Listed]| match of.is_empty() {
            true => "–".to_owned(),
            false => thousands(median(of.iter().map(|listed| listed.per_second()).collect())),
        };
        let ratio = |others: &[&Listed]| match others.is_empty() {
            true => "–".to_owned(),
            false => format!("**{:.1}**", ratio(&api, others)),
        };
        let _ = writeln!(
            text,
            "| {}, a round trip of {:.2} ms | {} | {} | {} | {} | {} |",
            if is_far { "far" } else { "near" },
            trip.as_secs_f64() * 1e3,
            rate(&api),
            rate(&before),
            rate(&typed),
            ratio(&before),
            ratio(&typed),
        );
    }
    let limit = plan.limit.as_secs();
    let _ = writeln!(text, "\nThe API lists all actors; the others go on for {limit} s at most.");
    if trips.len() > 1 {
        let reached = ratio(&of(all, Way::Pages, true), &of(all, Way::Before, true));
        let _ = writeln!(
            text,
            "Wanted, far: {RATIO_MIN} times as fast as before: {}.",
            met(reached >= RATIO_MIN)
        );
    }
    text.push('\n');
}

fn ratio(ours: &[&Listed], others: &[&Listed]) -> f64 {
    median(
        ours.iter()
            .zip(others)
            .map(|(ours, other)| ours.per_second() / other.per_second().max(1e-9))
            .collect(),
    )
}

fn memory(text: &mut String, plan: &Plan, all: &[Measured]) {
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / 1024.0 / 1024.0);
    let of = |way| all.iter().filter(move |measured| measured.way == way).map(|measured| &measured.listed);
    let most = of(Way::Pages).map(Listed::grown).max().unwrap_or_default();
    let idle = median(of(Way::Pages).map(|listed| listed.resident_before as f64).collect());
    let peak = of(Way::Pages).map(|listed| listed.resident_peak).max().unwrap_or_default();
    let each =
        median(of(Way::Before).map(|listed| listed.grown() as f64 / listed.actors.max(1) as f64).collect());
    let longest = of(Way::Before).max_by_key(|listed| listed.actors);
    let (grown, count) = longest.map_or((0, 0), |listed| (listed.grown(), listed.actors));
    let _ = writeln!(text, "| resident memory | idle | at most | growth |");
    let _ = writeln!(text, "| --- | ---: | ---: | ---: |");
    let _ = writeln!(text, "| the API | {} | {} | {} |", mib(idle), mib(peak as f64), mib(most as f64));
    let _ = writeln!(text, "| as before, {} actors | | | {} |", thousands(count as f64), mib(grown as f64));
    if count < plan.actors {
        let would = mib(each * plan.actors as f64);
        let _ = writeln!(text, "| as before, all (by {each:.0} bytes for each) | | | {would} |");
    }
    let _ = writeln!(text, "\nWanted: less than {}: {}.\n", mib(GROWTH_MAX as f64), met(most < GROWTH_MAX));
}

fn pages(text: &mut String, all: &[Measured], places: usize) {
    let mut head = "| ms for a page of 1,000, by tenths of the listing |".to_owned();
    for tenth in 1..=10 {
        let _ = write!(head, " {tenth} |");
    }
    let _ = writeln!(text, "{head}\n| --- |{}", " ---: |".repeat(10));
    for is_far in [false, true].into_iter().take(places) {
        for (name, percent) in [("p50", 50), ("p99", 99)] {
            let mut row = format!("| {}, {name} |", if is_far { "far" } else { "near" });
            for tenth in 0..10 {
                let mut times: Vec<Duration> = of(all, Way::Pages, is_far)
                    .iter()
                    .filter_map(|listed| listed.pages.get(tenth))
                    .flatten()
                    .copied()
                    .collect();
                times.sort_unstable();
                let time = times.get(times.len() * percent / 100).copied().unwrap_or_default();
                let _ = write!(row, " {:.2} |", time.as_secs_f64() * 1e3);
            }
            let _ = writeln!(text, "{row}");
        }
    }
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}
