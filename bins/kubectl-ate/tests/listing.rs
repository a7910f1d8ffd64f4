//! Listings: what comes out, in which format, and how they end.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use rustix::process::Signal;
use serde_json::Value;
use tonic::Code;

use crate::fake::{Fake, NOWHERE, State, actor, numbered};
use crate::program::{Said, command, finish, interrupt, ok, run, start};

fn ids(json: &str) -> Vec<String> {
    let found: Value = serde_json::from_str(json).unwrap();
    let actors = found["items"].as_array().unwrap().iter();
    actors.map(|actor| actor["actorId"].as_str().unwrap().to_owned()).collect()
}

fn all(count: u64) -> Vec<String> {
    (0..count).map(|index| numbered(index).actor_id).collect()
}

#[test]
fn every_actor_of_every_page_is_in_the_table_and_the_titles_once() {
    let fake = Fake::start(1234);
    let table = ok(&fake, "get actors");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "ATESPACE   NAME            TEMPLATE           STATUS");
    assert_eq!(lines[1], "demo       actor-0000000   default/counter    Suspended");
    assert_eq!(lines.len(), 1235);
    let names: Vec<&str> = lines[1..].iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(names, all(1234));
    assert_eq!(fake.state.calls.load(Ordering::SeqCst), 3);
}

#[test]
fn pages_are_as_large_as_asked_for() {
    let fake = Fake::start(1000);
    ok(&fake, "get actors --chunk-size 100 --no-headers -o name");
    assert_eq!(fake.state.calls.load(Ordering::SeqCst), 10);
}

#[test]
fn json_and_yaml_are_one_document_over_many_pages() {
    let fake = Fake::start(1100);
    assert_eq!(ids(&ok(&fake, "get actors -o json")), all(1100));
    let yaml = ok(&fake, "get actors -o yaml");
    assert!(yaml.starts_with(
        "apiVersion: v1\nkind: List\nitems:\n- actorId: actor-0000000\n  actorTemplateName: counter\n"
    ));
    assert_eq!(yaml.lines().filter(|line| line.starts_with("- actorId: ")).count(), 1100);
}

#[test]
fn an_atespace_that_is_named_needs_no_column() {
    let fake = Fake::start(0);
    let mut elsewhere = actor("b", 1);
    elsewhere.atespace = "other".into();
    fake.put(actor("a", 1));
    fake.put(elsewhere);
    let table = ok(&fake, "get actors -a other");
    assert_eq!(
        table,
        "NAME           TEMPLATE           STATUS\nb              default/counter    Suspended\n"
    );
    let mut by_variable = command(&fake, "get actors -o name");
    let said = finish(by_variable.env("ATE_ATESPACE", "other").spawn().unwrap());
    assert_eq!(said.stdout, "actor/other/b\n");
    let said = finish(by_variable.arg("-A").spawn().unwrap());
    assert_eq!(said.stdout, "actor/demo/a\nactor/other/b\n");
}

#[test]
fn nothing_is_said_on_stderr_and_is_a_list_in_json() {
    let fake = Fake::start(0);
    let said = run(&fake, "get actors");
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", "No resources found\n"));
    assert_eq!(run(&fake, "get actors -a demo").stderr, "No resources found in atespace \"demo\"\n");
    assert_eq!(ok(&fake, "get actors -o json"), "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}\n");
    assert_eq!(ok(&fake, "get actors -o yaml"), "apiVersion: v1\nkind: List\nitems: []\n");
}

#[test]
fn empty_pages_do_not_end_a_listing() {
    let fake = Fake::start_as(State::with(1000).with_gaps(), None);
    assert_eq!(ids(&ok(&fake, "get actors -o json --chunk-size 100")), all(1000));
    assert_eq!(fake.state.calls.load(Ordering::SeqCst), 20);
}

#[test]
fn a_server_that_leads_in_a_circle_is_left() {
    let fake = Fake::start_as(State::with(10).in_a_circle(), None);
    let said = run(&fake, "get actors --page-token at-0-full");
    assert_eq!(said.code, 1);
    assert!(said.stderr.starts_with("error: the server gives the same page again and again\n"), "{said:?}");
}

