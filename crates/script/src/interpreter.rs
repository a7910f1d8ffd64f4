//! One interpreter: it belongs to a thread, keeps what it has compiled, and runs one script at a time.

use std::collections::HashMap;
use std::rc::Rc;

use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};
use resp::{Line, Protocol, Reply};

use crate::api::{self, Shared};
use crate::convert;
use crate::host::{self, Host, Stopped};
use crate::library::{self, Flags, Registered};
use crate::libs::{self, Installed};

/// The host is told after so many steps.
pub(crate) const STEPS: u32 = 500;
/// Scripts that one interpreter keeps compiled. When there are more, all are forgotten.
/// Each is a handle on a value of Lua's, as each library is, and each argument of a command that is called:
/// of these there are not to be more than 8,000 at a time.
const COMPILED_MAX: usize = 256;

const _: () = assert!(COMPILED_MAX + base::limits::LIBRARIES_MAX + library::FUNCTIONS_MAX + 4_096 < 7_500);

/// An interpreter that holds more than this when nothing runs in it is tidied up, unless that has not done much lately:
/// each thread has one, and most of them are idle.
const TIDY_BYTES_MIN: usize = 4 << 20;
/// One that holds more than this after that is given up.
const IDLE_BYTES_MAX: usize = 32 << 20;

/// What the code of scripts, and that of libraries, is called in errors.
const SCRIPT: &str = "@user_script";
const FUNCTION: &str = "@user_function";

/// What identifies a script: the SHA-1 of its code.
pub type Digest = [u8; 20];

/// A script, and what it is called in errors.
pub struct Program<'p> {
    pub digest: &'p Digest,
    pub name: &'p str,
    /// Without its first line, if that is about it.
    pub code: &'p [u8],
}

/// What a script or function is given.
pub struct Inputs<'i> {
    pub keys: &'i [&'i [u8]],
    pub arguments: &'i [&'i [u8]],
    /// By how much it may make the interpreter's memory grow.
    pub memory_bytes_max: usize,
}

/// A library that is loaded in an interpreter.
pub struct Library {
    functions: Table,
}

/// A function that a library has, to be told of it without the interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub name: Vec<u8>,
    pub description: Option<Vec<u8>>,
    pub flags: Flags,
}

pub struct Interpreter {
    lua: Lua,
    shared: Rc<Shared>,
    installed: Installed,
    inside: Inside,
    compiled: HashMap<Digest, Compiled>,
    /// What was left when it was tidied up last.
    left_bytes: usize,
}

#[derive(Clone)]
struct Compiled {
    function: Function,
    /// See [`end_of`]: to look for it in a long script takes longer than many a run.
    end: i64,
}

/// The prelude's functions.
struct Inside {
    compile: Function,
    eval: Function,
    invoke: Function,
    load: Function,
}

impl Interpreter {
    /// `version` is what scripts are told that they run on.
    pub fn new(version: &str) -> Result<Self, String> {
        Self::make(version).map_err(|error| format!("no interpreter could be made: {error}"))
    }

