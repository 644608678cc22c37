//! A play on one host: the script's calls go to the agent without waiting,
//! and come back in order.
//!
//! The meaning is that of a plain sequence: whatever the script does next, an
//! earlier failure is what it sees first.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use veza_agent::outcome::{Failure, Outcome, Verdict};
use veza_agent::protocol::Request;

use super::door::HostDoor;
use super::host::RunHost;
use super::prepare::Unprepared;
use super::session::{Answer, Session};
use super::{Company, Shared};
use crate::play::{Body, Play};
use crate::report::event::{Event, Mode, Site};
use crate::schema::closest;
use crate::script::Closure;
use crate::script::tasks::{Call, Stop, TaskFailure, TaskId, Tasks, View};
use crate::transport::Unreachable;

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
    view: View,
    state: Mutex<State>,
}

/// A script on its way through a play, on whichever hosts its tasks are.
pub(super) struct Script {
    /// The host that it runs for.
    pub host: String,
    /// How often it came to each `once`.
    turns: Mutex<HashMap<Site, usize>>,
}

impl Script {
    /// How often it has come to this place before.
    pub fn turn_at(&self, site: &Site) -> usize {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(site.clone()).or_default();
        *turn += 1;
        *turn - 1
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    outcomes: HashMap<TaskId, Arc<Outcome>>,
    handlers: Vec<Handler>,
    notified: BTreeSet<String>,
    /// The handler that runs now.
    running: Option<String>,
    /// Whether a module that is written in Rhai is at work on the host.
    performs: bool,
}

struct Handler {
    name: String,
    closure: Closure,
}

/// What was handed over and is not told yet, in order.
enum Entry {
    Task(Box<Sent>),
    Log { text: String, site: Site },
}

struct Sent {
    id: TaskId,
    session: Arc<Session>,
    module: String,
    site: Site,
    notify: Vec<String>,
    handler: Option<String>,
}

impl From<Unreachable> for Stop {
    fn from(_: Unreachable) -> Self {
        Self::HostLost
    }
}

impl HostTasks {
    /// Connects to the host and makes it ready for the play.
    pub fn new(
        shared: Arc<Shared>,
        host: Arc<RunHost>,
        play: &Play,
        company: Arc<Company>,
    ) -> Result<Arc<Self>, Stop> {
        let script = Script {
            host: host.host.name.clone(),
            turns: Mutex::default(),
        };
        Self::with(shared, host, play, company, Arc::new(script))
    }

    /// The same script and play on another host.
    pub(super) fn elsewhere(&self, host: &Arc<RunHost>) -> Result<Arc<Self>, Stop> {
        let there = Self::with(
            self.shared.clone(),
            host.clone(),
            &self.play,
            self.company.clone(),
            self.script.clone(),
        )?;
        // What a handler does there is done in it.
        there.state().running = self.state().running.clone();
        Ok(there)
    }

