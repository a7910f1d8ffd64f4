//! A node that is the only voter of its groups.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wal::testing::Faults as DiskFaults;
use wal::{Files, Wal};

use super::cluster::{Cluster, options, wal_options};
use super::machine::{Event, eventually, outcome, send, submit};
use crate::{Machine, NodeOptions, NotCommitted, Queue, Role};

fn alone(options: NodeOptions) -> Cluster {
    Cluster::new([1], options)
}

fn payloads(cluster: &Cluster, group: u16, count: usize) -> Vec<String> {
    let machine = cluster.machine(1, group);
    machine.wait("entries", |contents, _| contents.effects.len() >= count);
    machine.contents().payloads()
}

fn large(n: u32, len: usize) -> String {
    format!("{n}{}", "x".repeat(len))
}

fn persist(cluster: &Cluster) {
    let (tx, rx) = std::sync::mpsc::channel();
    cluster.machine(1, 0).persist(Box::new(move |at| tx.send(at).unwrap()));
    rx.recv().unwrap().unwrap();
}

#[test]
fn what_is_submitted_is_committed_and_applied() {
    let mut cluster = alone(options());
    cluster.write(0, "a");
    cluster.write(0, "b");
    assert_eq!(payloads(&cluster, 0, 2), ["a", "b"]);
    assert_eq!(cluster.group(1, 0).metrics().commit_latency.count(), 2);
    cluster.check();
}

#[test]
fn comes_back_by_itself_wherever_its_membership_is_stored() {
    // In the log only.
    let mut cluster = alone(options());
    cluster.write(0, "a");
    cluster.restart(1);
    cluster.write(0, "b");
    assert_eq!(payloads(&cluster, 0, 2), ["a", "b"]);
    // In both.
    persist(&cluster);
    cluster.restart(1);
    cluster.write(0, "c");
    assert_eq!(payloads(&cluster, 0, 3), ["a", "b", "c"]);
    // In the machine only.
    cluster.group(1, 0).trigger_purge();
    let position = cluster.group(1, 0).metrics().applied;
    eventually("purged", || cluster.group(1, 0).metrics().purged >= position);
    cluster.restart(1);
    cluster.write(0, "d");
    assert_eq!(payloads(&cluster, 0, 4), ["a", "b", "c", "d"]);
    cluster.check();
}

#[test]
fn a_machine_that_is_behind_gets_the_rest_of_the_log_before_the_node_has_started() {
    let mut cluster = alone(options());
    cluster.write(0, "a");
    persist(&cluster);
    for n in 0..200 {
        cluster.write(0, &n.to_string());
    }
    cluster.restart(1);
    let applied = cluster.machine(1, 0).events().iter().filter(|e| matches!(e, Event::Applied(_))).count();
    assert!(applied >= 200, "{applied}");
    assert_eq!(payloads(&cluster, 0, 201).len(), 201);
    cluster.check();
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let mut cluster = alone(options());
    for round in 0..8 {
        for n in 0..20 {
            cluster.write(0, &format!("{round}-{n}"));
        }
        if round % 3 == 1 {
            cluster.group(1, 0).trigger_purge();
        }
        let unanswered: Vec<_> =
            (0..5).map(|n| (n, cluster.propose(1, 0, &format!("{round}+{n}")))).collect();
        cluster.crash(1);
        for (n, proposal) in unanswered {
            let _ = cluster.settle(0, &format!("{round}+{n}"), &proposal);
        }
        cluster.start(1);
    }
    cluster.check();
}

#[test]
fn its_lease_does_not_run_out() {
    let cluster = alone(options());
    let (_, term) = cluster.leader(0);
    eventually("a lease", || cluster.group(1, 0).lease().is_some());
    let lease = cluster.group(1, 0).lease().unwrap();
    assert_eq!(lease.term, term);
    assert!(lease.until > Instant::now() + Duration::from_secs(86_400));
}

#[test]
fn leadership_can_be_confirmed() {
    let cluster = alone(options());
    cluster.leader(0);
    let (tx, rx) = std::sync::mpsc::channel();
    for _ in 0..10 {
        let tx = tx.clone();
        cluster.group(1, 0).confirm_leadership(Box::new(move |yes| tx.send(yes).unwrap()));
    }
    assert!((0..10).all(|_| rx.recv().unwrap()));
}

#[test]
fn a_stopped_node_confirms_nothing() {
    let mut cluster = alone(options());
    cluster.leader(0);
    let group = cluster.group(1, 0);
    cluster.stop(1);
    let (tx, rx) = std::sync::mpsc::channel();
    group.confirm_leadership(Box::new(move |yes| tx.send(yes).unwrap()));
    assert!(!rx.recv().unwrap());
}

