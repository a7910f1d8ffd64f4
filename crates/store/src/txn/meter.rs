//! The budget of a lane.

use base::limits;

use super::Stop;
use crate::setting::Setting;

/// What a transaction may touch on a network thread. Beyond that it moves to the heavy pool.
#[derive(Debug)]
pub struct Budget {
    pub records: Setting,
    pub bytes: Setting,
    pub steps: Setting,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            records: Setting::new(limits::BUDGET_RECORDS.into()),
            bytes: Setting::new(limits::BUDGET_BYTES.into()),
            steps: Setting::new(limits::BUDGET_STEPS.into()),
        }
    }
}

/// What a transaction may touch before it has to leave its lane.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    records: u32,
    bytes: usize,
    steps: u32,
    /// Of each, at most: there is none in the heavy pool.
    most: Option<Most>,
    /// What was done since others were let go first.
    in_a_row: u32,
}

/// What a step costs, a record as much as many of them, before others are let go first: about 50 microseconds.
const IN_A_ROW_MAX: u32 = 8_192;
const RECORD_STEPS: u32 = 32;

#[derive(Clone, Copy, Debug)]
struct Most {
    records: u32,
    bytes: usize,
    steps: u32,
}

impl Meter {
    pub fn small(budget: &Budget) -> Self {
        let small = |setting: &Setting| u32::try_from(setting.get()).unwrap_or(u32::MAX);
        let (records, steps) = (small(&budget.records), small(&budget.steps));
        Self::within(Some(Most { records, bytes: budget.bytes.size(), steps }))
    }

    pub fn unlimited() -> Self {
        Self::within(None)
    }

    fn within(most: Option<Most>) -> Self {
        Self { records: 0, bytes: 0, steps: 0, most, in_a_row: 0 }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.most.is_some()
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
        self.most.is_some_and(|most| {
            self.records > most.records || self.bytes > most.bytes || self.steps > most.steps
        })
    }
}
