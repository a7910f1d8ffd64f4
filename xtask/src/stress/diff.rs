//! `stress diff`: random commands, every reply compared with a real Redis' or Valkey's.

use super::spec;
use crate::Result;
use crate::args::Args;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::diff::{self, blocking};
use testkit::{Durability, Spec};

/// How long one reference is used before it is the other's turn.
const TURN: Duration = Duration::from_secs(30);

pub(super) fn run(mut args: Args, seed: u64, program: &Path) -> Result {
    let minutes: Option<f64> = args.option("--minutes")?;
    let only: Option<String> = args.option("--reference")?;
    let only_blocking = args.flag("--blocking");
    let tested = spec(program, args)?.durability(Durability::None);
    let mut references = vec![Spec::redis()?, Spec::valkey()?];
    if let Some(only) = only {
        references.retain(|spec| format!("{:?}", spec.flavour).eq_ignore_ascii_case(&only));
    }
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let (mut commands, mut steps) = (0, 0);
    for turn in 0.. {
        let Some(reference) = references.get(turn % references.len().max(1)) else {
            return Err("--reference is redis or valkey".into());
        };
        let reference = reference.clone().durability(Durability::None);
        let plan = diff::Plan { tested: tested.clone(), reference, seed: seed + turn as u64 };
        let mut plain = if only_blocking { None } else { Some(diff::Diff::start(&plan)?) };
        let mut blocking = blocking::Diff::start(&plan)?;
        let start = Instant::now();
        while start.elapsed() < TURN && end.is_none_or(|end| Instant::now() < end) {
            if let Some(plain) = &mut plain {
                commands += plain.session()?;
            }
            steps += blocking.session()?;
        }
        println!("{commands} commands, {steps} steps of clients that wait, no difference");
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
    }
    Ok(())
}
