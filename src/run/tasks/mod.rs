//! A play on one host: the script's calls go to the agent without waiting,
//! and come back in order.
//!
//! The meaning is that of a plain sequence: whatever the script does next, an
//! earlier failure is what it sees first.

mod hand_over;

mod queue;

mod handlers;

mod due;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use veza_agent::outcome::{Failure, Outcome};
use veza_agent::system::due::DueHandler;

use super::agents::NoAgent;
use super::company::{Company, Script};
use super::host::RunHost;
use super::session::Session;
use super::shared::Shared;
use crate::play::{Body, Play};
use crate::report::event::{Event, Site};
use crate::script::Closure;
use crate::script::tasks::{Call, Stop, TaskFailure, TaskId, Tasks, View};
use handlers::{Handlers, Which};
use queue::{Entry, Until};

/// How soon one that waits notices that the run was cancelled.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// A play on one host, or what the script of one host has another one do.
pub struct HostTasks {
    this: Weak<Self>,
    /// Tells it apart from others that use the host.
    id: u64,
    shared: Arc<Shared>,
    host: Arc<RunHost>,
    play: Play,
    pub(super) company: Arc<Company>,
    pub(super) script: Arc<Script>,
    /// Who runs it, where it is an `on` block.
    block_of: Option<String>,
    view: View,
    /// The agent that remembers the handlers which are due.
    keeper: Arc<Session>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    outcomes: HashMap<TaskId, Arc<Outcome>>,
    handlers: Handlers<Closure>,
    /// Those that an earlier run left, with the agent that remembers them.
    taken: Vec<(Arc<Session>, DueHandler)>,
    /// Whether `--tags` and `--skip-tags` let a task run.
    is_selected: bool,
    /// Whether a module that is written in Rhai is at work on the host.
    performs: bool,
}

impl HostTasks {
    /// Connects to the host and makes it ready for the play.
    pub fn new(
        shared: Arc<Shared>,
        host: Arc<RunHost>,
        play: &Play,
        company: Arc<Company>,
    ) -> Result<Arc<Self>, Stop> {
        let script = Script::of(&host.host.name);
        Self::with(shared, host, play, company, Arc::new(script), None)
    }

    /// The same script and play on another host.
    pub(super) fn elsewhere(&self, host: &Arc<RunHost>) -> Result<Arc<Self>, Stop> {
        let there = Self::with(
            self.shared.clone(),
            host.clone(),
            &self.play,
            self.company.clone(),
            self.script.clone(),
            Some(self.script.name()),
        )?;
        // What a handler does there is done in it.
        there.state().handlers.running = self.state().handlers.running.clone();
        Ok(there)
    }

