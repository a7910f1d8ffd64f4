//! Bytes to values.

use super::format::{Format, Item, Kind};
use crate::libs::args::{Args, as_number, to_u64};
use crate::libs::fault::Fault;
use crate::libs::{Outcome, RESULTS_MAX};
use crate::meter;
use mlua::{MultiValue, Value};

/// The values, and behind them the position of what follows.
pub(super) fn unpack(args: &Args<'_>) -> Outcome<MultiValue> {
    let format = args.string(1)?;
    let data = args.string(2)?;
    let (format, data) = (format.as_bytes(), data.as_bytes());
    // What is negative is a very large position, which padding can bring back to the beginning.
    let position = args.integer_or(3, 1)? as usize;
    if position == 0 {
        return Err(Fault::argument(3, "offset must be 1 or greater"));
    }
    let mut position = position - 1;
    let mut format = Format::new(&format);
    let mut results = MultiValue::new();
    while let Some(item) = format.next()? {
        meter::spend(args.lua(), 1)?;
        position = position.wrapping_add(format.padding(position, &item));
        let rest = data.get(position..).ok_or_else(too_short)?;
        let bytes = rest.get(..item.size).ok_or_else(too_short)?;
        if results.len() >= RESULTS_MAX {
            return Err(Fault::stack_overflow("too many results"));
        }
        let mut size = item.size;
        match item.kind {
            Kind::Integer { signed } => {
                results.push_back(Value::Number(integer(bytes, signed, format.is_big)));
            }
            Kind::Padding => {}
            Kind::Float => results.push_back(Value::Number(float(bytes, format.is_big))),
            Kind::Double => results.push_back(Value::Number(double(bytes, format.is_big))),
            Kind::Bytes | Kind::Text => {
                let (string, taken) = string(args, rest, &item, &mut results)?;
                meter::spend_bytes(args.lua(), taken)?;
                results.push_back(Value::String(args.lua().create_string(string)?));
                size = taken;
            }
            Kind::Control(option) => format.control(option)?,
        }
        position = position.wrapping_add(size);
    }
    results.push_back(Value::Number(position.wrapping_add(1) as i64 as f64));
    Ok(results)
}

fn too_short() -> Fault {
    Fault::argument(2, "data string too short")
}

/// A string at the head of what is left, and how much of it is taken.
fn string<'a>(
    args: &Args<'_>,
    rest: &'a [u8],
    item: &Item,
    results: &mut MultiValue,
) -> Outcome<(&'a [u8], usize)> {
    if matches!(item.kind, Kind::Text) {
        let end = rest.iter().position(|&byte| byte == 0);
        let end = end.ok_or_else(|| Fault::at("unfinished string in data"))?;
        return Ok((rest.get(..end).unwrap_or_default(), end + 1));
    }
    let size = match item.size {
        0 => {
            let last = results.back().and_then(|last| as_number(args.lua(), last));
            let size = last.ok_or_else(|| Fault::at("format 'c0' needs a previous size"))?;
            results.pop_back();
            to_u64(size) as usize
        }
        size => size,
    };
    Ok((rest.get(..size).ok_or_else(too_short)?, size))
}

fn integer(bytes: &[u8], signed: bool, is_big: bool) -> f64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if is_big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) };
    if !signed {
        return value as f64;
    }
    // The shift wraps as the processor does it, which shows in sizes of more than eight bytes.
    let mask = u64::MAX.wrapping_shl((bytes.len() as u32).wrapping_mul(8).wrapping_sub(1));
    (if value & mask == 0 { value } else { value | mask }) as i64 as f64
}

fn float(bytes: &[u8], is_big: bool) -> f64 {
    let bytes = bytes.first_chunk().copied().unwrap_or_default();
    f64::from(if is_big { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) })
}

fn double(bytes: &[u8], is_big: bool) -> f64 {
    let bytes = bytes.first_chunk().copied().unwrap_or_default();
    if is_big { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) }
}
