//! docs/incident.md and its picture.

use super::victims::{Class, Felt};
use super::{Counts, Plan, Played, Round};
use crate::Result;
use crate::bench::report;
use crate::bench::svg::{Anchor, Picture};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use testkit::Spec;
use testkit::figures::median;

const PICTURE: &str = "incident.svg";
/// With less than this part of its requests answered, a server is said to stand still.
const STANDS_STILL: f64 = 0.1;

const HEAD: &str = "\
# The incident

Written by `cargo xtask bench incident`. Somebody behaves badly, and others are measured: 50 connections that GET and SET in
turn, each once in 20 ms, and one that runs a short script every 10 ms, all from another address than the attackers. Numbers are
medians of the rounds; a ratio is the median of the rounds' ratios of p99 under attack to p99 idle. A request that could not be sent in
time, for the one before had no reply, counts as waiting since then. The attackers are two threads of the lowest priority with a part of a
CPU, for they share the machine with the server, and elsewhere they have their own: what is felt is what the server does for them. Only replies that came to their end count as told: where a
server works on all long commands by turns, none may have ended yet, and what was read shows that they go on. \"With another attacked\" is
p99 of the same clients of the same server while the attackers are at another process of Bulkhead on this machine, which has two CPUs for all
of them: what is not better there is the machine's share.
";

pub(super) fn write(out: &Path, all: &[Played], subjects: &[(&str, Spec)], plan: &Plan) -> Result {
    let mut text = format!(
        "{HEAD}\n![p99 under attack as a multiple of that when idle, by scene and server]({PICTURE})\n\n{}\n## Where and how\n\n",
        table(all)
    );
    let date = report::said("date", &["-u", "+%F"]);
    writeln!(
        text,
        "- {date}; {} rounds of {} s, the servers one at a time in changing order; attackers with {} of a CPU",
        plan.rounds, plan.seconds, plan.attackers_cpu
    )?;
    let data = testkit::temp_dir()?;
    report::machine(&mut text, data.path())?;
    for (name, spec) in subjects {
        let program = spec.program.file_name().unwrap_or_default().to_string_lossy();
        let words = spec.command_line().join(" ").replace("{port}", "PORT").replace("{dir}", "DIR");
        writeln!(text, "- {name}: `{program} {}`", words.replace("{empty}", "''"))?;
    }
    fs::write(out, text)?;
    fs::write(out.with_file_name(PICTURE), picture(all))?;
    eprintln!("written to {}", out.display());
    Ok(())
}