    fn make(version: &str) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(true))?;
        let shared = Rc::new(Shared::new());
        let installed = libs::install(&lua)?;
        let shown = lua.create_table()?;
        let globals = lua.globals();
        let own = lua.create_table()?;
        for name in ["cjson", "cmsgpack", "struct", "bit"] {
            own.raw_set(name, globals.raw_get::<Value>(name)?)?;
        }
        shown.raw_set("libraries", own)?;
        let native = api::native(&lua, &shared, version)?;
        native.raw_set("strings", libs::strings::table(&lua)?)?;
        native.raw_set("tables", libs::tables::table(&lua)?)?;
        let prelude = lua.load(include_str!("prelude.lua")).set_name(api::PRELUDE);
        let inside: Table = prelude.call((native, shown))?;
        let inside = Inside {
            compile: inside.raw_get("compile")?,
            eval: inside.raw_get("eval")?,
            invoke: inside.raw_get("invoke")?,
            load: inside.raw_get("load")?,
        };
        set_counting_hook(&lua, &shared)?;
        // Errors that Rust raises have a trace of the stack, for which each of its functions is looked for among
        // what is global. Nobody reads it, and no script sees what is global here.
        lua.set_globals(lua.create_table()?)?;
        Ok(Self { lua, shared, installed, inside, compiled: HashMap::new(), left_bytes: 0 })
    }

    /// Whether code can be compiled; says why if not.
    pub fn check(&mut self, program: &Program<'_>) -> Result<(), Line> {
        self.compiled(program).map(drop)
    }

    fn compiled(&mut self, program: &Program<'_>) -> Result<Compiled, Line> {
        if let Some(found) = self.compiled.get(program.digest) {
            return Ok(found.clone());
        }
        let function = self
            .compile(program.code, SCRIPT)
            .map_err(|why| Line::from([b"ERR Error compiling script (new function): ", &*why].concat()))?;
        let compiled = Compiled { function, end: end_of(program.code) };
        if self.compiled.len() >= COMPILED_MAX {
            self.compiled.clear();
        }
        self.compiled.insert(*program.digest, compiled.clone());
        Ok(compiled)
    }

    fn compile(&self, code: &[u8], name: &str) -> Result<Function, Vec<u8>> {
        if code.first() == Some(&b'\x1b') {
            return Err(b"precompiled code is not loaded".to_vec());
        }
        let compile = || -> mlua::Result<(Value, Value)> {
            self.inside.compile.call((self.lua.create_string(code)?, name))
        };
        match compile() {
            Ok((Value::Function(compiled), _)) => Ok(compiled),
            Ok((_, Value::String(why))) => Err(why.as_bytes().to_vec()),
            Ok(_) => Err(Vec::new()),
            Err(error) => Err(error.to_string().into_bytes()),
        }
    }

    /// Runs a script.
    pub fn eval(
        &mut self,
        program: &Program<'_>,
        inputs: &Inputs<'_>,
        host: &mut dyn Host,
    ) -> Result<Reply, Stopped> {
        let Compiled { function, end } = match self.compiled(program) {
            Ok(compiled) => compiled,
            Err(why) => return Ok(Reply::Error(why)),
        };
        self.shared.end.set((SCRIPT, end));
        let run = |inside: &Inside, keys: Value, arguments: Value| {
            inside.eval.call::<(Value, Value)>((function, keys, arguments))
        };
        self.run(program.name, inputs, host, run)
    }

    /// Runs a function of a library that is loaded here.
    pub fn invoke(
        &mut self,
        library: &Library,
        name: &str,
        inputs: &Inputs<'_>,
        host: &mut dyn Host,
    ) -> Result<Reply, Stopped> {
        let Ok(callback) = library.functions.raw_get::<Function>(name) else {
            return Ok(Reply::error("ERR Function not found"));
        };
        self.shared.end.set((FUNCTION, end_of_function(&callback)));
        let run = |inside: &Inside, keys: Value, arguments: Value| {
            inside.invoke.call::<(Value, Value)>((callback, keys, arguments))
        };
        self.run(name, inputs, host, run)
    }

    fn run(
        &mut self,
        name: &str,
        inputs: &Inputs<'_>,
        host: &mut dyn Host,
        run: impl FnOnce(&Inside, Value, Value) -> mlua::Result<(Value, Value)>,
    ) -> Result<Reply, Stopped> {
        self.shared.protocol.set(Protocol::Resp2);
        let given = || Ok((strings(&self.lua, inputs.keys)?, strings(&self.lua, inputs.arguments)?));
        let ran = given().and_then(|(keys, arguments)| {
            self.bound_memory(inputs.memory_bytes_max);
            host::set(host, || self.replied(run(&self.inside, keys, arguments)?))
        });
        self.settle()?;
        if is_out_of_memory(&ran) {
            host.out_of_memory()?;
        }
        Ok(match ran {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => Reply::Error(describe(name, &error)),
            Err(error) => Reply::error(format!("ERR Error running script: {}", message(&error))),
        })
    }

    /// What a script replies, or fails with: told while it still counts.
    fn replied(&self, (ended, value): (Value, Value)) -> mlua::Result<Result<Reply, Value>> {
        if ended != Value::Boolean(true) {
            return Ok(Err(value));
        }
        let bytes_max = self.shared.memory_max.get();
        convert::to_reply(&self.lua, &value, self.shared.protocol.get(), bytes_max).map(Ok)
    }

    /// Loads a library. What is wrong with it is told as Redis tells it.
    pub fn load(
        &mut self,
        code: &[u8],
        memory_bytes_max: usize,
        host: &mut dyn Host,
    ) -> Result<Result<(Library, Vec<Described>), Line>, Stopped> {
        let compiled = match self.compile(code, FUNCTION) {
            Ok(compiled) => compiled,
            Err(why) => return Ok(Err(Line::from([b"ERR Error compiling function: ", &*why].concat()))),
        };
        self.bound_memory(memory_bytes_max);
        self.shared.end.set((FUNCTION, end_of(code)));
        *self.shared.registered.borrow_mut() = Some(Vec::new());
        // It has a host that counts its steps, and no commands.
        let mut host = Loading(host);
        let ran = host::set(&mut host, || self.inside.load.call::<(Value, Value)>(compiled));
        let registered = self.shared.registered.take().unwrap_or_default();
        self.settle()?;
        Ok(match ran {
            Ok((Value::Boolean(true), _)) if registered.is_empty() => {
                Err(Line::new("ERR No functions registered"))
            }
            Ok((Value::Boolean(true), _)) => loaded(&self.lua, registered),
            Ok((_, error)) => {
                Err(Line::from([b"ERR Error registering functions: ", &*error_message(&error)].concat()))
            }
            Err(error) => Err(Line::from(format!("ERR Error registering functions: {}", message(&error)))),
        })
    }

    /// So much more memory may be used.
    fn bound_memory(&self, bytes: usize) {
        // It can be set, since the interpreter was made with a bounded allocator.
        let used = self.lua.used_memory();
        let max = used + bytes;
        self.shared.memory_before.set(used);
        self.shared.memory_max.set(max);
        let _ = self.lua.set_memory_limit(max);
    }

    /// After a run: the next one finds everything as if there had been none.
    fn settle(&mut self) -> Result<(), Stopped> {
        let _ = self.lua.set_memory_limit(0);
        self.shared.memory_max.set(usize::MAX);
        self.installed.reset();
        if self.shared.stopped.replace(false) {
            // Where that fails, the interpreter stops everything: it is not used again.
            let _ = set_hook(&self.lua, STEPS);
            return Err(Stopped);
        }
        Ok(())
    }

    /// Throws away what a script has left, if that is much. Whether it is worth keeping: not if it is full of what cannot be
    /// collected.
    pub fn tidy(&mut self) -> bool {
        if self.lua.used_memory() <= TIDY_BYTES_MIN.max(2 * self.left_bytes) {
            return true;
        }
        let is_tidy = self.lua.gc_collect().is_ok();
        self.left_bytes = self.lua.used_memory();
        is_tidy && self.left_bytes <= IDLE_BYTES_MAX
    }

    /// Bytes that it holds.
    pub fn used_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Forgets every compiled script.
    pub fn forget(&mut self) {
        self.compiled.clear();
    }
}

