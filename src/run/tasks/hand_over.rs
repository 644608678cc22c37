//! How a call gets to the host: prepared here, sent to the agent of its user, or
//! carried out here if its module is written in Rhai.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use veza_agent::outcome::{Failure, Outcome, Verdict};
use veza_agent::protocol::Request;

use super::queue::{Entry, Sent, Task, Until};
use super::{HostTasks, TICK};
use crate::report::event::Event;
use crate::run::agents::NoAgent;
use crate::run::door::HostDoor;
use crate::run::prepare::Unprepared;
use crate::run::provided::promised;
use crate::script::tasks::{Call, Stop, TaskId, Tasks};

impl HostTasks {
    pub(super) fn hand_over(&self, call: Call) -> Result<TaskId, Stop> {
        self.check_cancelled()?;
        self.collect(Until::Now)?;
        let in_handler = self.state().handlers.running.is_some();
        let (play, task) = (&self.play.tags, &call.options.tags);
        if !call.only_looks() && !self.shared.options.selects(play, task, in_handler) {
            return Ok(self.left_out(&call));
        }
        self.state().is_selected = true;
        if self.shared.playbook.is_in_rhai(&call.schema.name) {
            return self.perform(call);
        }
        let preparation = &self.shared.preparation;
        let arguments = match self.shared.check_provided(&call) {
            Ok(()) => preparation.arguments(&call, &self.shared.playbook, &self.view),
            Err(failure) => Err(failure.into()),
        };
        let synchronous = call.synchronous;
        let id = match arguments {
            Ok(arguments) => self.send(call, Value::Object(arguments))?,
            Err(Unprepared::Unknown(origin)) => {
                return self.decided(&call, Outcome::unknown(&title(&call), &origin));
            }
            Err(Unprepared::Failure(failure)) => return self.refused(&call, *failure),
        };
        if synchronous {
            self.collect(Until::Task(id))?;
        }
        Ok(id)
    }

    /// What a call is known by from now on.
    fn task(&self, call: &Call) -> Task {
        Task {
            id: TaskId(self.host.next_call()),
            module: call.schema.name.clone(),
            site: call.site.clone(),
            notify: call.options.notify.clone(),
            handler: self.state().handlers.running.clone(),
            promised: promised(call),
        }
    }

    /// Takes an outcome that needed no agent.
    fn decided(&self, call: &Call, outcome: Outcome) -> Result<TaskId, Stop> {
        self.settle()?;
        let task = self.task(call);
        self.conclude(&task, Box::new(outcome), 0);
        Ok(task.id)
    }

    /// A call that failed before any agent was asked.
    fn refused(&self, call: &Call, failure: Failure) -> Result<TaskId, Stop> {
        self.decided(call, Outcome::failed(title(call), failure.clone()))?;
        Err(self.failure_of(&call.schema.name, failure, &call.site))
    }

    fn not_begun(&self, call: &Call, why: NotBegun) -> Result<TaskId, Stop> {
        match why {
            NotBegun::Stop(stop) => Err(stop),
            NotBegun::Failed(failure) => self.refused(call, failure),
            NotBegun::Unknown(origin) => {
                self.decided(call, Outcome::unknown(&title(call), &origin))
            }
        }
    }

    /// A task that the tags leave out: the script may read its result, but
    /// nobody is told of it.
    fn left_out(&self, call: &Call) -> TaskId {
        let id = TaskId(self.host.next_call());
        let mut outcome = Outcome::unknown(&title(call), "");
        outcome.verdict = Verdict::Skipped;
        outcome.assumptions.clear();
        let mut state = self.state();
        state.outcomes.insert(id, Arc::new(outcome));
        state.handlers.cut_short();
        id
    }

