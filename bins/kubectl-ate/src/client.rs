//! The connection: where it goes, TLS, and calls that have a time limit and are made again where that
//! helps.

use std::path::Path;
use std::time::Duration;

use ateproto::control_client::ControlClient;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};

use crate::cli::Connection;
use crate::failure::{Failure, deepest};
use crate::retry::{self, Repeat};

const PORT_DEFAULT: u16 = 6381;
/// A page is at most 3 MiB of records; what is around them is small.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Workers and atespaces come in one message: room for about a million.
const WHOLE_BYTES_MAX: usize = 256 << 20;
/// Finds out that the server's machine is gone, where nothing else would.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

pub struct Client {
    channel: Channel,
    /// For calls whose answer is bounded.
    control: ControlClient<Channel>,
    /// For calls whose answer is everything.
    whole: ControlClient<Channel>,
    timeout: Duration,
    pub address: String,
}

impl Client {
    /// Connects at once, so that a wrong address is told at once.
    pub async fn connect(options: &Connection) -> Result<Self, Failure> {
        let place = Place::parse(&options.endpoint, tls_is_meant(options)).map_err(Failure::Usage)?;
        let invalid = |error: tonic::transport::Error| {
            Failure::Usage(format!("endpoint \"{}\": {}", options.endpoint, deepest(&error)))
        };
        let mut endpoint = Endpoint::from_shared(place.uri()).map_err(invalid)?;
        endpoint = endpoint
            .user_agent(concat!("kubectl-ate/", env!("CARGO_PKG_VERSION")))
            .map_err(invalid)?
            .connect_timeout(options.timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(false);
        if place.is_tls {
            endpoint = endpoint.tls_config(tls(options)?).map_err(invalid)?;
        }
        let failed =
            |why: String| Failure::Connection { why: format!("{}: {why}", place.address), is_sent: false };
        let connected = timeout(options.timeout, endpoint.connect()).await;
        let connected = connected.map_err(|_| failed(format!("no answer within {:?}", options.timeout)))?;
        let channel = connected.map_err(|error| failed(deepest(&error)))?;
        let control = ControlClient::new(channel.clone());
        Ok(Self {
            whole: control.clone().max_decoding_message_size(WHOLE_BYTES_MAX),
            control: control.max_decoding_message_size(PAGE_BYTES_MAX),
            channel,
            timeout: options.timeout,
            address: place.address,
        })
    }

    /// One call with all its tries, within the time limit.
    pub async fn call<Q, A, F, R>(&self, repeat: Repeat, message: Q, call: F) -> Result<A, Failure>
    where
        Q: Clone,
        F: Fn(ControlClient<Channel>, Request<Q>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        self.attempt(&self.control, repeat, message, call).await
    }

    /// The same for a call whose answer may be large.
    pub async fn call_for_all<Q, A, F, R>(&self, message: Q, call: F) -> Result<A, Failure>
    where
        Q: Clone,
        F: Fn(ControlClient<Channel>, Request<Q>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        self.attempt(&self.whole, Repeat::Harmless, message, call).await
    }

    async fn attempt<S, Q, A, F, R>(
        &self,
        stub: &S,
        repeat: Repeat,
        message: Q,
        call: F,
    ) -> Result<A, Failure>
    where
        S: Clone,
        Q: Clone,
        F: Fn(S, Request<Q>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let mut tries = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut request = Request::new(message.clone());
            request.set_timeout(left);
            let failure = match timeout_at(deadline, call(stub.clone(), request)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) if is_over(&status, deadline) => Failure::timeout(self.timeout),
                Ok(Err(status)) => self.place(status.into()),
                Err(_) => Failure::timeout(self.timeout),
            };
            tries += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            match retry::pause(&failure, repeat, tries, left) {
                Some(pause) => sleep(pause).await,
                None => return Err(failure),
            }
        }
    }

    /// Says which server a failed connection was to.
    fn place(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Connection { why, is_sent } => {
                Failure::Connection { why: format!("{}: {why}", self.address), is_sent }
            }
            Failure::Server { code: Code::DeadlineExceeded, message } if message.is_empty() => {
                Failure::timeout(self.timeout)
            }
            other => other,
        }
    }

    /// What the server says of the health of a service, or of itself if none is named: serving or not.
    pub async fn health(&self, service: &str) -> Result<bool, Failure> {
        use tonic_health::pb::health_check_response::ServingStatus;
        use tonic_health::pb::health_client::HealthClient;
        let stub = HealthClient::new(self.channel.clone());
        let message = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let call = |mut stub: HealthClient<Channel>, request| async move { stub.check(request).await };
        let answer = self.attempt(&stub, Repeat::Harmless, message, call).await?;
        Ok(answer.status() == ServingStatus::Serving)
    }
}

