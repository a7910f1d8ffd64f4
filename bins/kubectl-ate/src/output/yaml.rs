//! YAML of JSON values, in block style. Text that a parser of YAML 1.1 or 1.2 could take for anything
//! else, or that holds what a terminal would act on, stands in double quotes.

use std::fmt::Write;

use serde_json::Value;

use crate::text::quote;

/// A value by itself.
pub fn document(value: &Value, out: &mut Vec<u8>) {
    let mut text = String::new();
    block(value, 0, &mut text);
    out.extend_from_slice(text.as_bytes());
}

/// A value as an item of a list that stands at the margin.
pub fn item(value: &Value, out: &mut Vec<u8>) {
    let mut text = String::from("-");
    nested(value, 0, Parent::List, &mut text);
    out.extend_from_slice(text.as_bytes());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    List,
    Map,
}

/// Whole lines, indented by so many levels.
fn block(value: &Value, level: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                indent(level, out);
                entry(key, value, level, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(level, out);
                out.push('-');
                nested(item, level, Parent::List, out);
            }
        }
        other => {
            indent(level, out);
            scalar(other, out);
            out.push('\n');
        }
    }
}

fn entry(key: &str, value: &Value, level: usize, out: &mut String) {
    string(key, out);
    out.push(':');
    nested(value, level, Parent::Map, out);
}

/// What follows `-` or `key:`, to the end of its last line.
fn nested(value: &Value, level: usize, parent: Parent, out: &mut String) {
    match value {
        // The first field stands on the line of the dash.
        Value::Object(fields) if !fields.is_empty() && parent == Parent::List => {
            for (index, (key, value)) in fields.iter().enumerate() {
                if index == 0 {
                    out.push(' ');
                } else {
                    indent(level + 1, out);
                }
                entry(key, value, level + 1, out);
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            block(value, level + 1, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            // As kubectl has it: the items of a field stand under its name.
            block(value, if parent == Parent::Map { level } else { level + 1 }, out);
        }
        other => {
            out.push(' ');
            scalar(other, out);
            out.push('\n');
        }
    }
}

fn indent(level: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", level));
}

fn scalar(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => string(text, out),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

fn string(text: &str, out: &mut String) {
    if is_plain(text) { out.push_str(text) } else { quote(text, out) }
}

/// Words that mean something else to some parser.
const RESERVED: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"];

/// Deliberately narrow: what is quoted without need does no harm.
fn is_plain(text: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_safe)
        && !text.ends_with(':')
        && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;
    use saphyr::{LoadableYamlNode, Scalar, Yaml};

    /// Reads what was written with a parser that is not ours.
    pub fn parse(text: &str) -> Value {
        let documents = Yaml::load_from_str(text).unwrap();
        let [document] = documents.as_slice() else { panic!("{} documents", documents.len()) };
        json(document)
    }

    fn json(yaml: &Yaml<'_>) -> Value {
        match yaml {
            Yaml::Value(Scalar::Null) => Value::Null,
            Yaml::Value(Scalar::Boolean(truth)) => Value::Bool(*truth),
            Yaml::Value(Scalar::Integer(number)) => Value::from(*number),
            Yaml::Value(Scalar::String(text)) => Value::String(text.to_string()),
            Yaml::Sequence(items) => items.iter().map(json).collect(),
            Yaml::Mapping(fields) => {
                let fields =
                    fields.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), json(value)));
                Value::Object(fields.collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-z:/@. -]{0,12}",
            "[-+]?[0-9._:eExo]{1,8}",
            proptest::sample::select(RESERVED).prop_map(str::to_owned),
            proptest::sample::select(
                &["~", "", " ", "-", "a:", "a: b", "a #b", "!a", "2024-01-01", "=", "<<"][..]
            )
            .prop_map(str::to_owned),
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(text(), inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn another_parser_reads_what_was_meant(value in values()) {
            let mut out = Vec::new();
            document(&value, &mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(parse(&text), value, "{}", text);
        }

        #[test]
        fn items_make_a_list(items in proptest::collection::vec(values(), 1..4)) {
            let mut out = Vec::new();
            items.iter().for_each(|value| item(value, &mut out));
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(parse(&text), Value::from(items), "{}", text);
        }
    }

    #[test]
    fn it_reads_as_kubectls() {
        let value = serde_json::json!({
            "actorId": "a1",
            "version": "1",
            "external": {"uri": "gs://bucket/a1"},
            "nodes": ["n1", "yes"],
            "none": {},
        });
        let mut out = Vec::new();
        document(&value, &mut out);
        let expected = "\
actorId: a1
external:
  uri: gs://bucket/a1
nodes:
- n1
- \"yes\"
none: {}
version: \"1\"
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
