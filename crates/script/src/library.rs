//! Libraries of functions: the line that their code begins with, and what they register.

use mlua::{Function, Lua, MultiValue, Table, Value};

use resp::inline;

use crate::api::Shared;

/// What may be said of a script or a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    pub const NO_WRITES: Self = Self(1);
    pub const ALLOW_OOM: Self = Self(1 << 1);
    pub const ALLOW_STALE: Self = Self(1 << 2);
    pub const NO_CLUSTER: Self = Self(1 << 3);
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(1 << 4);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::ALLOW_OOM, "allow-oom"),
        (Self::ALLOW_STALE, "allow-stale"),
        (Self::NO_CLUSTER, "no-cluster"),
        (Self::NO_WRITES, "no-writes"),
        (Self::ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
    ];

    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }

    fn add(&mut self, name: &[u8]) -> bool {
        let found = Self::NAMES.iter().find(|(_, known)| known.as_bytes() == name);
        found.inspect(|(flag, _)| self.0 |= flag.0).is_some()
    }
}

/// What the first line of a script or library says, `#!lua name=mylib flags=no-writes`, and its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'c> {
    pub name: Option<Vec<u8>>,
    /// Of a script that has such a line.
    pub flags: Option<Flags>,
    /// Without the first line, but for its end: the lines keep their numbers.
    pub code: &'c [u8],
}

impl<'c> Header<'c> {
    /// Of a script, which may do without.
    pub fn of_script(code: &'c [u8]) -> Result<Self, String> {
        let Some((line, rest)) = split(code, "Invalid script shebang")? else {
            return Ok(Self { name: None, flags: None, code });
        };
        let words = inline::words(line).ok_or("Invalid engine in script shebang")?;
        let (engine, words) = words.split_first().ok_or("Invalid engine in script shebang")?;
        if engine != b"#!lua" {
            return Err(format!("Unexpected engine in script shebang: {}", text(engine)));
        }
        let mut flags = Flags::default();
        for word in words {
            let Some(list) = word.strip_prefix(b"flags=") else {
                return Err(format!("Unknown lua shebang option: {}", text(word)));
            };
            for flag in list.split(|byte| *byte == b',') {
                if !list.is_empty() && !flags.add(flag) {
                    return Err(format!("Unexpected flag in script shebang: {}", text(flag)));
                }
            }
        }
        Ok(Self { name: None, flags: Some(flags), code: rest })
    }

    /// Of a library, which must have a name.
    pub fn of_library(code: &'c [u8]) -> Result<Self, String> {
        const NAME: &[u8] = b"name=";
        let (line, rest) = split(code, "Invalid library metadata")?.ok_or("Missing library metadata")?;
        let words = inline::words(line).ok_or("Invalid library metadata")?;
        let (engine, words) = words.split_first().ok_or("Invalid library metadata")?;
        let engine = engine.strip_prefix(b"#!").unwrap_or_default();
        let mut name = None;
        for word in words {
            let is_name = word.get(..NAME.len()).is_some_and(|head| head.eq_ignore_ascii_case(NAME));
            let Some(given) = word.get(NAME.len()..).filter(|_| is_name) else {
                return Err(format!("Invalid metadata value given: {}", text(word)));
            };
            if name.replace(given).is_some() {
                return Err("Invalid metadata value, name argument was given multiple times".into());
            }
        }
        let name = name.ok_or("Library name was not given")?;
        if !is_name(name) {
            return Err("Library names can only contain letters, numbers, or underscores(_) and must be at \
                        least one character long"
                .into());
        }
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(format!("Engine '{}' not found", text(engine)));
        }
        Ok(Self { name: Some(name.to_vec()), flags: None, code: rest })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A first line about code, and the code.
type Split<'c> = (&'c [u8], &'c [u8]);

/// The first line if it begins with `#!`, and the rest from its end on.
fn split<'c>(code: &'c [u8], otherwise: &str) -> Result<Option<Split<'c>>, String> {
    if !code.starts_with(b"#!") {
        return Ok(None);
    }
    let end = code.iter().position(|byte| *byte == b'\n').ok_or(otherwise)?;
    Ok(code.split_at_checked(end))
}

/// Whether a library or function may be called so.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Functions of one library.
pub(crate) const FUNCTIONS_MAX: usize = 1_024;

/// A function that a library has registered.
pub struct Registered {
    pub name: Vec<u8>,
    pub description: Option<Vec<u8>>,
    pub flags: Flags,
    pub(crate) callback: Function,
}

/// `redis.register_function`.
pub(crate) fn register(lua: &Lua, shared: &Shared, given: &MultiValue) -> mlua::Result<()> {
    let fail = |message: &str| shared.fail(lua, message);
    let mut registered = shared.registered.borrow_mut();
    let Some(registered) = registered.as_mut() else {
        return Err(fail("redis.register_function can only be called on FUNCTION LOAD command"));
    };
    let function = read(given).map_err(fail)?;
    if registered.iter().any(|known| known.name == function.name) {
        return Err(fail("Function already exists in the library"));
    }
    if registered.len() >= FUNCTIONS_MAX {
        return Err(fail("there are too many functions in the library"));
    }
    registered.push(function);
    Ok(())
}

