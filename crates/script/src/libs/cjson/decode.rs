//! JSON to values. What is open is kept in a list, not on the thread's stack.

use super::config::Config;
use super::scan::{Scanner, Token};
use crate::libs::fault::Fault;
use crate::libs::{NESTING_MAX, Outcome, VALUE_STEPS, put};
use crate::meter;
use mlua::{Lua, Table, Value};
use std::borrow::Cow;

pub(super) fn value(lua: &Lua, json: &[u8], config: &Config) -> Outcome<Value> {
    if let [0, _, ..] | [_, 0, ..] = json {
        return Err(Fault::at("JSON parser does not support UTF-16 or UTF-32"));
    }
    // Each byte is looked at by itself.
    meter::spend_bytes(lua, json.len().saturating_mul(4))?;
    let scanner = Scanner::new(json, config.decode_invalid_numbers != 0);
    let depth_max = usize::try_from(config.decode_max_depth).unwrap_or_default().min(NESTING_MAX);
    Decoder { lua, scanner, depth_max, open: Vec::new() }.document()
}

struct Decoder<'a> {
    lua: &'a Lua,
    scanner: Scanner<'a>,
    depth_max: usize,
    open: Vec<Open<'a>>,
}

/// An array or object whose end has not been seen.
struct Open<'a> {
    table: Table,
    place: Place<'a>,
}

/// Where its next value goes.
enum Place<'a> {
    Index(usize),
    Key(Cow<'a, [u8]>),
}

impl<'a> Decoder<'a> {
    fn document(mut self) -> Outcome<Value> {
        let mut token = self.scanner.next();
        let mut root = Value::Nil;
        loop {
            meter::spend(self.lua, VALUE_STEPS)?;
            let leaf = match token {
                Token::ObjectBegin | Token::ArrayBegin => {
                    let is_object = matches!(token, Token::ObjectBegin);
                    let table = self.descend()?;
                    self.place(&mut root, Value::Table(table.clone()))?;
                    if let Some(first) = self.begin(table, is_object)? {
                        token = first;
                        continue;
                    }
                    None
                }
                Token::Text(text) => {
                    self.place_text(&mut root, &text)?;
                    None
                }
                Token::Number(number) => Some(Value::Number(number)),
                Token::Boolean(boolean) => Some(Value::Boolean(boolean)),
                Token::Null => Some(Value::NULL),
                other => return Err(self.unexpected("value", &other)),
            };
            if let Some(leaf) = leaf {
                self.place(&mut root, leaf)?;
            }
            match self.after_value()? {
                Some(next) => token = next,
                None => return Ok(root),
            }
        }
    }

    /// A table for what begins here.
    fn descend(&self) -> Outcome<Table> {
        let depth = self.open.len() + 1;
        if depth > self.depth_max {
            let at = self.scanner.position();
            let text = format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(Fault::at(text));
        }
        Ok(self.lua.create_table()?)
    }

    /// Opens an array or object, and gives the token where its first value begins; nothing if it is empty.
    fn begin(&mut self, table: Table, is_object: bool) -> Outcome<Option<Token<'a>>> {
        let first = self.scanner.next();
        match (is_object, &first) {
            (true, Token::ObjectEnd) | (false, Token::ArrayEnd) => Ok(None),
            (true, _) => {
                let (key, value) = self.member(first)?;
                self.open.push(Open { table, place: Place::Key(key) });
                Ok(Some(value))
            }
            (false, _) => {
                self.open.push(Open { table, place: Place::Index(1) });
                Ok(Some(first))
            }
        }
    }

    /// A key, its colon, and the token where its value begins.
    fn member(&mut self, token: Token<'a>) -> Outcome<(Cow<'a, [u8]>, Token<'a>)> {
        let Token::Text(key) = token else { return Err(self.unexpected("object key string", &token)) };
        match self.scanner.next() {
            Token::Colon => Ok((key, self.scanner.next())),
            other => Err(self.unexpected("colon", &other)),
        }
    }

    /// Closes what ends here, and gives the token where the next value begins; nothing at the end of all.
    fn after_value(&mut self) -> Outcome<Option<Token<'a>>> {
        loop {
            let token = self.scanner.next();
            let is_object = match self.open.last().map(|open| &open.place) {
                None => {
                    return match token {
                        Token::End => Ok(None),
                        other => Err(self.unexpected("the end", &other)),
                    };
                }
                Some(place) => matches!(place, Place::Key(_)),
            };
            match (token, is_object) {
                (Token::ObjectEnd, true) | (Token::ArrayEnd, false) => {
                    self.open.pop();
                }
                (Token::Comma, true) => {
                    let token = self.scanner.next();
                    let (key, value) = self.member(token)?;
                    if let Some(open) = self.open.last_mut() {
                        open.place = Place::Key(key);
                    }
                    return Ok(Some(value));
                }
                (Token::Comma, false) => return Ok(Some(self.scanner.next())),
                (other, true) => return Err(self.unexpected("comma or object end", &other)),
                (other, false) => return Err(self.unexpected("comma or array end", &other)),
            }
        }
    }

    fn place(&mut self, root: &mut Value, value: Value) -> Outcome<()> {
        let Some(open) = self.open.last_mut() else {
            *root = value;
            return Ok(());
        };
        match &mut open.place {
            Place::Index(index) => {
                open.table.raw_set(*index, value)?;
                *index += 1;
            }
            Place::Key(key) => put::with_key(self.lua, &open.table, key, value)?,
        }
        Ok(())
    }

    fn place_text(&mut self, root: &mut Value, text: &[u8]) -> Outcome<()> {
        let Some(open) = self.open.last_mut() else {
            *root = Value::String(self.lua.create_string(text)?);
            return Ok(());
        };
        // What is UTF-8 goes to Lua without a handle on it.
        let utf8 = std::str::from_utf8(text).ok();
        let bytes = || self.lua.create_string(text);
        match (&mut open.place, utf8) {
            (Place::Index(index), Some(text)) => open.table.raw_set(*index, text)?,
            (Place::Index(index), None) => open.table.raw_set(*index, bytes()?)?,
            (Place::Key(key), Some(text)) => put::with_key(self.lua, &open.table, key, text)?,
            (Place::Key(key), None) => put::with_key(self.lua, &open.table, key, bytes()?)?,
        }
        if let Place::Index(index) = &mut open.place {
            *index += 1;
        }
        Ok(())
    }

    #[cold]
    fn unexpected(&self, expected: &str, token: &Token<'_>) -> Fault {
        let at = self.scanner.token_character();
        Fault::at(format!("Expected {expected} but found {} at character {at}", token.name()))
    }
}