/// The host of a library that is loaded.
struct Loading<'h>(&'h mut dyn Host);

impl Host for Loading<'_> {
    fn call(&mut self, _: &[u8], _: &[resp::Span]) -> Result<Reply, Stopped> {
        Ok(Reply::error("ERR redis.call/pcall can only be called inside a script invocation"))
    }

    fn may_call(&mut self, source: &[u8], spans: &[resp::Span]) -> Option<bool> {
        self.0.may_call(source, spans)
    }

    fn step(&mut self, steps: u32, held_bytes: usize) -> Result<(), Stopped> {
        self.0.step(steps, held_bytes)
    }

    fn out_of_memory(&mut self) -> Result<(), Stopped> {
        self.0.out_of_memory()
    }

    fn log(&mut self, level: host::Level, message: &[u8]) -> Result<(), Stopped> {
        self.0.log(level, message)
    }
}

fn loaded(lua: &Lua, registered: Vec<Registered>) -> Result<(Library, Vec<Described>), Line> {
    let keep = || -> mlua::Result<Table> {
        let functions = lua.create_table()?;
        for function in &registered {
            functions.raw_set(lua.create_string(&function.name)?, &function.callback)?;
        }
        Ok(functions)
    };
    let functions = keep().map_err(|error| Line::from(format!("ERR {}", message(&error))))?;
    let described = registered.into_iter().map(|Registered { name, description, flags, .. }| Described {
        name,
        description,
        flags,
    });
    Ok((Library { functions }, described.collect()))
}

