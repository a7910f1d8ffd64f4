//! MessagePack to values. What is open is kept in a list, not on the thread's stack.

use crate::libs::args::Args;
use crate::libs::fault::Fault;
use crate::libs::{NESTING_MAX, Outcome, RESULTS_MAX, VALUE_STEPS};
use crate::meter;
use mlua::{Lua, MultiValue, Table, Value};

const TOO_MANY: &str = "too many return values at once; use unpack_one or unpack_limit instead.";

/// Up to `limit` values from an offset on. Before them comes the offset of what follows, or -1, unless there
/// is neither limit nor offset.
pub(super) fn values(args: &Args<'_>, limit: i64, offset: i64) -> Outcome<MultiValue> {
    let input = args.string(1)?;
    let input = input.as_bytes();
    let is_all = limit == 0 && offset == 0;
    if offset < 0 || limit < 0 {
        // The original tells the length for the limit, and 32 bits of each.
        let (offset, len) = (offset as i32, input.len() as i32);
        return Err(Fault::at(format!(
            "Invalid request to unpack with offset of {offset} and limit of {len}."
        )));
    }
    let Some(rest) = usize::try_from(offset).ok().and_then(|offset| input.get(offset..)) else {
        let (offset, len) = (offset as i32, input.len() as i32);
        return Err(Fault::at(format!("Start offset {offset} greater than input length {len}.")));
    };
    let limit = if is_all { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut unpacker = Unpacker { lua: args.lua(), rest, open: Vec::new() };
    let mut results = MultiValue::new();
    while !unpacker.rest.is_empty() && results.len() < limit {
        if results.len() >= RESULTS_MAX {
            return Err(Fault::stack_overflow(TOO_MANY));
        }
        let value = unpacker.value(results.len())?;
        results.push_back(value);
    }
    if !is_all {
        let next = input.len() - unpacker.rest.len();
        let next = if unpacker.rest.is_empty() { -1 } else { next as i64 };
        results.push_front(Value::Integer(next));
    }
    Ok(results)
}

struct Unpacker<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    open: Vec<Open>,
}

/// A table of which something is missing.
struct Open {
    table: Table,
    /// How many values are still to come; a pair is two.
    left: u64,
    place: Place,
}

/// What becomes of the next value.
enum Place {
    Element(usize),
    Key,
    ValueOf(Value),
}

/// What one head says.
enum Item<'a> {
    Value(Value),
    Text(&'a [u8]),
    Array(u32),
    Map(u32),
}

impl<'a> Unpacker<'a> {
    /// The next value, whole, where there are so many already.
    fn value(&mut self, held: usize) -> Outcome<Value> {
        self.open.clear();
        loop {
            meter::spend(self.lua, VALUE_STEPS)?;
            let mut value = match self.item()? {
                Item::Value(value) => value,
                Item::Text(text) => {
                    meter::spend_bytes(self.lua, text.len())?;
                    Value::String(self.lua.create_string(text)?)
                }
                Item::Array(0) | Item::Map(0) => Value::Table(self.lua.create_table()?),
                Item::Array(count) => {
                    self.descend(held, count.into(), Place::Element(1))?;
                    continue;
                }
                Item::Map(count) => {
                    self.descend(held, u64::from(count) * 2, Place::Key)?;
                    continue;
                }
            };
            // What it completes is a value in turn.
            loop {
                let Some(mut open) = self.open.pop() else { return Ok(value) };
                open.take(value)?;
                if open.left > 0 {
                    self.open.push(open);
                    break;
                }
                value = Value::Table(open.table);
            }
        }
    }

    fn descend(&mut self, held: usize, left: u64, place: Place) -> Outcome<()> {
        // What is open are handles as well: a table, and a key of it.
        if self.open.len() >= NESTING_MAX || held + self.open.len() * 2 >= RESULTS_MAX {
            return Err(Fault::stack_overflow("in function mp_decode_to_lua_array"));
        }
        self.open.push(Open { table: self.lua.create_table()?, left, place });
        Ok(())
    }

    fn item(&mut self) -> Outcome<Item<'a>> {
        let [tag] = self.take()?;
        let integer = |integer: i64| Item::Value(Value::Integer(integer));
        Ok(match tag {
            0x00..=0x7f => integer(tag.into()),
            0x80..=0x8f => Item::Map((tag & 0x0f).into()),
            0x90..=0x9f => Item::Array((tag & 0x0f).into()),
            0xa0..=0xbf => self.text((tag & 0x1f).into())?,
            0xc0 => Item::Value(Value::Nil),
            0xc2 => Item::Value(Value::Boolean(false)),
            0xc3 => Item::Value(Value::Boolean(true)),
            0xca => Item::Value(Value::Number(f32::from_be_bytes(self.take()?).into())),
            0xcb => Item::Value(Value::Number(f64::from_be_bytes(self.take()?))),
            0xcc => integer(u8::from_be_bytes(self.take()?).into()),
            0xcd => integer(u16::from_be_bytes(self.take()?).into()),
            0xce => integer(u32::from_be_bytes(self.take()?).into()),
            // The original pushes unsigned ones of 64 bits as signed ones as well.
            0xcf | 0xd3 => integer(i64::from_be_bytes(self.take()?)),
            0xd0 => integer(i8::from_be_bytes(self.take()?).into()),
            0xd1 => integer(i16::from_be_bytes(self.take()?).into()),
            0xd2 => integer(i32::from_be_bytes(self.take()?).into()),
            0xd9 => {
                let len = u8::from_be_bytes(self.take()?);
                self.text(len.into())?
            }
            0xda => {
                let len = u16::from_be_bytes(self.take()?);
                self.text(len.into())?
            }
            0xdb => {
                let len = u32::from_be_bytes(self.take()?);
                self.text(len)?
            }
            0xdc => Item::Array(u16::from_be_bytes(self.take()?).into()),
            0xdd => Item::Array(u32::from_be_bytes(self.take()?)),
            0xde => Item::Map(u16::from_be_bytes(self.take()?).into()),
            0xdf => Item::Map(u32::from_be_bytes(self.take()?)),
            0xe0..=0xff => integer((tag as i8).into()),
            _ => return Err(Fault::at("Bad data format in input.")),
        })
    }

    fn take<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().ok_or_else(missing)?;
        self.rest = rest;
        Ok(*head)
    }

    fn text(&mut self, len: u32) -> Outcome<Item<'a>> {
        let (text, rest) = self.rest.split_at_checked(len as usize).ok_or_else(missing)?;
        self.rest = rest;
        Ok(Item::Text(text))
    }
}

fn missing() -> Fault {
    Fault::at("Missing bytes in input.")
}

impl Open {
    fn take(&mut self, value: Value) -> Outcome<()> {
        self.left -= 1;
        match &mut self.place {
            Place::Element(index) => {
                self.table.raw_set(*index, value)?;
                *index += 1;
            }
            Place::Key => self.place = Place::ValueOf(value),
            Place::ValueOf(key) => {
                match key {
                    Value::Nil => return Err(Fault::Bare(b"table index is nil".to_vec())),
                    Value::Number(number) if number.is_nan() => {
                        return Err(Fault::Bare(b"table index is NaN".to_vec()));
                    }
                    key => self.table.raw_set(&*key, value)?,
                }
                self.place = Place::Key;
            }
        }
        Ok(())
    }
}
