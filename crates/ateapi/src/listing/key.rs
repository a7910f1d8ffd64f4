//! The key that tokens are made with: given by an option, or kept in the store for all replicas.

use super::ListError;
use super::token::{KEY_BYTES, Sealer};
use crate::store::{self, Store};
use parking_lot::RwLock;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

/// Where the store has it. No record's key looks like this, so nothing that lists or clears records meets it.
pub const STORED_KEY: &str = "ateapi:page-token-key";

/// How often a replica tries to make the key. One try is enough but for lost answers, and for a store that is
/// emptied meanwhile.
const TRIES_MAX: u32 = 3;

/// What tokens are made with.
///
/// In the store it is made by the first replica that needs it, and read by the others when a listing
/// begins, and when a token comes that they do not know. If the store is emptied, the key is lost with the actors: listings that
/// are under way may be refused and begin anew, and the next listing makes another one.
#[derive(Clone)]
pub enum TokenKey {
    Given([u8; KEY_BYTES]),
    Stored,
}

pub(super) struct Keyring {
    given: bool,
    current: RwLock<Option<Sealer>>,
}

impl Keyring {
    pub(super) fn new(key: TokenKey) -> Self {
        match key {
            TokenKey::Given(key) => Self { given: true, current: RwLock::new(Some(Sealer::new(&key))) },
            TokenKey::Stored => Self { given: false, current: RwLock::default() },
        }
    }

    /// What is known without asking, if anything is.
    pub(super) fn known(&self) -> Option<Sealer> {
        self.current.read().clone()
    }

    /// What all replicas use now.
    pub(super) async fn newest(&self, store: &impl Store, deadline: Instant) -> Result<Sealer, ListError> {
        if self.given
            && let Some(sealer) = self.known()
        {
            return Ok(sealer);
        }
        let sealer = Sealer::new(&load(store, deadline).await?);
        *self.current.write() = Some(sealer.clone());
        Ok(sealer)
    }
}

/// Reads the key, or makes it. Of several who make it at once, one wins, and all read what that one has made.
async fn load(store: &impl Store, deadline: Instant) -> Result<[u8; KEY_BYTES], ListError> {
    for _ in 0..TRIES_MAX {
        if let Some(text) = store.get(STORED_KEY, deadline).await? {
            return parse(&text).ok_or_else(|| {
                ListError::unavailable(format!("what the store has as {STORED_KEY} is no key"))
            });
        }
        let text = fresh()?;
        match store.create(STORED_KEY, text.as_bytes(), deadline).await {
            // Read again, also what we have made: there is one way only to come by it.
            Ok(_) | Err(store::Error::Unknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ListError::unavailable(format!("the store does not keep {STORED_KEY}")))
}

fn fresh() -> Result<String, ListError> {
    let mut key = [0; KEY_BYTES];
    let filled = SystemRandom::new().fill(&mut key);
    filled.map_err(|_| ListError::unavailable("the system has no random numbers".into()))?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// 64 hexadecimal digits.
fn parse(text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != KEY_BYTES || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let digit = |at: u8| char::from(at).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(key)
}

impl TokenKey {
    /// A key as 64 hexadecimal digits, as an option gives it.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text.trim().as_bytes()).map(Self::Given)
    }
}
