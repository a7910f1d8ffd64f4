//! A billion actors on 125 shards: a page costs the same wherever in the listing it is.

use crate::listing::limits::RESPONSE_BYTES_MAX;
use crate::listing::model::{Cost, Model};

const PAGES: u64 = 20;

async fn costs(page_size: i32) -> Vec<Cost> {
    let model = Model { shards: 125, actors_per_shard: 8_000_000, page_size, pages: PAGES };
    model.costs().await.unwrap()
}

// The clock stands still: however slow the machine is, no page is cut short.
#[tokio::test(start_paused = true)]
async fn a_page_costs_the_same_at_the_beginning_in_the_middle_and_at_the_end() {
    let costs = costs(1000).await;
    for cost in &costs {
        assert_eq!(cost.actors, PAGES * 1000, "{cost:?}");
        // Two looks, three steps, and batches of 128.
        assert!(cost.counts.calls <= PAGES * 16, "{cost:?}");
        // Each key is given once, and each value.
        assert_eq!(cost.counts.keys, PAGES * 1000, "{cost:?}");
        // Names have more digits towards the end.
        assert!((3_300_000..4_500_000).contains(&cost.counts.bytes), "{cost:?}");
        assert!(cost.page_bytes_max < RESPONSE_BYTES_MAX / 20 && cost.token_chars_max < 400, "{cost:?}");
    }
    assert_eq!(costs.iter().map(|cost| cost.actors_before).max(), Some(1_000_000_000 - PAGES * 1000 - 1));
}

#[tokio::test(start_paused = true)]
async fn a_small_page_costs_little() {
    for cost in costs(10).await {
        assert_eq!(cost.counts.keys, PAGES * 10, "{cost:?}");
        assert!(cost.counts.calls <= PAGES * 5, "{cost:?}");
    }
}
