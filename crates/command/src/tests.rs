//! What the commands answer, as data: each script runs in every lane.

mod bitmaps;
mod collections;
mod database;
mod dump;
mod dump_streams;
mod events;
mod expiry;
mod geo;
mod hyperloglogs;
mod keys;
mod lanes;
mod numbers;
mod paged;
mod rows;
mod scan;
mod sort;
mod streams;
mod strings;
