//! Values to JSON.

use super::config::Config;
use super::number;
use crate::libs::args::{to_i32, type_name};
use crate::libs::each::{finish, stop_on};
use crate::libs::fault::Fault;
use crate::libs::{NESTING_MAX, OUTPUT_BYTES_MAX, Outcome, VALUE_STEPS};
use crate::meter;
use mlua::{Error, Lua, Table, Value};

pub(super) fn append(lua: &Lua, out: &mut Vec<u8>, value: &Value, config: &Config) -> Outcome<()> {
    let depth_max = usize::try_from(config.encode_max_depth).unwrap_or_default().min(NESTING_MAX);
    Encoder { lua, out, config, depth_max }.value(value, 0)
}

struct Encoder<'a> {
    lua: &'a Lua,
    out: &'a mut Vec<u8>,
    config: &'a Config,
    depth_max: usize,
}

/// It calls itself for what is nested: what is not needed at every level stays out of line, so that a level takes
/// less of the stack.
impl Encoder<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Outcome<()> {
        meter::spend(self.lua, VALUE_STEPS)?;
        match value {
            Value::String(string) => self.string(&string.as_bytes())?,
            Value::Integer(integer) => self.number(*integer as f64)?,
            Value::Number(number) => self.number(*number)?,
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Table(table) => self.table(table, depth + 1)?,
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => self.out.extend_from_slice(b"null"),
            other => return Err(refused(other, "type not supported")),
        }
        if self.out.len() > OUTPUT_BYTES_MAX { Err(Fault::memory()) } else { Ok(()) }
    }

    fn table(&mut self, table: &Table, depth: usize) -> Outcome<()> {
        if depth > self.depth_max {
            return Err(too_deep(depth));
        }
        match array_length(table, self.config)? {
            Some(length) => self.array(table, length, depth),
            None => self.object(table, depth),
        }
    }

    fn array(&mut self, table: &Table, length: i32, depth: usize) -> Outcome<()> {
        self.out.push(b'[');
        for index in 1..=length {
            if index > 1 {
                self.out.push(b',');
            }
            self.value(&table.raw_get(index)?, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: usize) -> Outcome<()> {
        self.out.push(b'{');
        let mut fault = None;
        let mut is_first = true;
        let done = table.for_each(|key: Value, value: Value| {
            let separator: &[u8] = if is_first { b"" } else { b"," };
            self.out.extend_from_slice(separator);
            is_first = false;
            stop_on(&mut fault, self.key(&key).and_then(|()| self.value(&value, depth)))
        });
        finish(fault, done)?;
        self.out.push(b'}');
        Ok(())
    }

    #[inline(never)]
    fn key(&mut self, key: &Value) -> Outcome<()> {
        match key {
            Value::String(string) => self.string(&string.as_bytes())?,
            Value::Integer(_) | Value::Number(_) => {
                self.out.push(b'"');
                self.value(key, 0)?;
                self.out.push(b'"');
            }
            other => return Err(refused(other, "table key must be a number or string")),
        }
        self.out.push(b':');
        Ok(())
    }

    #[inline(never)]
    fn number(&mut self, number: f64) -> Outcome<()> {
        match self.config.encode_invalid_numbers {
            0 if !number.is_finite() => {
                return Err(refused(&Value::Number(number), "must not be NaN or Inf"));
            }
            1 if number.is_nan() => self.out.extend_from_slice(b"nan"),
            2 if !number.is_finite() => self.out.extend_from_slice(b"null"),
            _ => {
                let precision = usize::try_from(self.config.encode_number_precision).unwrap_or(14);
                number::append(self.out, number, precision);
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn string(&mut self, string: &[u8]) -> Outcome<()> {
        /// So often it is seen whether the output is too large: escapes are six times as long.
        const STRIDE: usize = 64 << 10;
        self.out.push(b'"');
        for part in string.chunks(STRIDE) {
            self.escape(part);
            // Each byte is looked at by itself.
            meter::spend_bytes(self.lua, part.len() * 2)?;
            if self.out.len() > OUTPUT_BYTES_MAX {
                return Err(Fault::memory());
            }
        }
        self.out.push(b'"');
        Ok(())
    }

    fn escape(&mut self, mut rest: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'/' | b'\\' | 0x7f);
        while let Some(at) = rest.iter().position(is_special) {
            let (plain, tail) = rest.split_at(at);
            self.out.extend_from_slice(plain);
            let Some((&byte, tail)) = tail.split_first() else { return };
            rest = tail;
            let short = match byte {
                b'"' | b'/' | b'\\' => byte,
                0x08 => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                0x0c => b'f',
                b'\r' => b'r',
                _ => {
                    let digit = |of: u8| DIGITS.get(usize::from(of)).copied().unwrap_or(b'0');
                    self.out.extend_from_slice(b"\\u00");
                    self.out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', short]);
        }
        self.out.extend_from_slice(rest);
    }
}

/// The length of a table that is written as an array: all its keys are integers from 1, and not too few of
/// them are there.
#[inline(never)]
fn array_length(table: &Table, config: &Config) -> Outcome<Option<i32>> {
    let (mut max, mut items) = (0_i32, 0_i32);
    let mut is_array = true;
    let done = table.for_each(|key: Value, _: bool| {
        let key = match key {
            Value::Integer(integer) => integer as f64,
            Value::Number(number) => number,
            _ => 0.0,
        };
        is_array = key >= 1.0 && key.floor() == key;
        // In C this is an int: an index that does not fit becomes negative, and its table an object.
        max = if key > f64::from(max) { to_i32(key) } else { max };
        items = items.wrapping_add(1);
        if is_array { Ok(()) } else { Err(Error::StackError) }
    });
    if !is_array {
        return Ok(None);
    }
    done?;
    let (ratio, safe) = (config.sparse_ratio, config.sparse_safe);
    if ratio > 0 && max > items.wrapping_mul(ratio) && max > safe {
        return match config.sparse_convert {
            0 => Err(Fault::at("Cannot serialise table: excessively sparse array")),
            _ => Ok(None),
        };
    }
    Ok(Some(max).filter(|&max| max > 0))
}

#[cold]
fn too_deep(depth: usize) -> Fault {
    Fault::at(format!("Cannot serialise, excessive nesting ({depth})"))
}

#[cold]
fn refused(value: &Value, why: &str) -> Fault {
    Fault::at(format!("Cannot serialise {}: {why}", type_name(value)))
}
