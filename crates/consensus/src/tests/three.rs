//! Three replicas: leader changes, replicas that lag, restarts, membership.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use wal::testing::Faults as DiskFaults;

use super::cluster::{Cluster, options};
use super::machine::{eventually, outcome};
use super::net::Faults;
use crate::{Group, NodeOptions, Queue, Role};

fn three() -> Cluster {
    Cluster::new([1, 2, 3], options())
}

/// For what must not happen however busy the computer is.
fn calm() -> NodeOptions {
    NodeOptions {
        election_timeout_min: Duration::from_millis(500),
        election_timeout_max: Duration::from_millis(1_000),
        ..options()
    }
}

fn follower(cluster: &Cluster, group: u16) -> u64 {
    let (leader, _) = cluster.leader(group);
    if leader == 1 { 2 } else { 1 }
}

fn confirmed(group: &Group) -> bool {
    let (tx, rx) = mpsc::channel();
    group.confirm_leadership(Box::new(move |yes| tx.send(yes).unwrap()));
    rx.recv().unwrap()
}

#[test]
fn what_is_committed_reaches_every_replica() {
    let mut cluster = three();
    for n in 0..50 {
        cluster.write(0, &n.to_string());
    }
    cluster.check();
    let (leader, _) = cluster.leader(0);
    assert!(confirmed(&cluster.group(leader, 0)));
    assert_eq!(cluster.group(leader, 0).metrics().voters, BTreeSet::from([1, 2, 3]));
}

#[test]
fn another_leads_when_the_leader_stops_and_it_comes_back() {
    let mut cluster = three();
    for round in 0..3 {
        let (leader, term) = cluster.leader(0);
        cluster.write(0, &format!("{round}a"));
        cluster.stop(leader);
        cluster.write(0, &format!("{round}b"));
        assert!(cluster.leader(0).1 > term);
        cluster.start(leader);
        cluster.write(0, &format!("{round}c"));
    }
    cluster.check();
}

#[test]
fn proposals_at_a_leader_that_is_cut_off_are_uncertain_or_refused_and_never_lost_if_committed() {
    let mut cluster = three();
    cluster.write(0, "before");
    let (old, _) = cluster.leader(0);
    cluster.net.isolate(old);
    let in_flight: Vec<_> = (0..20).map(|n| (n, cluster.propose(old, 0, &format!("cut{n}")))).collect();
    cluster.write_but(0, "meanwhile", Some(old));
    cluster.net.heal();
    for (n, proposal) in &in_flight {
        assert!(cluster.settle(0, &format!("cut{n}"), proposal).is_err());
    }
    assert_eq!(cluster.machine(old, 0).leading(), None);
    cluster.check();
}

#[test]
fn a_proposal_that_reached_a_quorum_survives_its_leader() {
    let mut cluster = three();
    cluster.write(0, "before");
    for round in 0..5 {
        let (old, _) = cluster.leader(0);
        let in_flight: Vec<_> =
            (0..20).map(|n| (n, cluster.propose(old, 0, &format!("{round}-{n}")))).collect();
        cluster.crash(old);
        for (n, proposal) in &in_flight {
            let _ = cluster.settle(0, &format!("{round}-{n}"), proposal);
        }
        cluster.write(0, &format!("after {round}"));
        cluster.start(old);
    }
    cluster.check();
}

#[test]
fn a_replica_that_was_away_catches_up_from_the_log() {
    let mut cluster = three();
    let away = follower(&cluster, 0);
    cluster.net.isolate(away);
    for n in 0..100 {
        cluster.write_but(0, &n.to_string(), Some(away));
    }
    cluster.check();
    assert_eq!(cluster.group(away, 0).metrics().snapshots_installed, 0);
}

#[test]
fn a_replica_that_was_away_for_too_long_gets_a_snapshot() {
    let mut cluster = three();
    cluster.write(0, "before");
    let away = follower(&cluster, 0);
    cluster.stop(away);
    for n in 0..50 {
        cluster.write(0, &n.to_string());
    }
    let (leader, _) = cluster.leader(0);
    let last = cluster.group(leader, 0).metrics().applied;
    for id in [1, 2, 3].into_iter().filter(|&id| id != away) {
        cluster.group(id, 0).trigger_purge();
        eventually("purged", || cluster.group(id, 0).metrics().purged >= last);
    }
    cluster.start(away);
    cluster.write(0, "after");
    cluster.check();
    eventually("installed", || cluster.group(away, 0).metrics().snapshots_installed == 1);
    cluster.restart(away);
    cluster.check();
}

