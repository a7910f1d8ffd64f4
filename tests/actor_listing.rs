//! Listings of actors on real servers, whatever happens to these meanwhile. More of it, for longer:
//! `cargo xtask stress listing`.

use integration::listing::{Kind, Plan, Summary, run};

const PAGE_SIZE: i32 = 100;

fn listed(kind: Kind, actors: usize) -> Summary {
    let plan = Plan { kind, seed: 1, actors, page_size: PAGE_SIZE, is_disturbed: true };
    let summary = run(&plan, &mut |line| println!("{line}")).unwrap();
    println!("{kind:?}: {summary:?}");
    summary
}

fn follows_a_cluster(kind: Kind) {
    let summary = listed(kind, 6000);
    assert!(summary.slots_moved > 0 && summary.deaths == 1 && summary.restarts > 0, "{summary:?}");
    // At most the shard that has died comes twice, and some slots that moved.
    assert!(summary.duplicates < 6000, "{summary:?}");
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
    let summary = listed(Kind::Redis, 6000);
    assert_eq!(summary.deaths, 2);
    // Each restart begins the only shard anew.
    assert!(summary.restarts >= 2 && summary.duplicates > 0, "{summary:?}");
}

#[test]
fn a_bulkhead_that_is_restarted_is_listed_from_where_it_stood() {
    for groups in [1, 4] {
        let summary = listed(Kind::Bulkhead { groups }, 6000);
        assert_eq!((summary.deaths, summary.restarts), (2, 0), "{summary:?}");
        assert_eq!(summary.duplicates, 0, "{summary:?}");
    }
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
