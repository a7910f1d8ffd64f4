//! Work is a number, in the order in which it came.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn peer(last: u8) -> PeerName {
    PeerName::of(Ipv4Addr::new(10, 0, 0, last).into())
}

/// What starts until nothing more may.
fn drain(schedule: &mut Schedule<u32>) -> Vec<(Class, u32)> {
    std::iter::from_fn(|| schedule.start()).collect()
}

#[test]
fn threads_are_divided() {
    for (threads, reserved, most) in
        [(1, 0, 1), (2, 0, 1), (3, 1, 1), (4, 1, 2), (8, 1, 6), (16, 2, 12), (28, 3, 22), (1_024, 128, 768)]
    {
        assert_eq!(Shares::of(threads), Shares { reserved, most }, "{threads} threads");
    }
}

/// Whatever number of threads, and whichever classes have taken all that they get: what is left to others
/// starts at once.
#[test]
fn a_class_finds_what_is_left_to_it() {
    for threads in 3..40 {
        for late in Class::ALL {
            let mut schedule = Schedule::new(threads, 100);
            for class in Class::ALL.iter().filter(|class| **class != late) {
                (0..40).for_each(|job| assert_eq!(schedule.submit(*class, peer(1), job), Verdict::Admitted));
            }
            let before = drain(&mut schedule).len();
            let reserved = Shares::of(threads).reserved;
            assert_eq!(before, threads - reserved, "all but what is left to one class");
            (0..40).for_each(|job| assert_eq!(schedule.submit(late, peer(1), job), Verdict::Admitted));
            assert_eq!(drain(&mut schedule).len(), reserved);
        }
    }
}

#[test]
fn no_class_has_both_threads_and_one_thread_is_taken_in_turns() {
    let mut schedule = Schedule::new(2, 9);
    (0..3).for_each(|job| _ = schedule.submit(Class::Script, peer(1), job));
    assert_eq!(drain(&mut schedule), [(Class::Script, 0)]);
    assert_eq!(schedule.submit(Class::Scan, peer(1), 3), Verdict::Admitted);
    assert_eq!(drain(&mut schedule), [(Class::Scan, 3)]);

    let mut schedule = Schedule::new(1, 9);
    (0..9).for_each(|job| _ = schedule.submit(Class::Script, peer(1), job));
    let mut order = drain(&mut schedule);
    for class in [Class::Scan, Class::Range] {
        assert_eq!(schedule.submit(class, peer(1), 10), Verdict::Admitted);
    }
    while let Some(&(class, _)) = order.last()
        && order.len() < 5
    {
        schedule.finish(class);
        order.extend(schedule.start());
        assert_eq!(schedule.start(), None);
    }
    let classes: Vec<Class> = order.iter().map(|(class, _)| *class).collect();
    assert_eq!(classes, [Class::Script, Class::Scan, Class::Range, Class::Script, Class::Script]);
}

#[test]
fn a_host_with_many_connections_gets_one_share() {
    let mut schedule = Schedule::new(4, 64);
    (0..37).for_each(|job| _ = schedule.submit(Class::Range, peer(1), job));
    assert_eq!(drain(&mut schedule), [(Class::Range, 0), (Class::Range, 1)]);
    for (job, from) in [(100, 2), (101, 3), (102, 2)] {
        assert_eq!(schedule.submit(Class::Range, peer(from), job), Verdict::Admitted);
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        schedule.finish(Class::Range);
        order.extend(drain(&mut schedule).into_iter().map(|(_, job)| job));
    }
    assert_eq!(order, [2, 100, 101, 3, 102, 4]);
}

#[test]
fn a_queue_is_bounded_and_one_peer_cannot_keep_it() {
    let mut schedule = Schedule::new(1, 4);
    let mut submit = |from, job| {
        let verdict = schedule.submit(Class::Scan, peer(from), job);
        drain(&mut schedule);
        verdict
    };
    // The first one starts, four wait.
    (0..5).for_each(|job| assert_eq!(submit(1, job), Verdict::Admitted));
    assert_eq!(submit(1, 5), Verdict::Rejected(5));
    assert_eq!(submit(2, 6), Verdict::AdmittedFor(4), "the newest of the one with the most");
    assert_eq!(submit(2, 7), Verdict::AdmittedFor(3), "two each");
    assert_eq!(submit(2, 8), Verdict::Rejected(8));
    assert_eq!(submit(3, 9), Verdict::AdmittedFor(7));
    assert_eq!(submit(4, 10), Verdict::AdmittedFor(2));
    assert_eq!(submit(5, 11), Verdict::Rejected(11), "each has one");
    assert_eq!(schedule.load(Class::Scan), Load { running: 1, waiting: 4 });
    assert_eq!(schedule.submit(Class::Range, peer(1), 12), Verdict::Admitted, "a queue of its own");
}

#[test]
fn what_goes_on_is_never_turned_away_nor_displaced() {
    let mut schedule = Schedule::new(1, 2);
    (0..3).for_each(|job| {
        assert_eq!(schedule.submit(Class::Range, peer(1), job), Verdict::Admitted);
        drain(&mut schedule);
    });
    (3..9).for_each(|job| schedule.go_on(Class::Range, peer(1), job));
    assert_eq!(schedule.submit(Class::Range, peer(2), 9), Verdict::AdmittedFor(2));
    assert_eq!(schedule.load(Class::Range), Load { running: 1, waiting: 8 });
    let void = schedule.take_void(|job| *job == 4 || *job == 1);
    assert_eq!(void, [1, 4]);
    let mut order = Vec::new();
    while schedule.load(Class::Range).running > 0 {
        schedule.finish(Class::Range);
        order.extend(drain(&mut schedule).into_iter().map(|(_, job)| job));
    }
    assert_eq!(order, [3, 9, 5, 6, 7, 8]);
}