#[test]
fn a_proposal_of_another_term_is_refused() {
    let cluster = alone(options());
    let (_, term) = cluster.leader(0);
    for wrong in [term - 1, term + 1] {
        let done = submit(&cluster.group(1, 0), wrong, "x");
        assert!(matches!(outcome(&done), Err(NotCommitted::Refused(_))));
    }
}

#[test]
fn a_stopped_node_answers_every_proposal() {
    let mut cluster = alone(options());
    let (_, term) = cluster.leader(0);
    let group = cluster.group(1, 0);
    let machine = cluster.machine(1, 0).clone();
    let waiting: Vec<_> = (0..100).map(|n| cluster.propose(1, 0, &n.to_string())).collect();
    cluster.stop(1);
    for (n, done) in waiting.iter().enumerate() {
        let _ = cluster.settle(0, &n.to_string(), done);
    }
    assert_eq!(machine.leading(), None);
    assert!(outcome(&submit(&group, term, "x")).is_err());
    cluster.start(1);
    cluster.check();
}

#[test]
fn groups_are_independent() {
    let mut cluster = alone(NodeOptions { groups: 8, raft_threads: 2, ..options() });
    for group in 0..8 {
        cluster.write(group, &format!("of {group}"));
    }
    cluster.restart(1);
    for group in 0..8 {
        assert_eq!(payloads(&cluster, group, 1), [format!("of {group}")]);
    }
    cluster.check();
}

#[test]
fn the_log_is_purged_by_bytes_and_never_above_what_is_persisted() {
    let mut cluster = alone(NodeOptions { purge_after_bytes: 100_000, ..options() });
    for n in 0..300 {
        cluster.write(0, &large(n, 1_000));
    }
    eventually("purges", || cluster.group(1, 0).metrics().purged.is_some());
    let seen = cluster.group(1, 0).metrics();
    assert!(seen.purged <= seen.persisted);
    assert!(cluster.members[&1].stores[0].lock().applied >= seen.purged);
    cluster.restart(1);
    cluster.check();
}

#[test]
fn an_idle_group_lets_go_of_the_oldest_segment() {
    let options = NodeOptions { groups: 2, wal_bytes_max: 8 << 20, ..options() };
    let mut cluster = alone(options);
    cluster.write(1, "idle");
    for n in 0..100 {
        cluster.write(0, &large(n, 200_000));
    }
    eventually("the idle group is purged", || cluster.group(1, 1).metrics().purged.is_some());
    cluster.check();
}

#[test]
fn a_full_disk_refuses_proposals_and_passes() {
    let mut cluster = alone(NodeOptions { purge_after_bytes: 64 << 20, ..options() });
    cluster.write(0, "before");
    let disk = cluster.members[&1].disk.clone();
    let used: u64 = disk.paths().iter().filter_map(|p| disk.contents(p)).map(|c| c.len() as u64).sum();
    disk.set_faults(DiskFaults { space_bytes: Some(used), ..DiskFaults::default() });
    let mut proposals = Vec::new();
    eventually("refused", || {
        let seen = cluster.group(1, 0).metrics();
        if seen.queue(Queue::Proposals).depth < 4 {
            let name = large(proposals.len() as u32, 50_000);
            proposals.push((name.clone(), cluster.propose(1, 0, &name)));
        }
        seen.queue(Queue::Held).full > 0
    });
    // Reads go on.
    assert_eq!(cluster.group(1, 0).metrics().role, Role::Leader);
    assert!(cluster.group(1, 0).lease().is_some());
    disk.set_faults(DiskFaults::default());
    for (name, proposal) in &proposals {
        let settled = cluster.settle(0, name, proposal);
        assert!(!matches!(settled, Err(NotCommitted::Uncertain)));
    }
    cluster.write(0, "after");
    cluster.check();
}

#[test]
fn what_was_admitted_before_the_disk_was_known_to_be_full_waits_for_space() {
    let mut cluster = alone(options());
    cluster.write(0, "before");
    let disk = cluster.members[&1].disk.clone();
    // More than what room may have been made before.
    let names: Vec<String> = (0..40).map(|n| large(n, 900_000)).collect();
    let mut proposals = Vec::new();
    disk.while_it_hangs(|faults| {
        faults.space_bytes = Some(0);
        proposals.extend(names.iter().map(|name| cluster.propose(1, 0, name)));
        eventually("admitted", || {
            cluster.group(1, 0).metrics().queue(Queue::Proposals).depth == names.len() as u64
        });
    });
    eventually("held", || cluster.group(1, 0).metrics().queue(Queue::Held).depth > 0);
    assert_eq!(cluster.group(1, 0).metrics().role, Role::Leader);
    disk.set_faults(DiskFaults::default());
    for (name, proposal) in names.iter().zip(&proposals) {
        let settled = cluster.settle(0, name, proposal);
        assert!(!matches!(settled, Err(NotCommitted::Uncertain)));
    }
    assert_eq!(cluster.group(1, 0).metrics().queue(Queue::Held).depth, 0);
    cluster.restart(1);
    cluster.check();
}

