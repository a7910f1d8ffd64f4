//! How to go on with what ended early: the same command line with another token.

use std::ffi::OsString;

/// `kubectl-ate get actors -a demo --page-token=…`, to be pasted into a shell.
pub fn resume(args: &[OsString], option: &str, value: &str) -> String {
    let mut words: Vec<String> = Vec::with_capacity(args.len() + 1);
    let mut rest = args.iter().skip(1).map(|word| word.to_string_lossy());
    let mut tail = Vec::new();
    while let Some(word) = rest.next() {
        if word == "--" {
            tail.push(word.into_owned());
            tail.extend(rest.by_ref().map(|word| quoted(&word)));
        } else if word == option {
            rest.next();
        } else if word.strip_prefix(option).is_none_or(|rest| !rest.starts_with('=')) {
            words.push(quoted(&word));
        }
    }
    words.push(format!("{option}={}", quoted(value)));
    words.extend(tail);
    format!("kubectl-ate {}", words.join(" "))
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &[&str], expected: &str) {
        let args: Vec<OsString> = line.iter().map(OsString::from).collect();
        assert_eq!(resume(&args, "--page-token", "t0K_en"), expected);
    }

    #[test]
    fn it_is_the_same_command_with_the_new_token() {
        check(&["/usr/bin/kubectl-ate", "get", "actors"], "kubectl-ate get actors --page-token=t0K_en");
        check(
            &["x", "get", "actors", "--page-token", "old", "-a", "demo"],
            "kubectl-ate get actors -a demo --page-token=t0K_en",
        );
        check(
            &["x", "get", "--page-token=old", "actors", "--limit=9"],
            "kubectl-ate get actors --limit=9 --page-token=t0K_en",
        );
        check(&["x", "get", "--", "actors"], "kubectl-ate get --page-token=t0K_en -- actors");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        check(
            &["x", "get", "actors", "--ca-cert", "it's here"],
            "kubectl-ate get actors --ca-cert 'it'\\''s here' --page-token=t0K_en",
        );
    }
}
