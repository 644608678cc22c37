//! Moves bytes between a session and a running agent.
//!
//! A transport starts one command on a host and hands back its standard input
//! and output; it never sees a task.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

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
    /// Private keys to try beside those of the agent; the usual ones in
    /// `~/.ssh` when empty.
    pub identity_files: Vec<PathBuf>,
    /// The known hosts; `~/.ssh/known_hosts` and the system's when absent.
    pub known_hosts: Option<PathBuf>,
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
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Unreachable {
    /// What happened, as a sentence without a full stop.
    pub reason: String,
    /// What to try.
    pub hint: Option<String>,
}

/// A started command: its standard input and output.
pub struct Pipe {
    /// What the command reads.
    pub input: Box<dyn Write + Send>,
    /// What the command prints.
    pub output: Box<dyn Read + Send>,
}
