//! Listings of many actors: what they take, and what happens when nobody reads them.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::atomic::Ordering;

use rustix::process::Signal;

use crate::fake::{Fake, NOWHERE, PATIENCE};
use crate::program::{command, finish, interrupt, until_end};

const MANY: u64 = 200_000;
/// What the program may grow by from 10,000 to 200,000 actors. As a list they would be 100 MB.
const GROWTH_BYTES_MAX: u64 = 2 << 20;

/// Peaks are compared at two pages that are held back.
#[track_caller]
fn check_memory(format: &str) {
    let fake = Fake::start(MANY);
    fake.hold_at(10_000);
    let mut command = command(&fake, &format!("get actors -o {format}"));
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    fake.until_held();
    let early = testkit::proc::resident_peak_bytes(child.id()).unwrap();
    fake.hold_at(MANY - 500);
    testkit::wait::until("the last page", PATIENCE, || {
        (fake.state.sent.load(Ordering::SeqCst) == MANY - 500 && fake.until_held() == MANY - 500)
            .then_some(())
    })
    .unwrap();
    let late = testkit::proc::resident_peak_bytes(child.id()).unwrap();
    fake.hold_at(NOWHERE);
    assert_eq!(finish(child).code, 0);
    eprintln!("{format}: {} KiB after 10,000 actors, {} KiB after {MANY}", early >> 10, late >> 10);
    assert!(late < early + GROWTH_BYTES_MAX, "from {early} to {late} bytes");
}

#[test]
fn a_table_of_many_takes_no_more_memory_than_one_of_few() {
    check_memory("wide");
}

#[test]
fn json_of_many_takes_no_more_memory_than_of_few() {
    check_memory("json");
}

#[test]
fn yaml_of_many_takes_no_more_memory_than_of_few() {
    check_memory("yaml");
}

#[test]
fn a_slow_reader_holds_up_the_listing_and_not_the_memory() {
    let fake = Fake::start(MANY);
    let mut child = command(&fake, "get actors --no-headers --chunk-size 100").spawn().unwrap();
    let mut lines = BufReader::with_capacity(100, child.stdout.take().unwrap()).lines();
    // A pipe takes 64 KiB, which are about 1,100 of these lines; then there is the page that is being written, and
    // the one that has been asked for.
    for read in 0..20_000 {
        lines.next().unwrap().unwrap();
        let ahead = fake.state.sent.load(Ordering::SeqCst) - read;
        assert!(ahead <= 1100 + 2 * 100 + 100, "{ahead} actors ahead of the reader");
    }
    drop(lines);
    assert_eq!(finish(child).code, 141);
}

#[test]
fn a_pipe_that_is_closed_ends_it_quietly() {
    let fake = Fake::start(MANY);
    for format in ["table", "json"] {
        let mut child = command(&fake, &format!("get actors -o {format}")).spawn().unwrap();
        let mut first = [0; 100];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let said = finish(child);
        assert_eq!((said.code, said.stderr.as_str()), (141, ""));
    }
    assert!(fake.state.sent.load(Ordering::SeqCst) < MANY / 4);
}

#[test]
fn a_full_disk_is_an_error() {
    let fake = Fake::start(2000);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = command(&fake, "get actors");
    let said = finish(command.stdout(full).spawn().unwrap());
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (1, "error: stdout: No space left on device (os error 28)\n")
    );
}

#[test]
fn ctrl_c_is_heard_while_nobody_reads() {
    let fake = Fake::start(MANY);
    let mut child = command(&fake, "get actors -o json --chunk-size 1000").spawn().unwrap();
    // The second page has begun to come, and the rest of it does not fit into a pipe.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = lines.by_ref().take(1002).map(Result::unwrap);
    assert!(read.last().unwrap().contains("actor-0001000"));
    interrupt(&child, Signal::INT);
    assert_eq!(until_end(&mut child), 130);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    // Of the second page only a part came: it will come again.
    assert!(stderr.starts_with("Interrupted after 1,000 actors."), "{stderr}");
    assert!(stderr.trim_end().ends_with("--page-token=at-1000-full"), "{stderr}");
}
