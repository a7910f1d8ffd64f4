//! What scripts leave behind in the statistics.

use command::Args;

use super::{Env, Seen, host};
use crate::session::monitor::{self, From};

impl Env<'_> {
    /// Counts what was called: the transaction has come to its end.
    pub fn count(&mut self) {
        for (level, message) in self.logged.drain(..) {
            host::log(level, &message);
        }
        if !self.seen.is_empty() {
            self.tell();
        }
        for called in self.called.drain(..) {
            crate::session::account::ran_in_script(
                self.node,
                called.entry,
                called.failed.as_ref(),
                called.took,
                self.cancel.is_some(),
            );
        }
    }

    /// A transaction begins, perhaps once more: what was called before did not happen.
    pub fn begin(&mut self) {
        self.called.clear();
        self.seen.clear();
        self.logged.clear();
    }

    /// Notes what those who monitor are to be told.
    pub(super) fn saw(&mut self, database: u8, is_script: bool, args: &Args<'_>) {
        if self.node.clients.monitors.count() > 0 {
            self.seen.push(Seen { database, is_script, args: args.to_owned() });
        }
    }

    fn tell(&mut self) {
        let client = self.node.clients.get(self.client);
        for Seen { database, is_script, args } in self.seen.drain(..) {
            let (database, args) = (u64::from(database), args.as_args());
            match (&client, is_script) {
                (Some(client), true) => monitor::saw_script(self.node, database, client, &args),
                (None, true) => {}
                (_, false) => monitor::saw(self.node, database, From::Script, &args),
            }
        }
    }
}
