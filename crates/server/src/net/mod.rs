//! Sockets: the network threads, their connections, and what goes out to clients and when.

pub mod connection;
pub mod dispatch;
pub mod mailbox;
pub mod output;
pub mod thread;
