//! Hot and large keys, as INFO and the dashboard show them.

use base::limits;
use serde_json::{Value, json};

use super::Lines;
use crate::engine::node::Node;
use crate::sampling::{BigKey, HotKey};
use crate::session::monitor::quote;

pub(super) fn keys(node: &Node, lines: &mut Lines) {
    let sampling = &node.sampling;
    lines.add("keys_sampled", if sampling.is_on() { "yes" } else { "no" });
    for (at, hot) in sampling.hot().iter().enumerate() {
        let HotKey { database, key, len, reads_per_s, writes_per_s, share } = hot;
        let (key, percent) = (name(key, *len), share * 100.0);
        lines.add(
            &format!("hot{at}"),
            format_args!(
                "db={database},reads_per_sec={reads_per_s:.1},writes_per_sec={writes_per_s:.1},percent={percent:.1},key={key}"
            ),
        );
    }
    let now_ms = sampling.now_ms();
    for (at, BigKey { database, key, size, seen_ms, .. }) in sampling.big().iter().enumerate() {
        let (measure, number) = match (size.elements(), size.bytes) {
            (Some(elements), _) => ("elements", elements),
            (None, bytes) => ("bytes", bytes.unwrap_or(0)),
        };
        lines.add(
            &format!("big{at}"),
            format_args!(
                "db={database},type={},{measure}={number},seen_sec={},key={}",
                size.kind.name(),
                now_ms.saturating_sub(*seen_ms) / 1_000,
                name(key, key.len())
            ),
        );
    }
}

pub(super) fn shown(node: &Node) -> Value {
    let hot = node.sampling.hot().into_iter().map(|hot| {
        json!({
            "db": hot.database,
            "key": name(&hot.key, hot.len),
            "reads_per_s": hot.reads_per_s,
            "writes_per_s": hot.writes_per_s,
            "share": hot.share,
        })
    });
    let big = node.sampling.big().into_iter().take(limits::BIG_KEYS_SHOWN).map(|big| {
        json!({
            "db": big.database,
            "key": name(&big.key, big.key.len()),
            "type": big.size.kind.name(),
            "elements": big.size.elements(),
            "bytes": big.size.bytes,
        })
    });
    json!({ "is_on": node.sampling.is_on(), "hot": hot.collect::<Vec<_>>(), "big": big.collect::<Vec<_>>() })
}

/// A key as MONITOR shows it, of which only the beginning may be at hand; a long one is cut.
fn name(key: &[u8], len: usize) -> String {
    let shown = key.get(..limits::KEY_BYTES_SHOWN).unwrap_or(key);
    let mut text = Vec::new();
    quote(shown, &mut text);
    if len > shown.len() {
        text.extend_from_slice(format!("... ({} more bytes)", len - shown.len()).as_bytes());
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_printable_and_short() {
        assert_eq!(name(b"user:1", 6), "\"user:1\"");
        assert_eq!(name(b"", 0), "\"\"");
        assert_eq!(name(b"\xff\n\"", 3), "\"\\xff\\n\\\"\"");
        let cut = name(&[b'x'; 64], 65_000);
        assert_eq!(cut, format!("\"{}\"... ({} more bytes)", "x".repeat(64), 65_000 - 64));
    }
}