#[derive(Clone, Debug)]
enum Step {
    Submit(Class, u8),
    GoOn(Class, u8),
    Finish(Class),
    Resize(usize, usize),
    /// Everything of a peer is void.
    Void(u8),
}

fn step(resizes: bool) -> impl Strategy<Value = Step> {
    let class = || prop::sample::select(&Class::ALL[..]);
    prop_oneof![
        6 => (class(), 0..5_u8).prop_map(|(class, peer)| Step::Submit(class, peer)),
        1 => (class(), 0..5_u8).prop_map(|(class, peer)| Step::GoOn(class, peer)),
        5 => class().prop_map(Step::Finish),
        u32::from(resizes) => (1..20_usize, 0..8_usize).prop_map(|(threads, queue)| Step::Resize(threads, queue)),
        u32::from(resizes) => (0..5_u8).prop_map(Step::Void),
    ]
}

/// A schedule, and what has become of all that it was given.
struct Model {
    schedule: Schedule<u32>,
    next: u32,
    /// What is to be started yet, of whom, and whether it goes on.
    owed: HashMap<u32, (Class, u8, bool)>,
    /// The last that was started.
    last: HashMap<(Class, u8), u32>,
}

impl Model {
    fn take(&mut self, class: Class, from: u8, goes_on: bool) {
        let job = self.next;
        self.next += 1;
        self.owed.insert(job, (class, from, goes_on));
        if goes_on {
            return self.schedule.go_on(class, peer(from), job);
        }
        let (lost, why) = match self.schedule.submit(class, peer(from), job) {
            Verdict::Admitted => return,
            Verdict::AdmittedFor(other) => (other, "displaced"),
            Verdict::Rejected(job) => (job, "rejected"),
        };
        let (class, from, goes_on) = self.owed.remove(&lost).expect("it was owed");
        assert!(!goes_on, "{lost} goes on, and was {why}");
        let of = |from: u8| self.new_of(class, from);
        if why == "displaced" {
            // Nobody has more than the one who has lost, but for what a smaller queue has left.
            assert!((0..5).all(|other| of(other) <= of(from) + 1));
        } else {
            assert!((0..5).all(|other| of(other) <= of(from) + 1), "it had the smaller share");
        }
    }

    fn new_of(&self, class: Class, from: u8) -> usize {
        self.owed.values().filter(|owed| **owed == (class, from, false)).count()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Submit(class, from) => self.take(class, from, false),
            Step::GoOn(class, from) => self.take(class, from, true),
            Step::Finish(class) if self.schedule.load(class).running > 0 => self.schedule.finish(class),
            Step::Finish(_) => {}
            Step::Resize(threads, queue_max) => self.schedule.resize(threads, queue_max),
            Step::Void(from) => {
                let owed = &self.owed;
                let void = self.schedule.take_void(|job| owed.get(job).is_some_and(|owed| owed.1 == from));
                void.iter().for_each(|job| assert!(self.owed.remove(job).is_some_and(|owed| owed.1 == from)));
            }
        }
        for (class, job) in drain(&mut self.schedule) {
            let (of, from, _) = self.owed.remove(&job).expect("it is started once");
            assert_eq!(of, class);
            let before = self.last.insert((class, from), job);
            assert!(before.is_none_or(|before| before < job), "the oldest of a peer first");
            assert!(self.running() <= self.schedule.threads());
        }
    }

    fn running(&self) -> usize {
        Class::ALL.iter().map(|class| self.schedule.load(*class).running).sum()
    }

    fn is_bounded(&self, queue_max: usize) -> bool {
        Class::ALL
            .iter()
            .all(|class| (0..5).map(|from| self.new_of(*class, from)).sum::<usize>() <= queue_max)
    }

    /// Whether each class that waits has what is left to it.
    fn starves_nobody(&self) -> bool {
        let Shares { reserved, most } = Shares::of(self.schedule.threads());
        Class::ALL
            .iter()
            .map(|class| self.schedule.load(*class))
            .all(|load| load.running <= most && (load.waiting == 0 || load.running >= reserved))
    }
}

fn check(threads: usize, queue_max: usize, steps: &[Step], resizes: bool) {
    let schedule = Schedule::new(threads, queue_max);
    let mut model = Model { schedule, next: 0, owed: HashMap::new(), last: HashMap::new() };
    for step in steps {
        model.run(step);
        assert!(resizes || (model.starves_nobody() && model.is_bounded(queue_max)), "after {step:?}");
        let waiting: usize = Class::ALL.iter().map(|class| model.schedule.load(*class).waiting).sum();
        assert_eq!(waiting, model.owed.len());
    }
    // Whatever waits has its turn once what runs ends.
    while model.running() > 0 {
        Class::ALL.iter().for_each(|class| model.run(&Step::Finish(*class)));
    }
    assert!(model.owed.is_empty(), "{:?} never started", model.owed);
}

proptest! {
    #[test]
    fn nothing_is_lost_and_no_class_starves(
        threads in 1..20_usize,
        queue_max in 0..8_usize,
        steps in vec(step(false), 1..120),
    ) {
        check(threads, queue_max, &steps, false);
    }

    #[test]
    fn nothing_is_lost_while_it_is_resized(
        threads in 1..20_usize,
        queue_max in 0..8_usize,
        steps in vec(step(true), 1..120),
    ) {
        check(threads, queue_max, &steps, true);
    }
}
