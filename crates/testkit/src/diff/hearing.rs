//! What both servers tell of keys while they run the same commands: key-space notifications, in their order.

use super::Step;
use crate::client::{Client, Protocol, words};
use crate::{Flavour, Reply, Result, Rng, Server};

/// So many sessions are heard.
const HEARD_PERCENT: usize = 30;
const SETTING: &str = "notify-keyspace-events";
/// All classes but those of keys that are not found: servers of other versions look some of them up twice.
const LETTERS: &[&str] = &["KEA", "KEAn", "Eg$l", "Kshzt", "KEn"];
/// To Valkey, keys that are given a time that is past have expired; to Redis they are deleted, or set.
const LETTERS_OF_VALKEY: &[&str] = &["KElshzt", "Ez", "Klt"];
const MARK: &str = "mark";
/// Keys expire when a server comes to it.
const SKIPPED: &[&str] = &["expired"];
/// And Redis 7.0 makes the consumers of some commands only when there is something for them: it has none to delete then.
const SKIPPED_IN_REDIS: &[&str] = &["expired", "xgroup-createconsumer", "xgroup-delconsumer"];

/// The step that says whether a session is heard, and of which classes.
pub(super) fn setting(rng: &mut Rng, reference: Flavour) -> Step {
    let all = if reference == Flavour::Valkey { LETTERS_OF_VALKEY } else { LETTERS };
    let letters = if rng.chance(HEARD_PERCENT) { rng.pick(all) } else { &"" };
    let mut command = words(&format!("CONFIG SET {SETTING}"));
    command.push(letters.as_bytes().to_vec());
    Step::new(command, super::Compare::Exact)
}

/// Whether a step has somebody told.
pub(super) fn tells(step: &Step) -> bool {
    step.command.get(2).is_some_and(|word| word == SETTING.as_bytes())
        && step.command.get(3).is_some_and(|letters| !letters.is_empty())
}

/// One who hears all that a server tells, and one who says when that is all.
pub(super) struct Hearer {
    hears: Client,
    says: Client,
    /// Events that are not compared.
    skipped: &'static [&'static str],
}

impl Hearer {
    /// Somebody who hears, if steps have somebody told.
    pub(super) fn of(server: &Server, steps: &[Step], reference: Flavour) -> Result<Option<Self>> {
        if !steps.iter().any(tells) {
            return Ok(None);
        }
        let (mut hears, says) = (server.client_with(Protocol::Resp2)?, server.client()?);
        for command in [["PSUBSCRIBE", "__key*__:*"], ["SUBSCRIBE", MARK]] {
            hears.call(&command)?;
        }
        let skipped = if reference == Flavour::Redis { SKIPPED_IN_REDIS } else { SKIPPED };
        Ok(Some(Self { hears, says, skipped }))
    }

    /// All that was told since the last time.
    pub(super) fn heard(&mut self) -> Result<Reply> {
        self.says.call(&["PUBLISH", MARK, ""])?;
        let mut heard = Vec::new();
        loop {
            let message = self.hears.receive()?;
            match message.items() {
                Some([_, channel, _]) if channel.bytes() == Some(MARK.as_bytes()) => break,
                Some([_, _, channel, payload]) => {
                    let is_skipped = |text: &Reply| {
                        let text = text.bytes().unwrap_or_default();
                        let event = text.rsplit(|byte| *byte == b':').next().unwrap_or(text);
                        self.skipped.iter().any(|skipped| event == skipped.as_bytes())
                    };
                    if !is_skipped(channel) && !is_skipped(payload) {
                        heard.push(Reply::Array(vec![channel.clone(), payload.clone()]));
                    }
                }
                _ => return Err(format!("this is no message: {message:?}").into()),
            }
        }
        Ok(Reply::Array(heard))
    }
}
