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
    /// What was done since others were let go first.
    in_a_row: u32,
}

/// What a step costs, a record as much as many of them, before others are let go first: about 50 microseconds.
const IN_A_ROW_MAX: u32 = 8_192;
const RECORD_STEPS: u32 = 32;

impl Meter {
    pub fn small() -> Self {
        Self { records: 0, bytes: 0, steps: 0, limited: true, in_a_row: 0 }
    }

    pub fn unlimited() -> Self {
        Self { records: 0, bytes: 0, steps: 0, limited: false, in_a_row: 0 }
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

    /// Lets others go first now and then. Whoever has no budget goes on as long as he likes, and the scheduler
    /// would leave him alone for milliseconds, for which those wait who have just been waked.
    pub(super) fn take_turns(&mut self, records: u32, steps: u32) {
        self.in_a_row =
            self.in_a_row.saturating_add(records.saturating_mul(RECORD_STEPS)).saturating_add(steps);
        if self.in_a_row >= IN_A_ROW_MAX {
            self.in_a_row = 0;
            std::thread::yield_now();
        }
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
