//! The checker: is there an order of all transactions, in which each sees what those before it did, and none
//! comes before one that had ended when it began?

use super::cycles;
use super::evidence::Evidence;
use super::graph::Graph;
use super::history::History;
use super::model::Outcome;
use super::violation::Violation;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong, worst first; a long history with many faults shows some of them.
    pub violations: Vec<Violation>,
    /// Transactions without an answer that took effect.
    pub unknown_happened: usize,
    pub edges: usize,
    pub time: Duration,
}

pub fn check(history: &History) -> Verdict {
    let start = Instant::now();
    let mut evidence = Evidence::collect(history);
    let graph = Graph::build(history, &mut evidence);
    let mut violations = std::mem::take(&mut evidence.violations);
    let unknown = history.entries().filter(|(_, entry)| entry.outcome == Outcome::Unknown);
    let unknown_happened = unknown.filter(|(id, _)| evidence.happened[*id as usize]).count();
    drop(evidence);
    violations.extend(cycles::find(history, &graph));
    violations.sort_by_key(|violation| violation.kind);
    Verdict { violations, unknown_happened, edges: graph.edge_count(), time: start.elapsed() }
}
