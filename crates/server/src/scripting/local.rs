//! The interpreter of a thread, with the libraries of functions that it has loaded.

use std::cell::RefCell;
use std::collections::HashMap;

use script::{Described, Interpreter, Library};

use crate::session::info::REDIS_VERSION;

/// The libraries of a group as they were at some version.
pub struct Loaded {
    pub group: u16,
    pub version: u64,
    pub libraries: Vec<LoadedLibrary>,
    /// Which library a function is in, and which of its functions it is.
    pub functions: HashMap<Vec<u8>, (usize, usize)>,
}

pub struct LoadedLibrary {
    pub name: Vec<u8>,
    pub code: Vec<u8>,
    pub library: Library,
    pub described: Vec<Described>,
}

/// What a thread has of its own.
pub struct Local {
    pub interpreter: Interpreter,
    pub loaded: Option<Loaded>,
    /// A function was called here, but the libraries were not the right ones.
    pub is_stale: bool,
}

thread_local! {
    static LOCAL: RefCell<Option<Box<Local>>> = const { RefCell::new(None) };
}

/// Does something with this thread's interpreter.
pub fn with<R>(f: impl FnOnce(&mut Local) -> R) -> Result<R, String> {
    let mut local = match LOCAL.take() {
        Some(local) => local,
        None => {
            let interpreter = Interpreter::new(REDIS_VERSION)?;
            Box::new(Local { interpreter, loaded: None, is_stale: false })
        }
    };
    let result = f(&mut local);
    // One that is full of what scripts have left in libraries is made anew.
    if local.interpreter.tidy() {
        LOCAL.set(Some(local));
    }
    Ok(result)
}
