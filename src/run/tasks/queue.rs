//! What was handed over and is not told yet: outcomes come back in the order of
//! the calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use veza_agent::outcome::{Outcome, Verdict};
use veza_agent::protocol::Request;

use super::HostTasks;
use crate::report::event::{Event, Site};
use crate::run::line::Answer;
use crate::run::session::Session;
use crate::script::tasks::{Stop, TaskId};

/// What was handed over and is not told yet, in order.
pub(super) enum Entry {
    Task(Box<Sent>),
    Log { text: String, site: Site },
}

/// A task that an agent has.
pub(super) struct Sent {
    pub task: Task,
    pub session: Arc<Session>,
}

/// What a task is known by, and what follows from it.
pub(super) struct Task {
    pub id: TaskId,
    pub module: String,
    pub site: Site,
    pub notify: Vec<String>,
    /// The handler that it runs in, if in one.
    pub handler: Option<String>,
    /// The hosts that the call says it provides.
    pub promised: BTreeSet<String>,
}

/// How much is waited for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Until {
    /// Only what has come already.
    Now,
    /// Everything.
    All,
    /// Everything up to this task.
    Task(TaskId),
}

impl HostTasks {
    /// Lets others use the host, once nothing of this script is under way.
    pub(super) fn rest(&self) {
        let busy = |entry: &Entry| matches!(entry, Entry::Task(_));
        let is_at_work = {
            let state = self.state();
            state.performs || state.queue.iter().any(busy)
        };
        if !is_at_work {
            self.host.turn.pass(self.id);
        }
    }

    /// Tells what has come back, in order; waits until `until` has, if given.
    pub(super) fn collect(&self, until: Until) -> Result<(), Stop> {
        let collected = self.collect_in_order(until);
        if collected.is_err() {
            // Nothing more comes of what was sent after it.
            self.state().queue.clear();
        }
        collected
    }

    fn collect_in_order(&self, until: Until) -> Result<(), Stop> {
        loop {
            let Some(entry) = self.state().queue.pop_front() else {
                return Ok(());
            };
            let sent = match entry {
                Entry::Log { text, site } => {
                    self.shared.send(Event::Logged {
                        host: self.view.name.clone(),
                        text,
                        site,
                        caller: self.caller(),
                    });
                    continue;
                }
                Entry::Task(sent) => sent,
            };
            let answer = match until {
                Until::Now => sent.session.answered(sent.task.id.0),
                Until::All | Until::Task(_) => sent.session.answer(sent.task.id.0).map(Some),
            };
            match answer.map_err(|why| self.host.lose(why))? {
                None => {
                    self.state().queue.push_front(Entry::Task(sent));
                    return Ok(());
                }
                Some(Answer::Dropped | Answer::Told(_)) => return Err(Stop::Cancelled),
                Some(Answer::Done(outcome, milliseconds)) => {
                    let id = sent.task.id;
                    self.finish(*sent, outcome, milliseconds)?;
                    if until == Until::Task(id) {
                        return Ok(());
                    }
                }
            }
        }
    }

    pub(super) fn finish(
        &self,
        sent: Sent,
        outcome: Box<Outcome>,
        milliseconds: u64,
    ) -> Result<(), Stop> {
        let outcome = self.conclude(&sent.task, outcome, milliseconds);
        let (name, provides) = (&self.view.name, &outcome.provides);
        self.shared
            .provide(name, &sent.task.promised, provides, &sent.task.site);
        let Some(failure) = outcome.failure.clone() else {
            return Ok(());
        };
        // The agent has dropped all that was sent after it.
        self.state().queue.clear();
        let resumed = sent.session.send(&Request::Resume);
        resumed.map_err(|why| self.host.lose(why))?;
        Err(self.failure_of(&sent.task.module, failure, &sent.task.site))
    }

    /// Tells what came of a task and remembers it, whoever decided it; and
    /// notifies its handlers.
    pub(super) fn conclude(
        &self,
        task: &Task,
        outcome: Box<Outcome>,
        milliseconds: u64,
    ) -> Arc<Outcome> {
        self.shared.send(Event::TaskFinished {
            host: self.view.name.clone(),
            module: task.module.clone(),
            site: task.site.clone(),
            handler: task.handler.clone(),
            caller: self.caller(),
            milliseconds,
            outcome: outcome.clone(),
        });
        let outcome: Arc<Outcome> = outcome.into();
        let mut state = self.state();
        state.outcomes.insert(task.id, outcome.clone());
        let is_change = matches!(outcome.verdict, Verdict::Changed | Verdict::Unknown);
        if is_change {
            state.handlers.notify(&task.notify, task.handler.as_deref());
        }
        if is_change || !outcome.effects.is_empty() {
            state.handlers.noted(&task.notify);
        }
        outcome
    }
}
