//! Just enough of Rust's lexical rules to look at code without its comments and strings.

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) code: String,
    /// Inside `#[cfg(test)]`, or in a file of tests.
    pub(super) is_test: bool,
}

enum State {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    /// A raw string, with its number of '#'.
    Raw(usize),
}

/// The lines of a file, comments dropped, strings and characters emptied.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> =
        strip(text).lines().map(|line| Line { code: line.trim_end().to_owned(), is_test: false }).collect();
    mark_tests(&mut lines);
    lines
}

fn strip(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut state = State::Code;
    let mut i = 0;
    while i < chars.len() {
        let (c, next) = (at(i), at(i + 1));
        let mut used = 1;
        match state {
            State::Code => (state, used) = code(&chars, i, &mut out),
            State::LineComment if c == '\n' => state = State::Code,
            State::BlockComment(depth) if c == '*' && next == '/' => {
                state = if depth == 1 { State::Code } else { State::BlockComment(depth - 1) };
                used = 2;
            }
            State::BlockComment(depth) if c == '/' && next == '*' => {
                state = State::BlockComment(depth + 1);
                used = 2;
            }
            // A backslash at the end of a line must not hide the line break.
            State::Text if c == '\\' && next != '\n' => used = 2,
            State::Text if c == '"' => {
                out.push('"');
                state = State::Code;
            }
            State::Raw(hashes) if c == '"' && (1..=hashes).all(|n| at(i + n) == '#') => {
                out.push('"');
                state = State::Code;
                used = 1 + hashes;
            }
            _ => {}
        }
        if c == '\n' {
            out.push('\n');
        }
        i += used;
    }
    out
}

/// One step outside comments and strings: the state after it, and how many characters it took.
fn code(chars: &[char], i: usize, out: &mut String) -> (State, usize) {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let c = at(i);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts_word = i == 0 || !is_word(at(i - 1));
    match c {
        '/' if at(i + 1) == '/' => return (State::LineComment, 2),
        '/' if at(i + 1) == '*' => return (State::BlockComment(1), 2),
        '"' => {
            out.push('"');
            return (State::Text, 1);
        }
        'r' | 'b' | 'c' if starts_word => {
            let raw = if c == 'r' { i + 1 } else { i + 2 };
            let hashes = (0..).take_while(|n| at(raw + n) == '#').count();
            if (c == 'r' || at(i + 1) == 'r') && at(raw + hashes) == '"' {
                out.push('"');
                return (State::Raw(hashes), raw + hashes + 1 - i);
            }
        }
        // A character, not a lifetime.
        '\'' if at(i + 1) == '\\' => {
            let end = (i + 3..chars.len()).find(|&end| at(end) == '\'').unwrap_or(i + 2);
            return (State::Code, end + 1 - i);
        }
        '\'' if at(i + 2) == '\'' && at(i + 1) != '\n' => return (State::Code, 3),
        '\n' => return (State::Code, 1),
        _ => {}
    }
    out.push(c);
    (State::Code, 1)
}

/// Marks the items under `#[cfg(test)]`, by counting braces.
fn mark_tests(lines: &mut [Line]) {
    let mut depth = 0usize;
    let mut waiting = false;
    for line in lines {
        let starts = line.code.contains("#[cfg(test)]") || line.code.contains("#[cfg(all(test");
        waiting |= starts && depth == 0;
        line.is_test = waiting || depth > 0;
        for c in line.code.chars() {
            match c {
                '{' if waiting || depth > 0 => {
                    depth += 1;
                    waiting = false;
                }
                '}' => depth = depth.saturating_sub(1),
                ';' if depth == 0 => waiting = false,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, stripped: &str) {
        assert_eq!(strip(text), stripped);
    }

    #[test]
    fn comments_go_and_strings_become_empty() {
        check("a // b\nc", "a \nc");
        check("a /* b /* c */ d */ e", "a  e");
        check(r#"f("x // \" y") + g"#, r#"f("") + g"#);
        check(r###"r#"a " b"# + b"c" + br"d""###, r#""" + b"" + """#);
        check(r"'{' + b'\'' + '\u{7f}' + x", " + b +  + x");
        check("&'a str + 'b: loop {}", "&'a str + 'b: loop {}");
        check("\"a\\\nb\"\nc", "\"\n\"\nc");
    }

    #[test]
    fn what_is_only_compiled_for_tests_is_marked() {
        let lines = lines(
            "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod x;\nfn d() {}",
        );
        let marked: Vec<bool> = lines.iter().map(|line| line.is_test).collect();
        assert_eq!(marked, [false, true, true, true, true, false, true, true, false]);
    }
}
