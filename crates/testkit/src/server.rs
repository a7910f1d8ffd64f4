//! A server process on a free port, in a folder of its own, killed when it goes out of scope.

use crate::client::{Client, Protocol};
use crate::{Result, proc, tools, wait};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A server that has not answered by then has failed. Recovery of much data takes its time.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// A server that has not stopped by then hangs.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// Another process may take the free port before the server does.
const START_TRIES: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Bulkhead,
    Redis,
    Valkey,
}

/// What is acknowledged when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On disk before the reply.
    Always,
    EverySecond,
    /// Nothing is ever written.
    None,
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Spec {
    pub flavour: Flavour,
    pub program: PathBuf,
    pub durability: Durability,
    /// More options, for this flavour.
    pub args: Vec<String>,
}

impl Spec {
    pub fn new(flavour: Flavour, program: PathBuf) -> Self {
        Self { flavour, program, durability: Durability::Always, args: Vec::new() }
    }

    /// The server under test, as built beside the tests (or as `BULKHEAD_BIN` says: a Redis there shows
    /// whether a test is right).
    pub fn bulkhead() -> Result<Self> {
        Ok(Self::of_program(&tools::bulkhead()?))
    }

    pub fn redis() -> Result<Self> {
        Ok(Self::new(Flavour::Redis, tools::need("redis-server")?))
    }

    pub fn valkey() -> Result<Self> {
        Ok(Self::new(Flavour::Valkey, tools::need("valkey-server")?))
    }

    /// Any server program; its name tells which options it takes.
    pub fn of_program(program: &Path) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let flavour = if name.contains("redis") {
            Flavour::Redis
        } else if name.contains("valkey") {
            Flavour::Valkey
        } else {
            Flavour::Bulkhead
        };
        Self::new(flavour, program.to_owned())
    }

    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Its command line, with `{port}` and `{dir}` where they belong.
    pub fn command_line(&self) -> Vec<String> {
        let fixed = match (self.flavour, self.durability) {
            (Flavour::Bulkhead, Durability::Always) => {
                "serve --listen 127.0.0.1:{port} --http off --data {dir} --fsync always"
            }
            (Flavour::Bulkhead, _) => {
                "serve --listen 127.0.0.1:{port} --http off --data {dir} --fsync everysec"
            }
            (_, durability) => {
                const PEER: &str = "--bind 127.0.0.1 --port {port} --dir {dir} --save {empty} --appendonly";
                let mut words: Vec<String> = PEER.split(' ').map(str::to_owned).collect();
                words.extend(peer_durability(durability).iter().map(|word| (*word).to_owned()));
                words.extend(self.args.iter().cloned());
                return words;
            }
        };
        fixed.split(' ').map(str::to_owned).chain(self.args.iter().cloned()).collect()
    }

    /// Starts it in a temporary folder.
    pub fn start(&self) -> Result<Server> {
        let temp = temp_dir()?;
        let dir = temp.path().to_owned();
        let mut server = self.start_in(&dir)?;
        server.temp = Some(temp);
        Ok(server)
    }

    /// Starts it on data that is already there.
    pub fn start_in(&self, dir: &Path) -> Result<Server> {
        self.start_on(dir, free_port()?)
    }

    /// Tries another port if this one is taken, but never again for any other reason: that would hide
    /// a recovery that works only the second time.
    fn start_on(&self, dir: &Path, mut port: u16) -> Result<Server> {
        let mut tries = 0;
        loop {
            let log_before = fs::metadata(log_path(dir)).map_or(0, |data| data.len());
            let failure = match self.try_start(dir, port) {
                Ok(server) => return Ok(server),
                Err(failure) => failure,
            };
            tries += 1;
            let log = fs::read(log_path(dir)).unwrap_or_default();
            let said = log.get(log_before as usize..).unwrap_or_default();
            if tries == START_TRIES || !String::from_utf8_lossy(said).contains("already in use") {
                return Err(failure);
            }
            port = free_port()?;
        }
    }

    /// Starts it on data that is there and kills it a moment later, whatever it does then.
    pub fn start_and_kill(&self, dir: &Path, moment: Duration) -> Result {
        let mut child = self.spawn(dir, free_port()?)?;
        std::thread::sleep(moment);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts it on the data in a folder, with its output going elsewhere than usual.
    pub fn start_with_output(&self, dir: &Path, stdout: File, stderr: File) -> Result<Server> {
        let port = free_port()?;
        let child = self.spawn_with_output(dir, port, stdout, stderr)?;
        self.wait_for(child, dir, port)
    }

    fn spawn(&self, dir: &Path, port: u16) -> Result<Child> {
        fs::create_dir_all(dir)?;
        let out = File::options().create(true).append(true).open(log_path(dir))?;
        self.spawn_with_output(dir, port, out.try_clone()?, out)
    }

    fn spawn_with_output(&self, dir: &Path, port: u16, stdout: File, stderr: File) -> Result<Child> {
        let dir_text = dir.to_string_lossy();
        let args = self.command_line().into_iter().map(|word| {
            word.replace("{port}", &port.to_string()).replace("{dir}", &dir_text).replace("{empty}", "")
        });
        let child = Command::new(&self.program)
            .args(args)
            // Here, crowds of clients come from one address. What an option says counts before this.
            .env("BULKHEAD_MAX_CONNECTIONS_PER_PEER", "0")
            // Its address would be the same for all.
            .env("BULKHEAD_ATEAPI", "off")
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn();
        child.map_err(|error| format!("{}: {error}", self.program.display()).into())
    }

    fn try_start(&self, dir: &Path, port: u16) -> Result<Server> {
        let child = self.spawn(dir, port)?;
        self.wait_for(child, dir, port)
    }

    fn wait_for(&self, child: Child, dir: &Path, port: u16) -> Result<Server> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server { child, addr, dir: dir.to_owned(), temp: None, spec: self.clone() };
        let what = format!("{} to answer", self.program.display());
        let answered = wait::until(&what, START_TIME_MAX, || match server.child.try_wait() {
            Ok(None) => is_ready(addr).then_some(Ok(())),
            Ok(Some(status)) => Some(Err(format!("the server ended at once: {status}"))),
            Err(error) => Some(Err(error.to_string())),
        });
        match answered {
            Ok(Ok(())) => Ok(server),
            Ok(Err(error)) => Err(format!("{error}\n{}", server.log_tail()).into()),
            Err(error) => Err(format!("{error}\n{}", server.log_tail()).into()),
        }
    }
}

