//! What a listing does while nothing happens to its store.

use super::*;
use crate::listing::limits::RESPONSE_BYTES_MAX;
use crate::listing::{STORED_KEY, TokenError};
use crate::proto::Selector;
use crate::store;
use crate::store::sim::Plan;
use prost::Message;
use std::sync::atomic::Ordering::Relaxed;

fn filled(plan: Plan, actors: usize) -> Arc<Sim> {
    let sim = Sim::new(plan);
    fill(&sim, "team", actors);
    Arc::new(sim)
}

#[tokio::test]
async fn every_actor_comes_once() {
    for (shards, positions) in [(1, false), (1, true), (5, false), (5, true)] {
        let sim = filled(Plan { positions, ..Plan::new(shards, 3) }, 1500);
        for size in [1, 7, 100, 1000] {
            let mut listing = Listing::new(Arc::clone(&sim), "");
            listing.run_to_end(size, 3000).await;
            assert_eq!((listing.seen.len(), listing.duplicates()), (1500, 0));
            // Pages are full, but for the last.
            assert!(listing.pages <= 1500usize.div_ceil(size as usize) + 1, "{} of {size}", listing.pages);
        }
    }
}

#[tokio::test]
async fn an_empty_store_is_one_empty_page() {
    let mut listing = Listing::new(Arc::new(Sim::new(Plan::new(3, 1))), "");
    assert!(listing.page(100).await);
    assert_eq!(listing.seen.len(), 0);
}

#[tokio::test]
async fn an_atespace_is_listed_alone() {
    let sim = filled(Plan::new(3, 1), 300);
    fill(&sim, "team-b", 40);
    sim.put("worker:team-b:pool:pod", "{}");
    let mut listing = Listing::new(Arc::clone(&sim), "team-b");
    listing.run_to_end(9, 1000).await;
    assert!(listing.seen.len() == 40 && listing.seen.keys().all(|key| key.starts_with("actor:team-b:")));
    let mut listing = Listing::new(sim, "");
    listing.run_to_end(100, 1000).await;
    assert_eq!(listing.seen.len(), 340);
}

#[tokio::test]
async fn the_size_of_a_page_has_a_default_and_bounds() {
    let sim = filled(Plan::new(1, 1), 1200);
    let lister = Lister::new(sim, KEY);
    for (size, expected) in [(0, 100), (1, 1), (999, 999), (1000, 1000), (i32::MAX, 1000)] {
        let page = lister.list(&request(size, "", ""), soon()).await.unwrap();
        assert_eq!(page.actors.len(), expected);
    }
    let error = lister.list(&request(-1, "", ""), soon()).await.unwrap_err();
    assert_eq!(error, ListError::PageSize);
}

