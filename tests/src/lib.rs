//! Nothing: a package must have a library or a program. The tests are in `main.rs`.
