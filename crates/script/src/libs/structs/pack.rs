//! Values to bytes.

use super::format::{Format, INTEGER_BYTES_MAX, Item, Kind};
use crate::libs::args::{Args, to_i64, to_u64};
use crate::libs::fault::Fault;
use crate::libs::{OUTPUT_BYTES_MAX, Outcome};
use crate::meter;
use mlua::String as LuaString;

pub(super) fn pack(args: &Args<'_>) -> Outcome<LuaString> {
    let format = args.string(1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut out = Vec::new();
    let mut arg = 1;
    while let Some(item) = format.next()? {
        let before = out.len();
        meter::spend(args.lua(), 1)?;
        let padding = format.padding(out.len(), &item);
        out.resize(out.len() + padding, 0);
        match item.kind {
            Kind::Integer { .. } => {
                arg += 1;
                integer(&mut out, number(args, arg)?, item.size, format.is_big);
            }
            Kind::Padding => out.push(0),
            Kind::Float => {
                arg += 1;
                let float = number(args, arg)? as f32;
                out.extend(if format.is_big { float.to_be_bytes() } else { float.to_le_bytes() });
            }
            Kind::Double => {
                arg += 1;
                let double = number(args, arg)?;
                out.extend(if format.is_big { double.to_be_bytes() } else { double.to_le_bytes() });
            }
            Kind::Bytes | Kind::Text => {
                arg += 1;
                string(&mut out, args, arg, &item)?;
            }
            Kind::Control(option) => format.control(option)?,
        }
        meter::spend_bytes(args.lua(), out.len() - before)?;
        if out.len() > OUTPUT_BYTES_MAX {
            return Err(Fault::memory());
        }
    }
    Ok(args.lua().create_string(&out)?)
}

fn number(args: &Args<'_>, arg: usize) -> Outcome<f64> {
    args.as_number(arg).ok_or_else(|| wrong_type(args, arg, "number"))
}

/// The original has a nil behind its arguments, and finds it where one is missing.
fn wrong_type(args: &Args<'_>, arg: usize, expected: &str) -> Fault {
    match args.get(arg) {
        Some(_) => args.wrong_type(arg, expected),
        None => Fault::argument(arg, format!("{expected} expected, got nil")),
    }
}

fn integer(out: &mut Vec<u8>, number: f64, size: usize, is_big: bool) {
    let value = if number < 0.0 { to_i64(number) as u64 } else { to_u64(number) };
    let mut bytes = [0; INTEGER_BYTES_MAX];
    for (byte, of_value) in bytes.iter_mut().zip(value.to_le_bytes()) {
        *byte = of_value;
    }
    let bytes = bytes.get_mut(..size).unwrap_or_default();
    if is_big {
        bytes.reverse();
    }
    out.extend_from_slice(bytes);
}

fn string(out: &mut Vec<u8>, args: &Args<'_>, arg: usize, item: &Item) -> Outcome<()> {
    let string = args.string(arg).map_err(|_| wrong_type(args, arg, "string"))?;
    let string = string.as_bytes();
    let len = if item.size == 0 { string.len() } else { item.size };
    // The original has counted on already when it names the argument.
    let taken = string.get(..len).ok_or_else(|| Fault::argument(arg + 1, "string too short"))?;
    if out.len() + len > OUTPUT_BYTES_MAX {
        return Err(Fault::memory());
    }
    out.extend_from_slice(taken);
    if matches!(item.kind, Kind::Text) {
        out.push(0);
    }
    Ok(())
}
