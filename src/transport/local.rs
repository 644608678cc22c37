//! This machine: the command is a child of the controller. Even here the agent
//! does the work, so that a play means the same everywhere.

use std::process::Command;

use super::child::Children;
use super::{Pipe, Transport, Unreachable};

/// Starts commands with `/bin/sh` on this machine.
#[derive(Default)]
pub struct LocalTransport {
    children: Children,
}

impl Transport for LocalTransport {
    fn open(&mut self, command: &str) -> Result<Pipe, Unreachable> {
        self.children
            .start(Command::new("/bin/sh").args(["-c", command]))
            .map_err(|error| {
                Unreachable::new(format!("/bin/sh could not be started here: {error}"))
            })
    }

    fn name(&self) -> &str {
        "localhost"
    }
}