/// A folder for a server's data, removed when it goes out of scope.
pub fn temp_dir() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("bulkhead-test-").tempdir()?)
}

/// Where the server's output goes, over all its starts.
fn log_path(dir: &Path) -> PathBuf {
    dir.join("server.log")
}

fn peer_durability(durability: Durability) -> &'static [&'static str] {
    // No rewrites of the append-only file: they would disturb measurements of the peer.
    match durability {
        Durability::Always => &["yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"],
        Durability::EverySecond => {
            &["yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"]
        }
        Durability::None => &["no"],
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether it answers, and not with 'I am still loading'.
fn is_ready(addr: SocketAddr) -> bool {
    let ping = || Client::connect(addr)?.line("PING");
    ping().is_ok_and(|reply| reply == crate::Reply::Simple("PONG".into()))
}

#[derive(Debug)]
pub struct Server {
    child: Child,
    addr: SocketAddr,
    dir: PathBuf,
    temp: Option<TempDir>,
    spec: Spec,
}

impl Server {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn flavour(&self) -> Flavour {
        self.spec.flavour
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub fn client(&self) -> Result<Client> {
        Client::connect(self.addr)
    }

    pub fn client_with(&self, protocol: Protocol) -> Result<Client> {
        Client::connect_with(self.addr, protocol)
    }

    pub fn cpu_time(&self) -> Result<Duration> {
        proc::cpu_time(self.pid())
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub fn kill(&mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status()?;
        if !status.success() {
            return Err(format!("kill -TERM {pid}: {status}").into());
        }
        wait::until("the server to stop", STOP_TIME_MAX, || self.child.try_wait().transpose())?
            .map_err(Into::into)
    }

    /// Starts it again on the same data, and on the same port if it is still free.
    pub fn restart(&mut self) -> Result {
        let mut new = self.spec.start_on(&self.dir, self.addr.port())?;
        std::mem::swap(self, &mut new);
        // `new` is the dead one now; its folder is still ours.
        self.temp = new.temp.take();
        Ok(())
    }

    /// The last few lines of its output that say something.
    pub fn log_lines(&self, something: &str) -> String {
        const SHOWN: usize = 5;
        let log = fs::read(log_path(&self.dir)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(something)).collect();
        lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default().join("\n")
    }

    /// The end of what the server wrote to its output.
    pub fn log_tail(&self) -> String {
        /// A panic with its backtrace.
        const SHOWN: usize = 8000;
        let log = fs::read(log_path(&self.dir)).unwrap_or_default();
        let tail = log.get(log.len().saturating_sub(SHOWN)..).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