    /// Begins a task with the agent that carries it out, which is told the
    /// secrets among the arguments.
    fn begin(&self, call: &Call, arguments: &Value) -> Result<Sent, NotBegun> {
        let escalation = call
            .options
            .escalation
            .or(&self.play.escalation)
            .or(&self.host.host.escalation);
        let user = self.host.user_for(&escalation);
        let goes_on = || self.check_cancelled();
        self.host.turn.take(self.id, TICK, goes_on)?;
        let settle = || self.collect(Until::All).map_err(NotTaken::Stop);
        let session = match self.host.agent(&user, settle) {
            Ok(session) => session,
            Err(NotTaken::Stop(stop)) => return Err(stop.into()),
            Err(NotTaken::NoAgent(NoAgent::Lost(why))) => return Err(self.host.lose(why).into()),
            Err(NotTaken::NoAgent(NoAgent::Refused(why))) => {
                let mut failure = Failure::new(why.reason);
                failure.hint = why.hint;
                return Err(failure.into());
            }
            Err(NotTaken::NoAgent(NoAgent::Unknown(origin))) => {
                return Err(NotBegun::Unknown(origin));
            }
        };
        // To connect may take long.
        self.check_cancelled()?;
        if call.schema.name == "user"
            && let Some(name) = arguments["name"].as_str()
        {
            self.host.retire(name);
        }
        self.host.entrust(&session, arguments)?;
        self.announce(&session, &call.options.notify)??;
        let task = self.task(call);
        self.shared.send(Event::TaskStarted {
            host: self.view.name.clone(),
            module: task.module.clone(),
            title: title(call),
            site: task.site.clone(),
        });
        Ok(Sent { task, session })
    }

    fn send(&self, call: Call, arguments: Value) -> Result<TaskId, Stop> {
        let sent = match self.begin(&call, &arguments) {
            Ok(sent) => sent,
            Err(why) => return self.not_begun(&call, why),
        };
        let id = sent.task.id;
        let request = Request::Call {
            id: id.0,
            module: sent.task.module.clone(),
            arguments,
        };
        sent.session
            .send(&request)
            .map_err(|why| self.host.lose(why))?;
        self.state().queue.push_back(Entry::Task(Box::new(sent)));
        Ok(id)
    }

    /// Carries out a call of a module that is written in Rhai. Tasks before it
    /// are settled first: it runs here, and asks the agent as it goes.
    fn perform(&self, call: Call) -> Result<TaskId, Stop> {
        self.settle()?;
        let Some(this) = self.this.upgrade() else {
            return Err(Stop::Cancelled);
        };
        let sent = match self.begin(&call, &Value::Object(call.arguments.clone())) {
            Ok(sent) => sent,
            Err(why) => return self.not_begun(&call, why),
        };
        let started = Instant::now();
        let door = HostDoor::new(self.shared.clone(), self.host.clone(), sent.session.clone());
        let playbook = &self.shared.playbook;
        self.state().performs = true;
        let performed = playbook.perform(&call, &title(&call), this, Arc::new(door));
        self.state().performs = false;
        let outcome = performed?;
        let id = sent.task.id;
        let milliseconds = started.elapsed().as_millis() as u64;
        self.finish(sent, Box::new(outcome), milliseconds)?;
        Ok(id)
    }
}

/// Why a task is not begun.
enum NotBegun {
    Stop(Stop),
    Failed(Failure),
    /// It depends on this, which is known only after apply.
    Unknown(String),
}

impl From<Stop> for NotBegun {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Failure> for NotBegun {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Why the agent of a task's user does not take it.
enum NotTaken {
    Stop(Stop),
    NoAgent(NoAgent),
}

impl From<NoAgent> for NotTaken {
    fn from(why: NoAgent) -> Self {
        Self::NoAgent(why)
    }
}

/// What a call is about, until the agent says it better.
fn title(call: &Call) -> String {
    let names = ["dest", "path"]
        .into_iter()
        .chain(call.schema.positional.iter().map(String::as_str));
    let argument = names.filter_map(|name| call.arguments.get(name)).next();
    match argument {
        Some(Value::String(text)) => veza_agent::mark::show(text).into_owned(),
        Some(Value::Array(items)) => {
            let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            veza_agent::mark::show(&words.join(" ")).into_owned()
        }
        _ => String::new(),
    }
}
