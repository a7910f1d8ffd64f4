//! `admin load`.

use rustix::process::Signal;

use crate::fake::{Fake, NOWHERE, PATIENCE};
use crate::program::{command, finish, interrupt, ok, run};

const LOAD: &str = "admin load -a demo --count 1000 --prefix trial --template default/counter";

#[test]
fn it_makes_them_and_again_finds_them_there_and_removes_them() {
    let fake = Fake::start(0);
    let said = ok(&fake, LOAD);
    assert!(said.starts_with("1,000 actors created, 0 were there already, in "), "{said}");
    assert_eq!(fake.state.actors.lock().len(), 1000);
    assert!(fake.state.actors.lock().contains_key("demo/trial-999"));
    assert!(ok(&fake, LOAD).starts_with("0 actors created, 1,000 were there already, in "));
    let said = ok(&fake, "admin load -a demo --count 1000 --prefix trial --delete --start 10");
    assert!(said.starts_with("990 actors deleted, 0 were not there, in "), "{said}");
    assert_eq!(fake.state.actors.lock().len(), 10);
}

#[test]
fn ctrl_c_stops_it_and_tells_from_where_to_go_on() {
    let fake = Fake::start(0);
    fake.hold_at(300);
    let child = command(&fake, &format!("{LOAD} --concurrency 8")).spawn().unwrap();
    testkit::wait::until("calls to wait", PATIENCE, || (fake.state.actors.lock().len() == 300).then_some(()))
        .unwrap();
    fake.until_held();
    interrupt(&child, Signal::INT);
    let said = finish(child);
    assert_eq!(said.code, 130);
    let start: usize = said.hint().last().unwrap().strip_prefix("--start=").unwrap().parse().unwrap();
    assert!((280..=300).contains(&start), "{said:?}");
    fake.hold_at(NOWHERE);
    ok(&fake, &said.hint().join(" "));
    assert_eq!(fake.state.actors.lock().len(), 1000);
}

#[test]
fn what_cannot_be_done_stops_it_at_once() {
    let fake = Fake::start(0);
    let said = run(&fake, "admin load -a nowhere --count 1000000");
    assert_eq!(said.code, 1);
    assert!(said.stdout.starts_with("0 actors created"), "{said:?}");
    assert!(
        said.stderr.starts_with("Error from server (FailedPrecondition): there is no atespace"),
        "{said:?}"
    );
}
