//! Links from one document to another lead somewhere, headings included.

use super::{Finding, Source};
use crate::cargo;
use std::collections::BTreeSet;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let exists = |path: &str| cargo::root().join(path).exists();
    check_with(sources, &exists)
}

fn check_with(sources: &[Source], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        for (line, link) in links(&source.text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path = if file.is_empty() { source.path.clone() } else { resolve(&source.path, file) };
            let target = sources.iter().find(|source| source.path == path);
            if target.is_none() && !exists(&path) {
                findings.push(Finding::new(&source.path, line, format!("{link} leads nowhere")));
            } else if let Some(target) = target.filter(|_| !anchor.is_empty())
                && !anchors(&target.text).contains(anchor)
            {
                findings.push(Finding::new(&source.path, line, format!("{path} has no heading #{anchor}")));
            }
        }
    }
    findings
}

/// Lines of text outside code blocks, numbered.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            return None;
        }
        (!in_code).then_some((index + 1, line))
    })
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (line, text) in prose(text) {
        // What is between back-quotes is code.
        let text: String = text.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for piece in text.split("](").skip(1) {
            if let Some((target, _)) = piece.split_once(')') {
                let target = target.split_whitespace().next().unwrap_or_default();
                links.push((line, target.to_owned()));
            }
        }
    }
    links
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        parts.clear();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(readme: &str) -> Vec<String> {
        let sources = [
            Source::new("docs/guide/README.md", readme),
            Source::new("docs/operations.md", "# Operations\n## What it's for\n```\n# not a heading\n```\n"),
        ];
        check_with(&sources, &|path| path == "docs").into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_eq!(found("[a](../operations.md) [b](https://x.org/y.md) [c](..)"), [""; 0]);
        assert_eq!(found("[a](operations.md)"), ["operations.md leads nowhere"]);
        assert_eq!(found("`[a](nowhere.md)`\n```\n[a](nowhere.md)\n```"), [""; 0]);
    }

    #[test]
    fn headings_that_are_not_there_are_found() {
        assert_eq!(found("# Own\n[a](../operations.md#what-its-for) [b](#own)"), [""; 0]);
        assert_eq!(found("[a](../operations.md#not-a-heading) [b](#other)").len(), 2);
    }
}
