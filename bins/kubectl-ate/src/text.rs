//! Text from elsewhere on its way to a terminal: what could steer it, or hide what is there, is shown
//! as an escape.

use std::borrow::Cow;
use std::fmt::Write;

/// Control characters of both sets, and what changes the direction of text or takes no room.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// One line that says only what it shows: `\n`, `\u{1b}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// JSON that is the same to a parser, with such characters as `\u009b`. They stand only in its strings:
/// line breaks between values are left alone.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let is_unsafe = |c: char| c != '\n' && is_unsafe(c);
    if json.is_ascii() && !json.contains(is_unsafe) || !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Appends a string in double quotes with escapes that both JSON and YAML understand.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                let code = u32::from(c);
                let _ =
                    if code > 0xffff { write!(out, "\\U{code:08x}") } else { write!(out, "\\u{code:04x}") };
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_a_terminal_is_shown() {
        assert_eq!(escape("plain ünïcode"), "plain ünïcode");
        assert_eq!(escape("a\u{1b}[2Jb\r\n\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\u{9b}");
        assert_eq!(escape("evil\u{202e}txt"), "evil\\u{202e}txt");
    }

    proptest! {
        #[test]
        fn json_means_the_same_afterwards(text: String) {
            let json = serde_json::to_string_pretty(&[&text]).unwrap();
            let safe = escape_json(&json);
            prop_assert!(!safe.chars().any(|c| c != '\n' && is_unsafe(c)));
            prop_assert_eq!(serde_json::from_str::<[String; 1]>(&safe).unwrap(), [text]);
        }

        #[test]
        fn escaped_text_is_one_line_without_surprises(text: String) {
            prop_assert!(!escape(&text).contains(is_unsafe));
        }
    }
}
