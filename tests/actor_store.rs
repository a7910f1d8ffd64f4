//! The store of the actor API on real servers: single ones, clusters of Redis and Valkey, and Bulkhead; while
//! slots move, and when a primary dies.

use ateapi::record::RECORD_BYTES_MAX;
use ateapi::store::redis::{Options, RedisStore};
use ateapi::store::{Error, NodeId, Scan, Shard, SlotSet, Store, Swap};
use base::slot;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use testkit::cluster::Plan;
use testkit::tls::rustls::ALL_VERSIONS;
use testkit::tls::{Authority, client_config};
use testkit::{Cluster, Durability, Server, Spec, temp_dir};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const KEYS: usize = 1000;
const BATCH: usize = 100;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn store_at(seeds: &str) -> RedisStore {
    RedisStore::new(Options::parse(&format!("redis://{seeds}")).unwrap())
}

fn store_of(server: &Server) -> RedisStore {
    store_at(&server.addr().to_string())
}

fn cluster_of(spec: Spec) -> Cluster {
    Plan::new(spec.durability(Durability::None)).start().unwrap()
}

fn key(number: usize) -> String {
    format!("actor:team:a-{number}")
}

async fn fill(store: &RedisStore) {
    for number in 0..KEYS {
        assert!(store.create(&key(number), key(number).as_bytes(), soon()).await.unwrap());
    }
}

async fn shards(store: &RedisStore) -> Vec<Shard> {
    let mut shards = Vec::new();
    for owner in &store.topology(soon()).await.unwrap().owners {
        shards.push(store.shard(&owner.node, soon()).await.unwrap());
    }
    shards
}

