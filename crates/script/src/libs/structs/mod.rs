//! The table `struct`: numbers and strings as C lays them out in memory (lua_struct.c of 2018, on x86-64).

mod format;
mod pack;
mod unpack;

use super::args::Args;
use super::fault::Fault;
use super::{Outcome, add, add_variadic};
use crate::meter;
use format::{Format, Kind};
use mlua::{Lua, Table};

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let structs = lua.create_table()?;
    add_variadic(lua, &structs, "pack", pack::pack)?;
    add(lua, &structs, "unpack", unpack::unpack)?;
    add(lua, &structs, "size", size)?;
    Ok(structs)
}

/// How long what has this format is.
fn size(args: &Args<'_>) -> Outcome<f64> {
    let format = args.string(1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut size = 0_usize;
    while let Some(mut item) = format.next()? {
        meter::spend(args.lua(), 1)?;
        size = size.wrapping_add(format.padding(size, &item));
        match item.kind {
            Kind::Text => return Err(Fault::argument(1, "option 's' has no fixed size")),
            Kind::Bytes if item.size == 0 => {
                return Err(Fault::argument(1, "option 'c0' has no fixed size"));
            }
            // Letters and digits that mean nothing are passed over, here only.
            Kind::Control(option) if option.is_ascii_alphanumeric() => item.size = 0,
            Kind::Control(option) => format.control(option)?,
            _ => {}
        }
        size = size.wrapping_add(item.size);
    }
    Ok(size as i64 as f64)
}
