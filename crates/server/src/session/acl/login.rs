//! Who a connection is.

use std::sync::{Arc, LazyLock};

use super::user::{DEFAULT, User};
use super::users::Users;

/// Who may do what the actor API needs that the node hosts: all with all keys, but what is for administrators, or
/// dangerous. Nobody logs in as him, and no rule changes him.
static INSIDE: LazyLock<Arc<User>> = LazyLock::new(|| {
    let nobody = User::new(b"ateapi");
    let rules: [&[u8]; 6] = [b"on", b"allkeys", b"+@all", b"-@admin", b"-@dangerous", b"+info"];
    Arc::new(nobody.changed(&rules).unwrap_or(nobody))
});

pub struct Login {
    user: Arc<User>,
    /// Of which state of the users this is.
    generation: u64,
    /// It has logged in, or needed not to when it came.
    is_authenticated: bool,
    /// It has logged in.
    has_logged_in: bool,
    /// Nobody needs to log in now.
    is_open: bool,
    /// It is what the node hosts.
    is_inside: bool,
}

impl Login {
    /// A new connection is the default user's, if nothing is asked for.
    pub fn new(users: &Users) -> Self {
        let (user, generation) = users.find(DEFAULT);
        let user = user.unwrap_or_else(|| Arc::new(User::new(DEFAULT)));
        let is_open = user.is_open();
        Self { user, generation, is_authenticated: is_open, has_logged_in: false, is_open, is_inside: false }
    }

    /// What the node hosts needs no password, whatever the users are.
    pub fn inside(users: &Users) -> Self {
        let user = INSIDE.clone();
        let generation = users.generation();
        Self {
            user,
            generation,
            is_authenticated: true,
            has_logged_in: false,
            is_open: false,
            is_inside: true,
        }
    }

    /// The user, as he is now.
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    pub fn is_authenticated(&self) -> bool {
        self.is_authenticated || self.is_open
    }

    /// Whether it has given a name and a password, even if it need not.
    pub fn has_logged_in(&self) -> bool {
        self.has_logged_in
    }

    /// Whether there were changes that it has not taken notice of.
    pub fn is_outdated(&self, users: &Users) -> bool {
        self.generation != users.generation()
    }

    /// Takes notice of changes. One whose user is gone is nobody.
    #[inline]
    pub fn refresh(&mut self, users: &Users) {
        if self.generation != users.generation() {
            self.renew(users);
        }
    }

    #[cold]
    fn renew(&mut self, users: &Users) {
        if self.is_inside {
            self.generation = users.generation();
            return;
        }
        let (user, generation) = users.find(&self.user.name);
        match user {
            Some(user) => self.user = user,
            None => *self = Self { is_authenticated: false, ..Self::new(users) },
        }
        self.generation = generation;
        self.is_open = users.default_user().is_open();
    }

    /// Logs in. The password has been checked.
    pub fn become_user(&mut self, user: Arc<User>) {
        self.user = user;
        self.is_inside = false;
        self.is_authenticated = true;
        self.has_logged_in = true;
        // It may have been changed since: looked up anew at the next command.
        self.generation = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_hosts_is_who_it_is_whatever_the_users_are() {
        let users = Users::new(Some("secret"));
        let mut login = Login::inside(&users);
        users.set(b"ateapi", Some(User::new(b"ateapi").changed(&[b"off"]).unwrap()));
        users.set(b"ateapi", None);
        login.refresh(&users);
        assert!(login.is_authenticated() && !login.is_outdated(&users));
        assert_eq!(login.user().name, b"ateapi");
        assert!(!login.user().is_administrator());
        assert_eq!(
            login.user().describe(),
            b"user ateapi on sanitize-payload ~* resetchannels +@all -@admin -@dangerous +info"
        );
    }

    #[test]
    fn changes_are_noticed() {
        let users = Users::new(None);
        let mut login = Login::new(&users);
        assert!(login.is_authenticated());
        users.set_password(b"x");
        login.refresh(&users);
        assert!(login.is_authenticated(), "whoever is in stays in");
        assert!(!Login::new(&users).is_authenticated());
        users.set(b"me", Some(User::new(b"me").changed(&[b"on", b"+get"]).unwrap()));
        login.become_user(users.get(b"me").unwrap());
        users.set(b"me", Some(User::new(b"me").changed(&[b"on", b"allkeys"]).unwrap()));
        login.refresh(&users);
        assert_eq!(login.user().describe(), users.get(b"me").unwrap().describe());
        users.set(b"me", None);
        login.refresh(&users);
        assert!(!login.is_authenticated());
        assert_eq!(login.user().name, DEFAULT);
        users.set_password(b"");
        login.refresh(&users);
        assert!(login.is_authenticated(), "nobody needs to log in");
    }
}
