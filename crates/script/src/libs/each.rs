//! Iterations of mlua over tables, which know only its own errors, ended by one of ours.

use super::Outcome;
use super::fault::Fault;
use mlua::Error;

pub(super) fn stop_on(fault: &mut Option<Fault>, outcome: Outcome<()>) -> mlua::Result<()> {
    outcome.map_err(|error| {
        *fault = Some(error);
        Error::StackError
    })
}

/// The outcome of such an iteration.
pub(super) fn finish(fault: Option<Fault>, done: mlua::Result<()>) -> Outcome<()> {
    fault.map_or_else(|| Ok(done?), Err)
}
