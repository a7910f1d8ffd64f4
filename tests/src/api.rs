//! The actor API as a process of its own, and a client of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ateapi::proto::control_client::ControlClient;
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Result, Server, tools, wait};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

/// What has not happened by then never will.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Of a page that is longer, a client of gRPC says so: it takes 4 MiB.
pub type Control = ControlClient<Channel>;

/// One process of the API, which ends with its owner.
#[derive(Debug)]
pub struct Api {
    child: Child,
    address: String,
    metrics: String,
}

impl Api {
    /// Over one server.
    pub fn start(store: &Server) -> Result<Self> {
        Self::over(&store.addr().to_string(), &[])
    }

    /// Over any store, with more options.
    pub fn over(seeds: &str, options: &[&str]) -> Result<Self> {
        Self::of_program(&tools::built("ateapi")?, seeds, options)
    }

    pub fn of_program(program: &Path, seeds: &str, options: &[&str]) -> Result<Self> {
        Self::launch(program, &format!("redis://{seeds}"), options, &[])
    }

    /// Over a store with its whole address, with more options and variables.
    pub fn launch(program: &Path, store: &str, options: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(program);
        // What is set where the tests run is not meant for this.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATE_")) {
            command.env_remove(name);
        }
        if !options.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command
            .args(["--metrics", "127.0.0.1:0", "--store", store])
            .args(options)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut banner = String::new();
        let said = child.stdout.take().ok_or("it has no output")?;
        BufReader::new(said).read_line(&mut banner)?;
        let after = |word: &str| {
            let rest = banner.split_once(word).map(|(_, rest)| rest);
            rest.and_then(|rest| rest.split([',', ' ', '\n']).next()).map(str::to_owned)
        };
        match (after("grpc "), after("metrics ")) {
            (Some(address), Some(metrics)) => Ok(Self { child, address, metrics }),
            _ => {
                let _ = child.kill();
                Err(format!("no address in what the API said at first: {banner:?} ({:?})", child.wait())
                    .into())
            }
        }
    }

    /// Where it serves: `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client with a connection of its own, which is opened when it is needed.
    pub fn client(&self) -> Result<Control> {
        Ok(ControlClient::new(self.channel()?))
    }

    pub fn channel(&self) -> Result<Channel> {
        Ok(self.endpoint()?.connect_lazy())
    }

    /// Where a connection goes, to be opened in another way than others are.
    pub fn endpoint(&self) -> Result<Endpoint> {
        Ok(Endpoint::from_shared(format!("http://{}", self.address))?)
    }

    /// A client that speaks TLS.
    pub fn tls_client(&self, tls: ClientTlsConfig) -> Result<Control> {
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address))?.tls_config(tls)?;
        Ok(ControlClient::new(endpoint.connect_lazy()))
    }

    /// What is at a path of its HTTP server, with the status line.
    pub fn http(&self, path: &str) -> Result<String> {
        let mut socket = TcpStream::connect(self.metrics.parse::<SocketAddr>()?)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        Ok(text)
    }

    /// A number of its metrics, by its name with its labels. What is not there has not been counted yet.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let page = self.http("/metrics")?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.map_or(Ok(0), |value| value.trim().parse())?)
    }

    /// Waits until a number of its metrics is what it should be.
    pub fn wait_for_metric(&self, name: &str, is_good: impl Fn(u64) -> bool) -> Result<u64> {
        let mut last = 0;
        let waited = wait::until(name, PATIENCE, || {
            last = self.metric(name).ok()?;
            is_good(last).then_some(last)
        });
        waited.map_err(|error| format!("{error}: it was {last} at last").into())
    }

    /// Asks it to stop, as an operator does.
    pub fn ask_to_stop(&self) -> Result {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let child = &mut self.child;
        Ok(wait::until("the API to end", PATIENCE, || child.try_wait().transpose())??)
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free worker, as those who run workers write it down: its key, and its text.
pub fn worker(pod: &str, node: &str) -> (String, Vec<u8>) {
    let text = format!(
        r#"{{"workerNamespace":"workers","workerPool":"small","workerPod":"{pod}","ip":"10.0.0.7","version":"1","workerPodUid":"u-{pod}","nodeName":"{node}"}}"#
    );
    (format!("worker:workers:small:{pod}"), text.into_bytes())
}