/// A server's copy of the deadline may end a little before ours.
const DEADLINE_SLACK: Duration = Duration::from_millis(20);

/// Whether a call was given up for its deadline. Some servers, tonic's among them, say that it was cancelled, which nobody
/// here does.
fn is_over(status: &Status, deadline: Instant) -> bool {
    status.code() == Code::Cancelled && Instant::now() + DEADLINE_SLACK >= deadline
}

/// Options about certificates are in vain without TLS, so they ask for it.
fn tls_is_meant(options: &Connection) -> bool {
    options.tls || options.ca_cert.is_some() || options.client_cert.is_some() || options.client_key.is_some()
}

fn tls(options: &Connection) -> Result<ClientTlsConfig, Failure> {
    let mut config = ClientTlsConfig::new();
    config = match &options.ca_cert {
        Some(path) => config.ca_certificate(Certificate::from_pem(read(path)?)),
        None => config.with_native_roots(),
    };
    config = match (&options.client_cert, &options.client_key) {
        (Some(cert), Some(key)) => config.identity(Identity::from_pem(read(cert)?, read(key)?)),
        (None, None) => config,
        _ => return Err(Failure::Usage("--client-cert and --client-key belong together".into())),
    };
    Ok(match &options.server_name {
        Some(name) => config.domain_name(name),
        None => config,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Local(format!("{}: {error}", path.display())))
}

/// Where a server is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    is_tls: bool,
    /// Host and port.
    address: String,
}

impl Place {
    fn parse(text: &str, tls: bool) -> Result<Self, String> {
        let wrong =
            || format!("endpoint \"{text}\": wanted: HOST:PORT, http://HOST:PORT or https://HOST:PORT");
        let (is_tls, rest, port) = match text.split_once("://") {
            None => (tls, text, PORT_DEFAULT),
            Some(("https", rest)) => (true, rest, 443),
            Some(("http", rest)) if !tls => (false, rest, 80),
            Some(("http", _)) => {
                return Err(format!("endpoint \"{text}\" is without TLS, but other options ask for it"));
            }
            Some(_) => return Err(wrong()),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.is_empty() || host.starts_with(':') || host.contains(['/', '@', '?', '#', ' ']) {
            return Err(wrong());
        }
        // What follows the last colon is a port, unless that colon is within an IPv6 address.
        let has_port = host.rsplit_once(':').is_some_and(|(_, end)| !end.contains(']'));
        let address = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) || host.matches(':').count() > 1 && !host.starts_with('[') {
            return Err(wrong());
        }
        Ok(Self { is_tls, address })
    }

    fn uri(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, tls: bool, uri: &str) {
        assert_eq!(Place::parse(text, tls).unwrap().uri(), uri);
    }

    #[test]
    fn endpoints_may_be_short() {
        check("ate.example.org", false, "http://ate.example.org:6381");
        check("127.0.0.1:7000", false, "http://127.0.0.1:7000");
        check("127.0.0.1:7000", true, "https://127.0.0.1:7000");
        check("[::1]", false, "http://[::1]:6381");
        check("[::1]:7000", true, "https://[::1]:7000");
        check("http://ate:7000/", false, "http://ate:7000");
        check("https://ate", false, "https://ate:443");
    }

    #[test]
    fn wrong_endpoints_are_explained() {
        for text in
            ["", ":6381", "ate:port", "ate:0", "ate:70000", "redis://ate", "http://ate/path", "::1", "a b"]
        {
            assert!(Place::parse(text, false).unwrap_err().contains("wanted: HOST:PORT"), "{text}");
        }
        assert!(Place::parse("http://ate", true).unwrap_err().contains("without TLS"));
    }
}
