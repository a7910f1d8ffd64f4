//! Replies in Lua, and Lua's values in replies. Which Lua values a reply becomes depends on the protocol that
//! the script has asked for, not on the client's.

use mlua::{Lua, Table, Value};
use resp::{Blob, Line, Protocol, Reply};

use crate::{libs, meter};

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
        Reply::Map(entries) | Reply::Table(entries) if resp3 => {
            let map = lua.create_table_with_capacity(0, entries.len())?;
            for (key, value) in entries {
                map.raw_set(to_lua(lua, key, protocol)?, to_lua(lua, value, protocol)?)?;
            }
            field(lua, "map", Value::Table(map))?
        }
        // What is an array of its own in RESP3, or, of a table, in RESP2.
        Reply::Pairs(entries) if resp3 => pairs_to_lua(lua, entries, protocol)?,
        Reply::Table(entries) => pairs_to_lua(lua, entries, protocol)?,
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

/// Pairs, each a list of its own.
fn pairs_to_lua(lua: &Lua, entries: &[(Reply, Reply)], protocol: Protocol) -> mlua::Result<Value> {
    let pairs = lua.create_table_with_capacity(entries.len(), 0)?;
    for (at, (key, value)) in entries.iter().enumerate() {
        pairs.raw_set(at + 1, list(lua, [key, value].into_iter(), protocol)?)?;
    }
    Ok(Value::Table(pairs))
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

/// What a script's value is as a reply. Fails where the script is stopped: tables that hold each other many times
/// make a reply that is much larger than they are.
pub(crate) fn to_reply(
    lua: &Lua,
    value: &Value,
    protocol: Protocol,
    bytes_max: usize,
) -> mlua::Result<Reply> {
    let mut replier = Replier { lua, protocol, values: 0, bytes: 0, bytes_max };
    libs::without_limit(lua, || replier.reply(value, 0))
}

/// What a value of a reply takes at least.
const VALUE_BYTES: usize = 64;
/// Steps that a value of a reply takes.
const VALUE_STEPS: u32 = 4;

struct Replier<'l> {
    lua: &'l Lua,
    protocol: Protocol,
    values: usize,
    bytes: usize,
    /// A reply may be as large as what a script may hold.
    bytes_max: usize,
}

impl Replier<'_> {
    fn reply(&mut self, value: &Value, depth: usize) -> mlua::Result<Reply> {
        self.values += 1;
        if self.values > self.bytes_max / VALUE_BYTES || self.bytes > self.bytes_max {
            return Err(mlua::Error::MemoryError(libs::OUT_OF_MEMORY.into()));
        }
        meter::spend(self.lua, VALUE_STEPS)?;
        Ok(match value {
            Value::String(text) => self.text(text)?,
            Value::Boolean(is) if self.protocol == Protocol::Resp3 => Reply::Boolean(*is),
            Value::Boolean(true) => Reply::ONE,
            Value::Integer(number) => Reply::Integer(*number),
            Value::Number(number) => Reply::Integer(truncated(*number)),
            Value::Table(_) if depth >= DEPTH_MAX => Reply::error("ERR reached lua stack limit"),
            Value::Table(table) => self.table(table, depth + 1)?,
            _ => Reply::Null,
        })
    }

    fn text(&mut self, text: &mlua::String) -> mlua::Result<Reply> {
        let text = text.as_bytes();
        self.bytes += text.len();
        meter::spend_bytes(self.lua, text.len())?;
        Ok(Reply::copied(&text))
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<Reply> {
        let get = |name: &str| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
        if let Value::String(line) = get("err") {
            return Ok(Reply::Error(Line::from(line.as_bytes().to_vec())));
        }
        if let Value::String(line) = get("ok") {
            return Ok(Reply::Simple(Line::from(line.as_bytes().to_vec())));
        }
        match get("double") {
            Value::Number(number) => return Ok(Reply::Double(number)),
            Value::Integer(number) => return Ok(Reply::Double(number as f64)),
            _ => {}
        }
        if let Value::String(digits) = get("big_number") {
            let line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
            let digits: Vec<u8> =
                digits.as_bytes().iter().map(|byte| if line_end(byte) { b' ' } else { *byte }).collect();
            return Ok(Reply::BigNumber(Line::from(digits)));
        }
        if let Value::Table(verbatim) = get("verbatim_string")
            && let Ok(Value::String(format)) = verbatim.raw_get("format")
            && let Ok(Value::String(text)) = verbatim.raw_get("string")
            && let Ok(format) = <[u8; 3]>::try_from(&*format.as_bytes())
        {
            return Ok(Reply::Verbatim { format, text: Blob::copy(&text.as_bytes()) });
        }
        if let Value::Table(map) = get("map") {
            let mut entries = Vec::new();
            map.for_each(|key: Value, value: Value| {
                entries.push((self.reply(&key, depth)?, self.reply(&value, depth)?));
                Ok(())
            })?;
            return Ok(Reply::Map(entries));
        }
        if let Value::Table(set) = get("set") {
            let mut members = Vec::new();
            set.for_each(|key: Value, _: Value| {
                members.push(self.reply(&key, depth)?);
                Ok(())
            })?;
            return Ok(Reply::Set(members));
        }
        self.array(table, depth)
    }

    fn array(&mut self, table: &Table, depth: usize) -> mlua::Result<Reply> {
        let mut items = Vec::new();
        for at in 1_i64.. {
            let item = table.raw_get::<Value>(at).unwrap_or(Value::Nil);
            if item.is_nil() {
                break;
            }
            items.push(self.reply(&item, depth)?);
        }
        Ok(Reply::Array(items))
    }
}

/// A double as C makes an integer of it.
fn truncated(number: f64) -> i64 {
    const OUT_OF_RANGE: i64 = i64::MIN;
    let fits = number.is_finite() && number >= i64::MIN as f64 && number < i64::MAX as f64;
    if fits { number as i64 } else { OUT_OF_RANGE }
}
