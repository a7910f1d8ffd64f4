//! Whether there is any actor in an atespace: the walk of a listing that ends with the first.

use super::page::Page;
use super::progress::Progress;
use super::run::Run;
use super::{ListError, Lister, TokenError};
use crate::store::Store;
use tokio::time::Instant;

/// What a stretch of the walk has met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// An actor, or a record that is not understood but has the key of one.
    Somebody,
    /// Nobody so far: the walk goes on with this token.
    Further(String),
    /// Nobody, anywhere.
    Nobody,
}

impl<S: Store> Lister<S> {
    /// Walks for as long as a page takes. A token that cannot be used, as the key that it was made with is
    /// no more, begins the walk anew.
    pub async fn look_for_actor(
        &self,
        atespace: &str,
        token: &str,
        deadline: Instant,
    ) -> Result<Looked, ListError> {
        let sealer = match self.keys.known() {
            Some(sealer) => sealer,
            None => self.keys.newest(&*self.store, deadline).await?,
        };
        let opened =
            if token.is_empty() { Err(TokenError::ForeignKey) } else { sealer.open(atespace, token) };
        let progress: Progress = opened.unwrap_or_default();
        let run = Run::new(&*self.store, &self.counters, atespace, deadline).taking_all();
        let mut page = Page::new(1);
        // As if much had been looked at in vain: the first step is not a small one.
        page.note(u32::MAX, 0);
        let (progress, page) = run.page(progress, page).await?;
        Ok(match (page.is_empty(), progress.is_complete()) {
            (false, _) => Looked::Somebody,
            (true, true) => Looked::Nobody,
            (true, false) => Looked::Further(sealer.seal(atespace, &progress)),
        })
    }
}
