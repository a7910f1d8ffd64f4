//! Tests of the log as a whole, on the simulated disk.

mod corruption;
mod full;
mod harness;
mod model;
mod power;
mod reading;
mod recycling;
mod threads;