/// The line that a script's last `return` is in.
fn end_of(code: &[u8]) -> i64 {
    const RETURN: &[u8] = b"return";
    let at = code.windows(RETURN.len()).rposition(|window| window == RETURN).unwrap_or(code.len());
    let lines = code.iter().take(at).filter(|byte| **byte == b'\n').count();
    lines as i64 + 1
}

/// The line before the one in which a function ends, unless it has only one.
fn end_of_function(function: &Function) -> i64 {
    let info = function.info();
    let (first, last) = (info.line_defined.unwrap_or(0), info.last_line_defined.unwrap_or(0));
    last.saturating_sub(1).max(first) as i64
}

fn strings(lua: &Lua, texts: &[&[u8]]) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(texts.len(), 0)?;
    for (at, text) in texts.iter().enumerate() {
        table.raw_set(at + 1, lua.create_string(text)?)?;
    }
    Ok(Value::Table(table))
}

/// The error of a script with the place where it happened.
fn describe(name: &str, error: &Value) -> Line {
    let mut line = error_message(error);
    if let Value::Table(table) = error
        && let (Ok(Value::String(source)), Ok(at)) =
            (table.raw_get::<Value>("source"), table.raw_get::<i64>("line"))
    {
        line.extend_from_slice(format!(" script: {name}, on ").as_bytes());
        line.extend_from_slice(&source.as_bytes());
        line.extend_from_slice(format!(":{at}.").as_bytes());
    }
    Line::from(line)
}

fn error_message(error: &Value) -> Vec<u8> {
    match error {
        Value::Table(table) => match table.raw_get::<Value>("err") {
            Ok(Value::String(text)) => text.as_bytes().to_vec(),
            Ok(number @ (Value::Integer(_) | Value::Number(_))) => {
                number.to_string().unwrap_or_default().into_bytes()
            }
            _ => b"ERR unknown error".to_vec(),
        },
        Value::String(text) => [b"ERR ", &*text.as_bytes()].concat(),
        _ => b"ERR unknown error".to_vec(),
    }
}

/// Whether memory ran out, and no script has caught that.
fn is_out_of_memory(ran: &mlua::Result<Result<Reply, Value>>) -> bool {
    match ran {
        Ok(Err(Value::String(why))) => why.as_bytes() == libs::OUT_OF_MEMORY.as_bytes(),
        Err(error) => matches!(error, mlua::Error::MemoryError(_)),
        _ => false,
    }
}

/// What is said of an error that no script can have caught.
fn message(error: &mlua::Error) -> String {
    match error {
        mlua::Error::MemoryError(_) => libs::OUT_OF_MEMORY.into(),
        error => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// Has the host told of every `steps` steps, in whatever coroutine they are.
pub(crate) fn set_hook(lua: &Lua, steps: u32) -> mlua::Result<()> {
    let Some(shared) = lua.app_data_ref::<Rc<Shared>>().map(|shared| shared.clone()) else { return Ok(()) };
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(steps), move |lua, _| {
        if shared.stopped.get() {
            return Err(shared.stop(lua));
        }
        match host::with(|host| host.step(STEPS, shared.held_bytes(lua))) {
            Some(Err(Stopped)) => Err(shared.stop(lua)),
            _ => Ok(VmState::Continue),
        }
    })
}

fn set_counting_hook(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<()> {
    lua.set_app_data(shared.clone());
    set_hook(lua, STEPS)
}
