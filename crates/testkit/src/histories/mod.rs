//! Histories of transactions under load, checked for strict serializability.

mod check;
mod cycles;
mod evidence;
mod graph;
mod history;
mod model;
mod violation;
mod words;

pub use check::{Verdict, check};
pub use history::{History, Id};
pub use model::{Key, NEVER, Op, Outcome, Time, Transaction, Value};
pub use violation::{CLASSES, Class, Kind, Violation};

#[cfg(test)]
mod tests;
