//! A selector: commands, and the keys and channels that they may name. A user has one of its own, and
//! perhaps more: what any of them allows is allowed.

use base::glob;
use command::{Access, Args, access};

use super::check::{self, Denied};
use super::commands::Commands;
use super::{Wrong, has_spaces};
use crate::table::Entry;

/// What may be done with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    pub read: bool,
    pub write: bool,
}

impl Rights {
    const ALL: Self = Self { read: true, write: true };
    pub const READ: Self = Self { read: true, write: false };

    /// What a command needs that does this with a key: nothing, if it only looks whether it is there.
    pub fn needed(by: Access) -> Self {
        let writes = [access::INSERT, access::DELETE, access::UPDATE];
        Self { read: by.has(access::ACCESS), write: writes.iter().any(|flag| by.has(*flag)) }
    }

    fn include(self, needed: Self) -> bool {
        (self.read || !needed.read) && (self.write || !needed.write)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    rights: Rights,
    pattern: Vec<u8>,
}

impl KeyPattern {
    /// `~pattern`, `%R~pattern`, `%W~pattern`.
    fn describe(&self) -> Vec<u8> {
        let head: &[u8] = match self.rights {
            Rights { read: true, write: false } => b"%R~",
            Rights { read: false, write: true } => b"%W~",
            _ => b"~",
        };
        [head, &self.pattern].concat()
    }

    /// Rights and pattern of `%R~pattern`, from behind the percent sign. As in Redis the tilde may be left
    /// out at the end: an empty pattern.
    fn parse(rule: &[u8]) -> Result<Self, Wrong> {
        let mut rights = Rights { read: false, write: false };
        let mut pattern: &[u8] = &[];
        for (at, byte) in rule.iter().enumerate() {
            match byte {
                b'r' | b'R' if !rights.read => rights.read = true,
                b'w' | b'W' if !rights.write => rights.write = true,
                b'~' => {
                    pattern = rule.get(at + 1..).unwrap_or_default();
                    break;
                }
                _ => return Err(Wrong::Syntax),
            }
        }
        if !rights.read && !rights.write {
            return Err(Wrong::Syntax);
        }
        Ok(Self { rights, pattern: pattern.to_vec() })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub commands: Commands,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Vec<u8>>,
}

impl Selector {
    /// Applies a rule. The words are taken in any case.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), Wrong> {
        let is = |words: [&str; 2]| words.iter().any(|word| rule.eq_ignore_ascii_case(word.as_bytes()));
        match rule {
            _ if is(["allkeys", "~*"]) => self.set_keys(true),
            _ if is(["resetkeys", "resetkeys"]) => self.set_keys(false),
            _ if is(["allchannels", "&*"]) => self.set_channels(true),
            _ if is(["resetchannels", "resetchannels"]) => self.set_channels(false),
            _ if is(["allcommands", "+@all"]) => self.commands.set_all(true),
            _ if is(["nocommands", "-@all"]) => self.commands.set_all(false),
            [b'~' | b'%', ..] => self.add_key_pattern(rule)?,
            [b'&', channel @ ..] => self.add_channel(channel)?,
            [b'+', rule @ ..] => self.commands.apply(rule, true)?,
            [b'-', rule @ ..] => self.commands.apply(rule, false)?,
            _ => return Err(Wrong::Syntax),
        }
        Ok(())
    }

    fn set_keys(&mut self, all: bool) {
        self.all_keys = all;
        self.keys.clear();
    }

    fn set_channels(&mut self, all: bool) {
        self.all_channels = all;
        self.channels.clear();
    }

