//! Page tokens: what a listing needs to go on, so that nobody keeps it in between.
//!
//! ```text
//! base64url, without padding, of:  version, 1 byte | which key, 4 bytes | payload | MAC, 32 bytes
//! ```
//!
//! The MAC is HMAC-SHA256 over all before it. It is `ring`'s: that crate is in every build already, for TLS,
//! compares in constant time, and makes the key as well. The payload can be read by whoever has the token: it
//! holds names of nodes, and of one actor that came with the page.

use super::limits::{PAYLOAD_BYTES_MAX, TOKEN_CHARS_MAX};
use super::payload;
use super::progress::Progress;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use std::fmt;

/// Of a key, and of a MAC.
pub const KEY_BYTES: usize = 32;

const VERSION: u8 = 1;
const FINGERPRINT_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + FINGERPRINT_BYTES;

/// Why a token is not taken. The caller must begin anew without one, or repair what it sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("page_token is longer than any token of this service")]
    TooLong,
    #[error("page_token is damaged: it is no base64url text, or a part of it is missing")]
    Malformed,
    #[error("page_token is of version {0}, which this service does not know: begin the listing anew")]
    UnknownVersion(u8),
    #[error("page_token was made with a key that this service does not have: begin the listing anew")]
    ForeignKey,
    #[error("page_token was changed, or not made by this service")]
    Forged,
    #[error("page_token belongs to a listing of {made_for}, and this one is of {asked_for}")]
    OtherAtespace { made_for: String, asked_for: String },
}

/// Makes tokens, and knows them again.
#[derive(Clone)]
pub(super) struct Sealer {
    key: hmac::Key,
    fingerprint: [u8; FINGERPRINT_BYTES],
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        f.debug_struct("Sealer").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Sealer {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        // Not a part of any token: those begin with their version.
        let print = hmac::sign(&key, b"fingerprint");
        let mut fingerprint = [0; FINGERPRINT_BYTES];
        fingerprint.iter_mut().zip(print.as_ref()).for_each(|(to, from)| *to = *from);
        Self { key, fingerprint }
    }

    pub(super) fn seal(&self, atespace: &str, progress: &Progress) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.fingerprint);
        payload::write(&mut bytes, atespace, progress);
        let mac = hmac::sign(&self.key, &bytes);
        bytes.extend(mac.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn open(&self, atespace: &str, token: &str) -> Result<Progress, TokenError> {
        if token.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::TooLong);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Malformed)?;
        match bytes.first() {
            Some(&VERSION) => {}
            Some(&version) => return Err(TokenError::UnknownVersion(version)),
            None => return Err(TokenError::Malformed),
        }
        let (signed, mac) = bytes.split_last_chunk::<KEY_BYTES>().ok_or(TokenError::Malformed)?;
        let payload = signed.get(HEAD_BYTES..).ok_or(TokenError::Malformed)?;
        if signed.get(1..HEAD_BYTES) != Some(&self.fingerprint[..]) {
            return Err(TokenError::ForeignKey);
        }
        hmac::verify(&self.key, signed, mac).map_err(|_| TokenError::Forged)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (made_for, progress) = payload::read(payload).ok_or(TokenError::Malformed)?;
        if made_for != atespace {
            let (made_for, asked_for) = (described(made_for), described(atespace));
            return Err(TokenError::OtherAtespace { made_for, asked_for });
        }
        Ok(progress)
    }
}

fn described(atespace: &str) -> String {
    if atespace.is_empty() { "all atespaces".into() } else { format!("atespace '{atespace}'") }
}
