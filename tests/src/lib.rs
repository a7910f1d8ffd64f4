//! What these tests share with `cargo xtask stress`, and needs a crate of the product to run: the testkit
//! knows servers from outside only.

pub mod listing;
