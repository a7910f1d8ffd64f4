//! Every file of Rust opens by saying what it is for.

use super::{Finding, Source};

pub(super) fn check(rust: &[&Source]) -> Vec<Finding> {
    rust.iter().filter_map(|source| check_one(source)).collect()
}

fn check_one(source: &Source) -> Option<Finding> {
    let first = source.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let says_something = first.strip_prefix("//!").is_some_and(|text| text.trim().len() > 3);
    let message = "the file must begin with `//!` and say what it is for, in a few lines";
    (!says_something).then(|| Finding::new(&source.path, 1, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        check(&[&Source::new("crates/x/src/lib.rs", text)]).len()
    }

    #[test]
    fn a_file_without_a_purpose_is_found() {
        assert_eq!(findings("use std::fs;\n"), 1);
        assert_eq!(findings("//!\nuse std::fs;\n"), 1);
        assert_eq!(findings(""), 1);
        assert_eq!(findings("\n//! Reads files.\n"), 0);
    }
}
