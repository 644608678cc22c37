//! Commands: those that only look, and those that change something.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::{HostPath, answer};
use super::{Change, Read};
use crate::effect::{Command, Effect};
use crate::mark;
use crate::module::Result;
use crate::modules::arguments::{OneOrMany, Words, seconds};
use crate::modules::guards;
use crate::system::{Found, Output, Performed, System};

/// What a command printed and how it ended, for a command that only looks; it
/// runs in a dry run too. `rc`, `stdout` and `stderr`; the code may be any.
#[derive(Deserialize, JsonSchema)]
pub struct Query {
    /// The command: one line, split into words as a shell would without
    /// expanding anything, or a list of words.
    command: Words,
    /// Files and units that the answer depends on, beside what the words name.
    /// While a change of one is pending, a dry run does not know the answer.
    #[serde(default)]
    depends_on: OneOrMany<String>,
    /// What the command reads.
    input: Option<String>,
    /// Variables added to the environment.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// The directory to run in.
    directory: Option<HostPath>,
    /// The user to run as; the one the task runs as, if not given.
    user: Option<String>,
    /// Time after which the command and its children are killed.
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    timeout: Option<u64>,
}

impl Read for Query {
    const NAME: &'static str = "query";
    const POSITIONAL: &'static [&'static str] = &["command"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        let mut pending = self.depends_on.0.iter();
        if let Some(origin) = pending.find_map(|what| system.pending(what)) {
            return Ok(mark::unknown(&origin).into());
        }
        let command = Command {
            argv: self.command.0.clone(),
            directory: self.directory.as_ref().map(|path| path.0.clone()),
            environment: self.environment.clone(),
            input: self.input.clone(),
            user: self.user.clone(),
            timeout: self.timeout,
        };
        match system.query(&command)? {
            Found::Present(output) => {
                guards::in_time(&output, &title(&self.command))?;
                Ok(told(&output))
            }
            other => Ok(answer(other.map(|output| told(&output)))),
        }
    }
}

/// Runs a command that changes something, and returns its `rc`, `stdout` and
/// `stderr`. A dry run records it; without `creates` or `removes` it then
/// takes whatever this module reads later to be known only after apply.
#[derive(Deserialize, JsonSchema)]
pub struct Run {
    /// The command: one line, split into words as a shell would without
    /// expanding anything, or a list of words.
    command: Words,
    /// A path that is there afterwards.
    creates: Option<HostPath>,
    /// A path that is gone afterwards.
    removes: Option<HostPath>,
    /// What the command reads.
    input: Option<String>,
    /// Variables added to the environment.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// The directory to run in.
    directory: Option<HostPath>,
    /// The user to run as; the one the task runs as, if not given.
    user: Option<String>,
    /// Time after which the command and its children are killed.
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    timeout: Option<u64>,
    /// Exit codes that mean success.
    #[serde(default = "zero")]
    success_codes: Vec<i32>,
}

fn zero() -> Vec<i32> {
    vec![0]
}

impl Change for Run {
    const NAME: &'static str = "run";
    const POSITIONAL: &'static [&'static str] = &["command"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let path = |path: &Option<HostPath>| path.as_ref().map(|path| path.0.clone());
        let effect = Effect::RunCommand {
            command: Command {
                argv: self.command.0.clone(),
                directory: path(&self.directory),
                environment: self.environment.clone(),
                input: self.input.clone(),
                user: self.user.clone(),
                timeout: self.timeout,
            },
            creates: path(&self.creates),
            removes: path(&self.removes),
        };
        let title = title(&self.command);
        match system.perform(effect)? {
            Performed::Ran(output) => {
                guards::succeeded(&output, &title, &self.success_codes)?;
                Ok(told(&output))
            }
            Performed::Done | Performed::Predicted => {
                Ok(mark::unknown(&format!("`{title}`")).into())
            }
        }
    }
}

fn title(command: &Words) -> String {
    mark::show(&shell_words::join(&command.0)).into_owned()
}

fn told(output: &Output) -> Value {
    json!({
        "rc": output.code,
        "stdout": output.stdout.trim_end_matches('\n'),
        "stderr": output.stderr.trim_end_matches('\n'),
    })
}
