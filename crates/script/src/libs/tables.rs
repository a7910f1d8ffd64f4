//! The functions of Lua's own `table` that take the longer the larger a table is, with their steps counted.

use super::args::{Arg, Args, to_i32, type_name};
use super::fault::{Caller, Fault};
use super::strings::made;
use super::{Outcome, add_limited, room};
use crate::meter;
use mlua::{Lua, String as LuaString, Table, Value};

/// What an element takes that is copied as text.
const ELEMENT_STEPS: u32 = 2;
/// The same of a number.
const NUMBER_STEPS: u32 = 8;

/// Functions that are in the place of those of this name, and what the sandbox's own call before the others.
pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let tables = lua.create_table()?;
    add_limited(lua, &tables, Caller { name: "concat", wrapped: false }, concat)?;
    tables.raw_set("spend", lua.create_function(|lua, steps: f64| meter::spend(lua, steps as u32))?)?;
    tables.raw_set("spend_sort", lua.create_function(|lua, table: Table| spend_sort(lua, &table))?)?;
    let check = lua.create_table()?;
    for (name, checks) in CHECKS {
        add_limited(lua, &check, Caller { name, wrapped: true }, *checks)?;
    }
    tables.raw_set("check", check)?;
    Ok(tables)
}

type Check = fn(&Args<'_>) -> Outcome<()>;

/// What functions that are in Lua here expect, as those in C do.
const CHECKS: &[(&str, Check)] = &[
    ("insert", |args| {
        expect_table(args)?;
        match args.len() {
            2 => Ok(()),
            3 => args.number(2).map(drop),
            _ => Err(Fault::at("wrong number of arguments to 'insert'")),
        }
    }),
    ("remove", |args| {
        expect_table(args)?;
        if args.is_none_or_nil(2) { Ok(()) } else { args.number(2).map(drop) }
    }),
    ("sort", |args| {
        expect_table(args)?;
        if args.is_none_or_nil(2) { Ok(()) } else { expect_function(args) }
    }),
    ("maxn", expect_table),
    ("foreach", |args| expect_table(args).and_then(|()| expect_function(args))),
    ("foreachi", |args| expect_table(args).and_then(|()| expect_function(args))),
];

fn expect_table(args: &Args<'_>) -> Outcome<()> {
    match args.argument(1) {
        Arg::Given(Value::Table(_)) => Ok(()),
        _ => Err(args.wrong_type(1, "table")),
    }
}

fn expect_function(args: &Args<'_>) -> Outcome<()> {
    match args.argument(2) {
        Arg::Given(Value::Function(_)) => Ok(()),
        _ => Err(args.wrong_type(2, "function")),
    }
}

fn concat(args: &Args<'_>) -> Outcome<LuaString> {
    let lua = args.lua();
    let separator = if args.is_none_or_nil(2) { None } else { Some(args.text(2)?) };
    let separator = separator.as_ref().map(|text| text.as_bytes());
    let separator = separator.as_deref().unwrap_or_default();
    let Arg::Given(Value::Table(table)) = args.argument(1) else { return Err(args.wrong_type(1, "table")) };
    let first = if args.is_none_or_nil(3) { 1 } else { to_i32(args.number(3)?) };
    let last = match args.is_none_or_nil(4) {
        true => i32::try_from(table.raw_len()).unwrap_or(i32::MAX),
        false => to_i32(args.number(4)?),
    };
    let room = room(lua);
    let mut out = Vec::new();
    for at in first..=last {
        let before = out.len();
        match table.raw_get::<Value>(at)? {
            Value::String(text) => out.extend_from_slice(&text.as_bytes()),
            number @ (Value::Number(_) | Value::Integer(_)) => {
                meter::spend(lua, NUMBER_STEPS)?;
                let text = lua.coerce_string(number)?;
                out.extend_from_slice(
                    text.as_ref().map(|text| text.as_bytes()).as_deref().unwrap_or_default(),
                );
            }
            other => {
                let kind = type_name(&other);
                return Err(Fault::at(format!("invalid value ({kind}) at index {at} in table for 'concat'")));
            }
        }
        if at < last {
            out.extend_from_slice(separator);
        }
        meter::spend(lua, ELEMENT_STEPS)?;
        meter::spend_bytes(lua, out.len() - before)?;
        if out.len() > room {
            return Err(Fault::memory());
        }
    }
    made(lua, &out)
}

/// Counts what sorting takes without a function to compare by: long strings may be alike for long.
fn spend_sort(lua: &Lua, table: &Table) -> mlua::Result<()> {
    let len = table.raw_len();
    let mut longest = 0;
    for at in 1..=len {
        meter::spend(lua, 2)?;
        if let Value::String(text) = table.raw_get(at)? {
            longest = longest.max(text.as_bytes().len());
        }
    }
    let comparisons = len.saturating_mul(len.checked_ilog2().unwrap_or(0) as usize + 1);
    let steps = comparisons.saturating_mul(2 + longest / meter::BYTES_PER_STEP);
    meter::spend(lua, u32::try_from(steps).unwrap_or(u32::MAX))
}
