//! `get -w`.

use rustix::process::Signal;
use serde_json::Value;

use crate::fake::{Fake, actor};
use crate::program::{command, finish, interrupt, ok, read_until, run};

#[test]
fn it_shows_what_is_there_and_then_what_changes() {
    let fake = Fake::start(0);
    fake.put(actor("a", 1));
    fake.put(actor("b", 1));
    let mut child = command(&fake, "get actors -w --watch-interval 10ms -o json").spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut next = |wanted: &str| -> Value {
        serde_json::from_str(&read_until(&mut stdout, "\n")).unwrap_or_else(|_| panic!("{wanted}"))
    };
    for name in ["a", "b"] {
        let event = next(name);
        assert_eq!((&event["type"], &event["object"]["actorId"]), (&"ADDED".into(), &name.into()));
    }
    ok(&fake, "resume actor a -a demo");
    let event = next("the change");
    assert_eq!((&event["type"], &event["object"]["status"]), (&"MODIFIED".into(), &"STATUS_RUNNING".into()));
    ok(&fake, "delete actor b -a demo");
    let event = next("the end");
    assert_eq!((&event["type"], &event["object"]["actorId"]), (&"DELETED".into(), &"b".into()));
    ok(&fake, "create actor c -a demo --template a/b");
    assert_eq!(next("the new one")["object"]["actorId"], "c");
    interrupt(&child, Signal::INT);
    let said = finish(child);
    assert_eq!((said.code, said.stderr.as_str()), (130, ""));
}

#[test]
fn tables_say_what_happened_first() {
    let fake = Fake::start(0);
    fake.put(actor("a", 1));
    let mut child = command(&fake, "get actor a -a demo -w --watch-interval 10ms").spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let text = read_until(&mut stdout, "Suspended\n");
    assert!(text.starts_with("EVENT      ATESPACE   NAME "), "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("ADDED      demo       a "), "{text}");
    ok(&fake, "delete actor a -a demo");
    assert!(read_until(&mut stdout, "\n").starts_with("DELETED    demo       a "));
    interrupt(&child, Signal::INT);
    assert_eq!(finish(child).code, 130);
}

#[test]
fn more_than_it_may_remember_is_an_error() {
    let fake = Fake::start(2000);
    let said = run(&fake, "get actors -w --watch-limit 1000 -o name");
    assert_eq!(said.code, 1);
    assert!(said.stderr.starts_with("error: more than 1000 things to watch"), "{said:?}");
    assert_eq!(said.stdout.lines().count(), 1000);
}
