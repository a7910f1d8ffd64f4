//! The users that are in force on this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::log::AclLog;
use super::user::{DEFAULT, User};

struct Known {
    /// By name. The default user is always among them.
    users: BTreeMap<Vec<u8>, Arc<User>>,
    /// The password that a setting gives the default user, as long as his rules do not: an empty one for none.
    by_setting: Option<Vec<u8>>,
    /// The setting's value.
    password: Vec<u8>,
    /// Whether what the catalog has is in force.
    is_loaded: bool,
}

impl Known {
    fn insert(&mut self, user: User) {
        self.users.insert(user.name.clone(), Arc::new(user));
    }

    /// Puts the default user in, as his rules and the setting have him.
    fn insert_default(&mut self, stored: Option<User>) {
        let user = stored.unwrap_or_else(User::initial);
        self.insert(match &self.by_setting {
            Some(password) => user.with_password(password),
            None => user,
        });
    }
}

pub struct Users {
    /// Who was refused what.
    pub log: AclLog,
    /// Higher with every change: what connections compare.
    generation: AtomicU64,
    known: RwLock<Known>,
    /// Held by one who brings what is in force up to date with the catalog: reads it, and then says so.
    pub(super) refreshing: Mutex<Refreshed>,
}

/// What the users in force were read from.
#[derive(Default)]
pub(super) struct Refreshed {
    /// The epoch of the group that has the catalog.
    pub epoch: Option<u64>,
}

impl Users {
    /// The default user alone, with this password if there is one.
    pub fn new(password: Option<&str>) -> Self {
        let password = password.unwrap_or_default().as_bytes().to_vec();
        let by_setting = (!password.is_empty()).then(|| password.clone());
        let mut known = Known { users: BTreeMap::new(), by_setting, password, is_loaded: false };
        known.insert_default(None);
        Self {
            log: AclLog::default(),
            generation: AtomicU64::new(1),
            known: RwLock::new(known),
            refreshing: Mutex::default(),
        }
    }

    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Known) -> R) -> R {
        let mut known = self.known.write();
        let done = change(&mut known);
        // IMPORTANT: before the lock is given back: whoever sees the new number sees the new users.
        self.generation.fetch_add(1, Ordering::Release);
        done
    }

    /// A user, and the number that says for how long this is true.
    pub fn find(&self, name: &[u8]) -> (Option<Arc<User>>, u64) {
        let known = self.known.read();
        (known.users.get(name).cloned(), self.generation())
    }

    pub fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.find(name).0
    }

    pub fn default_user(&self) -> Arc<User> {
        self.get(DEFAULT).unwrap_or_else(|| Arc::new(User::initial()))
    }

    pub fn len(&self) -> usize {
        self.known.read().users.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All, by name.
    pub fn list(&self) -> Vec<Arc<User>> {
        self.known.read().users.values().cloned().collect()
    }

    /// CONFIG GET requirepass.
    pub fn password(&self) -> Vec<u8> {
        self.known.read().password.clone()
    }

    /// CONFIG SET requirepass: the default user's only password; an empty one means that none is needed.
    pub fn set_password(&self, password: &[u8]) {
        self.change(|known| {
            known.password = password.to_vec();
            known.by_setting = Some(password.to_vec());
            let user = known.users.get(DEFAULT).map(|user| User::clone(user));
            known.insert_default(user);
        });
    }

    /// What rules are applied to: the user as the catalog has him, and a password that is only a setting.
    pub fn base(&self, name: &[u8], stored: Option<User>) -> User {
        if name != DEFAULT {
            return stored.unwrap_or_else(|| User::new(name));
        }
        let user = stored.unwrap_or_else(User::initial);
        match &self.known.read().by_setting {
            Some(password) => user.with_password(password),
            None => user,
        }
    }

    /// The default user's rules have been changed: they say what his password is from now on.
    pub(super) fn settle_default(&self) {
        self.known.write().by_setting = None;
    }

    /// What the catalog has of a user is in force.
    pub(super) fn set(&self, name: &[u8], stored: Option<User>) {
        self.change(|known| match stored {
            stored if name == DEFAULT => known.insert_default(stored),
            Some(user) => known.insert(user),
            None => {
                known.users.remove(name);
            }
        });
    }

    /// What the catalog has is in force, and nothing else. Gives the names of those who are gone.
    pub(super) fn set_all(&self, stored: Vec<User>) -> Vec<Vec<u8>> {
        self.change(|known| {
            let before = std::mem::take(&mut known.users);
            let mut default = None;
            for user in stored {
                if user.name == DEFAULT { default = Some(user) } else { known.insert(user) }
            }
            // What the node is started with gives a password to him who has none, and takes none from him.
            let has_password = default.as_ref().is_some_and(|user| !user.has_no_password());
            if !std::mem::replace(&mut known.is_loaded, true)
                && has_password
                && known.by_setting.take().is_some()
            {
                tracing::warn!("requirepass is not used: the default user's rules have a password");
            }
            known.insert_default(default);
            before.into_keys().filter(|name| !known.users.contains_key(name)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, rules: &str) -> User {
        let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        User::new(name.as_bytes()).changed(&rules).unwrap()
    }

    #[test]
    fn the_setting_is_the_default_users_password() {
        let users = Users::new(None);
        assert!(users.default_user().accepts(b"anything"));
        users.set_password(b"secret");
        for (given, accepted) in [("secret", true), ("secre", false), ("secretx", false), ("", false)] {
            assert_eq!(users.default_user().accepts(given.as_bytes()), accepted, "{given}");
        }
        assert_eq!(users.password(), b"secret");
        users.set_password(b"");
        assert!(users.default_user().is_open());
        assert!(!Users::new(Some("x")).default_user().is_open());
    }

    #[test]
    fn rules_of_the_default_user_are_applied_to_the_setting_and_then_replace_it() {
        let users = Users::new(Some("setting"));
        let base = users.base(DEFAULT, None);
        assert!(base.accepts(b"setting"));
        let changed = base.changed(&[b">rule"]).unwrap();
        users.settle_default();
        users.set(DEFAULT, Some(changed.clone()));
        let now = users.default_user();
        assert!(now.accepts(b"setting") && now.accepts(b"rule") && !now.accepts(b"other"));
        users.set_all(vec![changed]);
        assert!(users.default_user().accepts(b"rule"));
    }

    #[test]
    fn what_a_node_is_started_with_gives_a_password_to_a_default_user_without() {
        for (rules, accepted) in [("on nopass", "setting"), ("on >rule", "rule")] {
            let users = Users::new(Some("setting"));
            users.set_all(vec![user("default", rules)]);
            for password in ["setting", "rule"] {
                let accepts = users.default_user().accepts(password.as_bytes());
                assert_eq!(accepts, password == accepted, "{rules} {password}");
            }
        }
    }

    #[test]
    fn what_is_loaded_is_all_there_is() {
        let users = Users::new(None);
        users.set(b"a", Some(user("a", "on")));
        users.set(b"b", Some(user("b", "on")));
        let before = users.generation();
        assert_eq!(users.set_all(vec![user("b", "off"), user("c", "on")]), [b"a"]);
        assert!(users.generation() > before);
        let names: Vec<_> = users.list().iter().map(|user| user.name.clone()).collect();
        assert_eq!(names, [&b"b"[..], b"c", b"default"]);
        users.set(b"b", None);
        users.set(DEFAULT, None);
        assert_eq!(users.len(), 2);
    }
}
