//! What a transaction asks for, as commands, as words for a script, and as operations once it is answered.

use super::model::{Key, Op, Value};
use crate::client::{Command, words};
use crate::{Reply, Result};

/// Does what its arguments say and gives the replies; commands would do the same in the same order.
pub(super) const SCRIPT: &str = "\
local out, at = {}, 1
while at <= #ARGV do
  local what, key = ARGV[at], KEYS[tonumber(ARGV[at + 1])]
  at = at + 2
  if what == 'read' then
    out[#out + 1] = redis.call('LRANGE', key, 0, -1)
  elseif what == 'length' then
    out[#out + 1] = redis.call('LLEN', key)
  elseif what == 'append' then
    local count = tonumber(ARGV[at])
    out[#out + 1] = redis.call('RPUSH', key, unpack(ARGV, at + 1, at + count))
    at = at + count + 1
  elseif what == 'keys' then
    out[#out + 1] = redis.call('KEYS', 'nothing*')
  elseif what == 'ballast' then
    redis.call('LPOS', key, 'absent')
    out[#out + 1] = {}
  else
    local sum = 0
    for i = 1, 200000 do sum = sum + i end
    out[#out + 1] = {}
  end
end
return out
";

/// A list that is too long to be looked through on a network thread.
pub(super) const BALLAST: &str = "{h}:ballast";
pub(super) const BALLAST_LEN: usize = 2000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Read(Key),
    Length(Key),
    Append(Key, Vec<Value>),
    /// Nothing of ours, but it takes the whole transaction into the heavy lane at once ...
    AllKeys,
    /// ... or when it finds how much there is.
    Ballast,
    /// Many steps of a script, and nothing else.
    Spin,
}

/// The tag keeps all keys in one slot, so that one transaction may use any of them.
pub(super) fn key_name(generation: u32, key: Key) -> String {
    format!("{{h}}:{generation}:{key}")
}

impl Ask {
    pub(super) fn command(&self, generation: u32) -> Command {
        match self {
            Self::Read(key) => words(&format!("LRANGE {} 0 -1", key_name(generation, *key))),
            Self::Length(key) => words(&format!("LLEN {}", key_name(generation, *key))),
            Self::Append(key, values) => {
                let mut command = words(&format!("RPUSH {}", key_name(generation, *key)));
                command.extend(values.iter().map(|value| value.to_string().into_bytes()));
                command
            }
            Self::AllKeys => words("KEYS nothing*"),
            Self::Ballast | Self::Spin => words(&format!("LPOS {BALLAST} absent")),
        }
    }

    /// What it means to the script; `keys` are the script's keys.
    fn words(&self, keys: &mut Vec<String>, generation: u32) -> Vec<String> {
        let (what, key) = match self {
            Self::Read(key) => ("read", key_name(generation, *key)),
            Self::Length(key) => ("length", key_name(generation, *key)),
            Self::Append(key, _) => ("append", key_name(generation, *key)),
            Self::AllKeys => ("keys", BALLAST.into()),
            Self::Ballast => ("ballast", BALLAST.into()),
            Self::Spin => ("spin", BALLAST.into()),
        };
        let at = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            keys.push(key);
            keys.len() - 1
        });
        let mut words = vec![what.to_owned(), (at + 1).to_string()];
        if let Self::Append(_, values) = self {
            words.push(values.len().to_string());
            words.extend(values.iter().map(Value::to_string));
        }
        words
    }

    /// What it was, if it is answered.
    pub(super) fn answered(&self, reply: &Reply, ops: &mut Vec<Op>) -> Result {
        let unexpected = || -> crate::Error { format!("{self:?} was answered with {reply:?}").into() };
        match self {
            Self::Read(key) => {
                let items = reply.items().ok_or_else(unexpected)?;
                let values = items.iter().map(|item| value(item).ok_or_else(unexpected));
                ops.push(Op::Read(*key, values.collect::<Result<_>>()?));
            }
            Self::Length(key) => ops.push(Op::Length(*key, length(reply).ok_or_else(unexpected)?)),
            Self::Append(key, values) => {
                let len = length(reply).ok_or_else(unexpected)?;
                ops.extend(values.iter().map(|value| Op::Append(*key, *value)));
                ops.push(Op::Length(*key, len));
            }
            Self::AllKeys | Self::Ballast | Self::Spin => {
                if !reply.is_null() && reply.items().is_none_or(|items| !items.is_empty()) {
                    return Err(unexpected());
                }
            }
        }
        Ok(())
    }

    /// What it may have done without an answer.
    pub(super) fn appends(&self) -> impl Iterator<Item = Op> {
        let (key, values) = match self {
            Self::Append(key, values) => (*key, values.as_slice()),
            _ => (0, [].as_slice()),
        };
        values.iter().map(move |value| Op::Append(key, *value))
    }
}

fn length(reply: &Reply) -> Option<u32> {
    u32::try_from(reply.integer()?).ok()
}

fn value(item: &Reply) -> Option<Value> {
    std::str::from_utf8(item.bytes()?).ok()?.parse().ok()
}

/// The script with all that it shall do.
pub(super) fn eval(asks: &[Ask], generation: u32) -> Command {
    let mut keys = Vec::new();
    let args: Vec<String> = asks.iter().flat_map(|ask| ask.words(&mut keys, generation)).collect();
    let head = ["EVAL".to_owned(), SCRIPT.to_owned(), keys.len().to_string()];
    head.into_iter().chain(keys).chain(args).map(String::into_bytes).collect()
}