/// The shard that has a slot, by its own word.
async fn shard_with(store: &RedisStore, slot: u16) -> Shard {
    for _ in 0..100 {
        let topology = store.topology(soon()).await.unwrap();
        let owner = topology.owner(slot).expect("an owner");
        match store.shard(&owner.node, soon()).await {
            Ok(shard) if shard.slots.contains(slot) => return shard,
            Ok(_) | Err(Error::Stale { .. } | Error::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no shard says that it has slot {slot}");
}

async fn scan_of(store: &RedisStore, shard: &Shard) -> BTreeSet<Bytes> {
    let (mut cursor, mut found) = (0, BTreeSet::new());
    loop {
        let step = Scan { cursor, pattern: "actor:team:*", count: 50 };
        let scanned = store.scan(shard, step, soon()).await.unwrap();
        assert!(scanned.keys.len() < KEYS);
        found.extend(scanned.keys);
        cursor = scanned.cursor;
        if cursor == 0 {
            return found;
        }
    }
}

async fn has_values(store: &RedisStore, shard: &Shard, keys: &BTreeSet<Bytes>) {
    let keys: Vec<Bytes> = keys.iter().cloned().collect();
    for keys in keys.chunks(BATCH) {
        let values = store.mget(shard, keys, RECORD_BYTES_MAX, soon()).await.unwrap();
        assert_eq!(values, keys.iter().map(|key| Ok(Some(key.clone()))).collect::<Vec<_>>());
    }
}

/// Everything that a store promises while nothing happens to it.
async fn keeps_its_promises(store: &RedisStore, shards_expected: usize, positions: bool) {
    changes_compare_what_was_read(store).await;
    fill(store).await;
    let (mut slots, mut found) = (SlotSet::new(), BTreeSet::new());
    let shards = shards(store).await;
    assert_eq!(shards.len(), shards_expected);
    for shard in &shards {
        assert!(shard.is_settled() && !shard.run.is_empty() && shard.positions == positions, "{shard:?}");
        slots.add(&shard.slots);
        let keys = scan_of(store, shard).await;
        assert!(keys.iter().all(|key| shard.slots.contains(slot::of(key))));
        has_values(store, shard, &keys).await;
        found.extend(keys);
    }
    assert_eq!((slots, found.len()), (SlotSet::all(), KEYS));
    let absent = [Bytes::from("actor:team:none")];
    let at = shards.iter().find(|shard| shard.slots.contains(slot::of(&absent[0]))).unwrap();
    assert_eq!(store.mget(at, &absent, RECORD_BYTES_MAX, soon()).await.unwrap(), [Ok(None)]);
}

async fn changes_compare_what_was_read(store: &RedisStore) {
    let name = "atespace:team";
    assert_eq!(store.get(name, soon()).await, Ok(None));
    assert_eq!(store.replace(name, b"1", b"2", soon()).await, Ok(Swap::Missing));
    assert_eq!(store.delete(name, b"1", soon()).await, Ok(Swap::Missing));
    assert_eq!(store.create(name, b"1", soon()).await, Ok(true));
    assert_eq!(store.create(name, b"2", soon()).await, Ok(false));
    assert_eq!(store.replace(name, b"2", b"3", soon()).await, Ok(Swap::Changed));
    assert_eq!(store.get(name, soon()).await, Ok(Some(Bytes::from("1"))));
    assert_eq!(store.replace(name, b"1", b"\0\xff\r\n", soon()).await, Ok(Swap::Done));
    assert_eq!(store.get(name, soon()).await, Ok(Some(Bytes::from_static(b"\0\xff\r\n"))));
    assert_eq!(store.delete(name, b"1", soon()).await, Ok(Swap::Changed));
    assert_eq!(store.delete(name, b"\0\xff\r\n", soon()).await, Ok(Swap::Done));
    assert_eq!(store.get(name, soon()).await, Ok(None));
}

#[test]
fn one_redis_keeps_the_promises() {
    let server = Spec::redis().unwrap().durability(Durability::None).start().unwrap();
    runtime().block_on(keeps_its_promises(&store_of(&server), 1, false));
}

#[test]
fn one_valkey_keeps_the_promises() {
    let server = Spec::valkey().unwrap().durability(Durability::None).start().unwrap();
    runtime().block_on(keeps_its_promises(&store_of(&server), 1, false));
}

#[test]
fn one_bulkhead_keeps_the_promises() {
    let server = Spec::bulkhead().unwrap().start().unwrap();
    runtime().block_on(keeps_its_promises(&store_of(&server), 1, true));
}

#[test]
fn bulkhead_with_groups_keeps_the_promises() {
    let server = Spec::bulkhead().unwrap().arg("--groups").arg("4").start().unwrap();
    runtime().block_on(keeps_its_promises(&store_of(&server), 1, true));
}

#[test]
fn a_redis_cluster_keeps_the_promises() {
    let cluster = cluster_of(Spec::redis().unwrap());
    runtime().block_on(keeps_its_promises(&store_at(&cluster.seeds()), 3, false));
}

#[test]
fn a_valkey_cluster_keeps_the_promises() {
    let cluster = cluster_of(Spec::valkey().unwrap());
    runtime().block_on(keeps_its_promises(&store_at(&cluster.seeds()), 3, false));
}

/// What happens while slots are on their way, and after that.
fn follows_moving_slots(spec: Spec) {
    let cluster = cluster_of(spec);
    let store = store_at(&cluster.seeds());
    let runtime = runtime();
    runtime.block_on(fill(&store));
    let before = runtime.block_on(shard_with(&store, 0));
    let keys = runtime.block_on(scan_of(&store, &before));

    cluster.begin_move(0..=2000, 1).unwrap();
    assert_eq!(cluster.move_keys(0..=2000, 1, 40).unwrap(), 40);
    runtime.block_on(async {
        // Some are here, some are there: ASK.
        let during = shard_with(&store, 0).await;
        assert_eq!(during.migrating.len(), 2001);
        assert_eq!(shard_with(&store, 6000).await.importing.len(), 2001);
        has_values(&store, &during, &keys).await;
        for key in &keys {
            let key = std::str::from_utf8(key).unwrap();
            assert_eq!(store.get(key, soon()).await, Ok(Some(Bytes::copy_from_slice(key.as_bytes()))));
            assert_eq!(store.create(key, b"another", soon()).await, Ok(false));
            assert_eq!(store.replace(key, key.as_bytes(), key.as_bytes(), soon()).await, Ok(Swap::Done));
        }
    });

    while cluster.move_keys(0..=2000, 1, usize::MAX).unwrap() > 0 {}
    cluster.finish_move(0..=2000, 1).unwrap();
    runtime.block_on(async {
        // The old description, and a map from before: MOVED.
        has_values(&store, &before, &keys).await;
        let after = shard_with(&store, 0).await;
        assert!(after.node != before.node && after.epoch > before.epoch && after.is_settled(), "{after:?}");
        assert!(!shard_with(&store, 3000).await.slots.contains(0));
        assert!(scan_of(&store, &after).await.len() > keys.len());
    });
}

#[test]
fn moving_slots_of_redis_are_followed() {
    follows_moving_slots(Spec::redis().unwrap());
}

#[test]
fn moving_slots_of_valkey_are_followed() {
    follows_moving_slots(Spec::valkey().unwrap());
}

/// Calls until something is answered; says how often it was not.
async fn until_answered(store: &RedisStore, key: &str) -> usize {
    let mut refused = 0;
    loop {
        match store.get(key, soon()).await {
            Ok(value) => {
                assert_eq!(value, Some(Bytes::copy_from_slice(key.as_bytes())));
                return refused;
            }
            Err(Error::Unavailable { cause }) => assert!(!cause.is_empty()),
            Err(error) => panic!("{error}"),
        }
        refused += 1;
    }
}

fn outlives_a_primary(spec: Spec) {
    let mut cluster = cluster_of(spec);
    let store = store_at(&cluster.seeds());
    let runtime = runtime();
    runtime.block_on(fill(&store));
    let (slot, key) = (0..KEYS).map(key).map(|key| (slot::of(key.as_bytes()), key)).next().unwrap();
    let before = runtime.block_on(shard_with(&store, slot));
    let owner = cluster.owner(slot).unwrap();
    assert_eq!(before.node, NodeId::new(cluster.id(owner).unwrap()));
    for node in 0..3 {
        // What is asynchronous by nature has arrived before the axe falls.
        cluster.wait_for_replica(node).unwrap();
    }

    cluster.kill(owner).unwrap();
    let step = Scan { cursor: 0, pattern: "*", count: 10 };
    runtime.block_on(async {
        // At once: it is not there, and nobody has taken its place.
        let error = store.get(&key, Instant::now() + Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        until_answered(&store, &key).await;
    });
    let promoted = cluster.wait_for_promotion(slot, owner).unwrap();
    runtime.block_on(async {
        let after = shard_with(&store, slot).await;
        assert_eq!(after.node, NodeId::new(cluster.id(promoted).unwrap()));
        assert!(after.epoch > before.epoch && after.run != before.run && after.slots == before.slots);
        let error = store.scan(&before, step, soon()).await.unwrap_err();
        assert!(matches!(error, Error::Stale { .. }), "{error:?}");
        has_values(&store, &after, &scan_of(&store, &after).await).await;
        assert_eq!(store.create("actor:team:new", b"1", soon()).await, Ok(true));
    });
}

#[test]
fn a_primary_of_redis_may_die() {
    outlives_a_primary(Spec::redis().unwrap());
}

#[test]
fn a_primary_of_valkey_may_die() {
    outlives_a_primary(Spec::valkey().unwrap());
}

#[test]
fn a_primary_that_falls_silent_is_replaced_for_callers_in_a_hurry_too() {
    let cluster = cluster_of(Spec::redis().unwrap());
    let store = store_at(&cluster.seeds());
    let runtime = runtime();
    runtime.block_on(fill(&store));
    let key = key(0);
    let owner = cluster.owner(slot::of(key.as_bytes())).unwrap();
    cluster.client(owner).unwrap().want("WAIT 1 10000").unwrap();
    signal(cluster.server(owner).unwrap(), "-STOP");
    let begin = Instant::now();
    runtime.block_on(async {
        // Its connection stays open, and no call waits long enough to call that a break.
        while store.get(&key, Instant::now() + Duration::from_millis(300)).await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(60), "nobody takes its place");
        }
    });
    signal(cluster.server(owner).unwrap(), "-CONT");
}

fn signal(server: &Server, name: &str) {
    let pid = server.pid().to_string();
    assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
}

#[test]
fn a_shard_that_was_demoted_is_not_scanned_as_if_nothing_had_happened() {
    let cluster = cluster_of(Spec::redis().unwrap());
    let store = store_at(&cluster.seeds());
    let runtime = runtime();
    runtime.block_on(fill(&store));
    let before = runtime.block_on(shard_with(&store, 0));
    let step = Scan { cursor: 0, pattern: "*", count: 10 };
    runtime.block_on(store.scan(&before, step, soon())).unwrap();
    // Node 3 is its replica. The old primary lives on, with its connections.
    cluster.client(3).unwrap().want("CLUSTER FAILOVER").unwrap();
    cluster.wait_for_promotion(0, 0).unwrap();
    let error = runtime.block_on(store.scan(&before, step, soon())).unwrap_err();
    assert!(matches!(error, Error::Stale { .. }), "{error:?}");
    let gone = runtime.block_on(store.shard(&before.node, soon())).unwrap_err();
    assert!(matches!(gone, Error::Stale { .. }), "{gone:?}");
}

#[test]
fn a_restarted_server_is_another_process_with_the_same_data() {
    let mut server = Spec::bulkhead().unwrap().start().unwrap();
    let store = store_of(&server);
    let runtime = runtime();
    runtime.block_on(fill(&store));
    let before = runtime.block_on(shard_with(&store, 0));
    let step = Scan { cursor: 0, pattern: "actor:*", count: 100 };
    let first = runtime.block_on(store.scan(&before, step, soon())).unwrap();
    let port = server.addr().port();
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(server.addr().port(), port, "the port was taken meanwhile");
    runtime.block_on(async {
        let error = store.scan(&before, step, soon()).await.unwrap_err();
        assert!(matches!(error, Error::Stale { .. }), "{error:?}");
        let after = shard_with(&store, 0).await;
        assert!(after.node == before.node && after.run != before.run);
        // A position goes on where it was.
        let mut found: BTreeSet<Bytes> = first.keys.into_iter().collect();
        let mut cursor = first.cursor;
        while cursor != 0 {
            let scanned = store.scan(&after, Scan { cursor, ..step }, soon()).await.unwrap();
            let keys = scanned.keys.len();
            found.extend(scanned.keys);
            cursor = scanned.cursor;
            assert!(keys <= 200);
        }
        assert_eq!(found.len(), KEYS);
    });
}

#[test]
fn a_store_that_is_not_there_is_unavailable_and_says_why() {
    let runtime = runtime();
    // A port that nobody listens to: a server's that is gone.
    let seeds = Spec::redis().unwrap().start().unwrap().addr().to_string();
    let store = store_at(&seeds);
    let deadline = Instant::now() + Duration::from_millis(300);
    let error = runtime.block_on(store.create("k", b"1", deadline)).unwrap_err();
    assert!(error.to_string().contains(&seeds), "{error}");
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[test]
fn a_write_whose_answer_does_not_come_is_unknown() {
    let server = Spec::redis().unwrap().durability(Durability::None).start().unwrap();
    let store = store_of(&server);
    let runtime = runtime();
    runtime.block_on(store.create("k", b"1", soon())).unwrap();
    signal(&server, "-STOP");
    let short = || Instant::now() + Duration::from_millis(200);
    let write = runtime.block_on(store.replace("k", b"1", b"2", short())).unwrap_err();
    let read = runtime.block_on(store.get("k", short())).unwrap_err();
    signal(&server, "-CONT");
    assert!(matches!(write, Error::Unknown { .. }), "{write:?}");
    assert_eq!(read, Error::Deadline);
    // It was made after all: who asks, sees it.
    assert_eq!(runtime.block_on(store.get("k", soon())), Ok(Some(Bytes::from("2"))));
}

#[test]
fn what_is_no_record_is_refused_and_harms_nothing_else() {
    let server = Spec::redis().unwrap().durability(Durability::None).start().unwrap();
    let store = store_of(&server);
    let mut client = server.client().unwrap();
    client.want("RPUSH actor:a:list x").unwrap();
    client.want("SETRANGE actor:a:huge 1000000 x").unwrap();
    client.want("SET actor:a:good fine").unwrap();
    runtime().block_on(async {
        assert_eq!(store.get("actor:a:huge", soon()).await, Err(Error::TooLarge));
        let refused = store.get("actor:a:list", soon()).await.unwrap_err();
        assert!(refused.to_string().contains("WRONGTYPE"), "{refused}");
        let shard = shard_with(&store, 0).await;
        let keys = ["actor:a:list", "actor:a:huge", "actor:a:good"].map(Bytes::from);
        let values = store.mget(&shard, &keys, RECORD_BYTES_MAX, soon()).await.unwrap();
        assert_eq!(values, [Err(refused), Err(Error::TooLarge), Ok(Some(Bytes::from("fine")))]);
    });
}

#[test]
fn a_password_is_needed_and_given() {
    let server = Spec::bulkhead().unwrap().start().unwrap();
    server.client().unwrap().call(&["CONFIG", "SET", "requirepass", "p@ss word"]).unwrap();
    let runtime = runtime();
    let denied = runtime.block_on(store_of(&server).get("k", Instant::now() + Duration::from_millis(500)));
    assert!(denied.unwrap_err().to_string().contains("NOAUTH"));
    let store = store_at(&format!(":p%40ss%20word@{}", server.addr()));
    assert_eq!(runtime.block_on(store.create("k", b"1", soon())), Ok(true));
}

#[test]
fn a_store_is_reached_through_tls_by_those_who_trust_it() {
    let files = temp_dir().unwrap();
    let authority = Authority::new("tests").unwrap();
    let (cert, key) = authority.issue("server").unwrap().write(files.path(), "server").unwrap();
    let spec = Spec::bulkhead().unwrap().arg("--tls-listen").arg("127.0.0.1:0");
    let spec = spec.arg(format!("--tls-cert={}", cert.display())).arg(format!("--tls-key={}", key.display()));
    let server = spec.start().unwrap();
    let reply = server.client().unwrap().want("CONFIG GET tls-port").unwrap();
    let port = String::from_utf8_lossy(reply.items().unwrap()[1].bytes().unwrap()).into_owned();
    let runtime = runtime();
    let create = |trusted: Option<&Authority>| {
        let mut options = Options::parse(&format!("rediss://127.0.0.1:{port}")).unwrap();
        if let Some(authority) = trusted {
            options = options.tls(client_config(authority, None, ALL_VERSIONS).unwrap());
        }
        let deadline = Instant::now() + Duration::from_secs(3);
        runtime.block_on(RedisStore::new(options).create("k", b"1", deadline))
    };
    assert_eq!(create(Some(&authority)), Ok(true));
    for (trusted, expected) in [(Some(Authority::new("others").unwrap()), "TLS: "), (None, "whom to trust")] {
        let error = create(trusted.as_ref()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// How often nodes were asked for the map.
fn maps_fetched(cluster: &Cluster) -> u64 {
    let fetched = |node| {
        let info = cluster.client(node).unwrap().want("INFO commandstats").unwrap();
        let info = String::from_utf8_lossy(info.bytes().unwrap()).into_owned();
        let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_cluster|nodes:calls="));
        line.map_or(0, |line| line.split(',').next().unwrap().parse::<u64>().unwrap())
    };
    (0..6).map(fetched).sum()
}

#[test]
fn a_hundred_calls_that_are_redirected_fetch_the_map_a_few_times() {
    let cluster = cluster_of(Spec::redis().unwrap());
    let store = Arc::new(store_at(&cluster.seeds()));
    let runtime = runtime();
    let moved: Vec<String> = (0..).map(key).filter(|key| slot::of(key.as_bytes()) < 1000).take(100).collect();
    let calls = || {
        runtime.block_on(async {
            let get = |key: String| {
                let store = Arc::clone(&store);
                async move { store.get(&key, soon()).await }
            };
            let tasks: Vec<_> = moved.iter().map(|key| tokio::spawn(get(key.clone()))).collect();
            for task in tasks {
                assert_eq!(task.await.unwrap(), Ok(None));
            }
        });
    };
    calls();
    cluster.move_slots(0..=999, 1).unwrap();
    let before = maps_fetched(&cluster);
    calls();
    calls();
    let fetched = maps_fetched(&cluster) - before;
    // Each time some are asked at once.
    assert!((1..=12).contains(&fetched), "{fetched}");
}

#[test]
fn of_many_who_change_one_record_each_time_one_wins() {
    let server = Spec::redis().unwrap().durability(Durability::None).start().unwrap();
    let store = Arc::new(store_of(&server));
    let runtime = runtime();
    runtime.block_on(async {
        store.create("k", b"0", soon()).await.unwrap();
        let add = |store: Arc<RedisStore>| async move {
            for _ in 0..20 {
                loop {
                    let old = store.get("k", soon()).await.unwrap().unwrap();
                    let new: u64 = std::str::from_utf8(&old).unwrap().parse::<u64>().unwrap() + 1;
                    if store.replace("k", &old, new.to_string().as_bytes(), soon()).await == Ok(Swap::Done) {
                        break;
                    }
                }
            }
        };
        let tasks: Vec<_> = (0..10).map(|_| tokio::spawn(add(Arc::clone(&store)))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.get("k", soon()).await, Ok(Some(Bytes::from("200"))));
    });
}
