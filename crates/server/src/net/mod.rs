//! Sockets: the network threads, their connections, and what goes out to clients and when.

pub mod blocked;
pub mod connection;
pub mod dispatch;
pub mod exec;
mod execute;
pub mod feed;
pub mod mailbox;
pub mod output;
pub mod output_limits;
pub mod route;
pub mod stream;
pub mod thread;
pub mod tls;
mod trial;
mod turns;
