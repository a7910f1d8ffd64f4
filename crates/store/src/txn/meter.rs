//! The budget of a lane.

use base::limits;

use super::Stop;

/// What a transaction may touch before it has to leave its lane.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    records: u32,
    bytes: usize,
    steps: u32,
    pub(super) limited: bool,
}

impl Meter {
    pub fn small() -> Self {
        Self { records: 0, bytes: 0, steps: 0, limited: true }
    }

    pub fn unlimited() -> Self {
        Self { records: 0, bytes: 0, steps: 0, limited: false }
    }

    pub fn spend(&mut self, records: u32, bytes: usize) -> Result<(), Stop> {
        self.records = self.records.saturating_add(records);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_spent() { Err(Stop::Outgrown) } else { Ok(()) }
    }

    /// Counts steps of a program.
    pub(super) fn step(&mut self, steps: u32) -> Result<(), Stop> {
        self.steps = self.steps.saturating_add(steps);
        if self.is_spent() { Err(Stop::Outgrown) } else { Ok(()) }
    }

    pub fn records(&self) -> u32 {
        self.records
    }

    /// Whether nothing is left of the budget.
    pub(super) fn is_spent(&self) -> bool {
        self.limited
            && (self.records > limits::BUDGET_RECORDS
                || self.bytes > limits::BUDGET_BYTES as usize
                || self.steps > limits::BUDGET_STEPS)
    }
}
