//! The model: rules, and what they allow. What is expected here is what Valkey 8.1 answers, which has the
//! ACLs of Redis 7.2; `tests/acl.rs` compares much more with the real servers.

mod permissions;
mod rules;

use super::User;
use command::Error;

/// Words of a line; in double quotes they may hold spaces.
fn words(line: &str) -> Vec<&str> {
    line.split('"')
        .enumerate()
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        })
        .collect()
}

/// A user `u` after a line of rules.
fn user(rules: &str) -> Result<User, String> {
    changed(&User::new(b"u"), rules)
}

fn changed(user: &User, rules: &str) -> Result<User, String> {
    let words = words(rules);
    let rules: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    user.changed(&rules).map_err(text)
}

fn text(error: Error) -> String {
    match error {
        Error::Line(line) => line.into_owned(),
        Error::Bytes(line) => String::from_utf8_lossy(&line).into_owned(),
        other => format!("{other:?}"),
    }
}
