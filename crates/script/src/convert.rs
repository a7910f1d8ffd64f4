//! Replies in Lua, and Lua's values in replies. Which Lua values a reply becomes depends on the protocol that
//! the script has asked for, not on the client's.

use mlua::{Lua, Table, Value};
use resp::{Blob, Line, Protocol, Reply};

/// Tables within tables that a reply is made of, at most: what nests deeper ends with an error in its place.
const DEPTH_MAX: usize = 128;

/// What a reply is in Lua.
pub(crate) fn to_lua(lua: &Lua, reply: &Reply, protocol: Protocol) -> mlua::Result<Value> {
    let resp3 = protocol == Protocol::Resp3;
    let text = |bytes: &[u8]| lua.create_string(bytes).map(Value::String);
    Ok(match reply {
        Reply::Ok => field(lua, "ok", text(b"OK")?)?,
        Reply::Simple(line) => field(lua, "ok", text(line.as_bytes())?)?,
        Reply::Error(line) => Value::Table(error(lua, line.as_bytes())?),
        Reply::Integer(number) => Value::Number(*number as f64),
        Reply::Bulk(bytes) => text(bytes)?,
        Reply::Pieces(pieces) => text(&pieces.iter().map(Blob::as_slice).collect::<Vec<_>>().concat())?,
        Reply::Null | Reply::NullArray if resp3 => Value::Nil,
        Reply::Null | Reply::NullArray => Value::Boolean(false),
        Reply::Array(items) | Reply::Push(items) => list(lua, items.iter(), protocol)?,
        Reply::Set(items) if resp3 => {
            let set = lua.create_table_with_capacity(0, items.len())?;
            for item in items {
                set.raw_set(to_lua(lua, item, protocol)?, true)?;
            }
            field(lua, "set", Value::Table(set))?
        }
        Reply::Set(items) => list(lua, items.iter(), protocol)?,
        Reply::Map(entries) if resp3 => {
            let map = lua.create_table_with_capacity(0, entries.len())?;
            for (key, value) in entries {
                map.raw_set(to_lua(lua, key, protocol)?, to_lua(lua, value, protocol)?)?;
            }
            field(lua, "map", Value::Table(map))?
        }
        Reply::Pairs(entries) if resp3 => {
            let pairs = lua.create_table_with_capacity(entries.len(), 0)?;
            for (at, (key, value)) in entries.iter().enumerate() {
                pairs.raw_set(at + 1, list(lua, [key, value].into_iter(), protocol)?)?;
            }
            Value::Table(pairs)
        }
        Reply::Map(entries) | Reply::Pairs(entries) => {
            list(lua, entries.iter().flat_map(|(key, value)| [key, value]), protocol)?
        }
        Reply::Double(number) if resp3 => field(lua, "double", Value::Number(*number))?,
        Reply::Decimal(number) if resp3 => field(lua, "double", Value::Number(as_written(*number)))?,
        Reply::Double(number) => text(Blob::double(*number).as_slice())?,
        Reply::Decimal(number) => {
            let mut digits = Vec::new();
            resp::encode::format_decimal(*number, &mut digits);
            text(&digits)?
        }
        Reply::Boolean(is) if resp3 => Value::Boolean(*is),
        Reply::Boolean(is) => Value::Number(f64::from(u8::from(*is))),
        Reply::BigNumber(digits) if resp3 => field(lua, "big_number", text(digits.as_bytes())?)?,
        Reply::BigNumber(digits) => text(digits.as_bytes())?,
        Reply::Verbatim { format, text: body } if resp3 => {
            let verbatim = lua.create_table_with_capacity(0, 2)?;
            verbatim.raw_set("string", text(body)?)?;
            verbatim.raw_set("format", text(format)?)?;
            field(lua, "verbatim_string", Value::Table(verbatim))?
        }
        Reply::Verbatim { text: body, .. } => text(body)?,
        Reply::Attribute { reply, .. } => to_lua(lua, reply, protocol)?,
    })
}

/// A number as the one reads it who has its reply: that has only so many digits.
fn as_written(number: f64) -> f64 {
    let mut digits = Vec::new();
    resp::encode::format_decimal(number, &mut digits);
    std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(number)
}

