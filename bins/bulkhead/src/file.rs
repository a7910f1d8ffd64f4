//! The configuration file: TOML with the options' names.

use std::path::Path;

/// A name further away than this is no misspelling.
const DISTANCE_MAX: usize = 3;

/// The options that a file sets, as text.
pub fn read(path: &Path, known: &[String]) -> Result<Vec<(String, String)>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut options = Vec::new();
    for (name, value) in table {
        if !known.contains(&name) {
            return Err(unknown(&name, known));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            _ => return Err(format!("'{name}' must be a string, a number or a truth value")),
        };
        options.push((name, value));
    }
    Ok(options)
}

fn unknown(name: &str, known: &[String]) -> String {
    let nearest = known.iter().map(|other| (distance(name, other), other)).min();
    match nearest {
        Some((distance, other)) if distance <= DISTANCE_MAX => {
            format!("unknown key '{name}': did you mean '{other}'?")
        }
        _ => format!("unknown key '{name}': known are {}", known.join(", ")),
    }
}

/// How many letters have to be added, removed or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (a, b, expected) in
            [("cache", "cache", 0), ("cahce", "cache", 2), ("", "abc", 3), ("listen", "lisen", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_if_it_is_near() {
        let known = ["data".to_owned(), "groups".to_owned()];
        assert_eq!(unknown("group", &known), "unknown key 'group': did you mean 'groups'?");
        assert_eq!(unknown("whatever", &known), "unknown key 'whatever': known are data, groups");
    }
}
