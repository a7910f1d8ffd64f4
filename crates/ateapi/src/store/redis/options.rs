//! Where the store is: `redis://[USER:PASSWORD@]HOST:PORT[/DATABASE][,HOST:PORT…]`.

use crate::store::Address;
use percent_encoding::percent_decode_str;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use tokio_rustls::rustls::ClientConfig;

const PORT: u16 = 6379;

/// Opens a connection to a node in another way than through the network.
pub type Connector = Arc<dyn Fn(&Address) -> io::Result<UnixStream> + Send + Sync>;

/// Whom to connect to, and as whom.
#[derive(Clone)]
pub struct Options {
    pub seeds: Vec<Address>,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Clusters have only database 0.
    pub database: i64,
    /// `rediss://`: nothing is said without TLS.
    pub encrypted: bool,
    /// Whom to trust, and what to show. Needed with `rediss://`.
    pub tls: Option<Arc<ClientConfig>>,
    /// How to connect, if not by addresses: whoever opens connections for us says what they lead to.
    pub connector: Option<Connector>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store's address must read redis://[USER:PASSWORD@]HOST:PORT[/DATABASE][,HOST:PORT…]: {0}")]
pub struct InvalidAddress(String);

impl Options {
    /// Reads an address. The password may hold anything, percent-encoded.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |problem: &str| InvalidAddress(problem.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("no scheme"))?;
        let encrypted = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err(invalid("the scheme is neither redis nor rediss")),
        };
        let (login, places) = match rest.rsplit_once('@') {
            Some((login, places)) => (Some(login), places),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (decode(user)?, decode(password)?),
            None => (None, None),
        };
        let mut options =
            Self { seeds: Vec::new(), user, password, database: 0, encrypted, tls: None, connector: None };
        for place in places.split(',') {
            let (place, database) = place.split_once('/').unwrap_or((place, ""));
            if !database.is_empty() {
                options.database = database.parse().map_err(|_| invalid("the database is no number"))?;
            }
            options.seeds.push(address(place).ok_or_else(|| invalid("a part is not HOST:PORT"))?);
        }
        Ok(options)
    }

    /// A store in this process: `connector` opens connections to it, `node` is what it calls itself.
    pub fn inside(node: Address, connector: Connector) -> Self {
        Self {
            seeds: vec![node],
            user: None,
            password: None,
            database: 0,
            encrypted: false,
            tls: None,
            connector: Some(connector),
        }
    }

    /// Says whom to trust.
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }
}

fn decode(part: &str) -> Result<Option<String>, InvalidAddress> {
    let decoded = percent_decode_str(part).decode_utf8();
    let decoded = decoded.map_err(|_| InvalidAddress("user or password is not UTF-8".to_owned()))?;
    Ok((!decoded.is_empty()).then(|| decoded.into_owned()))
}

fn address(place: &str) -> Option<Address> {
    let has_port = place.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let address = match has_port {
        true => Address::parse(place)?,
        false => Address::new(place.trim_start_matches('[').trim_end_matches(']'), PORT),
    };
    (!address.host.is_empty()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let said = Options::parse(text).map(|options| {
            let seeds: Vec<String> = options.seeds.iter().map(Address::to_string).collect();
            let login = [options.user, options.password].map(|part| part.unwrap_or_else(|| "-".into()));
            format!("{} {} {} {}", login.join(":"), seeds.join(","), options.database, options.encrypted)
        });
        assert_eq!(said.unwrap_or_else(|_| "invalid".into()), expected, "{text}");
    }

    #[test]
    fn addresses_are_read() {
        check("redis://127.0.0.1:7000", "-:- 127.0.0.1:7000 0 false");
        check("redis://a", "-:- a:6379 0 false");
        check("redis://[::1]", "-:- [::1]:6379 0 false");
        check("redis://[::1]:7", "-:- [::1]:7 0 false");
        check("rediss://me:p%40ss:word@a:1/2", "me:p@ss:word a:1 2 true");
        check("redis://:secret@a:1/2,b:2,c", "-:secret a:1,b:2,c:6379 2 false");
        check("redis://a:1,b:2/3", "-:- a:1,b:2 3 false");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "a:1", "http://a", "redis://", "redis://a:0", "redis://a:x", "redis://a/b", "redis://a,"]
        {
            check(text, "invalid");
        }
    }
}
