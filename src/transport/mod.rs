//! Moves bytes between a session and a running agent.
//!
//! A transport starts one command on a host and hands back its standard input
//! and output; it never sees a task. Start at [`connect`], then read
//! [`bootstrap`], which turns an open transport into a greeted agent; each
//! other file is one way to reach a host or a part of one.

use std::io::{PipeReader, PipeWriter};
use std::path::PathBuf;
use std::time::Duration;

mod ending;

mod child;
mod incus;
mod local;

mod auth;
mod deadline;
mod exec;
mod host_key;
pub mod known_hosts;
mod multiplexer;
mod ssh;

pub mod bootstrap;

#[cfg(test)]
mod tests;

pub use ending::{End, Ending};

/// How a host is reached, as the script says it.
#[derive(Clone, Debug, PartialEq)]
pub enum Connection {
    /// Over SSH.
    Ssh(Ssh),
    /// Through `incus exec`.
    Incus(Incus),
    /// This machine.
    Local,
}

/// An SSH server and how to log in.
#[derive(Clone, Debug, PartialEq)]
pub struct Ssh {
    /// Host name or address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// The user to log in as; the local user when absent.
    pub user: Option<String>,
    /// Private keys to try before those of the agent; the usual ones in
    /// `~/.ssh`, after those of the agent, when empty.
    pub identity_files: Vec<PathBuf>,
    /// The known hosts; `~/.ssh/known_hosts` and the system's when absent.
    pub known_hosts: Option<PathBuf>,
    /// Public keys that are known to be the server's, each as type and key,
    /// beside those of the known hosts.
    pub host_keys: Vec<String>,
    /// How long connecting and logging in may take.
    pub timeout: Duration,
}

/// An Incus instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Incus {
    /// The instance's name.
    pub instance: String,
    /// The remote it lives on; the client's default when absent.
    pub remote: Option<String>,
    /// Its project; the client's default when absent.
    pub project: Option<String>,
}

/// A host could not be reached, or was lost.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreachable {
    /// What happened, as a sentence without a full stop.
    pub reason: String,
    /// What to try.
    pub hint: Option<String>,
}

impl Unreachable {
    /// What happened, with nothing to advise.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: None,
        }
    }

    /// The same with advice.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// A started command. Both ends are real pipes of this process, so they may be
/// polled and moved to threads of their own.
pub struct Pipe {
    /// What the command reads; dropping it is the command's end of file.
    pub input: PipeWriter,
    /// What the command prints.
    pub output: PipeReader,
    /// What became of the command, and what it said on standard error.
    pub ending: Ending,
}

/// A way to a host that is open.
///
/// Dropping it ends whatever it started: the commands get a moment to finish
/// after their input has ended, then the way is cut.
pub trait Transport: Send {
    /// Starts `command`, a line for the host's POSIX shell. Several commands
    /// may be open at once.
    fn open(&mut self, command: &str) -> Result<Pipe, Unreachable>;

    /// How messages name the other end: `root@10.155.0.11`, `incus:web`.
    fn name(&self) -> &str;

    /// Reads the way's own complaint out of a command's standard error, where
    /// the command never came to run.
    fn explain(&self, _stderr: &str) -> Option<Unreachable> {
        None
    }
}

/// Opens the way to a host and logs in; starts nothing there yet.
pub fn connect(connection: &Connection) -> Result<Box<dyn Transport>, Unreachable> {
    match connection {
        Connection::Ssh(server) => Ok(Box::new(ssh::SshTransport::connect(
            server,
            &ssh::Surroundings::default(),
        )?)),
        Connection::Incus(instance) => Ok(Box::new(incus::IncusTransport::new(instance)?)),
        Connection::Local => Ok(Box::new(local::LocalTransport::default())),
    }
}

/// `word` as one word of a shell, also of fish and csh: fish knows a backslash
/// inside single quotes, and csh an exclamation mark, so both stand outside.
fn quote(word: &str) -> String {
    let mut quoted = String::from("'");
    for letter in word.chars() {
        match letter {
            '\'' | '\\' | '!' => quoted.extend(["'\\", letter.encode_utf8(&mut [0; 4]), "'"]),
            _ => quoted.push(letter),
        }
    }
    quoted + "'"
}
