//! What a script's calls need of the run: one [`Tasks`] for each host in a
//! play.
//!
//! The script side checks a call and hands it over; it never sees an agent, a
//! plan or an event. A module that is written in Rhai comes back to it, with a
//! [`Door`] to the host. The run side never sees Rhai beyond [`Closure`], which it
//! keeps and gives back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use veza_agent::outcome::{Failure, Outcome};

use super::closure::Closure;
use super::diagnostics::Problem;
use crate::inventory::Escalation;
use crate::report::event::Site;
use crate::schema::Schema;

/// The run, as the script on one host sees it.
pub trait Tasks: Send + Sync {
    /// What the script may read about its host.
    fn view(&self) -> &View;

    /// Hands over a call whose arguments have been checked. Without
    /// `synchronous` it returns before the task is done; the failure of an
    /// earlier one may be returned instead, which then stops the script.
    fn call(&self, call: Call) -> Result<TaskId, Stop>;

    /// Waits for a task and returns what came of it. A failed one is
    /// [`Stop::Task`], each time it is asked for.
    fn result(&self, task: TaskId) -> Result<Arc<Outcome>, Stop>;

    /// Waits for all tasks handed over so far; the first failure is returned.
    fn settle(&self) -> Result<(), Stop>;

    /// Tells that the script caught a failure and goes on.
    fn caught(&self, stopped: &TaskFailure);

    /// Hands `run` the tasks of another host, and settles what it calls there;
    /// why the block did not come to its end. `site` is where it is written.
    fn on(
        &self,
        host: &str,
        site: &Site,
        run: &mut dyn FnMut(Arc<dyn Tasks>) -> Result<(), Stop>,
    ) -> Result<(), Stop>;

    /// Runs a block that is run once in a play, or waits for the host that
    /// does; its value, or why it has none. `site` is where it is written.
    fn once(
        &self,
        site: &Site,
        run: &mut dyn FnMut() -> Result<Value, Stop>,
    ) -> Result<Value, Stop>;

    /// Whether effects are predicted only.
    fn is_dry_run(&self) -> bool;

    /// Lets some time pass, where something may come of it.
    fn pause(&self, time: Duration) -> Result<(), Stop>;

    /// Says something to the reader of the run, in order with the tasks.
    fn log(&self, text: &str, site: Site);

    /// Defines what to do once at the end of the play if `name` is notified.
    /// A later definition of the same name wins.
    fn handler(&self, name: &str, closure: Closure, site: Site) -> Result<(), Stop>;

    /// Runs the notified handlers now.
    fn flush_handlers(&self, site: Site) -> Result<(), Stop>;
}

/// The way to a host for a module that runs here: the functions of
/// [`veza_agent::door`], carried out by the host's agent.
pub trait Door: Send + Sync {
    /// Calls one of them. Whatever the host does not allow is a failure, which
    /// a module may catch.
    fn call(
        &self,
        function: &str,
        arguments: Map<String, Value>,
    ) -> Result<Result<Value, Failure>, Stop>;

    /// Whether something comes of waiting. Where nothing does, as in a dry run,
    /// what is read from then on is not known.
    fn waits(&self) -> bool;

    /// What was done since the module began: the effects, the assumptions, and
    /// why it could not be kept, if it could not.
    fn records(&self) -> Result<Outcome, Stop>;
}

/// A task that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u64);

/// A call to a module.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which module, and what it takes.
    pub schema: Arc<Schema>,
    /// The arguments by their names (aliases resolved), without defaults.
    pub arguments: Map<String, Value>,
    /// What every call may carry.
    pub options: CallOptions,
    /// Where it is written.
    pub site: Site,
    /// Whether the task must be done before `call` returns: inside `try`.
    pub synchronous: bool,
}

impl Call {
    /// Whether it only looks, for the script to decide by. Tags of a play do
    /// not leave it out: the script would have nothing to go by.
    pub fn only_looks(&self) -> bool {
        let looks = ["slurp", "stat"].contains(&self.schema.name.as_str())
            || self.arguments.get("read_only") == Some(&Value::Bool(true));
        looks && self.options.tags.is_empty()
    }
}

/// What every call may carry beside the module's own arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallOptions {
    /// Handlers to run at the end of the play if the task changes something.
    pub notify: Vec<String>,
    /// Words that `--tags` and `--skip-tags` select by.
    pub tags: Vec<String>,
    /// Who the task runs as, where that differs from the play.
    pub escalation: Escalation,
}

/// What a script may read about its host.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The host's name.
    pub name: String,
    /// Where it is reached.
    pub address: String,
    /// The groups it is in, wider ones first.
    pub groups: Vec<String>,
    /// Its variables.
    pub vars: Map<String, Value>,
    /// What its agent found out about it.
    pub facts: Map<String, Value>,
    /// The hosts of every group of the inventory.
    pub hosts_by_group: Arc<BTreeMap<String, Vec<String>>>,
}

/// Why a script does not go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stop {
    /// A task failed; a script may catch it.
    #[error("{}", .0.failure)]
    Task(Box<TaskFailure>),
    /// The script itself is wrong.
    #[error("{0}")]
    Script(Box<Problem>),
    /// A dry run would have to guess which way the script goes.
    #[error("the script depends on {origin}, which is known only after apply")]
    Undecidable {
        /// What is not known, such as ``stdout of command `id` ``.
        origin: String,
        /// Where the script depends on it.
        site: Option<Site>,
    },
    /// The host can no longer be reached; the run has said so already.
    #[error("the host is lost")]
    HostLost,
    /// The run was told to end.
    #[error("the run was cancelled")]
    Cancelled,
}

/// A task that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskFailure {
    /// The host it failed on.
    pub host: String,
    /// The module, or `assert`, `fail` or `throw`.
    pub module: String,
    /// Why.
    pub failure: Failure,
    /// Where the call is written.
    pub site: Site,
}
