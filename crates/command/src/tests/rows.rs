//! The rows themselves.

use std::collections::HashSet;

use resp::Reply;

use crate::testing::{find, show, split};
use crate::{Command, FAMILIES, Lane, describe, flags};

fn rows() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

#[test]
fn names_are_unique_and_lower_case() {
    let mut seen = HashSet::new();
    for row in rows() {
        assert!(seen.insert(row.name), "{} is there twice", row.name);
        assert_eq!(row.name, row.name.to_lowercase());
    }
}

#[test]
fn every_row_is_documented() {
    for row in rows() {
        let docs = row.docs;
        for text in [docs.summary, docs.since, docs.group, docs.complexity] {
            assert!(!text.is_empty(), "{} lacks documentation", row.name);
        }
        assert!(docs.summary.ends_with('.'), "{}", row.name);
    }
}

#[test]
fn a_row_reads_or_writes() {
    let without_data = ["object|help", "pfselftest", "xgroup|help", "xinfo|help"];
    for row in rows().filter(|row| !row.flags.has(flags::CONTAINER) && !without_data.contains(&row.name)) {
        assert_ne!(row.flags.has(flags::WRITE), row.flags.has(flags::READONLY), "{}", row.name);
        if row.lane() == Lane::Read {
            assert!(row.flags.has(flags::READONLY), "{}", row.name);
        }
    }
}

/// A container may also be one of the server's own rows.
#[test]
fn only_containers_hold_subcommands() {
    for row in rows() {
        if let Some((container, _)) = row.name.split_once('|') {
            let container = rows().find(|row| row.name == container);
            assert!(container.is_none_or(|row| row.flags.has(flags::CONTAINER)), "{}", row.name);
        }
    }
}

#[track_caller]
fn check_info(name: &str, expected: &str) {
    let row = rows().find(|row| row.name == name).unwrap();
    let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(show(&describe::info(row, Vec::new())), expected);
}

#[test]
fn command_info_is_that_of_redis() {
    check_info(
        "get",
        r#"["get" :2 ~+readonly +fast~ :1 :1 :1 ~+@read +@string +@fast~ ~~
        ~{"flags": ~+RO +access~, "begin_search": {"type": "index", "spec": {"index": :1}},
        "find_keys": {"type": "range", "spec": {"lastkey": :0, "keystep": :1, "limit": :0}}}~ ~~]"#,
    );
    check_info(
        "mset",
        r#"["mset" :-3 ~+write +denyoom~ :1 :-1 :2 ~+@write +@string +@slow~
        ~"request_policy:multi_shard" "response_policy:all_succeeded"~
        ~{"flags": ~+OW +update~, "begin_search": {"type": "index", "spec": {"index": :1}},
        "find_keys": {"type": "range", "spec": {"lastkey": :-1, "keystep": :2, "limit": :0}}}~ ~~]"#,
    );
    check_info(
        "renamenx",
        r#"["renamenx" :3 ~+write +fast~ :1 :2 :1 ~+@keyspace +@write +@fast~ ~~
        ~{"flags": ~+RW +access +delete~, "begin_search": {"type": "index", "spec": {"index": :1}},
        "find_keys": {"type": "range", "spec": {"lastkey": :0, "keystep": :1, "limit": :0}}}
        {"flags": ~+OW +insert~, "begin_search": {"type": "index", "spec": {"index": :2}},
        "find_keys": {"type": "range", "spec": {"lastkey": :0, "keystep": :1, "limit": :0}}}~ ~~]"#,
    );
    check_info(
        "bitop",
        r#"["bitop" :-4 ~+write +denyoom~ :2 :-1 :1 ~+@write +@bitmap +@slow~ ~~
        ~{"flags": ~+OW +update~, "begin_search": {"type": "index", "spec": {"index": :2}},
        "find_keys": {"type": "range", "spec": {"lastkey": :0, "keystep": :1, "limit": :0}}}
        {"flags": ~+RO +access~, "begin_search": {"type": "index", "spec": {"index": :3}},
        "find_keys": {"type": "range", "spec": {"lastkey": :-1, "keystep": :1, "limit": :0}}}~ ~~]"#,
    );
    check_info(
        "flushall",
        r#"["flushall" :-1 ~+write~ :0 :0 :0 ~+@keyspace +@write +@slow +@dangerous~
        ~"request_policy:all_shards" "response_policy:all_succeeded"~ ~~ ~~]"#,
    );
}

#[test]
fn keys_behind_words_are_shown_as_such() {
    let behind = |word: &str| {
        format!(
            r#"{{"flags": ~+OW +update~, "begin_search": {{"type": "keyword", "spec":
            {{"keyword": "{word}", "startfrom": :5}}}},
            "find_keys": {{"type": "range", "spec": {{"lastkey": :0, "keystep": :1, "limit": :0}}}}}}"#
        )
    };
    let first = r#"{"flags": ~+RO +access~, "begin_search": {"type": "index", "spec": {"index": :1}},
        "find_keys": {"type": "range", "spec": {"lastkey": :0, "keystep": :1, "limit": :0}}}"#;
    let (store, distances) = (behind("STORE"), behind("STOREDIST"));
    check_info(
        "georadiusbymember",
        &format!(
            r#"["georadiusbymember" :-5 ~+write +denyoom +movablekeys~ :1 :1 :1 ~+@write +@geo +@slow~ ~~
            ~{first} {store} {distances}~ ~~]"#
        ),
    );
}