fn field(lua: &Lua, name: &str, value: Value) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

fn list<'r>(lua: &Lua, items: impl Iterator<Item = &'r Reply>, protocol: Protocol) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(items.size_hint().0, 0)?;
    for (at, item) in items.enumerate() {
        table.raw_set(at + 1, to_lua(lua, item, protocol)?)?;
    }
    Ok(Value::Table(table))
}

/// What a command's error is in Lua.
pub(crate) fn error(lua: &Lua, line: &[u8]) -> mlua::Result<Table> {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set("err", lua.create_string(line.get(..end).unwrap_or_default())?)?;
    table.raw_set("ignore_error_stats_update", true)?;
    Ok(table)
}

/// What a script's own error message is as an error line: what begins with `-` has its code, if it has more
/// than one word.
pub(crate) fn error_line(message: &[u8]) -> Vec<u8> {
    let (message, has_code) = match message.strip_prefix(b"-") {
        Some(rest) => (rest, rest.contains(&b' ')),
        None => (message, false),
    };
    if has_code { message.to_vec() } else { [b"ERR ", message].concat() }
}

/// What a script's value is as a reply.
pub(crate) fn to_reply(value: &Value, protocol: Protocol) -> Reply {
    reply_at(value, protocol, 0)
}

fn reply_at(value: &Value, protocol: Protocol, depth: usize) -> Reply {
    match value {
        Value::String(text) => Reply::copied(&text.as_bytes()),
        Value::Boolean(is) if protocol == Protocol::Resp3 => Reply::Boolean(*is),
        Value::Boolean(true) => Reply::ONE,
        Value::Integer(number) => Reply::Integer(*number),
        Value::Number(number) => Reply::Integer(truncated(*number)),
        Value::Table(_) if depth >= DEPTH_MAX => Reply::error("ERR reached lua stack limit"),
        Value::Table(table) => of_table(table, protocol, depth + 1),
        _ => Reply::Null,
    }
}

/// A double as C makes an integer of it.
fn truncated(number: f64) -> i64 {
    const OUT_OF_RANGE: i64 = i64::MIN;
    let fits = number.is_finite() && number >= i64::MIN as f64 && number < i64::MAX as f64;
    if fits { number as i64 } else { OUT_OF_RANGE }
}

fn of_table(table: &Table, protocol: Protocol, depth: usize) -> Reply {
    let get = |name: &str| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
    if let Value::String(line) = get("err") {
        return Reply::Error(Line::from(line.as_bytes().to_vec()));
    }
    if let Value::String(line) = get("ok") {
        return Reply::Simple(Line::from(line.as_bytes().to_vec()));
    }
    match get("double") {
        Value::Number(number) => return Reply::Double(number),
        Value::Integer(number) => return Reply::Double(number as f64),
        _ => {}
    }
    if let Value::String(digits) = get("big_number") {
        let digits = digits
            .as_bytes()
            .iter()
            .map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte })
            .collect::<Vec<_>>();
        return Reply::BigNumber(Line::from(digits));
    }
    if let Value::Table(verbatim) = get("verbatim_string")
        && let Ok(Value::String(format)) = verbatim.raw_get("format")
        && let Ok(Value::String(text)) = verbatim.raw_get("string")
        && let Ok(format) = <[u8; 3]>::try_from(&*format.as_bytes())
    {
        return Reply::Verbatim { format, text: Blob::copy(&text.as_bytes()) };
    }
    if let Value::Table(map) = get("map") {
        let entries = map.pairs::<Value, Value>().filter_map(Result::ok);
        let entry = |(key, value): (Value, Value)| {
            (reply_at(&key, protocol, depth), reply_at(&value, protocol, depth))
        };
        return Reply::Map(entries.map(entry).collect());
    }
    if let Value::Table(set) = get("set") {
        let members = set.pairs::<Value, Value>().filter_map(Result::ok);
        return Reply::Set(members.map(|(key, _)| reply_at(&key, protocol, depth)).collect());
    }
    let items = (1..).map(|at: i64| table.raw_get::<Value>(at).unwrap_or(Value::Nil));
    Reply::Array(
        items.take_while(|item| !item.is_nil()).map(|item| reply_at(&item, protocol, depth)).collect(),
    )
}
