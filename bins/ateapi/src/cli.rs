//! The command line. An option may also come from a variable `ATE_…`; what is said on the command line
//! counts first.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use ateapi::listing::TokenKey;
use ateapi::serve;
use ateapi::store::redis::Options as StoreOptions;
use clap::{Parser, ValueEnum};
use console::{Listen, LogFormat, listen, units};

const ABOUT: &str = "Keeps the records of actors, atespaces and workers in a Redis-compatible store";

const EXAMPLES: &str = "\
Examples:
  ateapi --store redis://127.0.0.1:6379
      The actor API on 127.0.0.1:6381, over one Redis, Valkey or Bulkhead.
      Try it: kubectl-ate get atespaces

  ateapi --store redis://10.0.0.1:6379,10.0.0.2:6379 --listen 0.0.0.0:6381 --metrics 0.0.0.0:9090
      Over a cluster: some of its nodes are enough, the others are found. As many of these as you
      like may run on one store.

  ATE_STORE='rediss://ate:hunter2@db:6390' ateapi --store-ca ca.crt
      Over a store that wants TLS and a login. A password belongs into a variable rather than here,
      where other users of the machine see it.

  ateapi --listen 0.0.0.0:6381 --tls-cert api.crt --tls-key api.key --tls-client-ca ca.crt
      With TLS, for clients that show a certificate of that authority.";

/// The options of `ateapi`.
#[derive(Clone, Parser)]
#[command(name = "ateapi", version, about = ABOUT, after_help = EXAMPLES)]
pub struct Options {
    /// Where clients connect.
    #[arg(long, env = "ATE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:6381")]
    #[arg(value_parser = address)]
    pub listen: SocketAddr,

    /// The store: redis://[USER:PASSWORD@]HOST:PORT[/DATABASE][,HOST:PORT…], or rediss:// for TLS. Of a
    /// cluster, some nodes are enough.
    #[arg(long, env = "ATE_STORE", value_name = "URL", default_value = "redis://127.0.0.1:6379")]
    #[arg(value_parser = store, hide_env_values = true)]
    pub store: StoreOptions,

    /// The authorities in PEM that the store's certificate may be of, with rediss://. Without them, those that the
    /// machine trusts.
    #[arg(long, env = "ATE_STORE_CA", value_name = "FILE")]
    pub store_ca: Option<PathBuf>,

    /// The certificate in PEM to show to the store, if it wants one.
    #[arg(long, env = "ATE_STORE_CERT", value_name = "FILE", requires = "store_key")]
    pub store_cert: Option<PathBuf>,

    /// Its private key in PEM, without a passphrase.
    #[arg(long, env = "ATE_STORE_KEY", value_name = "FILE", requires = "store_cert")]
    pub store_key: Option<PathBuf>,

    /// The server's certificate in PEM, with those between it and its authority: nothing but TLS is
    /// spoken then.
    #[arg(long, env = "ATE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key in PEM, without a passphrase.
    #[arg(long, env = "ATE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// The authorities in PEM whose certificates clients show.
    #[arg(long, env = "ATE_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,

    /// Whether clients have to show a certificate [default: required with --tls-client-ca, otherwise off]
    #[arg(long, env = "ATE_TLS_CLIENT_AUTH", value_name = "WHEN", requires = "tls_cert")]
    pub tls_client_auth: Option<ClientAuth>,

    /// What page tokens are made with, as 64 hexadecimal digits: the same for all replicas, so that each takes
    /// the tokens of the others. Better in a variable or a file than here, where other users of the machine
    /// see it [default: kept in the store]
    #[arg(long, env = "ATE_TOKEN_KEY", value_name = "HEX", hide_env_values = true)]
    pub token_key: Option<String>,

    /// A file that has it.
    #[arg(long, env = "ATE_TOKEN_KEY_FILE", value_name = "FILE", conflicts_with = "token_key")]
    pub token_key_file: Option<PathBuf>,

    /// Lets DebugClear delete every record. For tests only.
    #[arg(long, env = "ATE_ALLOW_DEBUG_CLEAR")]
    pub allow_debug_clear: bool,

    /// The longest that a call may take, whatever its caller says.
    #[arg(long, env = "ATE_MAX_DEADLINE", value_name = "TIME", default_value = "60s")]
    #[arg(value_parser = some_time)]
    pub max_deadline: Duration,

    /// Calls at a time, until their answers have been sent, and half of them from one address; the next one is told
    /// RESOURCE_EXHAUSTED.
    #[arg(long, env = "ATE_MAX_CALLS", value_name = "N", default_value_t = serve::CALLS_MAX as u32)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_calls: u32,

