//! Steps that are taken outside of the interpreter: in functions that work for as long as what they are given is
//! large. They count like the interpreter's own, and what is stopped ends in the middle of such a function.

use std::cell::Cell;
use std::rc::Rc;

use mlua::Lua;

use crate::api::Shared;
use crate::host::{self, Stopped};
use crate::interpreter::STEPS;

/// Bytes that are copied, or looked at all at once, in the time of a step.
pub(crate) const BYTES_PER_STEP: usize = 64;

thread_local! {
    /// Steps that the host was not told of yet.
    static PENDING: Cell<u32> = const { Cell::new(0) };
}

/// A script begins.
pub(crate) fn reset() {
    PENDING.set(0);
}

/// Counts steps; fails where the script is stopped.
pub(crate) fn spend(lua: &Lua, steps: u32) -> mlua::Result<()> {
    let pending = PENDING.get().saturating_add(steps);
    if pending < STEPS {
        PENDING.set(pending);
        return Ok(());
    }
    PENDING.set(0);
    tell(lua, pending)
}

/// Tells the host what the script holds, whatever steps it has taken.
pub(crate) fn show_memory(lua: &Lua) -> mlua::Result<()> {
    tell(lua, 0)
}

fn tell(lua: &Lua, steps: u32) -> mlua::Result<()> {
    match host::with(|host| host.step(steps, held_bytes(lua))) {
        Some(Err(Stopped)) => Err(stop(lua)),
        _ => Ok(()),
    }
}

/// Counts what some bytes take.
pub(crate) fn spend_bytes(lua: &Lua, bytes: usize) -> mlua::Result<()> {
    spend(lua, u32::try_from(bytes / BYTES_PER_STEP).unwrap_or(u32::MAX))
}

/// What the interpreter holds more than when the script began.
fn held_bytes(lua: &Lua) -> usize {
    lua.app_data_ref::<Rc<Shared>>().map_or(0, |shared| shared.held_bytes(lua))
}

#[cold]
fn stop(lua: &Lua) -> mlua::Error {
    let shared = lua.app_data_ref::<Rc<Shared>>().map(|shared| shared.clone());
    shared.map_or_else(host::stopped, |shared| shared.stop(lua))
}
