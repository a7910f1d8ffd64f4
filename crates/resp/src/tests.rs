//! The codec against itself, against recorded answers of real servers, and against hostile bytes.

mod client;
mod request;