    /// Connections at a time; the next one waits.
    #[arg(long, env = "ATE_MAX_CONNECTIONS", value_name = "N", default_value_t = serve::CONNECTIONS_MAX as u32)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: u32,

    /// Connections from one address at a time; the next one is closed. 0 for any number [default: 256, or half of
    /// --max-connections if that is less]
    #[arg(long, env = "ATE_MAX_CONNECTIONS_PER_PEER", value_name = "N")]
    pub max_connections_per_peer: Option<u32>,

    /// How long a stop (SIGTERM) waits for calls that are going on.
    #[arg(long, env = "ATE_DRAIN_TIME", value_name = "TIME", default_value = "20s")]
    #[arg(value_parser = units::time)]
    pub drain_time: Duration,

    /// Threads that work on calls [default: the CPUs, at most 8]
    #[arg(long, env = "ATE_THREADS", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// Where /metrics (for Prometheus), /readyz and /healthz are served; `off` for nowhere.
    #[arg(long, env = "ATE_METRICS", value_name = "ADDR", default_value = "off", value_parser = listen)]
    pub metrics: Listen,

    /// A collector that takes spans by OTLP over gRPC, such as http://127.0.0.1:4317, or https:// for TLS [default:
    /// OTEL_EXPORTER_OTLP_ENDPOINT, or none]
    #[arg(long, env = "ATE_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// What is logged to stderr: error, warn, info, debug or trace; also by part, as in ateapi=debug,info
    #[arg(long, env = "ATE_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,

    /// How it is logged.
    #[arg(long, env = "ATE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// They are not asked for one.
    Off,
    /// They need not, but one that is shown has to be right.
    Optional,
    Required,
}

impl From<ClientAuth> for certs::ClientAuth {
    fn from(auth: ClientAuth) -> Self {
        match auth {
            ClientAuth::Off => Self::Off,
            ClientAuth::Optional => Self::Optional,
            ClientAuth::Required => Self::Required,
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wanted = "wanted: HOST:PORT, such as 127.0.0.1:6381";
    let mut found = text.to_socket_addrs().map_err(|error| format!("{error}; {wanted}"))?;
    found.next().ok_or_else(|| wanted.to_owned())
}

fn store(text: &str) -> Result<StoreOptions, String> {
    StoreOptions::parse(text).map_err(|error| error.to_string())
}

fn some_time(text: &str) -> Result<Duration, String> {
    match units::time(text)? {
        Duration::ZERO => Err("no call could be done in no time".into()),
        time => Ok(time),
    }
}

/// Understands the command line and the variables.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
    Options::try_parse_from(args)
}

impl Options {
    /// How the server is to be.
    pub fn server(&self) -> Result<serve::Options, String> {
        let mut options = serve::Options::new(self.listen);
        options.tls = self.tls_files()?;
        options.deadline_max = self.max_deadline;
        options.calls_max = self.max_calls as usize;
        options.connections_max = self.max_connections as usize;
        options.connections_per_peer_max = self
            .max_connections_per_peer
            .map_or_else(|| serve::connections_per_peer(options.connections_max), |count| count as usize);
        options.drain_max = self.drain_time;
        options.threads = self.threads.map_or(options.threads, usize::from);
        let variable = |name: &str| std::env::var(name).ok();
        options.collector = serve::Collector::find(self.otlp_endpoint.as_deref(), variable)?;
        Ok(options)
    }

    fn tls_files(&self) -> Result<Option<certs::TlsFiles>, String> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let client_auth = match (self.tls_client_auth, &self.tls_client_ca) {
            (None, None) => certs::ClientAuth::Off,
            (None, Some(_)) => certs::ClientAuth::Required,
            (Some(ClientAuth::Optional | ClientAuth::Required), None) => {
                return Err("--tls-client-auth needs --tls-client-ca: whose certificates?".into());
            }
            (Some(auth), _) => auth.into(),
        };
        let (cert, key, client_ca) = (cert.clone(), key.clone(), self.tls_client_ca.clone());
        Ok(Some(certs::TlsFiles { cert, key, client_ca, client_auth }))
    }

    /// What page tokens are made with.
    pub fn token_key(&self) -> Result<TokenKey, String> {
        let (text, place) = match (&self.token_key, &self.token_key_file) {
            (Some(text), _) => (text.clone(), "--token-key".to_owned()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                (text.map_err(|error| format!("{}: {error}", path.display()))?, path.display().to_string())
            }
            (None, None) => return Ok(TokenKey::Stored),
        };
        let key = TokenKey::parse(&text);
        key.ok_or_else(|| format!("{place}: a key is 64 hexadecimal digits, as of: openssl rand -hex 32"))
    }

