//! What a user of the command line sees: the real program, against a server in this process that can be
//! told to be slow, to fail and to wait.
#![allow(clippy::unwrap_used, clippy::expect_used)] // all of it is test code

mod commands;
mod fake;
mod listing;
mod load;
mod program;
mod streaming;
mod terminal;
mod watching;
