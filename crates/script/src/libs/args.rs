//! The arguments of a call, taken as Lua's C functions take them: strings for numbers, numbers for strings, and
//! the same complaints.

use super::Outcome;
use super::fault::Fault;
use std::borrow::Cow;

use mlua::{FromLua, Lua, String as LuaString, Table, Value};

/// One argument, if there is one, which nil is as well.
#[derive(Clone)]
pub(super) enum Arg {
    Absent,
    Given(Value),
}

impl FromLua for Arg {
    fn from_lua(value: Value, _: &Lua) -> mlua::Result<Self> {
        Ok(Self::Given(value))
    }

    /// mlua asks here only for an argument that is not on the stack.
    fn from_lua_arg(_: Value, _: usize, _: Option<&str>, _: &Lua) -> mlua::Result<Self> {
        Ok(Self::Absent)
    }
}

/// What functions of up to three arguments are handed: one that is too many shows. What follows is not looked at: a
/// handle on each would be more than there are.
pub(super) type Few = (Arg, Arg, Arg, Arg);
pub(super) const FEW: usize = 4;

pub(super) struct Args<'a> {
    lua: &'a Lua,
    given: Given,
}

enum Given {
    Few([Arg; FEW]),
    Many(Table, usize),
}

impl<'a> Args<'a> {
    pub(super) fn few(lua: &'a Lua, (first, second, third, fourth): Few) -> Self {
        Self { lua, given: Given::Few([first, second, third, fourth]) }
    }

    pub(super) fn many(lua: &'a Lua, values: Table, count: usize) -> Self {
        Self { lua, given: Given::Many(values, count) }
    }

    pub(super) fn lua(&self) -> &'a Lua {
        self.lua
    }

    /// How many there are; of few, at most four.
    pub(super) fn len(&self) -> usize {
        match &self.given {
            Given::Few(args) => args.iter().filter(|arg| matches!(arg, Arg::Given(_))).count(),
            Given::Many(_, count) => *count,
        }
    }

    /// The argument of that number, from 1. None if there is none, which is not nil.
    pub(super) fn get(&self, number: usize) -> Option<Value> {
        match &self.given {
            Given::Few(args) => match args.get(number.checked_sub(1)?)? {
                Arg::Given(value) => Some(value.clone()),
                Arg::Absent => None,
            },
            Given::Many(values, count) if number <= *count => values.raw_get(number).ok(),
            Given::Many(..) => None,
        }
    }

    /// One of a few, as it was given.
    pub(super) fn argument(&self, number: usize) -> &Arg {
        match &self.given {
            Given::Few(args) => number.checked_sub(1).and_then(|at| args.get(at)).unwrap_or(&Arg::Absent),
            Given::Many(..) => &Arg::Absent,
        }
    }

    /// A string, or a number as one, of a few: without another handle on it.
    pub(super) fn text(&self, number: usize) -> Outcome<Cow<'_, LuaString>> {
        match self.argument(number) {
            Arg::Given(Value::String(string)) => Ok(Cow::Borrowed(string)),
            _ => self.string(number).map(Cow::Owned),
        }
    }

    pub(super) fn is_none_or_nil(&self, number: usize) -> bool {
        matches!(self.get(number), None | Some(Value::Nil))
    }

    /// A number, or a string that reads as one.
    pub(super) fn as_number(&self, number: usize) -> Option<f64> {
        as_number(self.lua, &self.get(number)?)
    }

    pub(super) fn number(&self, number: usize) -> Outcome<f64> {
        self.as_number(number).ok_or_else(|| self.wrong_type(number, "number"))
    }

    pub(super) fn integer(&self, number: usize) -> Outcome<i64> {
        self.number(number).map(to_i64)
    }

    pub(super) fn integer_or(&self, number: usize, default: i64) -> Outcome<i64> {
        if self.is_none_or_nil(number) { Ok(default) } else { self.integer(number) }
    }

    /// A string, or a number as one.
    pub(super) fn string(&self, number: usize) -> Outcome<LuaString> {
        let string = match self.get(number) {
            Some(Value::String(string)) => Some(string),
            Some(value @ (Value::Integer(_) | Value::Number(_))) => self.lua.coerce_string(value)?,
            _ => None,
        };
        string.ok_or_else(|| self.wrong_type(number, "string"))
    }

    /// `luaL_typerror`.
    pub(super) fn wrong_type(&self, number: usize, expected: &str) -> Fault {
        let got = self.get(number).map_or("no value", |value| type_name(&value));
        Fault::argument(number, format!("{expected} expected, got {got}"))
    }
}

/// A number, or what a string reads as one.
pub(super) fn as_number(lua: &Lua, value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => Some(*number),
        Value::Integer(integer) => Some(*integer as f64),
        Value::String(_) => lua.coerce_number(value.clone()).ok().flatten(),
        _ => None,
    }
}

/// The name of a value's type in Lua.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// What C on x86-64 makes of a double as a 64-bit integer: the smallest one for all that do not fit.
pub(super) fn to_i64(number: f64) -> i64 {
    let fits = (-TWO_63..TWO_63).contains(&number);
    if fits { number as i64 } else { i64::MIN }
}

/// The same as a 32-bit integer.
pub(super) fn to_i32(number: f64) -> i32 {
    let fits = number > -2_147_483_649.0 && number < 2_147_483_648.0;
    if fits { number as i32 } else { i32::MIN }
}

/// The same as an unsigned one, for which compilers go through the signed one.
pub(super) fn to_u64(number: f64) -> u64 {
    if number >= TWO_63 { to_i64(number - TWO_63) as u64 ^ (1 << 63) } else { to_i64(number) as u64 }
}