    fn with(
        shared: Arc<Shared>,
        host: Arc<RunHost>,
        play: &Play,
        company: Arc<Company>,
        script: Arc<Script>,
        block_of: Option<String>,
    ) -> Result<Arc<Self>, Stop> {
        let id = host.next_call();
        host.foresee(play)?;
        let user = host.user_for(&play.escalation.or(&host.host.escalation));
        host.turn.take(id, TICK, || shared.check_cancelled())?;
        let connected = host.agent(&user, || Ok(()));
        host.turn.pass(id);
        let keeper = connected.map_err(|why| match why {
            NoAgent::Lost(why) | NoAgent::Refused(why) => host.lose(why),
            NoAgent::Unknown(origin) => Stop::Undecidable {
                origin,
                site: Some(play.site.clone()),
            },
        })?;
        let inventory = shared.playbook.inventory();
        let variables = inventory.variables(&host.host, &play.vars);
        let view = View {
            name: host.host.name.clone(),
            address: host.host.address().to_owned(),
            groups: inventory
                .groups_of(&host.host.name)
                .iter()
                .map(|group| group.name.clone())
                .collect(),
            vars: variables
                .into_iter()
                .map(|(name, variable)| (name, variable.value))
                .collect(),
            facts: host.facts(),
            hosts_by_group: shared.hosts_by_group.clone(),
        };
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            id,
            shared,
            host,
            play: play.clone(),
            company,
            script,
            block_of,
            view,
            keeper,
            state: Mutex::default(),
        }))
    }

    /// Runs the play's body and then the handlers it notified.
    pub fn run(self: &Arc<Self>) -> Result<(), Stop> {
        let ended = match self.body() {
            Ok(()) => self.last_handlers(Which::All),
            Err(stop) => self.after_failure(stop),
        };
        self.end(ended)
    }

    /// The host whose script asked for what is done here, if it is another.
    fn caller(&self) -> Option<String> {
        let own = self.script.host == self.view.name;
        (!own).then(|| self.script.host.clone())
    }

    fn body(self: &Arc<Self>) -> Result<(), Stop> {
        let ended = match &self.play.body {
            Body::Script(closure) => self.shared.playbook.call(closure, self.clone()),
            Body::Call(call) => self.call((**call).clone()).map(drop),
        };
        // However the script ended: what it had begun comes first.
        self.settle()?;
        ended
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A failure that is not one of the agent's.
    pub(super) fn failure_of(&self, module: &str, failure: Failure, site: &Site) -> Stop {
        Stop::Task(Box::new(TaskFailure {
            host: self.view.name.clone(),
            module: module.to_owned(),
            failure,
            site: site.clone(),
        }))
    }

    pub(super) fn check_cancelled(&self) -> Result<(), Stop> {
        self.shared.check_cancelled()
    }
}

impl Drop for HostTasks {
    /// However it ended, others may use the host.
    fn drop(&mut self) {
        self.host.turn.pass(self.id);
    }
}

impl Tasks for HostTasks {
    fn view(&self) -> &View {
        &self.view
    }

    fn call(&self, call: Call) -> Result<TaskId, Stop> {
        let sent = self.hand_over(call);
        self.rest();
        sent
    }

    fn result(&self, task: TaskId) -> Result<Arc<Outcome>, Stop> {
        let known = self.state().outcomes.get(&task).cloned();
        if let Some(outcome) = known {
            return Ok(outcome);
        }
        let collected = self.collect(Until::Task(task));
        self.rest();
        collected?;
        self.state()
            .outcomes
            .get(&task)
            .cloned()
            .ok_or(Stop::Cancelled)
    }

    fn settle(&self) -> Result<(), Stop> {
        let collected = self.collect(Until::All);
        self.rest();
        collected
    }

    fn caught(&self, stopped: &TaskFailure) {
        self.shared.send(Event::FailureCaught {
            host: self.script.host.clone(),
            module: stopped.module.clone(),
            site: stopped.site.clone(),
        });
    }

    fn on(
        &self,
        host: &str,
        site: &Site,
        run: &mut dyn FnMut(Arc<dyn Tasks>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.run_on(host, site, run)
    }

    fn once(
        &self,
        site: &Site,
        run: &mut dyn FnMut() -> Result<Value, Stop>,
    ) -> Result<Value, Stop> {
        self.run_once(site, run)
    }

    fn is_dry_run(&self) -> bool {
        !self.host.remembers()
    }

    fn pause(&self, time: Duration) -> Result<(), Stop> {
        // What was said before must not wait too.
        self.settle()?;
        if !self.host.waits() {
            return self.check_cancelled();
        }
        let begun = Instant::now();
        loop {
            self.check_cancelled()?;
            match time.saturating_sub(begun.elapsed()) {
                Duration::ZERO => return Ok(()),
                left => thread::sleep(left.min(TICK)),
            }
        }
    }

    fn log(&self, text: &str, site: Site) {
        self.state().queue.push_back(Entry::Log {
            text: text.to_owned(),
            site,
        });
    }

    fn handler(&self, name: &str, closure: Closure, _site: Site) -> Result<(), Stop> {
        self.state().handlers.define(name, closure);
        Ok(())
    }

    fn flush_handlers(&self, site: Site) -> Result<(), Stop> {
        self.run_handlers(Which::All, &site)
    }
}
