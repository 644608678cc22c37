//! How a call gets to the host: prepared here, sent to the agent of its user, or
//! carried out here if its module is written in Rhai.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use veza_agent::outcome::{Failure, Outcome, Verdict};
use veza_agent::protocol::Request;

use super::queue::{Entry, Sent, Until};
use super::{HostTasks, TICK};
use crate::report::event::Event;
use crate::run::door::HostDoor;
use crate::run::prepare::Unprepared;
use crate::run::provided::promised;
use crate::script::tasks::{Call, Stop, TaskFailure, TaskId, Tasks};
use crate::transport::Unreachable;

impl HostTasks {
    pub(super) fn hand_over(&self, call: Call) -> Result<TaskId, Stop> {
        self.check_cancelled()?;
        self.collect(Until::Now)?;
        let in_handler = self.state().handlers.running.is_some();
        let (play, task) = (&self.play.tags, &call.options.tags);
        if !call.only_looks() && !self.shared.options.selects(play, task, in_handler) {
            return Ok(self.left_out(&call));
        }
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
            Err(Unprepared::Failure(failure)) => return self.refused(call, *failure),
        };
        if synchronous {
            self.collect(Until::Task(id))?;
        }
        Ok(id)
    }

    /// Remembers an outcome that needed no agent.
    fn decided(&self, call: &Call, outcome: Outcome) -> Result<TaskId, Stop> {
        self.settle()?;
        let id = TaskId(self.host.next_call());
        self.shared.send(Event::TaskFinished {
            host: self.view.name.clone(),
            module: call.schema.name.clone(),
            site: call.site.clone(),
            handler: self.state().handlers.running.clone(),
            caller: self.caller(),
            milliseconds: 0,
            outcome: Box::new(outcome.clone()),
        });
        self.state().outcomes.insert(id, Arc::new(outcome));
        Ok(id)
    }

    /// A call that failed before any agent was asked.
    fn refused(&self, call: Call, failure: Failure) -> Result<TaskId, Stop> {
        self.decided(&call, Outcome::failed(title(&call), failure.clone()))?;
        Err(Stop::Task(Box::new(TaskFailure {
            host: self.view.name.clone(),
            module: call.schema.name.clone(),
            failure,
            site: call.site,
        })))
    }

    /// A task that the tags leave out: the script may read its result, but
    /// nobody is told of it.
    fn left_out(&self, call: &Call) -> TaskId {
        let id = TaskId(self.host.next_call());
        let mut outcome = Outcome::unknown(&title(call), "");
        outcome.verdict = Verdict::Skipped;
        outcome.assumptions.clear();
        self.state().outcomes.insert(id, Arc::new(outcome));
        id
    }

    /// Begins a task with the agent that carries it out, which is told the
    /// secrets among the arguments.
    fn begin(&self, call: &Call, arguments: &Value) -> Result<Result<Sent, Failure>, Stop> {
        let escalation = call
            .options
            .escalation
            .or(&self.play.escalation)
            .or(&self.host.host.escalation);
        let user = self.host.user_for(&escalation);
        let goes_on = || self.check_cancelled();
        self.host.turn.take(self.id, TICK, goes_on)?;
        let settle = || self.collect(Until::All).map_err(AgentError::Stop);
        let session = self.host.agent(&user, settle);
        let session = session.map_err(|error| match error {
            AgentError::Stop(stop) => stop,
            AgentError::Unreachable(why) => self.host.lose(why),
        })?;
        // To connect may take long.
        self.check_cancelled()?;
        if let Err(failure) = self.host.entrust(&session, arguments) {
            return Ok(Err(failure));
        }
        let module = call.schema.name.clone();
        self.shared.send(Event::TaskStarted {
            host: self.view.name.clone(),
            module: module.clone(),
            title: title(call),
            site: call.site.clone(),
        });
        Ok(Ok(Sent {
            id: TaskId(self.host.next_call()),
            session,
            module,
            site: call.site.clone(),
            notify: call.options.notify.clone(),
            handler: self.state().handlers.running.clone(),
            promised: promised(call),
        }))
    }

    fn send(&self, call: Call, arguments: Value) -> Result<TaskId, Stop> {
        let sent = match self.begin(&call, &arguments)? {
            Ok(sent) => sent,
            Err(failure) => return self.refused(call, failure),
        };
        let id = sent.id;
        let request = Request::Call {
            id: id.0,
            module: sent.module.clone(),
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
        let sent = match self.begin(&call, &Value::Object(call.arguments.clone()))? {
            Ok(sent) => sent,
            Err(failure) => return self.refused(call, failure),
        };
        let started = Instant::now();
        let door = HostDoor::new(self.shared.clone(), self.host.clone(), sent.session.clone());
        let playbook = &self.shared.playbook;
        self.state().performs = true;
        let performed = playbook.perform(&call, &title(&call), this, Arc::new(door));
        self.state().performs = false;
        let outcome = performed?;
        let id = sent.id;
        let milliseconds = started.elapsed().as_millis() as u64;
        self.finish(sent, Box::new(outcome), milliseconds)?;
        Ok(id)
    }
}

enum AgentError {
    Stop(Stop),
    Unreachable(Unreachable),
}

impl From<Unreachable> for AgentError {
    fn from(why: Unreachable) -> Self {
        Self::Unreachable(why)
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
