//! docs/benchmarks.md has several authors: each benchmark writes its own part and leaves the others'.

use crate::Result;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Whose a part is. What stands above the first of these lines is [`FIRST`]'s.
const MARK: (&str, &str) = ("<!-- cargo xtask bench ", " -->");
const FIRST: &str = "peers";

/// Puts a benchmark's part into a page in place of the one that it wrote before, or at the end.
pub(super) fn write(path: &Path, author: &str, text: &str) -> Result {
    let old = match fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    fs::write(path, with_part(&old, author, text))?;
    eprintln!("written to {}", path.display());
    Ok(())
}

fn with_part(page: &str, author: &str, text: &str) -> String {
    let mut parts = vec![(FIRST.to_owned(), String::new())];
    for line in page.lines() {
        if let Some(author) = line.strip_prefix(MARK.0).and_then(|rest| rest.strip_suffix(MARK.1)) {
            parts.push((author.to_owned(), String::new()));
        } else if let Some((_, part)) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    match parts.iter_mut().find(|(of, _)| of == author) {
        Some((_, part)) => *part = text.to_owned(),
        None => parts.push((author.to_owned(), text.to_owned())),
    }
    let mut page = String::new();
    for (author, part) in parts.iter().filter(|(_, part)| !part.is_empty()) {
        if author != FIRST {
            let gap = if page.is_empty() { "" } else { "\n" };
            page.push_str(&format!("{gap}{}{author}{}\n\n", MARK.0, MARK.1));
        }
        page.push_str(part.trim_matches('\n'));
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_s_part_stays_when_one_is_written() {
        let page = with_part("", FIRST, "# First\n\n1\n");
        let page = with_part(&page, "space", "## Space\n\n2\n");
        let page = with_part(&page, "other", "## Other\n");
        assert_eq!(page, with_part(&page, "space", "## Space\n\n2\n"), "what is written twice stays");
        let page = with_part(&page, FIRST, "# First\n\n3\n");
        let page = with_part(&page, "space", "## Space\n\n4\n");
        let mark = |author: &str| format!("\n<!-- cargo xtask bench {author} -->\n\n");
        let expected = format!("# First\n\n3\n{}## Space\n\n4\n{}## Other\n", mark("space"), mark("other"));
        assert_eq!(page, expected);
    }
}
