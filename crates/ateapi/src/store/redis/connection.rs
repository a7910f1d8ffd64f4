//! One multiplexed connection to one node: calls share it, and their replies come in order.
//!
//! It knows which process it leads to, which a connection cannot outlive: whoever scans through it can
//! be sure of whose cursors it gives and takes.

use super::limits::{CONNECT_TIME_MAX, RESPONSE_TIME_MAX, SILENCE_MAX};
use super::reply::{self, field};
use super::{Options, random};
use crate::store::Address;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) run: Arc<str>,
    /// Its name in its cluster, if it is in one.
    pub(super) node: Option<String>,
    pub(super) is_replica: bool,
    /// Bulkhead's cursors are positions.
    pub(super) positions: bool,
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing has left.
    Unsent(String),
    /// It has been sent, or may have been.
    Broken(String),
    /// The caller's time is over; it has been sent.
    Deadline,
}

pub(super) struct Connection {
    pub(super) address: Address,
    pub(super) identity: Identity,
    shared: MultiplexedConnection,
    closed: Arc<AtomicBool>,
    driver: JoinHandle<()>,
    /// Since when something was sent and nothing has come.
    silent: Mutex<Option<Instant>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It would wait for the replies of a node that hangs.
        self.driver.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connection {
    pub(super) async fn open(options: &Options, address: &Address) -> Result<Self, String> {
        let limit = Instant::now() + CONNECT_TIME_MAX;
        let opened = timeout_at(limit, Self::establish(options, address)).await;
        let cause = match opened {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(cause)) => cause,
            Err(_) => format!("no connection within {CONNECT_TIME_MAX:?}"),
        };
        Err(format!("{address}: {cause}"))
    }

    async fn establish(options: &Options, address: &Address) -> Result<Self, String> {
        let stream = stream(options, address).await?;
        let mut login = RedisConnectionInfo::default().set_db(options.database).set_skip_set_lib_name();
        if let Some(user) = &options.user {
            login = login.set_username(user);
        }
        if let Some(password) = &options.password {
            login = login.set_password(password);
        }
        // Time is limited here, by call.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = MultiplexedConnection::new_with_config(&login, stream, config).await;
        let (shared, driver) = connection.map_err(|error| error.to_string())?;
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        let driver = tokio::spawn(async move {
            driver.await;
            is_closed.store(true, Ordering::Release);
        });
        let identity = Identity { run: "".into(), node: None, is_replica: false, positions: false };
        let silent = Mutex::default();
        let mut connection = Self { address: address.clone(), identity, shared, closed, driver, silent };
        connection.identity = connection.identify().await?;
        Ok(connection)
    }

