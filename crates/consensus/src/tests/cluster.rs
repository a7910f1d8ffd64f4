//! Nodes with disks that outlive them, and what must hold of any run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;
use wal::testing::SimDisk;
use wal::{Files, Wal};

use super::machine::{Contents, Event, Outcome, PATIENCE, TestMachine, eventually_or, outcome, submit};
use super::net::Net;
use crate::spool::Spool;
use crate::{Group, Machine, Node, NodeOptions, NotCommitted, Position, SnapshotImage, StartError};

/// Short timeouts, so that tests are quick.
pub(crate) fn options() -> NodeOptions {
    NodeOptions {
        election_timeout_min: Duration::from_millis(150),
        election_timeout_max: Duration::from_millis(300),
        heartbeat: Duration::from_millis(40),
        ..NodeOptions::default()
    }
}

pub(crate) struct Member {
    pub(crate) disk: SimDisk,
    /// The store's disk, one a group.
    pub(crate) stores: Vec<Arc<Mutex<Contents>>>,
    pub(crate) machines: Vec<Arc<TestMachine>>,
    snapshots: TempDir,
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) wal: Option<Wal>,
    /// What the machines of earlier lives were told, one list a life and group.
    earlier: Vec<(u16, Vec<Event>)>,
}

pub(crate) struct Cluster {
    pub(crate) net: Arc<Net>,
    pub(crate) members: BTreeMap<u64, Member>,
    pub(crate) options: NodeOptions,
    seed: u64,
    /// Every proposal that has an outcome.
    outcomes: Vec<(u16, String, Outcome)>,
}

pub(crate) fn wal_options() -> wal::Options {
    wal::Options { segment_bytes: 1 << 20, ..wal::Options::new("log") }
}

impl Cluster {
    /// Nodes that run, in groups that nobody has founded.
    pub(crate) fn unfounded(ids: impl IntoIterator<Item = u64>, options: NodeOptions) -> Self {
        let seed = 7;
        let mut cluster =
            Self { net: Net::new(seed), members: BTreeMap::new(), options, seed, outcomes: Vec::new() };
        for id in ids {
            cluster.add(id);
        }
        cluster
    }

    /// Nodes that run, each a voter of every group.
    pub(crate) fn new(ids: impl IntoIterator<Item = u64> + Clone, options: NodeOptions) -> Self {
        let cluster = Self::unfounded(ids.clone(), options);
        let members: BTreeMap<u64, String> = ids.into_iter().map(|id| (id, format!("node-{id}"))).collect();
        let founder = *members.keys().next().unwrap();
        for group in 0..cluster.options.groups {
            cluster.group(founder, group).bootstrap(members.clone()).unwrap();
        }
        cluster
    }

    /// A node without data.
    pub(crate) fn add(&mut self, id: u64) {
        let member = Member {
            disk: SimDisk::new(self.seed + id),
            stores: (0..self.options.groups).map(|_| Arc::default()).collect(),
            machines: Vec::new(),
            snapshots: TempDir::new().unwrap(),
            node: None,
            wal: None,
            earlier: Vec::new(),
        };
        self.members.insert(id, member);
        self.start(id);
    }

    pub(crate) fn start(&mut self, id: u64) {
        self.try_start(id).unwrap();
    }

    pub(crate) fn try_start(&mut self, id: u64) -> Result<(), StartError> {
        let options = NodeOptions { node_id: id, ..self.options.clone() };
        let transport = self.net.transport(id);
        let member = self.members.get_mut(&id).unwrap();
        let files: Arc<dyn Files> = Arc::new(member.disk.clone());
        let (wal, recovered) = Wal::open(files, wal_options()).unwrap();
        member.machines = member.stores.iter().map(|store| TestMachine::new(store.clone())).collect();
        let machines = member.machines.iter().map(|machine| machine.clone() as Arc<dyn Machine>).collect();
        let options = NodeOptions { snapshot_dir: member.snapshots.path().to_path_buf(), ..options };
        member.wal = Some(wal.clone());
        let node = Arc::new(Node::start(options, wal, recovered, machines, transport)?);
        self.net.join(id, &node);
        member.node = Some(node);
        Ok(())
    }