#[test]
fn a_snapshot_comes_through_a_network_that_breaks_streams() {
    let mut cluster = three();
    let away = follower(&cluster, 0);
    cluster.stop(away);
    for n in 0..40 {
        cluster.write(0, &n.to_string());
    }
    let (leader, _) = cluster.leader(0);
    let last = cluster.group(leader, 0).metrics().applied;
    cluster.group(leader, 0).trigger_purge();
    eventually("purged", || cluster.group(leader, 0).metrics().purged >= last);
    cluster.net.faults(Faults { break_stream: 60, ..Faults::default() });
    cluster.start(away);
    eventually("installed", || cluster.group(away, 0).metrics().snapshots_installed > 0);
    cluster.check();
}

#[test]
fn every_node_can_be_restarted_while_others_write() {
    let mut cluster = three();
    for round in 0..2 {
        for id in 1..=3 {
            cluster.write(0, &format!("{round}-{id}a"));
            cluster.stop(id);
            cluster.write(0, &format!("{round}-{id}b"));
            cluster.start(id);
        }
    }
    cluster.check();
}

#[test]
fn all_nodes_can_be_restarted_at_once() {
    let mut cluster = three();
    let at = cluster.write(0, "before");
    for id in 1..=3 {
        cluster.crash(id);
    }
    for id in 1..=3 {
        cluster.start(id);
    }
    cluster.write(0, "after");
    cluster.check();
    assert!(cluster.machine(1, 0).contents().effects.contains_key(&at));
}

#[test]
fn a_replica_that_returns_does_not_disturb_the_leader() {
    let mut cluster = Cluster::new([1, 2, 3], calm());
    cluster.write(0, "before");
    let (leader, term) = cluster.leader(0);
    let away = follower(&cluster, 0);
    let elections = cluster.group(away, 0).metrics().elections;
    cluster.net.isolate(away);
    // Long enough for several elections, were it not for pre-votes.
    let until = Instant::now() + Duration::from_millis(3_000);
    while Instant::now() < until {
        cluster.write_but(0, "meanwhile", Some(away));
    }
    assert_eq!(cluster.group(away, 0).metrics().elections, elections);
    cluster.net.heal();
    let last = cluster.write(0, "after");
    cluster.wait_applied(away, 0, last);
    assert_eq!(cluster.leader(0), (leader, term));
    assert_eq!(cluster.group(away, 0).metrics().term, term);
}

#[test]
fn a_lease_ends_before_another_leads() {
    let mut cluster = three();
    cluster.write(0, "before");
    for _ in 0..3 {
        let (old, _) = cluster.leader(0);
        eventually("a lease", || cluster.group(old, 0).lease().is_some());
        cluster.net.isolate(old);
        let (new, term) = cluster.leader_but(0, Some(old));
        let now = Instant::now();
        if let Some(lease) = cluster.group(old, 0).lease() {
            assert!(lease.until <= now && lease.term < term);
        }
        assert!(!confirmed(&cluster.group(old, 0)));
        assert!(confirmed(&cluster.group(new, 0)));
        cluster.net.heal();
        eventually("follows", || cluster.machine(old, 0).leading().is_none());
    }
    cluster.check();
}

