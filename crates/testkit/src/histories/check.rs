//! The checker: is there an order of all transactions, in which each sees what those before it did, and none
//! comes before one that had ended when it began?

use super::cycles;
use super::evidence::Evidence;
use super::graph::Graph;
use super::history::History;
use super::violation::Violation;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong, worst first; a long history with many faults shows some of them.
    pub violations: Vec<Violation>,
    /// Transactions that took effect, whether they were answered or not.
    pub happened: usize,
    pub edges: usize,
    pub time: Duration,
}

pub fn check(history: &History) -> Verdict {
    let start = Instant::now();
    let mut evidence = Evidence::collect(history);
    let graph = Graph::build(history, &mut evidence);
    let mut violations = std::mem::take(&mut evidence.violations);
    let happened = evidence.happened.iter().filter(|happened| **happened).count();
    drop(evidence);
    violations.extend(cycles::find(history, &graph));
    violations.sort_by_key(|violation| violation.kind);
    Verdict { violations, happened, edges: graph.edge_count(), time: start.elapsed() }
}
