//! Small files, small functions. What is too large today is listed with its size, and may only shrink.

use super::{Finding, Source};
use crate::{Result, cargo};
use std::collections::BTreeMap;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const RATCHET: &str = "xtask/src/tidy/ratchet.txt";
const RATCHET_HEAD: &str = "\
# Files of more than 500 lines and functions of more than 70: what there was when they were listed.
# They may only shrink; `cargo xtask tidy --ratchet` writes smaller sizes down. Do not add to this list.
";

/// `path` or `path::function` to lines.
pub(super) type Ratchet = BTreeMap<String, usize>;

pub(super) fn read_ratchet() -> Result<Ratchet> {
    Ok(parse(&std::fs::read_to_string(cargo::root().join(RATCHET))?))
}

fn parse(text: &str) -> Ratchet {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, lines)| Some((name.to_owned(), lines.parse().ok()?)))
        .collect()
}

/// Lowers the sizes in the ratchet to today's, and drops what is small enough.
pub(super) fn write_ratchet(sources: &[Source]) -> Result {
    let sizes = sizes(sources.iter().filter(|source| source.is_rust()));
    let mut text = RATCHET_HEAD.to_owned();
    for (name, old) in read_ratchet()? {
        if let Some(&(_, new, _)) = sizes.get(&name).filter(|&&(_, new, limit)| new > limit) {
            text.push_str(&format!("{name} {}\n", new.min(old)));
        }
    }
    Ok(std::fs::write(cargo::root().join(RATCHET), text)?)
}

pub(super) fn check(rust: &[&Source], ratchet: &Ratchet) -> Vec<Finding> {
    let sizes = sizes(rust.iter().copied());
    let mut findings = Vec::new();
    for (name, &(line, lines, limit)) in &sizes {
        let allowed = ratchet.get(name).copied().unwrap_or(limit).max(limit);
        if lines > allowed {
            let path = name.split("::").next().unwrap_or(name);
            let message = format!("{name} has {lines} lines, {allowed} are allowed: split it");
            findings.push(Finding::new(path, line, message));
        }
    }
    for (name, old) in ratchet {
        let now = sizes.get(name).map_or(0, |&(_, lines, _)| lines);
        if now < *old {
            let message = format!("{name} shrank from {old} to {now} lines: `cargo xtask tidy --ratchet`");
            findings.push(Finding::new(RATCHET, 1, message));
        }
    }
    findings
}

/// Every file and function with its first line, its lines, and its limit. Of functions with one name
/// in one file, the longest counts.
fn sizes<'a>(rust: impl Iterator<Item = &'a Source>) -> BTreeMap<String, (usize, usize, usize)> {
    let mut sizes = BTreeMap::new();
    for source in rust {
        sizes.insert(source.path.clone(), (1, source.lines.len(), FILE_LINES_MAX));
        for function in functions(source) {
            let name = format!("{}::{}", source.path, function.name);
            let size = sizes.entry(name).or_insert((function.line, 0, FUNCTION_LINES_MAX));
            if function.lines > size.1 {
                *size = (function.line, function.lines, FUNCTION_LINES_MAX);
            }
        }
    }
    sizes
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Finds functions by their keyword and their braces.
fn functions(source: &Source) -> Vec<Function> {
    let mut found = Vec::new();
    // Functions that are open, with the depth outside their body (known once the body has begun).
    let mut open: Vec<(Function, Option<usize>)> = Vec::new();
    let mut depth = 0;
    // Round and square brackets of a signature, in which a ';' ends nothing.
    let mut brackets = 0usize;
    for (index, line) in source.lines.iter().enumerate() {
        if let Some(name) = function_name(&line.code) {
            brackets = 0;
            open.push((Function { name, line: index + 1, lines: 0 }, None));
        }
        for c in line.code.chars() {
            match c {
                '{' => {
                    if let Some((_, outside @ None)) = open.last_mut() {
                        *outside = Some(depth);
                    }
                    depth += 1;
                }
                '}' => {
                    depth = depth.saturating_sub(1);
                    if let Some((mut function, _)) = open.pop_if(|(_, outside)| *outside == Some(depth)) {
                        function.lines = index + 2 - function.line;
                        found.push(function);
                    }
                }
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                // A declaration without a body.
                ';' if brackets == 0 => drop(open.pop_if(|(_, outside)| outside.is_none())),
                _ => {}
            }
        }
    }
    found
}

fn function_name(code: &str) -> Option<String> {
    let mut rest = code.trim_start();
    loop {
        if let Some(name) = rest.strip_prefix("fn ") {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            return Some(name.get(..end)?.to_owned());
        }
        let (word, tail) = rest.split_once(' ')?;
        let is_modifier =
            matches!(word, "pub" | "const" | "async" | "extern" | "\"\"") || word.starts_with("pub(");
        if !is_modifier {
            return None;
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("pub(crate) fn long<T>(\n    a: [u8; 3],\n) {{\n{}}}\n", "    a();\n".repeat(lines - 4))
    }

    fn found(text: &str, ratchet: &str) -> Vec<String> {
        let findings = check(&[&Source::new("crates/x/src/a.rs", text)], &parse(ratchet));
        findings.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(found(&"\n".repeat(501), "").len(), 1);
        assert_eq!(found(&"\n".repeat(500), "").len(), 0);
    }

    #[test]
    fn a_long_function_is_found_whatever_braces_are_in_its_strings() {
        assert_eq!(found(&function(70), "").len(), 0);
        let planted = function(71).replacen("a();", "a(\"}\", '}');", 1);
        let messages = found(&planted, "");
        assert_eq!(messages.len(), 1);
        assert!(messages[0].contains("a.rs::long has 71 lines"), "{messages:?}");
    }

    #[test]
    fn a_function_inside_a_function_counts_for_itself() {
        let source = Source::new(
            "a.rs",
            "fn a() {\n    fn b() {\n    }\n}\ntrait T {\n    fn c();\n    fn d() {}\n}\n",
        );
        let functions: Vec<(String, usize)> =
            functions(&source).into_iter().map(|function| (function.name, function.lines)).collect();
        assert_eq!(functions, [("b".into(), 2), ("a".into(), 4), ("d".into(), 1)]);
    }

    #[test]
    fn what_is_listed_may_shrink_but_not_grow() {
        let listed = "crates/x/src/a.rs::long 80";
        assert!(found(&function(80), listed).is_empty());
        assert!(found(&function(81), listed)[0].contains("81 lines, 80 are allowed"));
        assert!(found(&function(75), listed)[0].contains("shrank from 80 to 75"));
        assert!(found(&function(60), listed)[0].contains("shrank from 80 to 60"));
    }
}
