//! A whole node in this process, spoken to over a socket: what its sessions answer.

mod acl;
mod admission;
mod clients;
mod connection;
#[cfg(debug_assertions)]
mod faults;
mod groups;
mod harness;
mod heavy;
mod held;
mod info;
mod inside;
mod lifecycle;
mod many_keys;
mod memory;
mod paged;
mod parts;
#[cfg(debug_assertions)]
mod pubsub;
mod sampling;
mod server;
mod settings;
mod stalls;
mod threads;
mod tls;
mod waiting;
