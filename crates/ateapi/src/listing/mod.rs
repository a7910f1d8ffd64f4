//! ListActors: billions of actors, a page at a time, in memory that one page bounds.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`token`] | page tokens: sealed, and opened again; `payload` is what is in them |
//! | `progress` | which slots are done, and where the walk through the present shard stands; the rules of safety |
//! | `walker` | one call as a machine: what to ask next, given what the store has said |
//! | `page`, `step` | what fits, and what of a step of a scan is wanted |
//! | `run` | asks the store what the machine wants |
//!
//! All but `run` and `key` are pure. What a listing promises is in the proto file; how it keeps it, and why so, in
//! decision record 15. It may fail to end while, for as long as it lasts, each single page sees the shard that it reads
//! change hands; while nobody serves some slots; and while a slot is marked as leaving for a node that does not expect it.
//! Each call is bounded all the same. Not noticed is a move of a slot that is given up, with its keys taken back, between
//! two looks at its shard.

mod counters;
mod key;
mod limits;
mod page;
mod payload;
mod progress;
mod run;
mod step;
#[cfg(test)]
mod tests;
pub mod token;
mod walker;

pub use counters::Counters;
pub use key::{STORED_KEY, TokenKey};
pub use token::TokenError;

use self::key::Keyring;
use self::page::Page;
use self::progress::Progress;
use self::run::Run;
use self::token::Sealer;
use crate::Key;
use crate::names::{self, InvalidName};
use crate::proto::{ListActorsRequest, ListActorsResponse};
use crate::store::{self, Store};
use std::sync::Arc;
use tokio::time::Instant;

/// Why there is no page. The caller can repeat the call with the same token, but for the first three.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// INVALID_ARGUMENT.
    #[error("page_size must not be negative")]
    PageSize,
    /// INVALID_ARGUMENT.
    #[error(transparent)]
    Atespace(#[from] InvalidName),
    /// INVALID_ARGUMENT.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// NOT_FOUND.
    #[error("there is no atespace '{name}', and no actor in it was found")]
    NotFound { name: String },
    /// UNAVAILABLE.
    #[error("{cause}")]
    Unavailable { cause: String },
    /// DEADLINE_EXCEEDED.
    #[error("the deadline passed before the store answered")]
    Deadline,
}

impl ListError {
    fn unavailable(cause: String) -> Self {
        Self::Unavailable { cause }
    }
}

impl From<store::Error> for ListError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Deadline => Self::Deadline,
            other => Self::unavailable(other.to_string()),
        }
    }
}

/// Lists the actors of a store. Any number of calls may run at once; nothing is kept between them but the key.
pub struct Lister<S> {
    store: Arc<S>,
    keys: Keyring,
    counters: Arc<Counters>,
}

impl<S: Store> Lister<S> {
    pub fn new(store: Arc<S>, key: TokenKey) -> Self {
        Self { store, keys: Keyring::new(key), counters: Arc::default() }
    }

    /// For metrics.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// A page. Dropping the future gives the call up: nothing is asked of the store any more.
    pub async fn list(
        &self,
        request: &ListActorsRequest,
        deadline: Instant,
    ) -> Result<ListActorsResponse, ListError> {
        let size = page::size_of(request.page_size).ok_or(ListError::PageSize)?;
        if !request.atespace.is_empty() {
            names::label("atespace", &request.atespace)?;
        }
        let (sealer, progress) = self.opened(request, deadline).await?;
        let run = Run::new(&*self.store, &self.counters, &request.atespace, deadline);
        let (progress, page) = run.page(progress, Page::new(size)).await?;
        if request.page_token.is_empty() && page.is_empty() {
            self.check_atespace(&request.atespace, deadline).await?;
        }
        counters::add(&self.counters.pages, 1);
        counters::add(&self.counters.empty_pages, usize::from(page.is_empty()));
        let token =
            if progress.is_complete() { String::new() } else { sealer.seal(&request.atespace, &progress) };
        Ok(page.into_response(token))
    }

    /// Where to go on, and what to seal the next token with.
    async fn opened(
        &self,
        request: &ListActorsRequest,
        deadline: Instant,
    ) -> Result<(Sealer, Progress), ListError> {
        if request.page_token.is_empty() {
            return Ok((self.keys.newest(&*self.store, deadline).await?, Progress::default()));
        }
        if let Some(sealer) = self.keys.known() {
            match sealer.open(&request.atespace, &request.page_token) {
                Err(TokenError::ForeignKey) => {}
                opened => return self.noted(opened, sealer),
            }
        }
        let sealer = self.keys.newest(&*self.store, deadline).await?;
        self.noted(sealer.open(&request.atespace, &request.page_token), sealer)
    }

    fn noted(
        &self,
        opened: Result<Progress, TokenError>,
        sealer: Sealer,
    ) -> Result<(Sealer, Progress), ListError> {
        if opened.is_err() {
            counters::add(&self.counters.refused_tokens, 1);
        }
        Ok((sealer, opened?))
    }

    /// A name that was mistyped would be looked for among billions of keys. So a listing that has found nothing at first
    /// ends at once if there is no such atespace. It does not if it has found something: stores are shared with
    /// other implementations, and an actor is listed whatever is known of its atespace. For the same reason an
    /// atespace that is deleted in the middle of a listing ends nothing.
    async fn check_atespace(&self, name: &str, deadline: Instant) -> Result<(), ListError> {
        if name.is_empty() {
            return Ok(());
        }
        match self.store.get(&Key::Atespace { name }.to_string(), deadline).await? {
            Some(_) => Ok(()),
            None => Err(ListError::NotFound { name: name.to_owned() }),
        }
    }
}
