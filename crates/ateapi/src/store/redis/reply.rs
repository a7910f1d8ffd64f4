//! What a reply means for the call that got it.

use crate::store::{Address, Error};
use redis::Value;

/// Of one command. Errors fall into what its sender can do next.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Value(Value),
    /// The key's slot belongs to another node.
    Moved(Address),
    /// This key, once, is to be asked of another node.
    Ask(Address),
    /// Nothing was done; in a moment it may be.
    Later(String),
    /// A write was taken, and may be lost or not.
    Uncertain(String),
    Failed(Error),
}

/// Sorts a reply. `from` is where it comes from: a redirect without a host means the same one.
pub(super) fn sort(reply: Value, from: &Address) -> Answer {
    let Value::ServerError(error) = reply else { return Answer::Value(reply) };
    let details = error.details().unwrap_or_default();
    let text =
        if details.is_empty() { error.code().to_owned() } else { format!("{} {details}", error.code()) };
    let redirect = || {
        let address = Address::parse(details.split(' ').nth(1)?)?;
        let is_same = address.host.is_empty() || &*address.host == "?";
        Some(if is_same { Address { host: from.host.clone(), ..address } } else { address })
    };
    let cause = format!("{from}: {text}");
    match error.code() {
        "MOVED" => redirect().map_or_else(|| Answer::Later(cause), Answer::Moved),
        "ASK" => redirect().map_or_else(|| Answer::Later(cause), Answer::Ask),
        "TRYAGAIN" | "LOADING" | "BUSY" | "CLUSTERDOWN" | "MASTERDOWN" | "READONLY" => Answer::Later(cause),
        "UNCERTAIN" => Answer::Uncertain(cause),
        // Somebody must do something about these: waiting a moment will not.
        "OOM" | "MISCONF" | "NOREPLICAS" => Answer::Failed(Error::unavailable(cause)),
        "WRONGTYPE" => Answer::Failed(Error::wrong_type(cause)),
        _ => Answer::Failed(Error::refused(cause)),
    }
}

/// The text of a reply that has one.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// A field of a text of lines `name:value`, as INFO has them.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| *found == name)
        .map(|(_, it)| it.trim())
}

/// What is said of a reply that makes no sense.
pub(super) fn misunderstood(from: &Address, command: &str) -> Error {
    Error::refused(format!("{from}: the reply to {command} is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(line: &str) -> Answer {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        sort(reply, &Address::new("here", 1))
    }

    #[test]
    fn redirects_are_followed_to_where_they_point() {
        assert_eq!(sorted("MOVED 3999 127.0.0.1:6381"), Answer::Moved(Address::new("127.0.0.1", 6381)));
        assert_eq!(sorted("ASK 3999 ::1:6381"), Answer::Ask(Address::new("::1", 6381)));
        assert_eq!(sorted("MOVED 3999 :6381"), Answer::Moved(Address::new("here", 6381)));
        assert_eq!(sorted("MOVED 3999 ?:6381"), Answer::Moved(Address::new("here", 6381)));
        assert!(matches!(sorted("MOVED nonsense"), Answer::Later(_)));
    }

    #[test]
    fn errors_fall_into_what_can_be_done() {
        for line in ["TRYAGAIN x", "LOADING x", "CLUSTERDOWN Hash slot not served", "READONLY x", "BUSY x"] {
            assert!(matches!(sorted(line), Answer::Later(_)), "{line}");
        }
        assert!(matches!(sorted("UNCERTAIN x"), Answer::Uncertain(_)));
        assert!(matches!(sorted("OOM x"), Answer::Failed(Error::Unavailable { .. })));
        let wrong = "WRONGTYPE Operation against a key";
        assert_eq!(sorted(wrong), Answer::Failed(Error::wrong_type(format!("here:1: {wrong}"))));
        let refused = "NOPERM this user has no permissions to run the 'getrange' command";
        assert_eq!(sorted(refused), Answer::Failed(Error::refused(format!("here:1: {refused}"))));
    }

    #[test]
    fn fields_are_found() {
        let info = "# Server\r\nrun_id:abc\r\nredis_mode:cluster\r\n";
        assert_eq!((field(info, "run_id"), field(info, "mode")), (Some("abc"), None));
    }
}
