//! Banned tokens, each with its replacement.

use super::{Finding, Source};

struct Ban {
    token: &'static str,
    instead: &'static str,
    scope: Scope,
    /// Paths that begin so are exempt.
    except: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everywhere,
    Tests,
    Product,
}

use Scope::{Everywhere, Product, Tests};

const fn ban(token: &'static str, scope: Scope, instead: &'static str) -> Ban {
    Ban { token, instead, scope, except: &[] }
}

impl Ban {
    const fn except(self, except: &'static [&'static str]) -> Self {
        Self { except, ..self }
    }
}

/// What talks to a person on a terminal.
const COMMAND_LINES: &[&str] = &["xtask/", "bins/"];
const COMMAND_LINES_AND_TESTKIT: &[&str] = &["xtask/", "bins/", "crates/testkit/", "tests/"];

const BANS: &[Ban] = &[
    ban("todo!(", Everywhere, "write it, or return an error that says that it is missing"),
    ban("unimplemented!(", Everywhere, "write it, or return an error that says that it is missing"),
    ban("dbg!(", Everywhere, "remove it; use tracing if it is worth keeping"),
    ban("#[ignore", Everywhere, "run the test, or remove it; long ones belong in `cargo xtask stress`"),
    ban("unsafe", Everywhere, "safe code; this workspace forbids the other kind")
        .except(&["crates/allocator/src/lib.rs"]),
    ban("sleep(", Tests, "wait for a condition (testkit::wait::until), or turn a clock that stands still"),
    ban("std::sync::Mutex", Everywhere, "parking_lot::Mutex: it does not poison"),
    ban("std::sync::RwLock", Everywhere, "parking_lot::RwLock: it does not poison"),
    ban("std::sync::Condvar", Everywhere, "parking_lot::Condvar"),
    ban(".lock().unwrap()", Everywhere, "parking_lot, whose lock() cannot fail"),
    ban(".lock().expect(", Everywhere, "parking_lot, whose lock() cannot fail"),
    ban("println!(", Product, "tracing").except(COMMAND_LINES_AND_TESTKIT),
    ban("print!(", Product, "tracing").except(COMMAND_LINES_AND_TESTKIT),
    ban("process::exit(", Product, "return an error up to main").except(COMMAND_LINES),
    ban("SystemTime::now(", Product, "base::Clock, so that a test can turn it").except(&[
        "crates/base/src/clock.rs",
        "crates/testkit/",
        "xtask/",
        "tests/",
    ]),
    ban("mpsc::channel()", Product, "sync_channel with a bound from limits.rs"),
    ban("unbounded_channel", Product, "a channel with a bound from limits.rs"),
    ban("thread::Builder", Product, "threads::Class::spawn: the name and the priority of its class")
        .except(&["crates/threads/", "crates/testkit/", "xtask/", "tests/"]),
    ban("mem::forget(", Everywhere, "ownership that says what it means"),
];

/// Names that must not be imported from `std::sync`, in a list as well.
const NOT_FROM_STD_SYNC: &[&str] = &["Mutex", "RwLock", "Condvar"];

pub(super) fn check(rust: &[&Source]) -> Vec<Finding> {
    rust.iter().flat_map(|source| check_one(source)).collect()
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        for ban in BANS {
            let applies = match ban.scope {
                Everywhere => true,
                Tests => line.is_test,
                Product => !line.is_test,
            };
            let is_exempt = ban.except.iter().any(|path| source.path.starts_with(path));
            if applies && !is_exempt && has_token(&line.code, ban.token) && !is_excused(source, index) {
                let message = format!("`{}`: {}", ban.token, ban.instead);
                findings.push(Finding::new(&source.path, index + 1, message));
            }
        }
    }
    findings.extend(imports(source));
    findings
}