    async fn identify(&self) -> Result<Identity, String> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("server").cmd("INFO").arg("replication").cmd("INFO").arg("cluster");
        pipeline.cmd("CLUSTER").arg("MYID");
        let replies = self.shared.clone().send_packed_commands(&pipeline, 0, 4).await;
        let replies = replies.map_err(|error| error.to_string())?;
        let [server, replication, cluster, id] = replies.as_slice() else {
            return Err("the replies are not understood".into());
        };
        if let Value::ServerError(error) = server {
            return Err(error.to_string());
        }
        let text = |value| reply::text(value).unwrap_or_default();
        let run = field(text(server), "run_id").ok_or("INFO says no run_id")?;
        let is_in_cluster = field(text(cluster), "cluster_enabled") == Some("1");
        let node = reply::text(id).filter(|_| is_in_cluster).map(str::to_owned);
        // It would be taken for a server that is alone, and for the owner of all slots.
        if let (true, Value::ServerError(error)) = (is_in_cluster, id) {
            return Err(error.to_string());
        }
        Ok(Identity {
            run: run.into(),
            node,
            is_replica: field(text(replication), "role") == Some("slave"),
            positions: field(text(server), "bulkhead_version").is_some(),
        })
    }

    /// Whether the next call can be certain that nothing of it leaves.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Sends commands together and waits for their replies.
    pub(super) async fn send(&self, commands: &Pipeline, deadline: Instant) -> Result<Vec<Value>, Failure> {
        if self.is_closed() {
            return Err(Failure::Unsent(format!("{}: the connection is closed", self.address)));
        }
        let now = Instant::now();
        let count = commands.cmd_iter().count();
        let mut shared = self.shared.clone();
        let hung = now + RESPONSE_TIME_MAX;
        self.silent.lock().get_or_insert(now);
        let sent = shared.send_packed_commands(commands, 0, count);
        let failure = match timeout_at(deadline.min(hung), sent).await {
            Ok(Ok(replies)) if replies.len() == count => {
                *self.silent.lock() = None;
                return Ok(replies);
            }
            Ok(Ok(_)) => Failure::Broken(format!("{}: replies are missing", self.address)),
            Ok(Err(error)) => Failure::Broken(format!("{}: {error}", self.address)),
            Err(_) if deadline <= hung => Failure::Deadline,
            Err(_) => Failure::Broken(format!("{}: no reply within {RESPONSE_TIME_MAX:?}", self.address)),
        };
        let is_dead = self.silent.lock().is_some_and(|since| since.elapsed() >= SILENCE_MAX);
        if failure != Failure::Deadline || is_dead {
            // Whoever comes next opens another one.
            self.closed.store(true, Ordering::Release);
        }
        Err(failure)
    }
}

async fn stream(options: &Options, address: &Address) -> Result<Box<dyn Stream>, String> {
    if let Some(connect) = &options.connector {
        let stream = connect(address).and_then(|stream| {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        });
        return Ok(Box::new(stream.map_err(|error| error.to_string())?));
    }
    let stream =
        TcpStream::connect((&*address.host, address.port)).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    if !options.encrypted {
        return Ok(Box::new(stream));
    }
    let config = options.tls.clone().ok_or("TLS is wanted, and nobody has said whom to trust")?;
    let name = ServerName::try_from(address.host.to_string()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| format!("TLS: {error}"))?))
}

/// The wait before a try: twice as long each time, and spread, so that those who failed together do
/// not come back together.
pub(super) fn backoff(tries: u32, min: Duration, max: Duration) -> Duration {
    let full = min.saturating_mul(1 << tries.min(16)).min(max);
    full.mul_f64(0.5 + (random() % 1024) as f64 / 2048.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read, Write};
    use std::os::unix::net::UnixStream as StdStream;

    /// What [`Connection::identify`] asks, answered by a server alone.
    const ABOUT_ITSELF: &str =
        "$10\r\nrun_id:abc\r\n$11\r\nrole:master\r\n$17\r\ncluster_enabled:0\r\n-ERR no\r\n";

    #[tokio::test]
    async fn a_connector_is_asked_instead_of_the_network() {
        let connect = |address: &Address| {
            if &*address.host != "inside" {
                return Err(io::Error::other("nobody is there"));
            }
            let (ours, mut theirs) = StdStream::pair()?;
            std::thread::spawn(move || {
                let _ = theirs.read(&mut [0; 1024]);
                let _ = theirs.write_all(ABOUT_ITSELF.as_bytes());
            });
            Ok(ours)
        };
        let options = Options::inside(Address::new("inside", 1), Arc::new(connect));
        let connection = Connection::open(&options, &options.seeds[0]).await.unwrap();
        assert_eq!(&*connection.identity.run, "abc");
        let other = Connection::open(&options, &Address::new("other", 7)).await;
        assert_eq!(other.err().unwrap(), "other:7: nobody is there");
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_are_spread() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(500));
        for tries in 0..40 {
            let full = min.saturating_mul(1 << tries.min(16)).min(max);
            let wait = backoff(tries, min, max);
            assert!(wait >= full / 2 && wait <= full, "{tries}: {wait:?}");
        }
    }
}
