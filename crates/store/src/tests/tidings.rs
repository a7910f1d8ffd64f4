//! Tidings: told once, in the order of the section, and only of what is committed.

use super::*;

/// What was told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

struct Said(Heard, String);

impl Tiding for Said {
    fn tell(self: Box<Self>) {
        self.0.0.lock().push(self.1.clone());
    }
}

impl Heard {
    fn say(&self, txn: &mut Txn<'_>, text: &str) {
        txn.tell(Box::new(Said(self.clone(), text.to_owned())));
    }

    fn all(&self, fixture: &Fixture) -> Vec<String> {
        fixture.group.release_tidings();
        self.0.lock().clone()
    }
}

#[test]
fn they_are_told_in_the_order_of_commits_once_those_are_durable() {
    let (fixture, heard) = (Fixture::new(), Heard::default());
    let hold = fixture.hold.clone();
    let guard = hold.lock();
    let written = fixture.inline(|txn| {
        heard.say(txn, "a");
        heard.say(txn, "b");
        put(txn, "k", "1")
    });
    assert!(written.wrote && written.told);
    let only_told = fixture.inline(|txn| {
        heard.say(txn, "c");
        Ok(())
    });
    assert!(!only_told.wrote && only_told.told);
    assert!(only_told.gate.stamp >= written.gate.stamp, "it waits for what came before it");
    let heavy = fixture.heavy(|txn| {
        heard.say(txn, "d");
        put(txn, "k", "2")
    });
    assert_eq!(heard.all(&fixture), [""; 0]);
    assert_eq!(fixture.group.tidings(), 4);
    drop(guard);
    assert_eq!(fixture.wait(heavy.gate), Fate::Committed);
    assert_eq!(heard.all(&fixture), ["a", "b", "c", "d"]);
    assert_eq!(heard.all(&fixture).len(), 4, "each is told once");
    fixture.inline(|txn| {
        heard.say(txn, "e");
        Ok(())
    });
    assert_eq!(heard.all(&fixture).len(), 5, "nothing is waited for where everything is durable");
    assert_eq!(fixture.group.tidings(), 0);
}

#[test]
fn what_has_no_effect_is_not_told() {
    let (fixture, heard) = (Fixture::new(), Heard::default());
    let mut scratch = Scratch::default();
    let done = fixture.group.run_inline(0, &mut scratch, |txn| {
        heard.say(txn, "a");
        let undone: Result<(), Failed> = txn.attempt(|txn| {
            heard.say(txn, "undone");
            Err(Failed::Own)
        });
        assert!(undone.is_err());
        txn.attempt(|txn| {
            heard.say(txn, "b");
            Ok::<(), Failed>(())
        })
    });
    let done = done.unwrap();
    assert!(done.told);
    assert_eq!(fixture.wait(done.gate), Fate::Committed);
    assert_eq!(heard.all(&fixture), ["a", "b"]);
    for heavy in [false, true] {
        let f = |txn: &mut Txn<'_>| {
            heard.say(txn, "failed");
            put(txn, "k", "v")?;
            Err::<(), Failed>(Failed::Own)
        };
        let done = match heavy {
            false => fixture.group.run_inline(0, &mut scratch, f),
            true => fixture.group.run_heavy(0, &mut scratch, &Cancel::default(), f),
        };
        assert!(done.is_ok_and(|done| done.result.is_err() && !done.told));
        let f = |txn: &mut Txn<'_>| {
            heard.say(txn, "stopped");
            Err::<(), Stop>(Stop::Outgrown)
        };
        let left = match heavy {
            false => fixture.group.run_inline(0, &mut scratch, f),
            true => fixture.group.run_heavy(0, &mut scratch, &Cancel::default(), f),
        };
        assert!(left.is_err());
    }
    fixture.set("k", "v");
    fixture.drain();
    assert_eq!(heard.all(&fixture), ["a", "b"]);
}

#[test]
fn a_transaction_that_runs_once_more_tells_once() {
    let (fixture, heard) = (Fixture::new(), Heard::default());
    let mut runs = 0;
    let done = fixture.heavy(|txn| {
        runs += 1;
        heard.say(txn, &format!("run {runs}"));
        get(txn, "k")?;
        if runs == 1 {
            // Somebody else is faster: what was read has changed.
            fixture.set("k", "v");
        }
        Ok(())
    });
    assert!(done.told && !done.wrote);
    assert_eq!(fixture.wait(done.gate), Fate::Committed);
    assert_eq!(heard.all(&fixture), ["run 2"], "a message is consistent with what its transaction has read");
    // A record that has to be loaded first.
    let fixture = Fixture::open(fixture.close(), 1 << 20);
    let done = fixture.inline(|txn| {
        heard.say(txn, "loaded");
        get(txn, "k")
    });
    assert_eq!(fixture.wait(done.gate), Fate::Committed);
    assert_eq!(done.result.unwrap().as_deref(), Some("v"));
    assert_eq!(heard.all(&fixture), ["run 2", "loaded"]);
}

#[test]
fn what_an_epoch_did_not_commit_is_never_told() {
    let (fixture, heard) = (Fixture::new(), Heard::default());
    let say = |text: &str| {
        let done = fixture.inline(|txn| {
            heard.say(txn, text);
            put(txn, "k", text)
        });
        done.gate
    };
    assert_eq!(fixture.wait(say("a")), Fate::Committed);
    let hold = fixture.hold.clone();
    let guard = hold.lock();
    let gate = say("b");
    drop(guard);
    fixture.next_epoch();
    let fate = fixture.wait(gate);
    assert_eq!(fixture.wait(say("c")), Fate::Committed);
    // The commit thread may have been faster than the end of the epoch.
    let expected: &[&str] = if fate == Fate::Committed { &["a", "b", "c"] } else { &["a", "c"] };
    assert_eq!(heard.all(&fixture), expected);
    assert_eq!(fixture.group.tidings(), 0);
}
