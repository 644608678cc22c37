//! Commands: run each time, unless a guard says there is nothing to do.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::Words;
use super::guards::{Guarded, Guards};
use crate::effect::Command;
use crate::mark;
use crate::module::{Action, Report, Result};
use crate::system::System;

/// Runs a command, without a shell.
///
/// It counts as a change each time it runs, unless it is declared `read_only`.
/// `creates`, `removes`, `unless` and `only_if` say when there is nothing to
/// do. A dry run predicts that it runs; what it would print is known only
/// after apply, except for a command that is `read_only`, which runs then too.
///
/// ```rhai
/// command("tar -xf /tmp/app.tar -C /opt", #{ creates: "/opt/app" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct CommandCall {
    /// The command: one line, split into words as a shell would without
    /// expanding anything, or a list of words.
    cmd: Words,
    /// The directory to run in.
    #[schemars(extend("x-kind" = "path"))]
    chdir: Option<PathBuf>,
    #[serde(flatten)]
    guards: Guards,
}

impl Action for CommandCall {
    const NAME: &'static str = "command";
    const POSITIONAL: &'static [&'static str] = &["cmd"];

    fn title(&self) -> String {
        mark::show(&shell_words::join(&self.cmd.0)).into_owned()
    }

    fn run(&self, system: &mut dyn System) -> Result<Report> {
        let mut command = Command::new(self.cmd.0.iter().cloned());
        command.directory = self.chdir.clone();
        self.guards.run(
            Guarded {
                command,
                title: self.title(),
            },
            system,
        )
    }
}