    /// Stops a node in good order.
    pub(crate) fn stop(&mut self, id: u64) {
        self.net.leave(id);
        let member = self.members.get_mut(&id).unwrap();
        member.node.take().unwrap().shutdown();
        member.wal.take().unwrap().close();
        member.disk = member.disk.restart();
        member.bury();
    }

    /// Cuts a node's power: what was not synced may be lost, in its log and in its stores.
    pub(crate) fn crash(&mut self, id: u64) {
        self.net.leave(id);
        self.seed += 1;
        let member = self.members.get_mut(&id).unwrap();
        member.disk = member.disk.power_cut(self.seed);
        // What this life does from here on must not reach the store's disk.
        member.stores =
            member.stores.iter().map(|store| Arc::new(Mutex::new(store.lock().clone()))).collect();
        member.node.take().unwrap().shutdown();
        member.wal.take().unwrap().close();
        member.bury();
    }

    /// Leaves a snapshot where a node keeps one that has arrived and is not installed yet.
    pub(crate) fn spool(&self, id: u64, group: u16, image: SnapshotImage) {
        let spool = Spool::new(self.members[&id].snapshots.path(), group);
        let mut writer = spool.begin(image.at, &image.membership).unwrap();
        let chunks = image.chunks.map(|chunk| writer.chunk(&chunk.unwrap()).unwrap()).count();
        spool.finish(writer, chunks as u64).unwrap();
    }

    pub(crate) fn restart(&mut self, id: u64) {
        self.stop(id);
        self.start(id);
    }

    pub(crate) fn group(&self, id: u64, group: u16) -> Group {
        self.members[&id].node.as_ref().unwrap().group(group)
    }

    pub(crate) fn machine(&self, id: u64, group: u16) -> &Arc<TestMachine> {
        &self.members[&id].machines[usize::from(group)]
    }

    fn running(&self) -> impl Iterator<Item = u64> {
        self.members.iter().filter(|(_, member)| member.node.is_some()).map(|(&id, _)| id)
    }

    /// The node that leads a group with the highest term, once there is one that accepts proposals.
    pub(crate) fn leader(&self, group: u16) -> (u64, u64) {
        self.leader_but(group, None)
    }