    fn add_key_pattern(&mut self, rule: &[u8]) -> Result<(), Wrong> {
        if self.all_keys {
            return Err(Wrong::KeysAreAll);
        }
        let added = match rule {
            [b'~', pattern @ ..] => KeyPattern { rights: Rights::ALL, pattern: pattern.to_vec() },
            [_, rule @ ..] => KeyPattern::parse(rule)?,
            [] => return Err(Wrong::Syntax),
        };
        if has_spaces(&added.pattern) {
            return Err(Wrong::Syntax);
        }
        match self.keys.iter_mut().find(|key| key.pattern == added.pattern) {
            Some(key) => {
                key.rights.read |= added.rights.read;
                key.rights.write |= added.rights.write;
            }
            None => self.keys.push(added),
        }
        Ok(())
    }

    fn add_channel(&mut self, channel: &[u8]) -> Result<(), Wrong> {
        if self.all_channels {
            return Err(Wrong::ChannelsAreAll);
        }
        if has_spaces(channel) {
            return Err(Wrong::Syntax);
        }
        if !self.channels.iter().any(|before| before == channel) {
            self.channels.push(channel.to_vec());
        }
        Ok(())
    }

    /// Whether it allows everything.
    pub fn allows_everything(&self) -> bool {
        self.commands.are_all() && self.all_keys && self.all_channels
    }

    /// Whether these rights are given on every key.
    pub fn has_every_key(&self, rights: Rights) -> bool {
        self.all_keys || self.keys.iter().any(|key| key.rights.include(rights) && key.pattern == b"*")
    }

    /// Whether a command may run with these arguments.
    pub fn check(&self, entry: &Entry, args: &Args<'_>) -> Result<(), Denied> {
        if !self.commands.allow(entry, args) {
            return Err(Denied::Command);
        }
        if !self.all_keys {
            let denied =
                |&(at, access): &(usize, Access)| !self.has_key(args.get(at), Rights::needed(access));
            let mut keys = entry.row.keys.accessed(args).filter(|(_, access)| !access.has(access::NOT_KEY));
            if let Some((at, _)) = keys.find(denied) {
                return Err(Denied::Key(at));
            }
        }
        if !self.all_channels
            && let Some(named) = check::channels(entry)
        {
            let denied = |at: &usize| !self.has_channel(args.get(*at), named.are_patterns);
            if let Some(at) = named.positions(args).find(denied) {
                return Err(Denied::Channel(at));
            }
        }
        Ok(())
    }

    fn has_key(&self, key: &[u8], rights: Rights) -> bool {
        self.keys.iter().any(|allowed| allowed.rights.include(rights) && matches(&allowed.pattern, key))
    }

    /// Whether a channel may be used, or, if it is a pattern, channels like it.
    pub fn has_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let is_allowed = |allowed: &Vec<u8>| {
            // Whether a pattern allows less than another one is not worked out: it must be the same.
            if is_pattern { allowed == channel } else { matches(allowed, channel) }
        };
        self.all_channels || self.channels.iter().any(is_allowed)
    }

    /// As ACL LIST shows it.
    pub fn describe(&self) -> Vec<u8> {
        self.rules().join(&b' ')
    }

    /// Rules that lead to it, from an empty one on.
    pub fn rules(&self) -> Vec<Vec<u8>> {
        let mut rules: Vec<Vec<u8>> = self.described_keys();
        if !self.all_channels {
            rules.push(b"resetchannels".to_vec());
        }
        rules.extend(self.described_channels());
        rules.extend(self.commands.rules().map(<[u8]>::to_vec));
        rules
    }

    pub fn described_keys(&self) -> Vec<Vec<u8>> {
        if self.all_keys {
            vec![b"~*".to_vec()]
        } else {
            self.keys.iter().map(KeyPattern::describe).collect()
        }
    }

    pub fn described_channels(&self) -> Vec<Vec<u8>> {
        if self.all_channels {
            return vec![b"&*".to_vec()];
        }
        self.channels.iter().map(|channel| [b"&", &**channel].concat()).collect()
    }
}

/// A pattern `*` is for everything, the empty name included: `glob` leaves that to its callers.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    glob::matches_all(pattern) || glob::matches(pattern, text)
}