    fn with(
        shared: Arc<Shared>,
        host: Arc<RunHost>,
        play: &Play,
        company: Arc<Company>,
        script: Arc<Script>,
    ) -> Result<Arc<Self>, Stop> {
        let id = host.next_call();
        host.foresee(play)?;
        let user = host.user_for(&play.escalation.or(&host.host.escalation));
        host.turn.take(id, TICK, || shared.check_cancelled())?;
        let connected = host.agent::<Unreachable>(&user, || Ok(()));
        host.turn.pass(id);
        connected.map_err(|why| lose(&shared, &host, why))?;
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
            view,
            state: Mutex::default(),
        }))
    }

    /// Runs the play's body and then the handlers it notified.
    pub fn run(self: &Arc<Self>) -> Result<(), Stop> {
        let ended = self.body().and_then(|()| self.last_handlers());
        if let Err(Stop::Task(failure)) = &ended {
            self.tell_forgotten(&failure.site);
        }
        self.forget();
        ended
    }

    /// Lets go of the handlers: what they captured may hold this very thing.
    pub(super) fn forget(&self) {
        self.state().handlers.clear();
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

    /// Runs the handlers at the end of the play. One that fails does not keep
    /// the others from running: the next run, which finds nothing to change,
    /// would not notify them again.
    fn last_handlers(&self) -> Result<(), Stop> {
        let mut ended = Ok(());
        loop {
            match self.flush_handlers(self.play.site.clone()) {
                Ok(()) => return ended,
                Err(Stop::Task(failure)) if self.has_waiting_handler() => {
                    self.host.fail(*failure);
                    // Nothing is left to tell, as after the loss of a host.
                    ended = Err(Stop::HostLost);
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    fn has_waiting_handler(&self) -> bool {
        let state = self.state();
        let mut handlers = state.handlers.iter();
        handlers.any(|handler| state.notified.contains(&handler.name))
    }

    /// Says which handlers a failure keeps from running: the next run will not
    /// know that they are due.
    pub(super) fn tell_forgotten(&self, site: &Site) {
        let notified = self.state().notified.clone();
        if notified.is_empty() {
            return;
        }
        let names: Vec<_> = notified.iter().map(|name| format!("\"{name}\"")).collect();
        self.shared.send(Event::Logged {
            host: self.view.name.clone(),
            text: format!("notified handlers that did not run: {}", names.join(", ")),
            site: site.clone(),
            caller: self.caller(),
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others use the host, once nothing of this script is under way.
    fn rest(&self) {
        let busy = |entry: &Entry| matches!(entry, Entry::Task(_));
        let is_at_work = {
            let state = self.state();
            state.performs || state.queue.iter().any(busy)
        };
        if !is_at_work {
            self.host.turn.pass(self.id);
        }
    }

    fn lost(&self, why: Unreachable) -> Stop {
        lose(&self.shared, &self.host, why)
    }

    /// Tells what has come back, in order; waits until `until` has, if given.
    fn collect(&self, until: Until) -> Result<(), Stop> {
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
                Until::Now => sent.session.answered(sent.id.0),
                Until::All | Until::Task(_) => sent.session.answer(sent.id.0).map(Some),
            };
            match answer.map_err(|why| self.lost(why))? {
                None => {
                    self.state().queue.push_front(Entry::Task(sent));
                    return Ok(());
                }
                Some(Answer::Dropped | Answer::Told(_)) => return Err(Stop::Cancelled),
                Some(Answer::Done(outcome, milliseconds)) => {
                    let id = sent.id;
                    self.finish(*sent, outcome, milliseconds)?;
                    if until == Until::Task(id) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn finish(&self, sent: Sent, outcome: Box<Outcome>, milliseconds: u64) -> Result<(), Stop> {
        self.shared.send(Event::TaskFinished {
            host: self.view.name.clone(),
            module: sent.module.clone(),
            site: sent.site.clone(),
            handler: sent.handler.clone(),
            caller: self.caller(),
            milliseconds,
            outcome: outcome.clone(),
        });
        for provided in &outcome.provides {
            self.shared.provide(&self.view.name, provided, &sent.site);
        }
        let outcome: Arc<Outcome> = outcome.into();
        let mut state = self.state();
        state.outcomes.insert(sent.id, outcome.clone());
        if matches!(outcome.verdict, Verdict::Changed | Verdict::Unknown) {
            // A handler that notifies itself would never come to an end.
            let others = |name: &String| sent.handler.as_ref() != Some(name);
            state
                .notified
                .extend(sent.notify.into_iter().filter(others));
        }
        let Some(failure) = outcome.failure.clone() else {
            return Ok(());
        };
        // The agent has dropped all that was sent after it.
        state.queue.clear();
        drop(state);
        sent.session
            .send(&Request::Resume)
            .map_err(|why| self.lost(why))?;
        Err(Stop::Task(Box::new(TaskFailure {
            host: self.view.name.clone(),
            module: sent.module,
            failure,
            site: sent.site,
        })))
    }

    /// Remembers an outcome that needed no agent.
    fn decided(&self, call: &Call, outcome: Outcome) -> Result<TaskId, Stop> {
        self.settle()?;
        let id = TaskId(self.host.next_call());
        self.shared.send(Event::TaskFinished {
            host: self.view.name.clone(),
            module: call.schema.name.clone(),
            site: call.site.clone(),
            handler: self.state().running.clone(),
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
            AgentError::Unreachable(why) => self.lost(why),
        })?;
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
            handler: self.state().running.clone(),
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
        sent.session.send(&request).map_err(|why| self.lost(why))?;
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

    /// A failure that is not one of the agent's.
    pub(super) fn failure_of(&self, module: &str, failure: Failure, site: &Site) -> Stop {
        Stop::Task(Box::new(TaskFailure {
            host: self.view.name.clone(),
            module: module.to_owned(),
            failure,
            site: site.clone(),
        }))
    }

    fn hand_over(&self, call: Call) -> Result<TaskId, Stop> {
        self.check_cancelled()?;
        self.collect(Until::Now)?;
        let in_handler = self.state().running.is_some();
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

    pub(super) fn check_cancelled(&self) -> Result<(), Stop> {
        self.shared.check_cancelled()
    }

    /// The first handler that is notified, taken off the list of those.
    fn next_handler(&self) -> Option<Handler> {
        let mut state = self.state();
        let State {
            handlers, notified, ..
        } = &mut *state;
        let handler = handlers
            .iter()
            .find(|handler| notified.contains(&handler.name))?;
        notified.remove(&handler.name);
        Some(Handler {
            name: handler.name.clone(),
            closure: handler.closure.clone(),
        })
    }

    /// A notified handler that nobody defined would be silently lost.
    fn check_notified(&self, site: &Site) -> Result<(), Stop> {
        let state = self.state();
        let Some(name) = state.notified.first() else {
            return Ok(());
        };
        let known = state.handlers.iter().map(|handler| handler.name.as_str());
        let mut failure = Failure::new(format!(
            "the handler \"{name}\" was notified, but is not defined"
        ));
        failure.hint = Some(match closest(name, known) {
            _ if self.caller().is_some() => format!(
                "What an `on` block notifies is defined in it: `handler(\"{name}\", || …)`."
            ),
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => format!("Define it with `handler(\"{name}\", || …)`."),
        });
        Err(self.failure_of("handler", failure, site))
    }
}

impl Drop for HostTasks {
    /// However it ended, others may use the host.
    fn drop(&mut self) {
        self.host.turn.pass(self.id);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// Only what has come already.
    Now,
    /// Everything.
    All,
    /// Everything up to this task.
    Task(TaskId),
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
        self.shared.options.mode == Mode::Check
    }

    fn pause(&self, time: Duration) -> Result<(), Stop> {
        // What was said before must not wait too.
        self.settle()?;
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
        let mut state = self.state();
        state.handlers.retain(|handler| handler.name != name);
        state.handlers.push(Handler {
            name: name.to_owned(),
            closure,
        });
        Ok(())
    }

    fn flush_handlers(&self, site: Site) -> Result<(), Stop> {
        self.settle()?;
        let Some(this) = self.this.upgrade() else {
            return Err(Stop::Cancelled);
        };
        while let Some(handler) = self.next_handler() {
            let outer = self.state().running.replace(handler.name);
            let ran = self.shared.playbook.call(&handler.closure, this.clone());
            let ran = ran.and_then(|()| self.settle());
            self.state().running = outer;
            ran?;
        }
        self.check_notified(&site)
    }
}

/// Says once that a host is lost, and takes it out of the run.
pub(super) fn lose(shared: &Shared, host: &RunHost, why: Unreachable) -> Stop {
    if shared.is_cancelled() {
        return Stop::Cancelled;
    }
    if host.lose(&why.reason) {
        shared.send(Event::HostLost {
            host: host.host.name.clone(),
            reason: why.reason,
            hint: why.hint,
        });
    }
    Stop::HostLost
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