#[test]
fn sort_says_that_it_knows_not_all_of_its_keys() {
    let row = rows().find(|row| row.name == "sort").unwrap();
    let info = show(&describe::info(row, Vec::new()));
    assert!(info.starts_with(
        r#"["sort" :-2 ~+write +denyoom +movablekeys~ :1 :1 :1 ~+@write +@set +@sortedset +@list +@slow +@dangerous~"#
    ));
    let unknown =
        r#""begin_search": {"type": "unknown", "spec": {}}, "find_keys": {"type": "unknown", "spec": {}}"#;
    assert_eq!(info.matches(unknown).count(), 2);
    assert!(!info.contains("keyword\":"));
}

#[test]
fn containers_list_their_subcommands() {
    let of_object = |row: &&Command| row.name.starts_with("object|");
    let subcommands = rows().filter(of_object).map(|row| describe::info(row, Vec::new())).collect();
    let object = rows().find(|row| row.name == "object").unwrap();
    let Reply::Array(parts) = describe::info(object, subcommands) else { panic!() };
    assert_eq!(show(&parts[6]), "~+@slow~");
    assert!(matches!(&parts[9], Reply::Set(subcommands) if subcommands.len() == 5));
}

#[test]
fn command_docs_say_what_a_row_knows() {
    let row = rows().find(|row| row.name == "substr").unwrap();
    let (name, docs) = describe::docs(row, Vec::new());
    assert_eq!(show(&name), "\"substr\"");
    let Reply::Map(docs) = docs else { panic!() };
    let keys: Vec<_> = docs.iter().map(|(key, _)| show(key)).collect();
    let expected = [
        "summary",
        "since",
        "group",
        "complexity",
        "doc_flags",
        "deprecated_since",
        "replaced_by",
        "arguments",
    ];
    assert_eq!(keys, expected.map(|key| format!("{key:?}")));
}

#[test]
fn command_docs_tell_arguments() {
    let docs = |name: &str| {
        let Reply::Map(docs) = describe::docs(rows().find(|row| row.name == name).unwrap(), Vec::new()).1
        else {
            panic!("{name} has no docs")
        };
        show(&docs.last().unwrap().1)
    };
    assert_eq!(
        docs("type"),
        r#"[{"name": "key", "type": "key", "display_text": "key", "key_spec_index": :0}]"#
    );
    let flush = docs("flushdb");
    assert!(
        flush.starts_with(r#"[{"name": "flush-type", "type": "oneof", "flags": ~+optional~, "arguments": ["#),
        "{flush}"
    );
    let word = r#"{"name": "sync", "type": "pure-token", "display_text": "sync", "token": "SYNC", "since": "6.2.0"}"#;
    assert!(flush.contains(word), "{flush}");
}

#[test]
fn keys_and_what_is_done_with_them() {
    for (line, expected) in [
        ("get a", r#"["a" ~+RO +access~]"#),
        ("mset a 1 b 2", r#"["a" ~+OW +update~] ["b" ~+OW +update~]"#),
        ("set a b ex 5", r#"["a" ~+OW +update~]"#),
        ("set get b Get", r#"["get" ~+RW +access +update~]"#),
        ("copy a b db 1", r#"["a" ~+RO +access~] ["b" ~+OW +update~]"#),
        ("bitop and a b c", r#"["a" ~+OW +update~] ["b" ~+RO +access~] ["c" ~+RO +access~]"#),
        ("bitfield a get u8 0", r#"["a" ~+RO +access~]"#),
        ("bitfield a Set u8 0 1", r#"["a" ~+RW +access +update~]"#),
        ("pfmerge a b", r#"["a" ~+RW +access +insert~] ["b" ~+RO +access~]"#),
        ("object encoding a", r#"["a" ~+RO~]"#),
        ("sort a", r#"["a" ~+RO +access~]"#),
        ("sort a get store store b", r#"["a" ~+RO +access~] ["b" ~+OW +update~]"#),
        ("georadius a 0 0 1 m", r#"["a" ~+RO +access~]"#),
        ("georadius a 0 0 1 m asc storedist b count 5", r#"["a" ~+RO +access~] ["b" ~+OW +update~]"#),
        ("scan 0", ""),
    ] {
        let args = split(line);
        let entries = describe::keys_and_flags(find(&args).unwrap(), &args.as_args());
        assert_eq!(entries.iter().map(show).collect::<Vec<_>>().join(" "), expected, "{line}");
    }
}
