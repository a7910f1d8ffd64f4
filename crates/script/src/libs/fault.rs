//! How a function of a library fails, and what scripts read of it.

use crate::api::Shared;
use mlua::{Error, Lua};
use std::fmt;
use std::rc::Rc;

/// Why a function gives no result.
pub(super) enum Fault {
    /// Says where the script was that called: `luaL_error`.
    At(Vec<u8>),
    /// Says nothing more: what Lua itself raises within a C function.
    Bare(Vec<u8>),
    /// The argument of that number, from 1, is not as it should be: `luaL_argerror`.
    Argument(usize, Vec<u8>),
    /// Memory, or a limit of mlua.
    Lua(Box<Error>),
}

impl Fault {
    pub(super) fn at(text: impl Into<Vec<u8>>) -> Self {
        Self::At(text.into())
    }

    pub(super) fn argument(number: usize, text: impl Into<Vec<u8>>) -> Self {
        Self::Argument(number, text.into())
    }

    /// A result would be larger than anything may be.
    pub(super) fn memory() -> Self {
        Self::Bare(OUT_OF_MEMORY.into())
    }

    /// A script has asked for more than Lua's stack holds.
    pub(super) fn stack_overflow(what: &str) -> Self {
        Self::at(format!("stack overflow ({what})"))
    }

    /// As an error of the function that is running.
    #[cold]
    pub(super) fn raise(self, lua: &Lua, caller: Caller) -> Error {
        let mut text = Vec::new();
        match self {
            Self::Lua(error) => return *error,
            Self::Bare(what) => text.extend(what),
            Self::At(what) => {
                text.extend(caller.position(lua).into_bytes());
                text.extend(what);
            }
            Self::Argument(number, what) => {
                text.extend(caller.position(lua).into_bytes());
                text.extend(caller.bad_argument(lua, number).into_bytes());
                text.extend(what);
                text.push(b')');
            }
        }
        Error::external(Raised(text))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Lua(Box::new(error))
    }
}

/// What Lua says when it has no memory.
pub(crate) const OUT_OF_MEMORY: &str = "not enough memory";

/// The function that runs and who called it, as Lua's stack tells it.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    pub(super) name: &'static str,
    /// Whether a wrapper in Lua lies between.
    pub(super) wrapped: bool,
}

impl Caller {
    /// Where the caller is, as `luaL_where(L, 1)` puts it: nothing if it is not a function in Lua.
    fn position(self, lua: &Lua) -> String {
        let is_tail = |level| lua.inspect_stack(level, |frame| frame.source().what == "tail") == Some(true);
        if self.wrapped && is_tail(2) {
            // The call has left no trace: it is what the script, or one of its functions, ends with.
            return end_of_script(lua);
        }
        let position = lua.inspect_stack(1 + usize::from(self.wrapped), |caller| {
            let line = caller.current_line().filter(|&line| line > 0)?;
            let source = caller.source();
            Some(format!("{}:{line}: ", source.short_src.as_deref().unwrap_or("?")))
        });
        position.flatten().unwrap_or_default()
    }

    /// The head of `luaL_argerror`'s text. The function is called what its caller calls it.
    fn bad_argument(self, lua: &Lua, number: usize) -> String {
        let level = usize::from(self.wrapped);
        let names = lua.inspect_stack(level, |function| {
            let names = function.names();
            (names.name.map(|name| name.into_owned()), names.name_what == Some("method"))
        });
        let (name, is_method) = names.unwrap_or_default();
        let is_tail = || lua.inspect_stack(level + 1, |caller| caller.source().what == "tail") == Some(true);
        let name = match &name {
            Some(name) => name,
            // The wrapper has lost its name, which is hardly another than this.
            None if self.wrapped && is_tail() => self.name,
            None => "?",
        };
        match (number, is_method) {
            (1, true) => format!("calling '{name}' on bad self ("),
            (_, true) => format!("bad argument #{} to '{name}' (", number as i64 - 1),
            (_, false) => format!("bad argument #{number} to '{name}' ("),
        }
    }
}

/// The place that a script or function ends with.
fn end_of_script(lua: &Lua) -> String {
    let shared = lua.app_data_ref::<Rc<Shared>>();
    shared.map(|shared| shared.end.get()).map_or_else(String::new, |(name, line)| {
        format!("{}:{line}: ", name.strip_prefix('@').unwrap_or(name))
    })
}

/// The text on its way to where it is caught. Bytes: names and strings of scripts need not be text.
#[derive(Debug)]
struct Raised(Vec<u8>);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::error::Error for Raised {}

/// What a script is told of an error that a Rust function raised: its text, without the traces that mlua adds.
pub fn error_text(error: &Error) -> Vec<u8> {
    match error {
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => error_text(cause),
        Error::ExternalError(external) => match external.downcast_ref::<Raised>() {
            Some(Raised(text)) => text.clone(),
            None => external.to_string().into_bytes(),
        },
        Error::StackError => b"stack overflow".to_vec(),
        Error::MemoryError(_) => OUT_OF_MEMORY.into(),
        Error::RuntimeError(text) => {
            text.split("\nstack traceback:").next().unwrap_or_default().as_bytes().to_vec()
        }
        other => other.to_string().into_bytes(),
    }
}
