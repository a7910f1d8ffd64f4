//! What is printed, in each format. Everything is made of pages: a list is one document over all of
//! them, and is ended as such also where the listing ends early.

mod json;
mod table;
mod yaml;

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;
use crate::resource::Resource;
use crate::text::escape;
use table::Table;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns
    Table,
    /// More columns
    Wide,
    /// One object, or a list with one object a line
    Json,
    Yaml,
    /// actor/ATESPACE/NAME, which other commands take as it is
    Name,
}

/// How a list begins, whatever is in it: as kubectl's.
const JSON_HEAD: &str = "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[";
const YAML_HEAD: &str = "apiVersion: v1\nkind: List\n";

/// What has become of something that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Added,
    Modified,
    Deleted,
}

impl Event {
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// How tables look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    pub no_headers: bool,
    /// The user has named one: it needs no column.
    pub one_atespace: bool,
    /// The first column says what happened.
    pub events: bool,
}

/// Turns what comes into what is printed.
pub struct Printer<R: Resource> {
    format: Format,
    table: Table<R>,
    /// Whether the document has been opened, by its first item.
    is_open: bool,
}

impl<R: Resource> Printer<R> {
    pub fn new(format: Format, look: Look) -> Self {
        Self { format, table: Table::new(format == Format::Wide, look), is_open: false }
    }

    /// Whether nobody but a person would want to be told that there is nothing.
    pub fn is_for_people(&self) -> bool {
        !matches!(self.format, Format::Json | Format::Yaml)
    }

