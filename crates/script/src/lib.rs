//! Lua 5.1 as Redis has it: the interpreter, its sandbox, the libraries of scripts, and what becomes of replies
//! in Lua and of Lua's values in replies.
//!
//! It runs what it is given and calls whoever it is given back for commands. It must never know transactions,
//! records, sockets or sessions.

pub mod libs;