/// All that was measured of some scenes.
pub(super) fn table(all: &[Played]) -> String {
    let mut out = String::new();
    for Played { scene, servers } in all {
        let _ = writeln!(out, "## {}\n\n{}.\n", scene.name, scene.what);
        let _ = writeln!(
            out,
            "| | | idle p50 | p99 | p99.9 | under attack p50 | p99 | p99.9, in ms | p99 ratio | p99 with another attacked | answered | errors |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        );
        for (name, rounds) in servers {
            for (at, class) in Class::ALL.into_iter().enumerate() {
                felt(&mut out, name, class, at, rounds);
            }
        }
        let _ = writeln!(
            out,
            "\n| | attackers told: ok | an error | else | closed | unopened | sent, read in MB | their CPU time | the server's, by \
             class of thread | memory | commit p99 idle, attacked | elections | queue full | BUSY | turned away |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---|---:|---|---:|---:|---:|---:|"
        );
        for (name, rounds) in servers {
            attack(&mut out, name, rounds);
        }
        out.push('\n');
    }
    out
}

fn felt(out: &mut String, name: &str, class: Class, at: usize, rounds: &[Round]) {
    let of = |column: &dyn Fn(&Round) -> f64| median(rounds.iter().map(column).collect());
    let idle = |round: &Round| round.idle.get(at).copied().unwrap_or_default();
    let attacked = |round: &Round| round.attacked.get(at).copied().unwrap_or_default();
    let answered = of(&|round| attacked(round).answered);
    let note = if answered < STANDS_STILL { ", stands still" } else { "" };
    let _ = write!(out, "| {name} | {} |", class.name());
    let columns: [fn(&Felt) -> f64; 3] = [|felt| felt.p50_ms, |felt| felt.p99_ms, |felt| felt.p999_ms];
    for column in columns {
        let _ = write!(out, " {:.2} |", of(&|round| column(&idle(round))));
    }
    for column in columns {
        let _ = write!(out, " {:.2} |", of(&|round| column(&attacked(round))));
    }
    let errors: u64 = rounds.iter().map(|round| attacked(round).errors).sum();
    let elsewhere: Option<Vec<f64>> =
        rounds.iter().map(|round| Some(round.elsewhere.as_ref()?.get(at)?.p99_ms)).collect();
    let elsewhere = elsewhere.map_or("–".to_owned(), |all| format!("{:.2}", median(all)));
    let ratio = ratio(at, rounds);
    let _ = writeln!(out, " **{ratio:.1}** | {elsewhere} | {:.0} %{note} | {errors} |", 100.0 * answered);
}

/// Of p99 under attack to idle.
fn ratio(at: usize, rounds: &[Round]) -> f64 {
    let p99 = |of: &[Felt; 3]| of.get(at).map_or(0.0, |felt| felt.p99_ms);
    let of = |round: &Round| p99(&round.attacked) / p99(&round.idle).max(f64::MIN_POSITIVE);
    median(rounds.iter().map(of).collect())
}

fn attack(out: &mut String, name: &str, rounds: &[Round]) {
    let sum = |of: &dyn Fn(&Round) -> u64| -> u64 { rounds.iter().map(of).sum() };
    let middle = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let seconds = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64);
    let classes: BTreeSet<&str> =
        rounds.iter().flat_map(|round| round.cpu.keys().map(String::as_str)).collect();
    let used = classes.into_iter().map(|class| (class, middle(&|round| seconds(round.cpu.get(class)))));
    let used: Vec<String> = used
        .filter(|(_, seconds)| *seconds >= 0.01)
        .map(|(class, seconds)| format!("{class} {seconds:.2}"))
        .collect();
    let counted = |of: fn(&Counts) -> u64| match rounds.iter().all(|round| round.counts.is_some()) {
        true => sum(&|round| round.counts.as_ref().map_or(0, of)).to_string(),
        false => "–".to_owned(),
    };
    let commit = [0, 1].map(|at| {
        let ms: Option<Vec<f64>> =
            rounds.iter().map(|round| round.counts.as_ref()?.commit_ms.get(at).copied()).collect();
        ms.map_or("–".to_owned(), |all| format!("{:.2}", median(all)))
    });
    let _ = writeln!(
        out,
        "| {name} | {} | {} | {} | {} | {} | {:.0}, {:.0} | {:.2} s | {} s | {:.0} MB | {} ms | {} | {} | {} | {} |",
        sum(&|round| round.tally.ok),
        sum(&|round| round.tally.refused),
        sum(&|round| round.tally.broken),
        sum(&|round| round.tally.closed),
        sum(&|round| round.tally.unopened),
        sum(&|round| round.tally.sent_bytes) as f64 / 1e6,
        sum(&|round| round.tally.read_bytes) as f64 / 1e6,
        middle(&|round| round.tally.cpu.as_secs_f64()),
        used.join(", "),
        middle(&|round| round.resident_bytes as f64 / 1e6),
        commit.join(", "),
        counted(|counts| counts.elections),
        counted(|counts| counts.queue_full),
        counted(|counts| counts.busy),
        counted(|counts| counts.turned_away),
    );
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 110.0;
const TOP: f64 = 64.0;
const ROW: f64 = 34.0;

/// GET filled, SET hollow, on a scale of powers of ten.
fn picture(all: &[Played]) -> String {
    const COLOURS: [&str; 3] = ["#1f6feb", "#9a6700", "#8250df"];
    const INK: &str = "#000";
    const SHOWN: [(usize, bool); 2] = [(0, false), (1, true)];
    let ratios = |rounds: &[Round]| SHOWN.map(|(at, hollow)| (ratio(at, rounds).max(0.1), hollow));
    let every = all.iter().flat_map(|played| &played.servers).flat_map(|(_, rounds)| ratios(rounds));
    let decades = every.map(|(ratio, _)| ratio.log10().ceil()).fold(1.0, f64::max);
    let (right, bottom) = (WIDTH - 30.0, TOP + ROW * all.len() as f64);
    let x = |ratio: f64| LEFT + (right - LEFT) * (ratio.log10() + 1.0) / (decades + 1.0);
    let title = "p99 under attack, as a multiple of p99 idle (filled: GET, hollow: SET)";
    let mut out = Picture::new(WIDTH, bottom + 28.0, title, 16.0);
    for decade in -1..=decades as i32 {
        let at = x(10f64.powi(decade));
        out.line((at, TOP - 8.0), (at, bottom), if decade == 0 { "#888" } else { "#ddd" });
        out.text((at, bottom + 16.0), Anchor::Middle, INK, &format!("× {}", 10f64.powi(decade)));
    }
    let names = all.first().map_or(&[][..], |played| &played.servers);
    for (at, ((name, _), colour)) in names.iter().zip(COLOURS).enumerate() {
        out.text((LEFT + 90.0 * at as f64, 40.0), Anchor::Start, colour, name);
    }
    for (row, played) in all.iter().enumerate() {
        let middle = TOP + ROW * (row as f64 + 0.5);
        out.text((LEFT - 8.0, middle + 4.0), Anchor::End, INK, played.scene.name);
        for (at, ((_, rounds), colour)) in played.servers.iter().zip(COLOURS).enumerate() {
            let y = middle + 9.0 * (at as f64 - (played.servers.len() - 1) as f64 / 2.0);
            let dots = ratios(rounds);
            out.path(&dots.map(|(ratio, _)| (x(ratio), y)), colour);
            for (ratio, hollow) in dots {
                out.dot((x(ratio), y), colour, hollow);
            }
        }
    }
    out.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use testkit::attack::{SCENES, Tally};

    fn round(times: f64) -> Round {
        let felt =
            |ms: f64| Felt { p50_ms: ms / 2.0, p99_ms: ms, p999_ms: ms * 2.0, answered: 1.0, errors: 0 };
        let cpu = BTreeMap::from([("net".to_owned(), Duration::from_millis(1500))]);
        Round {
            idle: [felt(1.0); 3],
            attacked: [felt(times); 3],
            elsewhere: Some([felt(1.2); 3]),
            tally: Tally { ok: 3, refused: 2, ..Tally::default() },
            counts: Some(Counts { busy: 2, commit_ms: [0.3, 0.5], ..Counts::default() }),
            cpu,
            resident_bytes: 5_000_000,
        }
    }

    #[test]
    fn what_was_felt_is_shown_as_a_table_and_as_a_picture() {
        let servers =
            vec![("Bulkhead", vec![round(1.5), round(2.0), round(9.0)]), ("Valkey", vec![round(700.0)])];
        let all = [Played { scene: &SCENES[0], servers }];
        let table = table(&all);
        assert!(
            table.contains(
                "| Bulkhead | GET | 0.50 | 1.00 | 2.00 | 1.00 | 2.00 | 4.00 | **2.0** | 1.20 | 100 % | 0 |"
            ),
            "{table}"
        );
        assert!(table.contains("| Bulkhead | 9 | 6 | 0 |"), "{table}");
        assert!(table.contains("net 1.50 s | 5 MB | 0.30, 0.50 ms | 0 | 0 | 6 | 0 |"), "{table}");
        let picture = picture(&all);
        assert_eq!(picture.matches("<circle").count(), 4);
    }
}