    /// The same, not looking at one node.
    pub(crate) fn leader_but(&self, group: u16, but: Option<u64>) -> (u64, u64) {
        let until = Instant::now() + PATIENCE;
        loop {
            let leading = self.running().filter(|&id| Some(id) != but);
            let leading = leading.filter_map(|id| Some((self.machine(id, group).leading()?, id)));
            if let Some((term, id)) = leading.max() {
                return (id, term);
            }
            if Instant::now() > until {
                let all: Vec<_> = self.running().map(|id| self.group(id, group).metrics()).collect();
                panic!("nobody leads group {group}: {all:#?}");
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Proposes at a node that leads, and leaves it in flight.
    pub(crate) fn propose(&self, id: u64, group: u16, payload: &str) -> Receiver<Outcome> {
        let term = self.machine(id, group).leading().unwrap_or_default();
        submit(&self.group(id, group), term, payload.to_owned())
    }

    pub(crate) fn settle(&mut self, group: u16, payload: &str, proposal: &Receiver<Outcome>) -> Outcome {
        let outcome = outcome(proposal);
        assert!(proposal.recv().is_err(), "answered once");
        self.outcomes.push((group, payload.into(), outcome.clone()));
        outcome
    }

    /// Proposes until it is committed; refused proposals are tried again, uncertain ones under a
    /// new name.
    pub(crate) fn write(&mut self, group: u16, payload: &str) -> Position {
        self.write_but(group, payload, None)
    }

    pub(crate) fn write_but(&mut self, group: u16, payload: &str, but: Option<u64>) -> Position {
        let until = Instant::now() + PATIENCE;
        for attempt in 0.. {
            assert!(Instant::now() < until, "{payload} cannot be written: {:?}", self.outcomes.last());
            let name = match attempt {
                0 => payload.to_owned(),
                _ => format!("{payload}~{attempt}"),
            };
            let (id, _) = self.leader_but(group, but);
            let proposal = self.propose(id, group, &name);
            match self.settle(group, &name, &proposal) {
                Ok(at) => return at,
                Err(NotCommitted::Refused(_)) => std::thread::park_timeout(Duration::from_millis(5)),
                Err(NotCommitted::Uncertain) => {}
            }
        }
        unreachable!()
    }

    /// Waits until a node's machine holds everything up to a position.
    pub(crate) fn wait_applied(&self, id: u64, group: u16, at: Position) {
        let machine = self.machine(id, group);
        eventually_or(
            || machine.contents().applied >= Some(at),
            || {
                let all: Vec<_> = self.running().map(|id| self.group(id, group).metrics()).collect();
                format!("node {id} does not reach {at:?}: {all:#?}")
            },
        );
    }

    /// Heals everything, waits until all running nodes agree, and checks the whole history.
    pub(crate) fn check(&mut self) {
        self.net.faults(super::net::Faults::default());
        self.net.heal();
        for group in 0..self.options.groups {
            let last = self.write(group, "the end");
            for id in self.running() {
                self.wait_applied(id, group, last);
            }
            self.check_contents(group);
            self.check_leadership(group);
        }
    }

    fn check_contents(&self, group: u16) {
        let contents: Vec<_> = self.running().map(|id| self.machine(id, group).contents().effects).collect();
        for other in &contents {
            assert_eq!(&contents[0], other, "replicas are equal");
        }
        let found: BTreeMap<String, Vec<Position>> =
            contents[0].iter().fold(BTreeMap::new(), |mut all, (at, bytes)| {
                all.entry(String::from_utf8_lossy(bytes).into_owned()).or_default().push(*at);
                all
            });
        for (of, payload, outcome) in &self.outcomes {
            if *of != group || payload == "meanwhile" || payload.starts_with("the end") {
                continue;
            }
            let places = found.get(payload).map_or(&[][..], Vec::as_slice);
            match outcome {
                Ok(at) => assert_eq!(places, [*at], "{payload} was acknowledged"),
                Err(NotCommitted::Refused(_)) => assert_eq!(places, [], "{payload} was refused"),
                Err(NotCommitted::Uncertain) => assert!(places.len() <= 1, "{payload} came twice"),
            }
        }
    }

    /// What every machine was told, in order, life by life.
    fn check_leadership(&self, group: u16) {
        let mut led = BTreeSet::new();
        for (&id, member) in &self.members {
            let now = member.machines.get(usize::from(group)).map(|machine| (group, machine.events()));
            for (_, events) in member.earlier.iter().chain(&now).filter(|(of, _)| *of == group) {
                check_life(id, events, &mut led);
            }
        }
    }
}

fn check_life(id: u64, events: &[Event], led: &mut BTreeSet<u64>) {
    let mut leading = None;
    let mut applied = None;
    for event in events {
        match *event {
            Event::Applied(at) => {
                assert!(applied < Some(at), "node {id}: {at:?} comes after {applied:?}");
                if let Some(term) = leading {
                    assert_eq!(at.term, term, "node {id}: an entry of another term while leading");
                }
                applied = Some(at);
            }
            Event::Leading(term) => {
                assert_eq!(leading, None, "node {id}: told twice");
                assert_eq!(
                    applied.map(|at: Position| at.term),
                    Some(term),
                    "node {id}: its first entry is in"
                );
                assert!(led.insert(term), "two leaders in term {term}");
                leading = Some(term);
            }
            Event::Following(_) => {
                assert!(leading.take().is_some(), "node {id}: told to follow without having led");
            }
        }
    }
}

impl Member {
    fn bury(&mut self) {
        for (group, machine) in (0..).zip(&self.machines) {
            self.earlier.push((group, machine.events()));
        }
        self.machines.clear();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in self.members.values_mut() {
            if let Some(node) = member.node.take() {
                node.shutdown();
            }
            if let Some(wal) = member.wal.take() {
                wal.close();
            }
        }
    }
}