#[tokio::test]
async fn a_name_that_cannot_be_one_is_refused_and_one_that_is_not_there_is_not_found() {
    let sim = filled(Plan::new(2, 1), 10);
    sim.put("atespace:empty", r#"{"name":"empty"}"#);
    let lister = Lister::new(Arc::clone(&sim), KEY);
    let error = lister.list(&request(0, "", "No*"), soon()).await.unwrap_err();
    assert!(error.to_string().starts_with("atespace must be a DNS-1123 label"), "{error}");
    let error = lister.list(&request(0, "", "typo"), soon()).await.unwrap_err();
    assert_eq!(error, ListError::NotFound { name: "typo".into() });
    assert_eq!(lister.list(&request(0, "", "empty"), soon()).await.unwrap(), ListActorsResponse::default());
    // It has actors, though no record of its own.
    assert_eq!(lister.list(&request(0, "", "team"), soon()).await.unwrap().actors.len(), 10);
}

#[tokio::test]
async fn no_page_is_larger_than_a_response_may_be() {
    let sim = Arc::new(Sim::new(Plan::new(2, 1)));
    for number in 0..60 {
        let label = ("x".repeat(150_000), String::new());
        let selector = Selector { match_labels: [label].into() };
        put(&sim, &Actor { worker_selector: Some(selector), ..actor("team", &format!("a-{number}")) });
    }
    let mut listing = Listing::new(sim, "");
    loop {
        let page = listing.try_page(1000).await.unwrap();
        assert!(page.encoded_len() <= RESPONSE_BYTES_MAX, "{}", page.encoded_len());
        assert!(page.next_page_token.is_empty() || page.actors.len() >= 15, "{}", page.actors.len());
        if page.next_page_token.is_empty() {
            break;
        }
    }
    assert_eq!((listing.seen.len(), listing.duplicates()), (60, 0));
}

#[tokio::test]
async fn large_records_are_read_few_at_a_time_and_small_ones_many() {
    let sim = filled(Plan::new(2, 1), 300);
    for number in 0..200 {
        let label = ("x".repeat(1000 * number), String::new());
        let selector = Selector { match_labels: [label].into() };
        put(&sim, &Actor { worker_selector: Some(selector), ..actor("team", &format!("b-{number}")) });
    }
    let mut listing = Listing::new(Arc::clone(&sim), "");
    listing.run_to_end(1000, 100).await;
    assert_eq!((listing.seen.len(), listing.duplicates()), (500, 0));
    let counts = sim.counts();
    assert!(counts.batch_bytes_max <= RESPONSE_BYTES_MAX as u64, "{counts:?}");
    let small = filled(Plan::new(1, 1), 1000);
    Listing::new(Arc::clone(&small), "").run_to_end(1000, 2).await;
    assert!(small.counts().batches <= 1000 / 128 + 4, "{:?}", small.counts());
}

#[tokio::test]
async fn what_is_no_record_is_left_out_and_counted() {
    let sim = filled(Plan::new(2, 1), 20);
    sim.put("actor:team:broken", "{");
    sim.put("actor:team:other", r#"{"actorId":"a","atespace":"team"}"#);
    sim.put("actor:team:huge", vec![b'x'; (256 << 10) + 1]);
    sim.put("actor:team:list", "?");
    sim.fail_reads_of("actor:team:list", Some(store::Error::wrong_type("WRONGTYPE")));
    sim.put("actor:no:key:of:ours", "{}");
    let mut listing = Listing::new(sim, "");
    listing.run_to_end(5, 100).await;
    assert_eq!((listing.seen.len(), listing.duplicates()), (20, 0));
    assert_eq!(listing.lister.counters().unparsable.load(Relaxed), 4);
}

#[tokio::test]
async fn a_record_that_vanishes_before_it_is_read_is_left_out() {
    let sim = filled(Plan::new(1, 1), 20);
    // Topology, shard, scan, and then the values.
    sim.at_call(4, |sim| sim.remove("actor:team:a-7"));
    let mut listing = Listing::new(sim, "");
    listing.run_to_end(100, 2).await;
    assert_eq!(listing.seen.len(), 19);
    assert_eq!(listing.lister.counters().vanished.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_long_ends_with_what_it_has() {
    let sim = filled(Plan::new(5, 1), 2000);
    sim.set_delay(Duration::from_millis(20));
    let begin = Instant::now();
    let mut listing = Listing::new(sim, "");
    assert!(!listing.page(1000).await);
    assert!(begin.elapsed() <= Duration::from_millis(300), "{:?}", begin.elapsed());
    listing.run_to_end(1000, 100).await;
    assert_eq!((listing.seen.len(), listing.duplicates()), (2000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_listing_ends_also_on_a_store_for_which_no_call_has_time() {
    let sim = filled(Plan::new(2, 1), 300);
    sim.set_delay(Duration::from_secs(1));
    let mut listing = Listing::new(sim, "");
    listing.run_to_end(1000, 1000).await;
    assert_eq!(listing.seen.len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_little_time_stops_before_it_is_over() {
    let sim = filled(Plan::new(5, 1), 2000);
    sim.set_delay(Duration::from_millis(5));
    let lister = Lister::new(sim, KEY);
    let begin = Instant::now();
    let page = lister.list(&request(1000, "", ""), begin + Duration::from_millis(60)).await.unwrap();
    assert!(!page.actors.is_empty() && begin.elapsed() < Duration::from_millis(60), "{:?}", begin.elapsed());
    let error =
        lister.list(&request(1, "", ""), Instant::now() + Duration::from_millis(3)).await.unwrap_err();
    assert_eq!(error, ListError::Deadline);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_asks_nothing_more() {
    let sim = filled(Plan::new(5, 1), 2000);
    sim.set_delay(Duration::from_millis(5));
    let lister = Lister::new(Arc::clone(&sim), KEY);
    let request = request(1000, "", "");
    let call = lister.list(&request, soon());
    assert!(tokio::time::timeout(Duration::from_millis(52), call).await.is_err());
    let calls = sim.counts().calls;
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!((sim.counts().calls, calls), (calls, 11));
}

#[tokio::test]
async fn trouble_with_the_store_fails_the_call_and_the_same_token_goes_on() {
    let sim = filled(Plan::new(3, 1), 600);
    let mut listing = Listing::new(Arc::clone(&sim), "");
    listing.page(100).await;
    sim.set_up(0, false);
    sim.set_up(1, false);
    let error = listing.try_page(100).await.unwrap_err();
    assert!(matches!(&error, ListError::Unavailable { cause } if cause.contains("down")), "{error:?}");
    sim.set_up(0, true);
    sim.set_up(1, true);
    listing.run_to_end(100, 10).await;
    assert_eq!((listing.seen.len(), listing.duplicates()), (600, 0));
}

#[tokio::test]
async fn a_record_that_the_store_does_not_give_fails_the_call_and_the_same_token_goes_on() {
    let sim = filled(Plan::new(3, 1), 300);
    let mut listing = Listing::new(Arc::clone(&sim), "");
    listing.page(100).await;
    for number in 0..300 {
        let key = actor("team", &format!("a-{number}")).key().to_string();
        sim.fail_reads_of(&key, Some(store::Error::refused("NOPERM")));
    }
    let error = listing.try_page(100).await.unwrap_err();
    assert!(matches!(&error, ListError::Unavailable { cause } if cause.contains("NOPERM")), "{error:?}");
    assert_eq!(listing.lister.counters().unparsable.load(Relaxed), 0);
    for number in 0..300 {
        sim.fail_reads_of(&actor("team", &format!("a-{number}")).key().to_string(), None);
    }
    listing.run_to_end(100, 10).await;
    assert_eq!((listing.seen.len(), listing.duplicates()), (300, 0));
}

#[tokio::test]
async fn replicas_find_the_key_in_the_store() {
    let sim = filled(Plan::new(3, 1), 300);
    let replica = || Lister::new(Arc::clone(&sim), TokenKey::Stored);
    let (a, b) = (replica(), replica());
    let first = a.list(&request(10, "", ""), soon()).await.unwrap();
    let second = b.list(&request(10, &first.next_page_token, ""), soon()).await.unwrap();
    assert_eq!(second.actors.len(), 10);
    // The store is emptied: the next listing makes another key, and a replica that has the old one finds it.
    sim.remove(STORED_KEY);
    let anew = b.list(&request(10, "", ""), soon()).await.unwrap();
    assert_eq!(a.list(&request(10, &anew.next_page_token, ""), soon()).await.unwrap().actors.len(), 10);
    let error = a.list(&request(10, &first.next_page_token, ""), soon()).await.unwrap_err();
    assert_eq!(error, ListError::Token(TokenError::ForeignKey));
}

#[tokio::test]
async fn a_key_that_is_none_is_not_overwritten() {
    let sim = filled(Plan::new(1, 1), 3);
    sim.put(STORED_KEY, "what is this?");
    let lister = Lister::new(Arc::clone(&sim), TokenKey::Stored);
    let error = lister.list(&request(1, "", ""), soon()).await.unwrap_err();
    assert!(error.to_string().contains("is no key"), "{error}");
}