    /// Appends one page of a list.
    pub fn page(&mut self, items: &[R], out: &mut Vec<u8>) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => {
                self.table.page(items.iter().map(|item| (None, item)), out);
                return Ok(());
            }
            Format::Name => {
                items.iter().for_each(|item| push_line(out, &name(item)));
                return Ok(());
            }
            Format::Json | Format::Yaml => {}
        }
        for item in items {
            let is_first = !std::mem::replace(&mut self.is_open, true);
            match self.format {
                Format::Yaml => {
                    if is_first {
                        push_line(out, &format!("{YAML_HEAD}items:"));
                    }
                    yaml::item(&value(item)?, out);
                }
                _ => {
                    out.extend_from_slice(if is_first { JSON_HEAD } else { "," }.as_bytes());
                    out.push(b'\n');
                    out.extend_from_slice(json::compact(item)?.as_bytes());
                }
            }
        }
        Ok(())
    }

    /// Ends a list. `token` is where it goes on, if it is not complete.
    pub fn end(&mut self, token: Option<&str>, out: &mut Vec<u8>) {
        match self.format {
            Format::Table | Format::Wide | Format::Name => {}
            Format::Json => {
                let tail = if self.is_open { ["\n", "]"] } else { [JSON_HEAD, "]"] };
                out.extend_from_slice(tail.concat().as_bytes());
                if let Some(token) = token {
                    let mut quoted = String::new();
                    crate::text::quote(token, &mut quoted);
                    out.extend_from_slice(format!(",\n\"nextPageToken\":{quoted}").as_bytes());
                }
                push_line(out, "}");
            }
            Format::Yaml => {
                if !self.is_open {
                    push_line(out, &format!("{YAML_HEAD}items: []"));
                }
                if let Some(token) = token {
                    let mut quoted = String::new();
                    crate::text::quote(token, &mut quoted);
                    push_line(out, &format!("nextPageToken: {quoted}"));
                }
            }
        }
    }

    /// Appends one object by itself.
    pub fn one(&mut self, item: &R, out: &mut Vec<u8>) -> Result<(), Failure> {
        match self.format {
            Format::Json => push_line(out, &json::pretty(item)?),
            Format::Yaml => yaml::document(&value(item)?, out),
            Format::Table | Format::Wide | Format::Name => self.page(std::slice::from_ref(item), out)?,
        }
        Ok(())
    }

    /// Appends what happened: each event is a document of its own, as there is no end to them.
    pub fn events(&mut self, events: &[(Event, R)], out: &mut Vec<u8>) -> Result<(), Failure> {
        if matches!(self.format, Format::Table | Format::Wide) {
            self.table.page(events.iter().map(|(event, item)| (Some(*event), item)), out);
            return Ok(());
        }
        for (event, item) in events {
            let happened = Happened { r#type: event.name(), object: item };
            match self.format {
                Format::Json => push_line(out, &json::compact(&happened)?),
                Format::Yaml => {
                    push_line(out, "---");
                    yaml::document(&value(&happened)?, out);
                }
                _ => push_line(out, &format!("{} {}", event.name(), name(item))),
            }
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Happened<'a, R> {
    r#type: &'static str,
    object: &'a R,
}

/// `actor/demo/a1`.
pub fn name<R: Resource>(item: &R) -> String {
    format!("{}/{}", R::KIND.singular(), escape(&item.key()))
}

pub fn push_line(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

fn value<T: Serialize>(item: &T) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(item).map_err(|error| json::failure(&error))
}

/// Any value by itself, for what is no resource.
pub fn document<T: Serialize>(item: &T, as_yaml: bool, out: &mut Vec<u8>) -> Result<(), Failure> {
    if as_yaml {
        yaml::document(&value(item)?, out);
    } else {
        push_line(out, &json::pretty(item)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ateproto::{Actor, Atespace};
    use serde_json::{Value, json};

    fn actor(name: &str) -> Actor {
        Actor { atespace: "demo".into(), actor_id: name.into(), version: 1, ..Default::default() }
    }

    fn list(format: Format, pages: &[&[Actor]], token: Option<&str>) -> String {
        let mut printer = Printer::new(format, Look::default());
        let mut out = Vec::new();
        for page in pages {
            printer.page(page, &mut out).unwrap();
        }
        printer.end(token, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn parse(format: Format, text: &str) -> Value {
        match format {
            Format::Json => serde_json::from_str(text).unwrap(),
            _ => yaml::tests::parse(text),
        }
    }

    #[test]
    fn a_list_is_one_document_over_all_its_pages() {
        for format in [Format::Json, Format::Yaml] {
            let pages: &[&[Actor]] = &[&[], &[actor("a"), actor("b")], &[], &[actor("c")]];
            let found = parse(format, &list(format, pages, None));
            let names: Vec<&Value> =
                found["items"].as_array().unwrap().iter().map(|actor| &actor["actorId"]).collect();
            assert_eq!(names, ["a", "b", "c"]);
            assert!(found.get("nextPageToken").is_none());
        }
    }

    #[test]
    fn a_list_that_is_not_complete_says_where_it_goes_on() {
        for format in [Format::Json, Format::Yaml] {
            for pages in [&[][..], &[&[actor("a")][..]]] {
                let found = parse(format, &list(format, pages, Some("to:\"ken")));
                assert_eq!(found["nextPageToken"], "to:\"ken");
                assert_eq!(found["items"].as_array().unwrap().len(), pages.len());
            }
        }
    }

    #[test]
    fn an_empty_list_is_a_list() {
        assert_eq!(list(Format::Json, &[], None), "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}\n");
        assert_eq!(list(Format::Yaml, &[&[]], None), "apiVersion: v1\nkind: List\nitems: []\n");
        assert_eq!(list(Format::Table, &[], None), "");
    }

    #[test]
    fn one_object_is_not_a_list() {
        let mut out = Vec::new();
        Printer::new(Format::Json, Look::default()).one(&actor("a"), &mut out).unwrap();
        let found = parse(Format::Json, std::str::from_utf8(&out).unwrap());
        assert_eq!(found, json!({"actorId": "a", "atespace": "demo", "version": "1"}));
        out.clear();
        Printer::new(Format::Yaml, Look::default()).one(&actor("a"), &mut out).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), "actorId: a\natespace: demo\nversion: \"1\"\n");
    }

    #[test]
    fn names_can_be_given_to_other_commands() {
        assert_eq!(list(Format::Name, &[&[actor("a")]], None), "actor/demo/a\n");
        assert_eq!(name(&Atespace { name: "demo".into() }), "atespace/demo");
    }

    #[test]
    fn events_are_documents() {
        let events = [(Event::Added, actor("a")), (Event::Deleted, actor("b"))];
        let mut out = Vec::new();
        Printer::new(Format::Json, Look::default()).events(&events, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let types: Vec<Value> = text.lines().map(|line| parse(Format::Json, line)["type"].clone()).collect();
        assert_eq!(types, ["ADDED", "DELETED"]);
    }
}