#[test]
fn a_lease_is_kept_up_while_a_quorum_answers() {
    let mut cluster = Cluster::new([1, 2, 3], calm());
    cluster.write(0, "before");
    let (leader, _) = cluster.leader(0);
    eventually("a lease", || cluster.group(leader, 0).lease().is_some());
    let until = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < until {
        let lease = cluster.group(leader, 0).lease().expect("it leads");
        assert!(lease.until > Instant::now());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(cluster.group(leader, 0).metrics().elections, 1);
}

#[test]
fn leadership_is_handed_over_on_request() {
    let mut cluster = three();
    for n in 0..4 {
        cluster.write(0, &n.to_string());
        let (old, term) = cluster.leader(0);
        let to = follower(&cluster, 0);
        cluster.group(old, 0).transfer_leader(to).unwrap();
        assert!(cluster.group(old, 0).lease().is_none());
        cluster.machine(to, 0).wait_leading();
        assert!(cluster.leader(0).1 > term);
        eventually("follows", || cluster.machine(old, 0).leading().is_none());
    }
    cluster.check();
}

#[test]
fn a_node_joins_and_takes_the_place_of_another() {
    let mut cluster = three();
    for n in 0..30 {
        cluster.write(0, &n.to_string());
    }
    let (leader, _) = cluster.leader(0);
    cluster.group(leader, 0).trigger_purge();
    eventually("purged", || cluster.group(leader, 0).metrics().purged.is_some());
    cluster.add(4);
    let group = cluster.group(leader, 0);
    group.add_learner(4, "node-4".into()).unwrap();
    let last = cluster.write(0, "for the learner");
    cluster.wait_applied(4, 0, last);
    let gone = follower(&cluster, 0);
    let voters: BTreeSet<u64> = (1..=4).filter(|&id| id != gone).collect();
    group.change_membership(voters.clone(), false).unwrap();
    cluster.stop(gone);
    cluster.write(0, "without it");
    for &id in &voters {
        eventually("voters", || cluster.group(id, 0).metrics().voters == voters);
    }
    cluster.members.remove(&gone);
    cluster.restart(4);
    cluster.check();
}

#[test]
fn a_leader_that_is_removed_makes_way() {
    let mut cluster = three();
    cluster.write(0, "before");
    let (leader, _) = cluster.leader(0);
    let voters: BTreeSet<u64> = (1..=3).filter(|&id| id != leader).collect();
    cluster.group(leader, 0).change_membership(voters, false).unwrap();
    assert!(cluster.group(leader, 0).lease().is_none());
    cluster.write_but(0, "after", Some(leader));
    eventually("steps down", || cluster.machine(leader, 0).leading().is_none());
    cluster.stop(leader);
    cluster.members.remove(&leader);
    cluster.check();
}

#[test]
fn groups_share_a_log_and_are_led_by_different_nodes() {
    let options = NodeOptions { groups: 6, raft_threads: 2, ..options() };
    let mut cluster = Cluster::new([1, 2, 3], options);
    for group in 0..6 {
        let (leader, _) = cluster.leader(group);
        let to = u64::from(group) % 3 + 1;
        if to != leader {
            cluster.group(leader, group).transfer_leader(to).unwrap();
            cluster.machine(to, group).wait_leading();
        }
    }
    for n in 0..60 {
        cluster.write(n % 6, &n.to_string());
    }
    let leaders: BTreeSet<u64> = (0..6).map(|group| cluster.leader(group).0).collect();
    assert_eq!(leaders.len(), 3);
    cluster.crash(2);
    cluster.start(2);
    cluster.check();
}

#[test]
fn slow_machines_cause_no_elections() {
    let options = NodeOptions { apply_queue_bytes: 16 << 10, ..calm() };
    let mut cluster = Cluster::new([1, 2, 3], options);
    cluster.write(0, "before");
    let (leader, term) = cluster.leader(0);
    for id in 1..=3 {
        cluster.machine(id, 0).slow(Duration::from_millis(20));
    }
    let before: Vec<_> = (1..=3).map(|id| cluster.group(id, 0).metrics().elections).collect();
    let until = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < until {
        let burst: Vec<_> = (0..50).map(|_| cluster.propose(leader, 0, &"x".repeat(1_000))).collect();
        burst.iter().for_each(|proposal| drop(outcome(proposal)));
    }
    let after: Vec<_> = (1..=3).map(|id| cluster.group(id, 0).metrics().elections).collect();
    assert_eq!(before, after);
    assert_eq!(cluster.leader(0), (leader, term));
    let refused: u64 = (1..=3).map(|id| cluster.group(id, 0).metrics().refused_full()).sum();
    assert!(refused > 0, "what is too far ahead of its machine is refused");
    for id in 1..=3 {
        cluster.machine(id, 0).slow(Duration::ZERO);
    }
    cluster.check();
}

#[test]
fn a_machine_that_stands_still_holds_up_nobody_else() {
    let mut cluster = three();
    cluster.write(0, "before");
    let (leader, term) = cluster.leader(0);
    let stuck = follower(&cluster, 0);
    cluster.machine(stuck, 0).pause(true);
    for n in 0..100 {
        cluster.write(0, &n.to_string());
    }
    assert_eq!(cluster.leader(0), (leader, term));
    cluster.machine(stuck, 0).pause(false);
    cluster.check();
}

#[test]
fn a_follower_with_a_full_disk_waits_for_space() {
    let mut cluster = three();
    cluster.write(0, "before");
    let full = follower(&cluster, 0);
    let disk = cluster.members[&full].disk.clone();
    let used: u64 = disk.paths().iter().filter_map(|p| disk.contents(p)).map(|c| c.len() as u64).sum();
    disk.set_faults(DiskFaults { space_bytes: Some(used), ..DiskFaults::default() });
    for n in 0..200 {
        cluster.write(0, &format!("{n}{}", "x".repeat(50_000)));
    }
    eventually("it refuses", || cluster.group(full, 0).metrics().queue(Queue::Held).full > 0);
    assert_eq!(cluster.group(full, 0).metrics().role, Role::Follower);
    disk.set_faults(DiskFaults::default());
    cluster.check();
}

#[test]
fn a_group_that_was_just_founded_survives_a_power_cut() {
    for _ in 0..10 {
        let mut cluster = three();
        cluster.crash(1);
        cluster.start(1);
        let founded = cluster.group(1, 0).metrics();
        assert_eq!(founded.voters, BTreeSet::from([1, 2, 3]), "{founded:?}");
    }
}
