//! Commands: those that only look, and those that change something.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::{HostPath, answer, done};
use super::{Change, Read};
use crate::effect::{Command, Effect};
use crate::mark;
use crate::module::Result;
use crate::modules::arguments::{OneOrMany, Words, seconds};
use crate::modules::guards;
use crate::resource::{Properties, Resource, ResourceChange};
use crate::system::{Found, Output, Performed, System};

/// A command, and how it runs.
#[derive(Deserialize, JsonSchema)]
struct Invocation {
    /// The command: one line, split into words as a shell would without
    /// expanding anything, or a list of words.
    command: Words,
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

impl Invocation {
    fn command(&self) -> Command {
        Command {
            argv: self.command.0.clone(),
            directory: self.directory.as_ref().map(|path| path.0.clone()),
            environment: self.environment.clone(),
            input: self.input.clone(),
            user: self.user.clone(),
            timeout: self.timeout,
        }
    }

    fn title(&self) -> String {
        mark::show(&shell_words::join(&self.command.0)).into_owned()
    }
}

/// What a command printed and how it ended, for a command that only looks; it
/// runs in a dry run too. `rc`, `stdout` and `stderr`; the code may be any.
#[derive(Deserialize, JsonSchema)]
pub struct Query {
    #[serde(flatten)]
    invocation: Invocation,
    /// Files and units that the answer depends on, beside what the words name.
    /// While a change of one is pending, a dry run does not know the answer.
    #[serde(default)]
    depends_on: OneOrMany<String>,
}

impl Read for Query {
    const NAME: &'static str = "query";
    const POSITIONAL: &'static [&'static str] = &["command"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        let mut pending = self.depends_on.0.iter();
        if let Some(origin) = pending.find_map(|what| system.pending(what)) {
            return Ok(mark::unknown(&origin).into());
        }
        match system.query(&self.invocation.command())? {
            Found::Present(output) => {
                guards::in_time(&output, &self.invocation.title())?;
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
    #[serde(flatten)]
    invocation: Invocation,
    /// A path that is there afterwards.
    creates: Option<HostPath>,
    /// A path that is gone afterwards.
    removes: Option<HostPath>,
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
            command: self.invocation.command(),
            creates: path(&self.creates),
            removes: path(&self.removes),
        };
        let title = self.invocation.title();
        match system.perform(effect)? {
            Performed::Ran(output) => {
                guards::succeeded(&output, &title, &self.success_codes)?;
                Ok(told(&output))
            }
            Performed::Done | Performed::Answered(_) | Performed::Predicted => {
                Ok(mark::unknown(&format!("`{title}`")).into())
            }
        }
    }
}

fn told(output: &Output) -> Value {
    json!({
        "rc": output.code,
        "stdout": output.stdout.trim_end_matches('\n'),
        "stderr": output.stderr.trim_end_matches('\n'),
    })
}

/// What a dry run recorded, or a virtual host keeps, of a thing that a program
/// of the host keeps: a list with what it is like, an empty one where it is
/// gone, or `()` if the program has to be asked.
#[derive(Deserialize, JsonSchema)]
pub struct Recorded {
    /// What kind of thing, such as `haproxy server`.
    kind: String,
    /// Which of that kind.
    name: String,
}

impl Read for Recorded {
    const NAME: &'static str = "resource";
    const POSITIONAL: &'static [&'static str] = &["kind", "name"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        Ok(
            match system.resource(&Resource::new(&self.kind, &*self.name)) {
                None => Value::Null,
                Some(Found::Absent) => json!([]),
                Some(found) => answer(found.map(|known| json!([known.properties]))),
            },
        )
    }
}

/// Changes a thing that a program of the host keeps, with a command of that
/// program. A dry run then knows what the thing is like.
#[derive(Deserialize, JsonSchema)]
pub struct ChangeResource {
    /// What kind of thing, such as `haproxy server`.
    kind: String,
    /// Which of that kind.
    name: String,
    /// What it is like before; not given where it is not there.
    before: Option<Properties>,
    /// What it is like afterwards; not given where it is gone. What is `()`
    /// cannot be known before.
    after: Option<Properties>,
    #[serde(flatten)]
    invocation: Invocation,
    /// The command that takes it back, if there is one.
    undo: Option<Invocation>,
}

impl Change for ChangeResource {
    const NAME: &'static str = "change";
    const POSITIONAL: &'static [&'static str] = &["kind", "name"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let resource = Resource::new(&self.kind, &*self.name);
        let mut before = self.before.clone();
        if let Some(properties) = &mut before {
            properties.retain(|_, value| !value.is_null());
        }
        let mut after = self.after.clone();
        for value in after.iter_mut().flat_map(|it| it.values_mut()) {
            if value.is_null() {
                *value = mark::unknown(&resource.to_string()).into();
            }
        }
        let effect = Effect::ChangeResource(ResourceChange {
            resource,
            before,
            after,
            command: self.invocation.command(),
            secret: None,
            undo: self.undo.as_ref().map(Invocation::command),
        });
        system.perform(effect).map(done)
    }
}
