//! Registers in runs of the same rank, as long as there are few of them and their ranks are low.
//!
//! | bytes | run |
//! | --- | --- |
//! | `00nnnnnn` | `n + 1` registers that are zero |
//! | `01nnnnnn nnnnnnnn` | `n + 1` registers that are zero |
//! | `1rrrrrnn` | `n + 1` registers of rank `r + 1` |
//!
//! Which of the ways to say the same is taken follows Redis, so that the bytes are the same.

use super::sketch::REGISTERS;

pub(super) const RANK_MAX: u8 = 32;
const RANKED_MAX: usize = 4;
const SHORT_ZEROS_MAX: usize = 64;
const LONG_ZEROS_MAX: usize = 16384;
const _: () = assert!(LONG_ZEROS_MAX >= REGISTERS);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// In one byte, or in two.
    Zeros {
        len: usize,
        is_long: bool,
    },
    Ranked {
        len: usize,
        rank: u8,
    },
}

impl Run {
    /// Zeros in as few bytes as they take.
    pub(super) fn zeros(len: usize) -> Self {
        Self::Zeros { len, is_long: len > SHORT_ZEROS_MAX }
    }

    /// The run whose first byte is at `at`.
    fn decode(bytes: &[u8], at: usize) -> Option<Self> {
        let first = *bytes.get(at)?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Self::Zeros { len: low + 1, is_long: false },
            1 => Self::Zeros { len: (low << 8 | usize::from(*bytes.get(at + 1)?)) + 1, is_long: true },
            _ => Self::Ranked { len: usize::from(first & 3) + 1, rank: (first >> 2 & 0x1f) + 1 },
        })
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Zeros { len, is_long: false } => out.push((len - 1) as u8),
            Self::Zeros { len, is_long: true } => out.extend((0x4000 | (len - 1) as u16).to_be_bytes()),
            Self::Ranked { len, rank } => out.push(0x80 | (rank - 1) << 2 | (len - 1) as u8),
        }
    }

    fn bytes(self) -> usize {
        if matches!(self, Self::Zeros { is_long: true, .. }) { 2 } else { 1 }
    }

    pub(super) fn len(self) -> usize {
        match self {
            Self::Zeros { len, .. } | Self::Ranked { len, .. } => len,
        }
    }

    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Zeros { .. } => 0,
            Self::Ranked { rank, .. } => rank,
        }
    }

    /// The same rank for another number of registers, not more than it is now.
    fn of_len(self, len: usize) -> Self {
        match self {
            Self::Zeros { .. } => Self::zeros(len),
            Self::Ranked { rank, .. } => Self::Ranked { len, rank },
        }
    }
}

/// The runs, up to one that is cut off: `None`.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = Option<Run>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < bytes.len()).then(|| {
            let run = Run::decode(bytes, at);
            at += run.map_or(bytes.len(), Run::bytes);
            run
        })
    })
}

/// What came of raising a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It was high enough.
    Not,
    Yes,
    /// It does not fit: nothing was changed.
    TooLong,
    Corrupt,
}

/// Raises a register of the runs that begin at `start`, if all is at most `len_max` bytes then.
pub(super) fn raise(bytes: &mut Vec<u8>, start: usize, index: usize, rank: u8, len_max: usize) -> Raised {
    let (mut at, mut before, mut first) = (start, None, 0);
    let run = loop {
        let Some(run) = Run::decode(bytes, at) else { return Raised::Corrupt };
        if index < first + run.len() {
            break run;
        }
        (before, at, first) = (Some(at), at + run.bytes(), first + run.len());
    };
    if run.rank() >= rank {
        return Raised::Not;
    }
    let mut split = Vec::with_capacity(5);
    if index > first {
        run.of_len(index - first).encode(&mut split);
    }
    Run::Ranked { len: 1, rank }.encode(&mut split);
    if first + run.len() > index + 1 {
        run.of_len(first + run.len() - index - 1).encode(&mut split);
    }
    if split.len() > run.bytes() && bytes.len() + split.len() - run.bytes() > len_max {
        return Raised::TooLong;
    }
    bytes.splice(at..at + run.bytes(), split);
    merge(bytes, before.unwrap_or(at));
    Raised::Yes
}

/// Puts runs of the same rank together, from one run on. Like Redis, this looks at five runs only, and
/// does not fill a run up from the next one.
fn merge(bytes: &mut Vec<u8>, mut at: usize) {
    const RUNS: usize = 5;
    for _ in 0..RUNS {
        let Some(run) = Run::decode(bytes, at) else { return };
        let next = Run::decode(bytes, at + run.bytes());
        match (run, next) {
            (Run::Ranked { len: a, rank }, Some(Run::Ranked { len: b, rank: other }))
                if rank == other && a + b <= RANKED_MAX =>
            {
                let mut joined = Vec::with_capacity(1);
                Run::Ranked { len: a + b, rank }.encode(&mut joined);
                bytes.splice(at..at + 2, joined);
            }
            _ => at += run.bytes(),
        }
    }
}
