//! CLIENT KILL, in its old form (an address) and its new one (filters).

use std::sync::Arc;

use command::{Args, Error};
use resp::Reply;

use super::acl::Users;
use super::client::Kind;
use super::rows::{self, ok, reply};
use super::{Answer, Context};
use crate::engine::clients::Client;

/// Which clients to close: all that every filter accepts.
#[derive(Default)]
struct Filters<'a> {
    id: Option<u64>,
    kind: Option<Kind>,
    peer: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    user: Option<&'a [u8]>,
    spare_me: bool,
}

impl<'a> Filters<'a> {
    fn parse(args: &Args<'a>, users: &Users) -> command::Result<Self> {
        let mut filters = Self { spare_me: true, ..Self::default() };
        for at in (2..args.len()).step_by(2) {
            if at + 1 >= args.len() {
                return Err(Error::SYNTAX);
            }
            let value = args.get(at + 1);
            if args.is(at, "id") {
                let id = args.int(at + 1).ok().and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
                filters.id = Some(id.ok_or(Error::line("ERR client-id should be greater than 0"))?);
            } else if args.is(at, "type") {
                filters.kind = Some(Kind::parse(value)?);
            } else if args.is(at, "addr") {
                filters.peer = Some(value);
            } else if args.is(at, "laddr") {
                filters.local = Some(value);
            } else if args.is(at, "user") {
                if users.get(value).is_none() {
                    return Err(Error::quoting("ERR No such user '", value, "'"));
                }
                filters.user = Some(value);
            } else if args.is(at, "skipme") && args.is(at + 1, "yes") {
                filters.spare_me = true;
            } else if args.is(at, "skipme") && args.is(at + 1, "no") {
                filters.spare_me = false;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(filters)
    }

    fn accept(&self, client: &Client) -> bool {
        let is = |wanted: Option<&[u8]>, address: String| wanted.is_none_or(|w| w == address.as_bytes());
        self.id.is_none_or(|id| id == client.id)
            && self.kind.is_none_or(|kind| kind == Kind::of(client))
            && is(self.peer, client.peer.to_string())
            && is(self.local, client.local.to_string())
            && self.user.is_none_or(|user| user == client.details.lock().user)
    }
}

pub(super) fn kill(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let me = context.session.client.clone();
    if args.len() == 3 {
        let is_named = |client: &Arc<Client>| client.peer.to_string().as_bytes() == args.get(2);
        let Some(found) = context.node.clients.list().into_iter().find(is_named) else {
            return Err(Error::line("ERR No such client"));
        };
        if found.id == me.id {
            return Ok(Answer::Close(Reply::Ok));
        }
        found.kill();
        return ok();
    }
    let filters = Filters::parse(args, &context.node.users)?;
    let mut killed = 0;
    let mut mine = false;
    for client in context.node.clients.list() {
        if !filters.accept(&client) || (filters.spare_me && client.id == me.id) {
            continue;
        }
        killed += 1;
        if client.id == me.id {
            mine = true;
        } else {
            client.kill();
        }
    }
    // One's own connection still gets its answer.
    if mine { Ok(Answer::Close(Reply::Integer(killed))) } else { reply(killed) }
}
