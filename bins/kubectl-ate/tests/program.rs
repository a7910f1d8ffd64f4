//! Starts the program and collects what it says.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::fake::{Fake, PATIENCE};

/// What it said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// The words of the command that it says to go on with, without the program's name.
    pub fn hint(&self) -> Vec<String> {
        let line = self.stderr.lines().find_map(|line| line.strip_prefix("  kubectl-ate "));
        line.unwrap_or_else(|| panic!("no hint: {self:?}")).split(' ').map(str::to_owned).collect()
    }
}

/// A command line against this server, with no settings from outside.
pub fn command(fake: &Fake, line: &str) -> Command {
    let mut command = bare(line);
    command.env("ATE_ENDPOINT", fake.addr.to_string());
    command
}

pub fn bare(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-ate"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATE_")) {
        command.env_remove(name);
    }
    command.args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub fn run(fake: &Fake, line: &str) -> Said {
    finish(command(fake, line).spawn().unwrap())
}

/// Runs it, and wants it to succeed without a word on stderr.
#[track_caller]
pub fn ok(fake: &Fake, line: &str) -> String {
    let said = run(fake, line);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{line}: {said:?}");
    said.stdout
}

/// A program that is under way, and heard all the while.
pub struct Running {
    pub child: Child,
    said: JoinHandle<Said>,
}

pub fn start(fake: &Fake, line: &str) -> Running {
    let mut child = command(fake, line).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let said = std::thread::spawn(move || {
        let mut said = Said { code: 0, stdout: String::new(), stderr: String::new() };
        stdout.read_to_string(&mut said.stdout).unwrap();
        // It has little to say there, which a pipe holds.
        stderr.read_to_string(&mut said.stderr).unwrap();
        said
    });
    Running { child, said }
}

impl Running {
    pub fn finish(mut self) -> Said {
        let code = until_end(&mut self.child);
        Said { code, ..self.said.join().unwrap() }
    }
}

/// Waits for its end.
pub fn finish(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    Said {
        // What a shell would show.
        code: output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Waits for its end without reading what it has to say, for as long as a test waits for anything.
pub fn until_end(child: &mut Child) -> i32 {
    let status = testkit::wait::until("the program to end", PATIENCE, || child.try_wait().unwrap()).unwrap();
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap()
}

pub fn interrupt(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Reads on until that has come.
pub fn read_until(stdout: &mut ChildStdout, wanted: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&byte);
    }
    String::from_utf8(text).unwrap()
}
