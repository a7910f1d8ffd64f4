//! What these tests share with each other, and with `cargo xtask stress` and `bench`, and needs a crate of the product to
//! run: the testkit knows servers from outside only.

pub mod api;
pub mod listing;
pub mod rates;