#[test]
fn a_limit_says_how_to_go_on_until_nothing_is_left() {
    let fake = Fake::start(1000);
    let mut line = "get actors -o json --limit 300".to_owned();
    let mut found = Vec::new();
    for step in 0..4 {
        let said = run(&fake, &line);
        assert_eq!(said.code, 0);
        found.extend(ids(&said.stdout));
        if step == 3 {
            assert_eq!(said.stderr, "");
            break;
        }
        assert!(said.stderr.starts_with("There are more than these 300 actors. To go on:\n"), "{said:?}");
        let token = serde_json::from_str::<Value>(&said.stdout).unwrap()["nextPageToken"].clone();
        line = said.hint().join(" ");
        assert!(line.ends_with(&format!("--page-token={}", token.as_str().unwrap())));
    }
    assert_eq!(found, all(1000));
}

#[test]
fn a_page_that_fails_for_a_while_is_asked_for_again() {
    let fake = Fake::start(1500);
    *fake.state.fault.lock() = Some((500, 3, Code::Unavailable));
    assert_eq!(ids(&ok(&fake, "get actors -o json")), all(1500));
    assert_eq!(fake.state.calls.load(Ordering::SeqCst), 6);
}

/// Ended early after 1,000 of 1,500: what came is whole, and the hint brings the rest.
#[track_caller]
fn check_early_end(fake: &Fake, said: &Said) {
    assert_eq!(ids(&said.stdout), all(1000));
    *fake.state.fault.lock() = None;
    let rest = ids(&ok(fake, &said.hint().join(" ")));
    let both: BTreeSet<String> = ids(&said.stdout).into_iter().chain(rest).collect();
    assert_eq!(both, all(1500).into_iter().collect());
}

#[test]
fn a_page_that_goes_on_failing_ends_it_with_a_hint() {
    let fake = Fake::start(1500);
    *fake.state.fault.lock() = Some((1000, u32::MAX, Code::Unavailable));
    let said = run(&fake, "get actors -o json --timeout 500ms");
    assert_eq!(said.code, 1);
    let expected = "Error from server (ServiceUnavailable): the store is away\n\
                    The listing is not complete: 1,000 actors came. To go on:\n";
    assert!(said.stderr.starts_with(expected), "{said:?}");
    check_early_end(&fake, &said);
}

#[test]
fn a_page_that_does_not_come_in_time_ends_it_with_a_hint() {
    let fake = Fake::start(1500);
    fake.hold_at(1000);
    let said = run(&fake, "get actors -o json --timeout 300ms");
    assert_eq!(said.code, 1);
    assert!(said.stderr.starts_with("Error from server (Timeout): no answer within 300ms\n"), "{said:?}");
    fake.hold_at(NOWHERE);
    check_early_end(&fake, &said);
}

#[test]
fn ctrl_c_ends_it_with_a_hint() {
    let fake = Fake::start(1500);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        fake.hold_at(1000);
        let running = start(&fake, "get actors -o json");
        assert_eq!(fake.until_held(), 1000);
        interrupt(&running.child, signal);
        let said = running.finish();
        assert_eq!(said.code, code);
        assert!(said.stderr.starts_with("Interrupted after 1,000 actors. To go on:\n"), "{said:?}");
        fake.hold_at(NOWHERE);
        check_early_end(&fake, &said);
    }
}

#[test]
fn a_server_that_goes_away_ends_it_with_a_hint() {
    let mut fake = Fake::start(1500);
    fake.hold_at(1000);
    let running = start(&fake, "get actors -o json --timeout 2s");
    fake.until_held();
    fake.stop();
    let said = running.finish();
    assert_eq!(said.code, 1);
    let expected = format!("Unable to connect to the server: {}: ", fake.addr);
    assert!(said.stderr.starts_with(&expected), "{said:?}");
    assert!(said.hint().contains(&"--page-token=at-1000-full".to_owned()));
    assert_eq!(ids(&said.stdout), all(1000));
}

#[test]
fn what_fails_before_anything_came_prints_nothing() {
    let fake = Fake::start(10);
    let said = run(&fake, "get actors -o json --page-token forged");
    let expected = "Error from server (BadRequest): page_token: it is not one of ours\n";
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (1, "", expected));
}

#[test]
fn records_cannot_steer_the_terminal() {
    let fake = Fake::start(0);
    fake.put(actor("evil\u{1b}[2J\u{9b}31m\nfoo", 1));
    for format in ["table", "wide", "json", "yaml", "name"] {
        let text = ok(&fake, &format!("get actors -o {format}"));
        assert!(!text.contains(['\u{1b}', '\u{9b}']), "{format}: {text:?}");
        assert!(!text.contains("\nfoo"), "{format}: {text:?}");
    }
}
