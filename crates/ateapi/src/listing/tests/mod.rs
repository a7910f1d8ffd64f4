//! Tests of listings, each on a simulated store.

mod basics;
mod chaos;

mod tokens;

use super::{ListError, Lister, TokenKey};
use crate::proto::actor::Status;
use crate::proto::{Actor, ListActorsRequest, ListActorsResponse};
use crate::record::Record;
use crate::store::Store;
use crate::store::sim::Sim;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const KEY: TokenKey = TokenKey::Given([7; 32]);

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(super) fn actor(atespace: &str, id: &str) -> Actor {
    Actor {
        actor_id: id.into(),
        version: 1,
        status: Status::Suspended.into(),
        atespace: atespace.into(),
        ..Actor::default()
    }
}

pub(super) fn put(sim: &Sim, actor: &Actor) {
    sim.put(&actor.key().to_string(), actor.encode().unwrap());
}

/// Puts actors `a-0`, `a-1`… into an atespace.
pub(super) fn fill(sim: &Sim, atespace: &str, count: usize) {
    (0..count).for_each(|number| put(sim, &actor(atespace, &format!("a-{number}"))));
}

pub(super) fn request(page_size: i32, page_token: &str, atespace: &str) -> ListActorsRequest {
    ListActorsRequest { page_size, page_token: page_token.into(), atespace: atespace.into() }
}

/// A client in the middle of a listing.
pub(super) struct Listing<S> {
    pub(super) lister: Lister<S>,
    pub(super) atespace: String,
    pub(super) token: String,
    /// How often each came, by its key.
    pub(super) seen: BTreeMap<String, u32>,
    pub(super) pages: usize,
}

impl<S: Store> Listing<S> {
    pub(super) fn new(store: Arc<S>, atespace: &str) -> Self {
        let lister = Lister::new(store, KEY);
        Self { lister, atespace: atespace.into(), token: String::new(), seen: BTreeMap::new(), pages: 0 }
    }

    /// The next page. Whether it was the last one.
    pub(super) async fn page(&mut self, size: i32) -> bool {
        let page = self.try_page(size).await.unwrap();
        page.next_page_token.is_empty()
    }

    pub(super) async fn try_page(&mut self, size: i32) -> Result<ListActorsResponse, ListError> {
        let page = self.lister.list(&request(size, &self.token, &self.atespace), soon()).await?;
        assert!(page.actors.len() <= size as usize, "{} of {size}", page.actors.len());
        for actor in &page.actors {
            *self.seen.entry(actor.key().to_string()).or_default() += 1;
        }
        self.token.clone_from(&page.next_page_token);
        self.pages += 1;
        Ok(page)
    }

    pub(super) async fn run_to_end(&mut self, size: i32, pages_max: usize) {
        for _ in 0..pages_max {
            if self.page(size).await {
                return;
            }
        }
        panic!("{pages_max} pages, and no end: {:?}", self.lister.counters());
    }

    pub(super) fn duplicates(&self) -> u32 {
        self.seen.values().map(|times| times - 1).sum()
    }
}
