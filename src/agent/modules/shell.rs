//! Shell scripts: run each time, unless a guard says there is nothing to do.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::guards::{Guarded, Guards};
use crate::effect::Command;
use crate::mark;
use crate::module::{Action, Report, Result};
use crate::system::System;

/// Runs a script in a shell.
///
/// For pipes, redirections and expansion; everything else is safer as a
/// `command`. Guards, dry runs and results are the same.
///
/// ```rhai
/// shell("dpkg -l | wc -l > /root/count", #{ creates: "/root/count" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Shell {
    /// The script.
    cmd: String,
    /// The directory to run in.
    #[schemars(extend("x-kind" = "path"))]
    chdir: Option<PathBuf>,
    /// The shell.
    #[serde(default = "posix_shell")]
    #[schemars(extend("x-kind" = "path"))]
    executable: String,
    #[serde(flatten)]
    guards: Guards,
}

fn posix_shell() -> String {
    "/bin/sh".to_owned()
}

impl Action for Shell {
    const NAME: &'static str = "shell";
    const POSITIONAL: &'static [&'static str] = &["cmd"];

    fn title(&self) -> String {
        mark::show(&self.cmd).into_owned()
    }

    fn run(&self, system: &mut dyn System) -> Result<Report> {
        let mut command = Command::new([&self.executable, "-c", &self.cmd]);
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
