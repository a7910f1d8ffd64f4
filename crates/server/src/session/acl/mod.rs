//! Users and what they may do (ACL).
//!
//! `user` and `selector` are the model: rules applied in order, and the text that they are shown as.
//! `check::may` is asked before every command, wherever it comes from. `users` is the set in force on this
//! node, `login` who a connection is, `catalog` where users are kept.
//!
//! Invariant: the model knows no node and no connection.

mod admin;
mod catalog;
pub mod check;
mod commands;
mod log;
pub mod login;
mod password;
mod refusals;
mod rules;
mod selector;
mod show;
mod user;
mod users;

#[cfg(test)]
mod tests;

pub(super) use admin::COMMANDS;
pub use catalog::{LoadError, keep_current, load};
pub use check::{Denied, channels, may, may_call};
pub use log::{Place, Reason};
pub use login::Login;
pub use refusals::{denied, note_denied, refused_login};
pub use user::{DEFAULT, User};
pub use users::Users;

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Unknown,
    Syntax,
    KeysAreAll,
    ChannelsAreAll,
    NoSuchPassword,
    Hash,
    FirstArgOfSubcommand,
}

impl Wrong {
    fn text(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::KeysAreAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have \
                 any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelsAreAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not \
                 have any effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Self::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            Self::Hash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
                 characters"
            }
            Self::FirstArgOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        }
    }

    fn error(self, rule: &[u8]) -> command::Error {
        let tail = format!("': {}", self.text());
        command::Error::quoting("ERR Error in ACL SETUSER modifier '", rule, &tail)
    }
}

/// A user in the catalog whose rules cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of the user '{name}' is damaged: {why}")]
pub struct Unreadable {
    name: String,
    why: &'static str,
}

impl Unreadable {
    fn new(name: &[u8], why: &'static str) -> Self {
        Self { name: String::from_utf8_lossy(name).into_owned(), why }
    }
}

/// Names and patterns stand in lines whose words are separated by spaces.
fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}
