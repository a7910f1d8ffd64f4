//! What a user sees, tested on the real program: one binary, so that it is linked once.
//!
//! `cargo xtask test` builds the server and brings the peers that these tests compare with. With
//! `BULKHEAD_BIN=/usr/bin/redis-server` they run against Redis, to see that the tests are right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // all of it is test code

mod acl;
mod actor_api;
mod actor_hosting;
mod actor_listing;
mod actor_store;
mod blocking;
mod bounds;
mod clients;
mod commands;
mod crash;
mod differential;
mod durability;
mod fuzz;
mod groups;
mod histories;
mod key_events;
mod kubectl_ate;
mod monitor;
mod pubsub;
mod queues;
mod restore;
mod scan;
mod scripting;
mod scripts;
mod sessions;
mod siege;
mod subscribers;
mod tls;
mod tracking;
mod transactions;
