//! Tables that are printed page by page: the first page decides how wide columns are, later ones can
//! only widen them. The titles come once.
//!
//! What a record says can neither steer the terminal nor make the table large: cells are escaped, cut
//! when they are very long, and a long one makes its own line longer, not everybody's.

use crate::output::{Event, Look, push_line};
use crate::resource::{Column, Resource, Shown};
use crate::text::escape;

/// As kubectl.
const GAP: &str = "   ";
const NOTHING: &str = "<none>";
/// Two names of 63 characters fit.
const WIDTH_MAX: usize = 128;
const CELL_CHARS_MAX: usize = 512;
const EVENT_WIDTH: usize = 8;

pub struct Table<R: Resource> {
    columns: Vec<&'static Column<R>>,
    /// One for each column, with that of the event first if there is one.
    widths: Vec<usize>,
    has_events: bool,
    needs_titles: bool,
}

impl<R: Resource> Table<R> {
    pub fn new(is_wide: bool, look: Look) -> Self {
        let is_shown = |column: &&Column<R>| match column.shown {
            Shown::Always => true,
            Shown::Wide => is_wide,
            Shown::AnyAtespace => !look.one_atespace,
        };
        let columns: Vec<&Column<R>> = R::COLUMNS.iter().filter(is_shown).collect();
        let event = look.events.then_some(EVENT_WIDTH);
        let widths = event.into_iter().chain(columns.iter().map(|column| column.width_min)).collect();
        Self { columns, widths, has_events: look.events, needs_titles: !look.no_headers }
    }

    pub fn page<'a>(&mut self, items: impl Iterator<Item = (Option<Event>, &'a R)>, out: &mut Vec<u8>) {
        let mut rows: Vec<Vec<String>> = items.map(|(event, item)| self.row(event, item)).collect();
        if rows.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.needs_titles, false) {
            rows.insert(0, self.titles());
        }
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(chars(cell).min(WIDTH_MAX));
            }
        }
        for row in &rows {
            push_line(out, &self.line(row));
        }
    }

    fn titles(&self) -> Vec<String> {
        let event = self.has_events.then_some("EVENT");
        event.into_iter().chain(self.columns.iter().map(|column| column.title)).map(str::to_owned).collect()
    }

    fn row(&self, event: Option<Event>, item: &R) -> Vec<String> {
        let event = self.has_events.then(|| event.map_or("", Event::name).to_owned());
        event.into_iter().chain(self.columns.iter().map(|column| cell(&(column.text)(item)))).collect()
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        // Spaces come before the next cell, so that none are at the end of a line.
        let mut owed = 0;
        for (cell, width) in row.iter().zip(&self.widths) {
            line.extend(std::iter::repeat_n(' ', owed));
            line.push_str(cell);
            owed = width.saturating_sub(chars(cell)) + GAP.len();
        }
        line
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn cell(text: &str) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    let safe = escape(text);
    match safe.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", safe.get(..end).unwrap_or_default()),
        None => safe.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ateproto::{Actor, actor};

    fn actor(atespace: &str, name: &str) -> Actor {
        let mut actor = Actor { atespace: atespace.into(), actor_id: name.into(), ..Default::default() };
        (actor.actor_template_namespace, actor.actor_template_name) = ("default".into(), "counter".into());
        actor.set_status(actor::Status::Suspended);
        actor
    }

    fn print(table: &mut Table<Actor>, items: &[Actor]) -> Vec<String> {
        let mut out = Vec::new();
        table.page(items.iter().map(|item| (None, item)), &mut out);
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_stand_under_their_titles_and_only_grow() {
        let mut table = Table::new(false, Look::default());
        let first = print(&mut table, &[actor("demo", "a1"), actor("a-longer-one", "a2")]);
        assert_eq!(
            first,
            [
                "ATESPACE       NAME           TEMPLATE           STATUS",
                "demo           a1             default/counter    Suspended",
                "a-longer-one   a2             default/counter    Suspended",
            ]
        );
        let second = print(&mut table, &[actor("demo", "a-name-of-20-letters")]);
        assert_eq!(second, ["demo           a-name-of-20-letters   default/counter    Suspended"]);
        let third = print(&mut table, &[actor("demo", "a3")]);
        assert_eq!(third, ["demo           a3                     default/counter    Suspended"]);
    }

    #[test]
    fn a_page_with_nothing_prints_no_titles() {
        let mut table = Table::new(false, Look::default());
        assert_eq!(print(&mut table, &[]), [""; 0]);
        assert_eq!(print(&mut table, &[actor("demo", "a")]).len(), 2);
    }

    #[test]
    fn columns_and_titles_are_as_asked_for() {
        let mut table = Table::new(true, Look { no_headers: true, one_atespace: true, events: true });
        let mut out = Vec::new();
        table.page([(Some(Event::Added), &actor("demo", "a"))].into_iter(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(
            words,
            ["ADDED", "a", "default/counter", "Suspended", "0", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING]
        );
    }

    #[test]
    fn a_record_can_neither_steer_the_terminal_nor_widen_every_line() {
        let mut table = Table::new(false, Look { no_headers: true, ..Look::default() });
        let evil = actor("demo", &format!("\u{1b}[2J\n{}", "x".repeat(100_000)));
        let lines = print(&mut table, &[evil, actor("demo", "a")]);
        assert!(lines[0].contains("\\u{1b}[2J\\nxxx") && lines[0].contains('…'), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.chars().count() < 1000));
        assert!(lines[1].chars().count() < 300);
    }
}
