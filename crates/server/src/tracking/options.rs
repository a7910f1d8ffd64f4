//! How a client tracks.

use std::sync::Arc;

use crate::engine::clients::NOTED_NAME_BYTES;

/// Which of the keys that a client reads are noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    All,
    /// Those that are read right after CLIENT CACHING YES.
    OptIn,
    /// All but those that are read right after CLIENT CACHING NO.
    OptOut,
    /// None: it is told of all keys with its prefixes.
    Broadcast,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    pub mode: Mode,
    /// Who is told instead.
    pub redirect: Option<u64>,
    /// It is not told of what it changes itself.
    pub no_loop: bool,
    pub prefixes: Vec<Arc<[u8]>>,
    /// Whoever was to be told instead is gone.
    pub is_broken: bool,
}

impl Options {
    /// Roughly what its prefixes take up.
    pub fn held_bytes(&self) -> usize {
        self.prefixes.iter().map(|prefix| prefix.len() + NOTED_NAME_BYTES).sum()
    }

    /// Whether what is read now is noted, when the client has said so or said otherwise.
    pub fn notes(&self, has_said: bool) -> bool {
        match self.mode {
            Mode::All => true,
            Mode::OptIn => has_said,
            Mode::OptOut => !has_said,
            Mode::Broadcast => false,
        }
    }
}
