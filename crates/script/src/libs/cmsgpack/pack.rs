//! Values to MessagePack, each in its shortest form.

use super::{PACKED_NESTING_MAX, PACKED_VALUES_MAX};
use crate::libs::args::{Args, to_i32, to_i64};
use crate::libs::each::{finish, stop_on};
use crate::libs::fault::Fault;
use crate::libs::{OUTPUT_BYTES_MAX, Outcome, VALUE_STEPS};
use crate::meter;
use mlua::{Error, Lua, String as LuaString, Table, Value};

/// All arguments, one after the other.
pub(super) fn values(args: &Args<'_>) -> Outcome<LuaString> {
    let count = args.len();
    if count == 0 {
        return Err(Fault::argument(0, "MessagePack pack needs input."));
    }
    if count > PACKED_VALUES_MAX {
        return Err(Fault::argument(0, "Too many arguments for MessagePack pack."));
    }
    let mut packer = Packer { lua: args.lua(), out: Vec::new() };
    for number in 1..=count {
        packer.value(&args.get(number).unwrap_or(Value::Nil), 0)?;
    }
    Ok(args.lua().create_string(&packer.out)?)
}

struct Packer<'a> {
    lua: &'a Lua,
    out: Vec<u8>,
}

impl Packer<'_> {
    fn value(&mut self, value: &Value, level: usize) -> Outcome<()> {
        meter::spend(self.lua, VALUE_STEPS)?;
        match value {
            Value::String(string) => self.string(&string.as_bytes())?,
            Value::Boolean(boolean) => self.out.push(if *boolean { 0xc3 } else { 0xc2 }),
            Value::Integer(integer) => self.integer(*integer),
            Value::Number(number) => self.number(*number),
            Value::Table(table) if level < PACKED_NESTING_MAX => self.table(table, level)?,
            _ => self.out.push(0xc0),
        }
        if self.out.len() > OUTPUT_BYTES_MAX { Err(Fault::memory()) } else { Ok(()) }
    }

    fn string(&mut self, string: &[u8]) -> Outcome<()> {
        if string.len() > OUTPUT_BYTES_MAX {
            return Err(Fault::memory());
        }
        meter::spend_bytes(self.lua, string.len())?;
        match string.len() {
            len @ 0..32 => self.out.push(0xa0 | len as u8),
            len if len <= 0xff => self.out.extend_from_slice(&[0xd9, len as u8]),
            len => self.length(len, [0xda, 0xdb]),
        }
        self.out.extend_from_slice(string);
        Ok(())
    }

    /// A length of 16 bits, or of 32.
    fn length(&mut self, len: usize, [short, long]: [u8; 2]) {
        match u16::try_from(len) {
            Ok(len) => self.tagged(short, &len.to_be_bytes()),
            Err(_) => self.tagged(long, &(len as u32).to_be_bytes()),
        }
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.out.push(tag);
        self.out.extend_from_slice(bytes);
    }

    fn integer(&mut self, integer: i64) {
        match integer {
            -32..=0x7f => self.out.push(integer as u8),
            0x80..=0xff => self.tagged(0xcc, &[integer as u8]),
            0x100..=0xffff => self.tagged(0xcd, &(integer as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.tagged(0xce, &(integer as u32).to_be_bytes()),
            0x1_0000_0000.. => self.tagged(0xcf, &integer.to_be_bytes()),
            -0x80..=-33 => self.tagged(0xd0, &[integer as u8]),
            -0x8000..=-0x81 => self.tagged(0xd1, &(integer as i16).to_be_bytes()),
            -0x8000_0000..=-0x8001 => self.tagged(0xd2, &(integer as i32).to_be_bytes()),
            ..=-0x8000_0001 => self.tagged(0xd3, &integer.to_be_bytes()),
        }
    }

    fn number(&mut self, number: f64) {
        let single = number as f32;
        if number.is_finite() && to_i64(number) as f64 == number {
            self.integer(to_i64(number));
        } else if f64::from(single) == number {
            self.tagged(0xca, &single.to_be_bytes());
        } else {
            self.tagged(0xcb, &number.to_be_bytes());
        }
    }

    fn table(&mut self, table: &Table, level: usize) -> Outcome<()> {
        let (count, is_array) = shape(table)?;
        if is_array {
            self.head(count, 0x90, [0xdc, 0xdd]);
            for index in 1..=count {
                self.value(&table.raw_get(index)?, level + 1)?;
            }
            return Ok(());
        }
        self.head(count, 0x80, [0xde, 0xdf]);
        let mut fault = None;
        let done = table.for_each(|key: Value, value: Value| {
            let packed = self.value(&key, level + 1).and_then(|()| self.value(&value, level + 1));
            stop_on(&mut fault, packed)
        });
        finish(fault, done)
    }

    /// How many elements or pairs there are.
    fn head(&mut self, count: usize, short: u8, longer: [u8; 2]) {
        match count {
            0..16 => self.out.push(short | count as u8),
            _ => self.length(count, longer),
        }
    }
}

/// How many keys a table has, and whether they are all the integers from 1 to that number.
fn shape(table: &Table) -> Outcome<(usize, bool)> {
    let (mut count, mut max, mut is_array) = (0_usize, 0_i32, true);
    table.for_each(|key: Value, _: bool| {
        let key = match key {
            Value::Integer(integer) => integer as f64,
            Value::Number(number) => number,
            _ => 0.0,
        };
        is_array &= key > 0.0 && key.is_finite() && f64::from(to_i32(key)) == key;
        max = max.max(if is_array { to_i32(key) } else { 0 });
        count += 1;
        Ok::<(), Error>(())
    })?;
    Ok((count, is_array && usize::try_from(max) == Ok(count)))
}