const NAME_STRING: &str = "function_name argument given to redis.register_function must be a string";
const NO_CALLBACK: &str = "callback argument given to redis.register_function must be a function";

fn read(given: &MultiValue) -> Result<Registered, &'static str> {
    let mut values = given.iter();
    let function = match (values.next(), values.next(), values.next()) {
        (Some(Value::Table(table)), None, None) => of_table(table)?,
        (Some(_), None, None) => {
            return Err("calling redis.register_function with a single argument is only applicable to Lua \
                        table (representing named arguments).");
        }
        (Some(name), Some(callback), None) => {
            let name = string(name).ok_or("first argument to redis.register_function must be a string")?;
            let Value::Function(callback) = callback else {
                return Err("second argument to redis.register_function must be a function");
            };
            Registered { name, description: None, flags: Flags::default(), callback: callback.clone() }
        }
        _ => return Err("wrong number of arguments to redis.register_function"),
    };
    if is_name(&function.name) {
        Ok(function)
    } else {
        Err("Library names can only contain letters, numbers, or underscores(_) and must be at least one \
             character long")
    }
}

fn string(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        // As Lua writes it, unless it is long.
        Value::Integer(_) | Value::Number(_) => value.to_string().ok().map(String::into_bytes),
        _ => None,
    }
}

fn of_table(table: &Table) -> Result<Registered, &'static str> {
    let (mut name, mut callback, mut description, mut flags) = (None, None, None, Flags::default());
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.unwrap_or((Value::Nil, Value::Nil));
        let key =
            string(&key).ok_or("named argument key given to redis.register_function is not a string")?;
        match (&*key, value) {
            (b"function_name", value) => name = Some(string(&value).ok_or(NAME_STRING)?),
            (b"description", value) => {
                let why = "description argument given to redis.register_function must be a string";
                description = Some(string(&value).ok_or(why)?);
            }
            (b"callback", Value::Function(function)) => callback = Some(function),
            (b"callback", _) => return Err(NO_CALLBACK),
            (b"flags", Value::Table(list)) => flags = of_list(&list)?,
            (b"flags", _) => {
                return Err("flags argument to redis.register_function must be a table representing \
                            function flags");
            }
            _ => return Err("unknown argument given to redis.register_function"),
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    Ok(Registered { name, description, flags, callback })
}

fn of_list(list: &Table) -> Result<Flags, &'static str> {
    let mut flags = Flags::default();
    for flag in list.sequence_values::<Value>() {
        let name = flag.ok().as_ref().and_then(string).ok_or("unknown flag given")?;
        if !flags.add(&name) {
            return Err("unknown flag given");
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_understood_or_refused() {
        let plain = Header::of_script(b"return 1").unwrap();
        assert_eq!(plain, Header { name: None, flags: None, code: b"return 1" });
        let flagged = Header::of_script(b"#!lua flags=no-writes,allow-oom\nreturn 1").unwrap();
        assert_eq!(flagged.code, b"\nreturn 1");
        let flags = flagged.flags.unwrap();
        assert_eq!(flags.names().collect::<Vec<_>>(), ["allow-oom", "no-writes"]);
        for (code, why) in [
            ("#!lua", "Invalid script shebang"),
            ("#!js\n", "Unexpected engine in script shebang: #!js"),
            ("#!lua name=x\n", "Unknown lua shebang option: name=x"),
            ("#!lua flags=no-writes,foo\n", "Unexpected flag in script shebang: foo"),
        ] {
            assert_eq!(Header::of_script(code.as_bytes()).unwrap_err(), why);
        }
    }

    #[test]
    fn libraries_have_names() {
        let library = Header::of_library(b"#!lua name=lib_1\ncode").unwrap();
        assert_eq!((library.name, library.code), (Some(b"lib_1".to_vec()), &b"\ncode"[..]));
        for (code, why) in [
            ("return 1", "Missing library metadata"),
            ("#!lua name=x", "Invalid library metadata"),
            ("#!lua\n", "Library name was not given"),
            ("#!lua name=a name=b\n", "Invalid metadata value, name argument was given multiple times"),
            ("#!lua foo=a\n", "Invalid metadata value given: foo=a"),
            ("#!js name=a\n", "Engine 'js' not found"),
        ] {
            assert_eq!(Header::of_library(code.as_bytes()).unwrap_err(), why);
        }
        let bad = Header::of_library(b"#!lua name=a-b\n").unwrap_err();
        assert!(bad.starts_with("Library names can only contain"));
    }
}
