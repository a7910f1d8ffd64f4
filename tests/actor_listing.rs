//! Listings of actors on real servers, whatever happens to these meanwhile. More of it, for longer:
//! `cargo xtask stress listing`.

use integration::listing::{Kind, Plan, Summary, run};

const PAGE_SIZE: i32 = 100;

/// So many that thousands of pages come, during which processes of the API die again and again.
const ACTORS: usize = 200_000;

fn listed(kind: Kind) -> Summary {
    let plan = Plan { kind, seed: 1, actors: ACTORS, page_size: PAGE_SIZE, is_disturbed: true };
    let summary = run(&plan, &mut |line| println!("{line}")).unwrap();
    println!("{kind:?}: {summary:?}");
    assert!(summary.replicas_died > 20, "{summary:?}");
    summary
}

fn follows_a_cluster(kind: Kind) {
    let summary = listed(kind);
    assert!(summary.slots_moved > 0 && summary.deaths == 1 && summary.costs.restarts > 0, "{summary:?}");
    // At most the shard that has died comes twice, and some slots that moved.
    assert!(summary.duplicates < ACTORS / 3, "{summary:?}");
}

#[test]
fn a_cluster_of_redis_whose_slots_move_and_whose_primary_dies_is_listed() {
    follows_a_cluster(Kind::RedisCluster);
}

#[test]
fn a_cluster_of_valkey_whose_slots_move_and_whose_primary_dies_is_listed() {
    follows_a_cluster(Kind::ValkeyCluster);
}

#[test]
fn a_redis_that_is_restarted_is_listed() {
    let summary = listed(Kind::Redis);
    assert_eq!(summary.deaths, 2);
    // Each restart begins the only shard anew.
    assert!(summary.costs.restarts >= 2 && summary.duplicates > 0, "{summary:?}");
}

fn goes_on_where_it_stood(groups: u16) {
    let summary = listed(Kind::Bulkhead { groups });
    assert_eq!((summary.deaths, summary.costs.restarts), (2, 0), "{summary:?}");
    assert_eq!(summary.duplicates, 0, "{summary:?}");
}

#[test]
fn a_bulkhead_that_is_restarted_is_listed_from_where_it_stood() {
    goes_on_where_it_stood(1);
}

#[test]
fn a_bulkhead_of_four_groups_that_is_restarted_is_listed_from_where_it_stood() {
    goes_on_where_it_stood(4);
}

#[test]
fn what_is_left_alone_comes_once_in_full_pages() {
    for kind in [Kind::Redis, Kind::RedisCluster, Kind::Bulkhead { groups: 4 }] {
        let plan = Plan { kind, seed: 1, actors: 2000, page_size: PAGE_SIZE, is_disturbed: false };
        let summary = run(&plan, &mut |_| ()).unwrap();
        assert_eq!((summary.records, summary.duplicates, summary.repeated), (2000, 0, 0));
        assert!(summary.pages <= 21, "{summary:?}");
    }
}
