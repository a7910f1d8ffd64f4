//! A user: who may log in, and what he may do then.

use std::sync::OnceLock;

use super::commands::in_category;
use super::password::{Digest, is_one_of};
use super::rules;
use super::selector::Selector;
use super::{Unreadable, Wrong, has_spaces};

/// Who one is before one logs in.
pub const DEFAULT: &[u8] = b"default";

/// Whether payloads of RESTORE are looked through. Here they are, whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sanitize {
    Payload,
    Skip,
}

#[derive(Clone, Debug)]
pub struct User {
    pub name: Vec<u8>,
    is_on: bool,
    /// Any password is right.
    no_password: bool,
    sanitize: Sanitize,
    passwords: Vec<Digest>,
    root: Selector,
    others: Vec<Selector>,
    may_everything: bool,
    is_administrator: OnceLock<bool>,
}

impl User {
    /// A user who may not log in, nor do anything.
    pub fn new(name: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            is_on: false,
            no_password: false,
            sanitize: Sanitize::Payload,
            passwords: Vec::new(),
            root: Selector::default(),
            others: Vec::new(),
            may_everything: false,
            is_administrator: OnceLock::new(),
        }
    }

    /// The default user as he is as long as nobody has said anything else: everybody, who may do everything.
    pub fn initial() -> Self {
        let mut user = Self::new(DEFAULT);
        user.is_on = true;
        user.no_password = true;
        for rule in [&b"allkeys"[..], b"allchannels", b"allcommands"] {
            let _ = user.root.apply(rule);
        }
        user.settled()
    }

    /// What ACL SETUSER makes of him: all of the rules, or an error.
    pub fn changed(&self, given: &[&[u8]]) -> Result<Self, command::Error> {
        let merged = rules::merge(given).map_err(|open| {
            command::Error::quoting("ERR Unmatched parenthesis in acl selector starting at '", open, "'.")
        })?;
        let mut user = self.clone();
        for rule in &merged {
            user.apply(rule).map_err(|wrong| wrong.error(rule))?;
        }
        Ok(user.settled())
    }

    /// With this password and no other; with an empty one, without.
    pub fn with_password(&self, password: &[u8]) -> Self {
        let mut user = self.clone();
        user.passwords.clear();
        user.no_password = password.is_empty();
        if !password.is_empty() {
            user.passwords.push(Digest::of(password));
        }
        user
    }

    fn apply(&mut self, rule: &[u8]) -> Result<(), Wrong> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            _ if is("on") => self.is_on = true,
            _ if is("off") => self.is_on = false,
            _ if is("nopass") => {
                self.no_password = true;
                self.passwords.clear();
            }
            _ if is("resetpass") => {
                self.no_password = false;
                self.passwords.clear();
            }
            _ if is("skip-sanitize-payload") => self.sanitize = Sanitize::Skip,
            _ if is("sanitize-payload") => self.sanitize = Sanitize::Payload,
            [b'>' | b'#' | b'<' | b'!', ..] => self.apply_password(rule)?,
            [b'(', inner @ .., b')'] => self.others.push(rules::selector(inner)?),
            _ if is("clearselectors") => self.others.clear(),
            _ if is("reset") => *self = Self::new(&self.name),
            _ => self.root.apply(rule)?,
        }
        Ok(())
    }

    /// `>password`, `#digest`, `<password`, `!digest`.
    fn apply_password(&mut self, rule: &[u8]) -> Result<(), Wrong> {
        let (sign, given) = rule.split_first().ok_or(Wrong::Syntax)?;
        let digest = match sign {
            b'>' | b'<' => Digest::of(given),
            _ => Digest::from_hex(given).ok_or(Wrong::Hash)?,
        };
        let known = self.passwords.iter().position(|password| *password == digest);
        match (sign, known) {
            (b'>' | b'#', known) => {
                if known.is_none() {
                    self.passwords.push(digest);
                }
                self.no_password = false;
            }
            (_, Some(known)) => {
                self.passwords.remove(known);
            }
            (_, None) => return Err(Wrong::NoSuchPassword),
        }
        Ok(())
    }

    /// Works out what is asked for at every command.
    fn settled(mut self) -> Self {
        let may_everything = self.selectors().any(Selector::allows_everything);
        self.may_everything = may_everything;
        self.is_administrator = OnceLock::new();
        self
    }

    /// Whether he may log in with this password.
    pub fn accepts(&self, password: &[u8]) -> bool {
        self.is_on && (self.no_password || is_one_of(&Digest::of(password), &self.passwords))
    }

    /// Whether anybody may be him.
    pub fn is_open(&self) -> bool {
        self.is_on && self.no_password
    }

    pub fn has_no_password(&self) -> bool {
        self.no_password
    }

    pub fn may_everything(&self) -> bool {
        self.may_everything
    }

    /// Whether he may run every command of the category `admin`.
    pub fn is_administrator(&self) -> bool {
        let may_all = |s: &Selector| in_category("admin").all(|entry| s.commands.allow_any(entry));
        *self.is_administrator.get_or_init(|| self.selectors().any(may_all))
    }

    /// Whether he may hear a channel, or those that are like a pattern.
    pub fn may_hear(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors().any(|selector| selector.has_channel(channel, is_pattern))
    }

    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.others)
    }

    pub fn root(&self) -> &Selector {
        &self.root
    }

    pub fn others(&self) -> &[Selector] {
        &self.others
    }

    pub fn passwords(&self) -> impl ExactSizeIterator<Item = String> {
        self.passwords.iter().map(Digest::hex)
    }

    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        flags.push(match self.sanitize {
            Sanitize::Payload => "sanitize-payload",
            Sanitize::Skip => "skip-sanitize-payload",
        });
        flags
    }

    /// Rules for himself, without those of his selectors.
    fn own_rules(&self) -> Vec<Vec<u8>> {
        let flags = self.flags().into_iter().map(|flag| flag.as_bytes().to_vec());
        let passwords = self.passwords().map(|digest| format!("#{digest}").into_bytes());
        flags.chain(passwords).collect()
    }

    /// His line in ACL LIST.
    pub fn describe(&self) -> Vec<u8> {
        let mut parts = vec![b"user".to_vec(), self.name.clone()];
        parts.extend(self.own_rules());
        parts.push(self.root.describe());
        parts.extend(self.others.iter().map(|other| [b"(", &*other.describe(), b")"].concat()));
        parts.join(&b' ')
    }

    /// His rules as the catalog keeps them. As in ACL LIST, but that brackets stand alone: a pattern may end
    /// with one, and no rule holds a space.
    pub fn record(&self) -> Vec<u8> {
        let mut rules = self.own_rules();
        rules.extend(self.root.rules());
        for other in &self.others {
            rules.push(b"(".to_vec());
            rules.extend(other.rules());
            rules.push(b")".to_vec());
        }
        rules.join(&b' ')
    }

    /// From what the catalog has.
    pub fn from_record(name: &[u8], record: &[u8]) -> Result<Self, Unreadable> {
        if has_spaces(name) {
            return Err(Unreadable::new(name, "the name has spaces in it"));
        }
        let mut user = Self::new(name);
        let mut open: Option<Selector> = None;
        for rule in record.split(|byte| *byte == b' ') {
            let done = match (rule, &mut open) {
                (b"(", None) => {
                    open = Some(Selector::default());
                    Ok(())
                }
                (b")", Some(_)) => {
                    user.others.extend(open.take());
                    Ok(())
                }
                (rule, Some(selector)) => selector.apply(rule),
                // What is between two spaces is a rule.
                ([], None) => Err(Wrong::Syntax),
                (rule, None) => user.apply(rule),
            };
            done.map_err(|wrong| Unreadable::new(name, wrong.text()))?;
        }
        if open.is_some() {
            return Err(Unreadable::new(name, "a selector has no end"));
        }
        Ok(user.settled())
    }
}