    /// The store, with whom to trust.
    pub fn store(&self) -> Result<StoreOptions, String> {
        let options = self.store.clone();
        let ca = self.store_ca.clone();
        let identity = self.store_cert.clone().zip(self.store_key.clone());
        if !options.encrypted {
            let said = [(ca.is_some(), "--store-ca"), (identity.is_some(), "--store-cert")];
            return match said.iter().find(|(is_said, _)| *is_said) {
                Some((_, name)) => {
                    Err(format!("{name} is said, but the store's address does not begin with rediss://"))
                }
                None => Ok(options),
            };
        }
        let whose = if ca.is_some() { "" } else { "--store-ca is not said, and " };
        let config = certs::ClientFiles { ca, identity }.load().map_err(|why| format!("{whose}{why}"))?;
        Ok(options.tls(config.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse_line(line: &str) -> Result<Options, String> {
        let words = "ateapi".split(' ').chain(line.split_whitespace()).map(OsString::from);
        parse(words).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(line: &str, expected: &str) {
        let error = match parse_line(line) {
            Ok(options) => {
                let checked =
                    options.server().and_then(|_| options.store()).and_then(|_| options.token_key());
                checked.map(|_| ()).unwrap_err()
            }
            Err(error) => error,
        };
        assert!(error.contains(expected), "{line}: {error}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn without_options_it_serves_this_machine_over_a_redis_on_it() {
        let options = parse_line("").unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:6381");
        assert_eq!(options.store.seeds[0].to_string(), "127.0.0.1:6379");
        assert_eq!((options.metrics, options.allow_debug_clear), (Listen(None), false));
        let server = options.server().unwrap();
        assert!(server.tls.is_none());
        assert_eq!((server.connections_max, server.connections_per_peer_max), (1024, 256));
        assert_eq!(server.drain_max, serve::DRAIN_MAX);
        assert_eq!(server.deadline_max, serve::DEADLINE_MAX);
    }

    #[test]
    fn one_peer_never_has_all_connections_unless_that_is_wanted() {
        for (line, expected) in [
            ("--max-connections 100", 50),
            ("--max-connections 100 --max-connections-per-peer 100", 100),
            ("--max-connections-per-peer 0", 0),
        ] {
            assert_eq!(
                parse_line(line).unwrap().server().unwrap().connections_per_peer_max,
                expected,
                "{line}"
            );
        }
    }

    #[test]
    fn clients_must_show_a_certificate_if_an_authority_is_named() {
        for (more, expected) in [
            ("", certs::ClientAuth::Off),
            ("--tls-client-ca a", certs::ClientAuth::Required),
            ("--tls-client-ca a --tls-client-auth optional", certs::ClientAuth::Optional),
            ("--tls-client-ca a --tls-client-auth off", certs::ClientAuth::Off),
        ] {
            let options = parse_line(&format!("--tls-cert c --tls-key k {more}")).unwrap();
            assert_eq!(options.server().unwrap().tls.unwrap().client_auth, expected, "{more}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        refused("--store 127.0.0.1:6379", "the store's address must read redis://");
        refused("--store-cert a.crt --store-key a.key", "--store-cert is said, but");
        refused("--store-ca ca.crt", "does not begin with rediss://");
        refused("--store rediss://a --store-ca /nowhere/ca.crt", "/nowhere/ca.crt: ");
        refused("--listen nowhere", "wanted: HOST:PORT");
        refused("--listen off", "wanted: HOST:PORT");
        refused("--tls-cert c", "--tls-key");
        refused("--tls-client-ca c", "--tls-cert");
        refused("--tls-cert c --tls-key k --tls-client-auth required", "needs --tls-client-ca");
        refused("--max-deadline 0", "no call could be done in no time");
        refused("--max-deadline 60", "a time is a number and a unit");
        refused("--max-calls 0", "1..=100000");
        refused("--max-connections-per-peer=-1", "invalid value '-1'");
        refused("--otlp-endpoint 127.0.0.1:4317", "wanted: http://HOST:PORT or https://HOST:PORT");
        refused("--log-format xml", "json");
        refused("--token-key hunter2", "--token-key: a key is 64 hexadecimal digits");
        refused("--token-key-file /nowhere/key", "/nowhere/key: ");
        refused(&format!("--token-key {0} --token-key-file {0}", "0".repeat(64)), "cannot be used with");
    }
}
