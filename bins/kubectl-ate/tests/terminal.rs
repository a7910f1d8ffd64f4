//! What is to be seen only where stderr is a terminal.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::thread::JoinHandle;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::fake::{Fake, NOWHERE, PATIENCE};
use crate::program::{command, interrupt, until_end};
use parking_lot::Mutex;
use std::sync::Arc;

/// A terminal, and everything that was written to it so far.
struct Terminal {
    end: File,
    text: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    fn open() -> Self {
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&own).unwrap();
        unlockpt(&own).unwrap();
        let name = ptsname(&own, Vec::new()).unwrap();
        let path = std::ffi::OsStr::from_bytes(name.as_bytes());
        let end = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let text = Arc::new(Mutex::new(String::new()));
        let (mut own, shared) = (File::from(own), Arc::clone(&text));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error, as the other end is closed.
            while let Ok(count) = own.read(&mut bytes) {
                shared.lock().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { end, text, reader }
    }

    fn stdio(&self) -> Stdio {
        self.end.try_clone().unwrap().into()
    }

    fn wait_for(&self, wanted: &str) {
        let seen = || self.text.lock().contains(wanted).then_some(());
        testkit::wait::until(wanted, PATIENCE, seen)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text.lock()));
    }

    fn close(self) -> String {
        drop(self.end);
        self.reader.join().unwrap();
        let text = self.text.lock();
        text.clone()
    }
}

#[test]
fn a_count_and_a_rate_are_shown_while_it_works_and_erased_before_the_hint() {
    let fake = Fake::start(5000);
    fake.hold_at(3000);
    let terminal = Terminal::open();
    let mut child = {
        let mut command = command(&fake, "get actors -o json");
        command.stdout(Stdio::null()).stderr(terminal.stdio()).spawn().unwrap()
    };
    fake.until_held();
    terminal.wait_for("3,000 actors  ");
    terminal.wait_for("/s  0:0");
    interrupt(&child, Signal::INT);
    assert_eq!(until_end(&mut child), 130);
    let text = terminal.close();
    assert!(text.contains("\r\x1b[KInterrupted after 3,000 actors. To go on:\r\n"), "{text:?}");
}

#[test]
fn a_total_stays_where_the_listing_went_elsewhere() {
    let fake = Fake::start(1000);
    let terminal = Terminal::open();
    let mut command = command(&fake, "get actors");
    let mut child = command.stdout(Stdio::null()).stderr(terminal.stdio()).spawn().unwrap();
    assert_eq!(until_end(&mut child), 0);
    drop(command);
    let text = terminal.close();
    let last = text.rsplit("\x1b[K").next().unwrap();
    assert!(last.starts_with("1,000 actors  ") && last.ends_with("\r\n"), "{text:?}");
}

#[test]
fn lines_of_the_listing_and_of_the_status_do_not_mix() {
    let fake = Fake::start(3000);
    fake.hold_at(1000);
    let terminal = Terminal::open();
    let mut command = command(&fake, "get actors -o name");
    let mut child = command.stdout(terminal.stdio()).stderr(terminal.stdio()).spawn().unwrap();
    fake.until_held();
    terminal.wait_for("1,000 actors");
    fake.hold_at(NOWHERE);
    assert_eq!(until_end(&mut child), 0);
    drop(command);
    let text = terminal.close();
    // What is erased is what stands between a return and the next erasure.
    let kept: Vec<&str> = text
        .split('\n')
        .map(|line| line.rsplit("\r\x1b[K").next().unwrap().trim_end_matches('\r'))
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(kept.len(), 3000);
    assert!(kept.iter().all(|line| line.starts_with("actor/demo/actor-") && line.len() == 24));
}

#[test]
fn a_load_has_a_bar() {
    let fake = Fake::start(0);
    fake.hold_at(500);
    let terminal = Terminal::open();
    let mut command = command(&fake, "admin load -a demo --count 1000 --concurrency 1");
    let mut child = command.stdout(Stdio::null()).stderr(terminal.stdio()).spawn().unwrap();
    fake.until_held();
    terminal.wait_for("[===============>              ]  50%  500/1,000  ");
    fake.hold_at(NOWHERE);
    assert_eq!(until_end(&mut child), 0);
    drop(command);
    assert!(terminal.close().ends_with("\r\x1b[K"));
}