#[test]
fn a_log_that_fails_stops_the_group_and_says_why() {
    let mut cluster = alone(options());
    cluster.write(0, "before");
    let disk = cluster.members[&1].disk.clone();
    disk.set_faults(DiskFaults { fail_sync_after: Some(0), ..DiskFaults::default() });
    let proposal = cluster.propose(1, 0, "lost");
    assert_eq!(cluster.settle(0, "lost", &proposal), Err(NotCommitted::Uncertain));
    cluster.machine(1, 0).wait("following", |_, events| events.last() == Some(&Event::Following(None)));
    eventually("a reason", || cluster.group(1, 0).metrics().failure.is_some());
    let seen = cluster.group(1, 0).metrics();
    assert_eq!(seen.role, Role::Stopped);
    assert!(seen.failure.unwrap().contains("poisoned"));
    assert!(cluster.group(1, 0).lease().is_none());
}

#[test]
fn proposals_that_find_the_core_stopped_are_answered_and_do_no_harm() {
    let mut cluster = alone(options());
    cluster.write(0, "before");
    let term = cluster.group(1, 0).metrics().term;
    let disk = cluster.members[&1].disk.clone();
    disk.set_faults(DiskFaults { fail_sync_after: Some(0), ..DiskFaults::default() });
    let proposal = cluster.propose(1, 0, "lost");
    assert_eq!(cluster.settle(0, "lost", &proposal), Err(NotCommitted::Uncertain));
    eventually("a reason", || cluster.group(1, 0).metrics().failure.is_some());
    // As whoever submits does before it can know that.
    for _ in 0..3 {
        let answer = send(&cluster.group(1, 0), term, "late");
        assert_eq!(outcome(&answer), Err(NotCommitted::Uncertain));
    }
}

#[test]
fn an_installation_that_a_crash_cut_short_is_made_good_at_the_next_start() {
    let mut cluster = alone(options());
    for n in 0..20 {
        cluster.write(0, &n.to_string());
    }
    payloads(&cluster, 0, 20);
    let image = cluster.machine(1, 0).snapshot().unwrap();
    let at = image.at;
    cluster.spool(1, 0, image);
    cluster.group(1, 0).trigger_purge();
    eventually("purged", || cluster.group(1, 0).metrics().purged >= Some(at));
    cluster.stop(1);
    cluster.members[&1].stores[0].lock().torn = true;
    cluster.start(1);
    assert_eq!(payloads(&cluster, 0, 20).len(), 20);
    cluster.write(0, "after");
    cluster.restart(1);
    cluster.check();
}

#[test]
fn a_store_that_is_behind_the_beginning_of_the_log_is_refused() {
    let mut cluster = alone(options());
    cluster.write(0, "a");
    cluster.group(1, 0).trigger_purge();
    eventually("purged", || cluster.group(1, 0).metrics().purged.is_some());
    cluster.stop(1);
    *cluster.members[&1].stores[0].lock() = Default::default();
    let refused = cluster.try_start(1).unwrap_err().to_string();
    assert!(refused.contains("behind the beginning of the log"), "{refused}");
}

#[test]
fn an_entry_that_cannot_be_read_stops_the_node_from_starting() {
    let mut cluster = alone(options());
    cluster.write(0, "a");
    cluster.stop(1);
    let files: Arc<dyn Files> = Arc::new(cluster.members[&1].disk.clone());
    let (wal, recovered) = Wal::open(files, wal_options()).unwrap();
    let next = recovered.groups[&0].last_index.unwrap() + 1;
    let (tx, rx) = std::sync::mpsc::channel();
    let unknown = vec![(next, Bytes::from_static(b"\xffwhat is this"))];
    wal.append(0, unknown, Box::new(move |done| tx.send(done.is_ok()).unwrap()));
    assert!(rx.recv().unwrap());
    wal.close();
    let disk = cluster.members[&1].disk.restart();
    cluster.members.get_mut(&1).unwrap().disk = disk;
    let refused = cluster.try_start(1).unwrap_err().to_string();
    assert!(refused.contains("cannot be read: unknown tag 255"), "{refused}");
}
