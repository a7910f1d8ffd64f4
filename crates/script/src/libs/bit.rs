//! The table `bit`: Lua BitOp 1.0.2, operations on the low 32 bits of numbers.

use super::args::Args;
use super::{Outcome, add, add_variadic};
use mlua::{Lua, Table};

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let bit = lua.create_table()?;
    add(lua, &bit, "tobit", |args| bits(args, 1).map(signed))?;
    add(lua, &bit, "bnot", |args| bits(args, 1).map(|bits| signed(!bits)))?;
    add_variadic(lua, &bit, "band", |args| fold(args, |left, right| left & right))?;
    add_variadic(lua, &bit, "bor", |args| fold(args, |left, right| left | right))?;
    add_variadic(lua, &bit, "bxor", |args| fold(args, |left, right| left ^ right))?;
    add(lua, &bit, "lshift", |args| shift(args, u32::wrapping_shl))?;
    add(lua, &bit, "rshift", |args| shift(args, u32::wrapping_shr))?;
    add(lua, &bit, "arshift", |args| shift(args, |bits, by| (bits as i32).wrapping_shr(by) as u32))?;
    add(lua, &bit, "rol", |args| shift(args, u32::rotate_left))?;
    add(lua, &bit, "ror", |args| shift(args, u32::rotate_right))?;
    add(lua, &bit, "bswap", |args| bits(args, 1).map(|bits| signed(bits.swap_bytes())))?;
    add(lua, &bit, "tohex", to_hex)?;
    Ok(bit)
}

/// The bits of an argument: its low 32 as an integer, rounded to even, for numbers of up to 51 bits. What is
/// larger gives what the addition leaves, as in the original.
fn bits(args: &Args<'_>, number: usize) -> Outcome<u32> {
    const TWO_52_AND_51: f64 = 6_755_399_441_055_744.0;
    Ok((args.number(number)? + TWO_52_AND_51).to_bits() as u32)
}

/// Results are signed.
fn signed(bits: u32) -> f64 {
    f64::from(bits as i32)
}

/// The first argument is looked at first, then the others from the last, which shows in errors.
fn fold(args: &Args<'_>, operation: impl Fn(u32, u32) -> u32) -> Outcome<f64> {
    let mut result = bits(args, 1)?;
    for number in (2..=args.len()).rev() {
        result = operation(result, bits(args, number)?);
    }
    Ok(signed(result))
}

fn shift(args: &Args<'_>, operation: impl Fn(u32, u32) -> u32) -> Outcome<f64> {
    let shifted = bits(args, 1)?;
    let by = bits(args, 2)? & 31;
    Ok(signed(operation(shifted, by)))
}

/// The last digits, eight unless told; upper case for a negative number of them.
fn to_hex(args: &Args<'_>) -> Outcome<String> {
    let bits_shown = bits(args, 1)?;
    let digits = if args.get(2).is_none() { 8 } else { bits(args, 2)? as i32 };
    let width = digits.unsigned_abs().min(8) as usize;
    let text = if digits < 0 { format!("{bits_shown:08X}") } else { format!("{bits_shown:08x}") };
    Ok(text.get(8 - width..).unwrap_or_default().to_owned())
}
