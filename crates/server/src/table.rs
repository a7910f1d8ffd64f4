//! Every command of the server by name: those on data and those on sessions in one table.

use std::collections::HashMap;
use std::sync::LazyLock;

use command::Command;
use command::events::{Events, events_of};

use crate::pubsub;
use crate::scripting::{self, ScriptRun};
use crate::session::{self, SessionRun};

/// A command's function: over a transaction, alone or with what surrounds it, or over the session and the
/// node.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    Data(command::Run),
    Script(ScriptRun),
    Session(SessionRun),
}

pub struct Entry {
    /// Its place in the table: where its statistics are.
    pub id: usize,
    pub row: Command<Handler>,
    /// Ids of its subcommands.
    pub subcommands: Vec<usize>,
    /// What it says to those who hear of changes, if it changes keys.
    pub events: Option<Events>,
}

pub struct Table {
    entries: Vec<Entry>,
    by_name: HashMap<&'static [u8], usize, foldhash::fast::RandomState>,
}

/// Longest name of a command or subcommand, with the bar between them.
const NAME_BYTES_MAX: usize = 64;

static TABLE: LazyLock<Table> = LazyLock::new(Table::build);

/// The table.
pub fn table() -> &'static Table {
    &TABLE
}

fn with_handler<R: Copy>(row: &Command<R>, handler: impl Fn(R) -> Handler) -> Command<Handler> {
    let &Command { name, arity, keys, flags, run, docs, arguments, tips, deprecated, class } = row;
    Command { name, arity, keys, flags, run: handler(run), docs, arguments, tips, deprecated, class }
}

impl Table {
    fn build() -> Self {
        let data = command::FAMILIES.iter().copied().flatten().map(|row| with_handler(row, Handler::Data));
        let scripts = scripting::FAMILIES.iter().copied().chain([pubsub::COMMANDS]).flatten();
        let scripts = scripts.map(|row| with_handler(row, Handler::Script));
        let sessions = session::FAMILIES.iter().chain(scripting::SESSION_FAMILIES).copied().flatten();
        let sessions = sessions.map(|row| with_handler(row, Handler::Session));
        let mut table = Self { entries: Vec::new(), by_name: HashMap::default() };
        for row in data.chain(scripts).chain(sessions) {
            let id = table.entries.len();
            let twice = table.by_name.insert(row.name.as_bytes(), id);
            assert!(twice.is_none(), "two commands are called {}", row.name);
            let events = events_of(row.name);
            table.entries.push(Entry { id, row, subcommands: Vec::new(), events });
        }
        for id in 0..table.entries.len() {
            let name = table.entries[id].row.name;
            if let Some((container, _)) = name.split_once('|') {
                let container = *table
                    .by_name
                    .get(container.as_bytes())
                    .unwrap_or_else(|| panic!("{name} has no container"));
                table.entries[container].subcommands.push(id);
            }
        }
        table
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The command of this name, in any case.
    pub fn find(&self, name: &[u8]) -> Option<&Entry> {
        let mut lower = [0u8; NAME_BYTES_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(&*lower).and_then(|&id| self.entries.get(id))
    }

    /// The subcommand of a container that has this name, in any case.
    pub fn find_sub(&self, container: &Entry, name: &[u8]) -> Option<&Entry> {
        let parent = container.row.name.len() + 1;
        let subs = container.subcommands.iter().filter_map(|&id| self.entries.get(id));
        subs.into_iter().find(|entry| {
            entry.row.name.as_bytes().get(parent..).is_some_and(|sub| sub.eq_ignore_ascii_case(name))
        })
    }
}
