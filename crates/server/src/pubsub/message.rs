//! A message on its way: made once, and shared by all who hear it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use resp::{Blob, Protocol, encode};
use store::{Tiding, Txn};

use super::{Kind, Name};
use crate::net::mailbox::Mailbox;

pub struct Message {
    channel: Name,
    /// By which names it is heard: its channel's first, if somebody hears that, then patterns.
    names: Vec<(Kind, Name)>,
    payload_bytes: usize,
    /// The payload and its line end.
    pub body: Blob,
    _held: Held,
}

/// So many bytes are under way as long as this is kept.
pub(super) struct Held {
    under_way: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    pub fn new(under_way: &Arc<AtomicUsize>, bytes: usize) -> Self {
        under_way.fetch_add(bytes, Ordering::Relaxed);
        Self { under_way: under_way.clone(), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.under_way.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a message holds beside its texts, roughly, and what it will with each of those who hear it: so what is
/// under way is bounded as work to be done, too.
const OVERHEAD_BYTES: usize = 256;

impl Message {
    pub(super) fn new(
        channel: &[u8],
        payload: &[u8],
        (names, receivers): (Vec<(Kind, Name)>, i64),
        under_way: &Arc<AtomicUsize>,
    ) -> Self {
        const END: &[u8] = b"\r\n";
        let mut body = Vec::with_capacity(payload.len() + END.len());
        body.extend_from_slice(payload);
        body.extend_from_slice(END);
        let own = names.first().filter(|(kind, _)| *kind != Kind::Pattern);
        let channel = own.map_or_else(|| channel.into(), |(_, name)| name.clone());
        let texts = channel.len() + body.len() + names.len() * size_of::<(Kind, Name)>();
        let receivers = usize::try_from(receivers).unwrap_or(0);
        let bytes = texts + OVERHEAD_BYTES * receivers.saturating_add(1);
        Self {
            channel,
            names,
            payload_bytes: payload.len(),
            body: Bytes::from(body).into(),
            _held: Held::new(under_way, bytes),
        }
    }

    /// The name of this number by which it is heard.
    pub fn name(&self, at: usize) -> Option<&(Kind, Name)> {
        self.names.get(at)
    }

    /// What comes before the body for those who hear it by the name of this number.
    pub fn head(&self, at: usize, protocol: Protocol) -> Blob {
        let (word, pattern): (&[u8], _) = match self.names.get(at) {
            Some((Kind::Pattern, pattern)) => (b"pmessage", Some(pattern)),
            Some((Kind::Shard, _)) => (b"smessage", None),
            _ => (b"message", None),
        };
        let mut head = Vec::new();
        encode::push_header(3 + usize::from(pattern.is_some()), protocol, &mut head);
        encode::bulk(word, &mut head);
        if let Some(pattern) = pattern {
            encode::bulk(pattern, &mut head);
        }
        encode::bulk(&self.channel, &mut head);
        encode::bulk_header(self.payload_bytes, &mut head);
        Bytes::from(head).into()
    }
}

/// What becomes of something that is published.
#[derive(Clone, Default)]
pub struct Posted {
    /// How many hear it.
    pub receivers: i64,
    /// It and the threads that hand it out, if somebody hears it.
    pub(super) told: Option<Told>,
}

impl Posted {
    /// A transaction tells it. Says how many hear it then.
    pub(super) fn go_with(self, txn: &mut Txn<'_>) -> i64 {
        if let Some(told) = self.told {
            txn.tell(Box::new(told));
        }
        self.receivers
    }
}

/// A message and where it goes when its transaction is committed.
#[derive(Clone)]
pub(super) struct Told {
    pub message: Arc<Message>,
    pub threads: Arc<[Arc<Mailbox>]>,
}

impl Tiding for Told {
    fn tell(self: Box<Self>) {
        for thread in &*self.threads {
            if thread.hearers.bring(self.message.clone()) {
                thread.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &Message, at: usize, protocol: Protocol) -> String {
        let bytes = [message.head(at, protocol).as_slice(), message.body.as_slice()].concat();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_message_is_encoded_as_by_redis() {
        let under_way = Arc::default();
        let name = |text: &str| Name::from(text.as_bytes());
        let names = vec![(Kind::Channel, name("news")), (Kind::Pattern, name("n*"))];
        let message = Message::new(b"news", b"hi", (names, 3), &under_way);
        assert_eq!(shown(&message, 0, Protocol::Resp2), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
        assert_eq!(
            shown(&message, 1, Protocol::Resp3),
            ">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
        );
        let shard = Message::new(b"s", b"", (vec![(Kind::Shard, name("s"))], 1), &under_way);
        assert_eq!(shown(&shard, 0, Protocol::Resp3), ">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$0\r\n\r\n");
        assert!(under_way.load(Ordering::Relaxed) > (4 + 2) * OVERHEAD_BYTES);
        drop((message, shard));
        assert_eq!(under_way.load(Ordering::Relaxed), 0);
    }
}
