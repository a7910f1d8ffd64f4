//! JSON, with what could steer a terminal written as escapes.

use serde::Serialize;

use crate::failure::Failure;
use crate::text::escape_json;

/// On one line.
pub fn compact<T: Serialize>(item: &T) -> Result<String, Failure> {
    let json = serde_json::to_string(item).map_err(|error| failure(&error))?;
    Ok(escape_json(&json).into_owned())
}

/// Indented.
pub fn pretty<T: Serialize>(item: &T) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(item).map_err(|error| failure(&error))?;
    Ok(escape_json(&json).into_owned())
}

pub fn failure(error: &serde_json::Error) -> Failure {
    Failure::Local(format!("cannot be written as JSON: {error}"))
}