/// Whether the line, or the one above it, says why it may: `// tidy-ok: REASON`.
fn is_excused(source: &Source, index: usize) -> bool {
    const REASON_CHARS_MIN: usize = 10;
    let lines = source.text.lines().skip(index.saturating_sub(1)).take(if index == 0 { 1 } else { 2 });
    let mut reasons = lines.filter_map(|line| line.split_once("// tidy-ok: "));
    reasons.any(|(_, reason)| reason.trim().len() >= REASON_CHARS_MIN)
}

/// Whether the token stands there as a whole: `print!` is not in `eprint!`.
fn has_token(code: &str, token: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(token).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + token.len()..).and_then(|text| text.chars().next());
        let joined =
            |edge: Option<char>, next: Option<char>| edge.is_some_and(is_word) && next.is_some_and(is_word);
        !joined(token.chars().next(), before) && !joined(token.chars().next_back(), after)
    })
}

/// `use std::sync::{Arc, Mutex}`, also over several lines.
fn imports(source: &Source) -> Vec<Finding> {
    let code: Vec<&str> = source.lines.iter().map(|line| line.code.as_str()).collect();
    let mut findings = Vec::new();
    for (index, line) in code.iter().enumerate() {
        let Some((_, list)) = line.split_once("use std::sync::{") else { continue };
        let tail = code.get(index + 1..).unwrap_or_default().join(" ");
        let list = format!("{list} {tail}");
        let list = list.split(';').next().unwrap_or_default();
        for name in NOT_FROM_STD_SYNC.iter().filter(|name| has_token(list, name)) {
            let message = format!("`std::sync::{name}`: use parking_lot's");
            findings.push(Finding::new(&source.path, index + 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&[&Source::new(path, text)]).len()
    }

    #[test]
    fn every_banned_token_is_found_in_the_product_or_in_tests() {
        for ban in BANS {
            let path = if ban.scope == Tests { "tests/planted.rs" } else { "crates/store/src/planted.rs" };
            let text = format!("fn f() {{ {} }}", ban.token);
            assert!(found(path, &text) > 0, "{} was not found", ban.token);
        }
    }

    #[test]
    fn comments_strings_and_longer_words_are_left_alone() {
        assert_eq!(found("crates/store/src/a.rs", "// todo!() unsafe\nlet a = \"dbg!(\";"), 0);
        assert_eq!(found("crates/store/src/a.rs", "eprintln!(); unsafe_code(); not_unsafe();"), 0);
    }

    #[test]
    fn a_sleep_is_found_in_tests_only() {
        let text =
            "fn f() { thread::sleep(x) }\n#[cfg(test)]\nmod tests {\n fn g() { thread::sleep(x) }\n}\n";
        assert_eq!(found("crates/store/src/a.rs", text), 1);
        assert_eq!(found("tests/a.rs", text), 2);
    }

    #[test]
    fn an_excuse_needs_a_reason() {
        let excused =
            "fn f() {\n    // tidy-ok: the simulated network delays its messages\n    time::sleep(x);\n}\n";
        assert_eq!(found("tests/a.rs", excused), 0);
        assert_eq!(
            found("tests/a.rs", &excused.replace("the simulated network delays its messages", "ok")),
            1
        );
        assert_eq!(found("tests/a.rs", &format!("{excused}fn g() {{ time::sleep(x) }}")), 1);
    }

    #[test]
    fn what_is_exempt_is_not_found() {
        assert_eq!(found("xtask/src/a.rs", "println!()"), 0);
        assert_eq!(found("crates/wal/src/a.rs", "println!()"), 1);
        assert_eq!(found("crates/wal/src/tests/a.rs", "println!()"), 0);
    }

    #[test]
    fn imports_from_std_sync_are_found_in_lists() {
        assert_eq!(found("crates/wal/src/a.rs", "use std::sync::{Arc,\n    Mutex,\n};\nuse x::RwLock;"), 1);
        assert_eq!(found("crates/wal/src/a.rs", "use std::sync::{Arc, OnceLock};\nfn f(m: Mutex) {}"), 0);
    }
}
