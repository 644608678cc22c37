//! One host during a run: its agents, and whether it is still part of it.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Map, Value};
use veza_agent::outcome::{Failure, HostState};
use veza_agent::protocol::{Request, World, check_size};

use super::session::{Heard, Session, hello};
use super::shared::Shared;
use super::turn::Turn;
use crate::inventory::{Escalation, Host};
use crate::play::Play;
use crate::report::event::{Event, Mode};
use crate::script::tasks::Stop;
use crate::transport::bootstrap::{AgentBinary, Become, no_such_user, start_agent};
use crate::transport::{Connection, Unreachable, connect};

/// The agent, built for the machine this program was built for.
static AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/veza-agent"));

/// Its SHA-256, taken when it was built: a run need not read all of it.
const AGENT_SHA256: &str = include_str!(concat!(env!("OUT_DIR"), "/veza-agent.sha256"));

/// The agent's program.
pub fn agent() -> AgentBinary {
    AgentBinary {
        bytes: AGENT.into(),
        sha256: AGENT_SHA256.to_owned(),
        machine: Some(std::env::consts::ARCH),
    }
}

/// A host that takes part in a run.
pub struct RunHost {
    /// What the inventory says of it.
    pub host: Host,
    pub(super) shared: Arc<Shared>,
    agents: Mutex<Agents>,
    /// Each agent, in the order of their coming.
    sessions: Mutex<Vec<Arc<Session>>>,
    /// What the host is, as the first agent found it.
    facts: OnceLock<Map<String, Value>>,
    next_call: AtomicU64,
    out: AtomicBool,
    /// Why it is lost, if it is.
    lost: Mutex<Option<String>>,
    /// Whose tasks its agents carry out.
    pub turn: Turn,
    /// Whether a dry run plans the host, which is not there yet.
    planned: AtomicBool,
}

/// What a host is to a run.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    /// It is there.
    Real,
    /// A dry run takes it for a fresh Debian, since a task will make it.
    Planned,
    /// It is kept in a directory.
    Sandbox,
}

#[derive(Default)]
struct Agents {
    by_user: HashMap<Option<String>, Arc<Session>>,
    /// Whose agent has what a dry run recorded so far.
    current: Option<Option<String>>,
    /// Users that a dry run plans; other users' agents plan their tasks.
    planned: BTreeSet<String>,
}

impl Agents {
    /// The agent that has what a dry run recorded so far.
    fn current(&self) -> Option<Arc<Session>> {
        self.by_user.get(self.current.as_ref()?).cloned()
    }

    /// Gives what a dry run recorded to the agent of its next tasks: later reads
    /// must see what was recorded under the user before.
    fn hand_over(&self, user: &Option<String>, next: &Arc<Session>) -> Result<(), NoAgent> {
        if let Some(before) = self.current() {
            let pending = before.take_pending().map_err(NoAgent::Lost)?;
            if let Some(user) = user
                && pending.gone_users.contains(user)
            {
                return Err(NoAgent::Refused(no_such_user(user, &next.name())));
            }
            if !Arc::ptr_eq(&before, next) {
                next.send(&Request::SetPending(pending))
                    .map_err(NoAgent::Lost)?;
            }
        }
        if self.planned.is_empty() {
            return Ok(());
        }
        let planned = user.as_ref().filter(|user| self.planned.contains(*user));
        next.send(&Request::ActAs(planned.cloned()))
            .map_err(NoAgent::Lost)
    }
}

/// Why there is no agent for a user.
pub enum NoAgent {
    /// The host is lost.
    Lost(Unreachable),
    /// The host is there, but lets nobody become that user.
    Refused(Unreachable),
    /// A dry run cannot tell whether the user will be there; where that depends
    /// on.
    Unknown(String),
}

impl RunHost {
    /// A host that nobody has connected to.
    pub fn new(host: Host, shared: Arc<Shared>) -> Self {
        Self {
            host,
            shared,
            agents: Mutex::default(),
            sessions: Mutex::default(),
            facts: OnceLock::new(),
            next_call: AtomicU64::new(1),
            out: AtomicBool::new(false),
            lost: Mutex::default(),
            turn: Turn::default(),
            planned: AtomicBool::new(false),
        }
    }

    /// Whether the host failed or was lost: it takes part in nothing more.
    pub fn is_out(&self) -> bool {
        self.out.load(Ordering::SeqCst)
    }

    /// Why the host is lost, if it is.
    pub fn lost(&self) -> Option<String> {
        self.lock_lost().clone()
    }

    /// Takes the host out of the run because it is lost, and says so once.
    pub fn lose(&self, why: Unreachable) -> Stop {
        if self.shared.is_cancelled() {
            return Stop::Cancelled;
        }
        self.leave();
        let mut lost = self.lock_lost();
        if lost.is_none() {
            *lost = Some(why.reason.clone());
            self.shared.send(Event::HostLost {
                host: self.host.name.clone(),
                reason: why.reason,
                hint: why.hint,
            });
        }
        Stop::HostLost
    }

    fn lock_lost(&self) -> MutexGuard<'_, Option<String>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the host out of the run.
    pub fn leave(&self) {
        self.out.store(true, Ordering::SeqCst);
    }

    /// Tells why the script of this host did not come to its end, and takes the
    /// host out of the run. What a dry run cannot know is no reason for that.
    pub fn stopped(&self, stop: Stop) {
        let host = self.host.name.clone();
        let event = match stop {
            Stop::Undecidable { origin, site } => {
                return self.shared.send(Event::PlanIncomplete {
                    host,
                    reason: format!(
                        "the script depends on {origin}, which is known only after apply"
                    ),
                    site,
                });
            }
            Stop::Task(failed) => Event::HostFailed {
                host,
                failure: failed.failure,
                module: failed.module,
                site: failed.site,
            },
            Stop::Script(problem) => Event::ScriptFailed {
                host,
                message: problem.to_string(),
                site: problem.site().cloned(),
                rendered: problem.render(),
            },
            Stop::Cancelled => Event::HostInterrupted { host },
            // It was told when it happened.
            Stop::HostLost => return self.leave(),
        };
        self.leave();
        // The task may have failed because it was ended.
        let cut_off = match event {
            Event::HostFailed { ref host, .. } if self.shared.is_cancelled() => {
                Some(Event::HostInterrupted { host: host.clone() })
            }
            _ => None,
        };
        self.shared.send(event);
        if let Some(cut_off) = cut_off {
            self.shared.send(cut_off);
        }
    }

    /// Tells that veza-play itself went wrong here, and takes the host out of the
    /// run.
    pub fn broke(&self, message: &str) {
        self.leave();
        self.shared.send(Event::HostBroken {
            host: self.host.name.clone(),
            message: format!("veza-play broke down: {message}"),
        });
    }

    /// Tells an agent the secrets that it needs for a call and does not know
    /// yet. A virtual host is told none: its files hold marks. A call that
    /// cannot be sent is refused here, while nothing has begun.
    pub fn entrust(&self, session: &Session, arguments: &Value) -> Result<(), Failure> {
        check_size(arguments)?;
        if self.is_virtual() {
            return Ok(());
        }
        let needed = self.shared.playbook.secrets().needed(arguments)?;
        // A host that is lost is noticed with the call itself.
        let _ = session.entrust(needed);
        Ok(())
    }

    /// A number for the next call.
    pub fn next_call(&self) -> u64 {
        self.next_call.fetch_add(1, Ordering::SeqCst)
    }

    /// Looks whether a task of this run provides the host, before a play
    /// begins on it. In a dry run it may not be there yet: then the play is
    /// planned on a fresh virtual host, and that is said.
    pub fn foresee(&self, play: &Play) -> Result<(), Stop> {
        let options = &self.shared.options;
        let is_connected = self.facts.get().is_some();
        if self.is_virtual() || options.mode == Mode::Apply || is_connected {
            return Ok(());
        }
        let name = self.host.name.clone();
        match self.shared.provided.state(&name) {
            Some(HostState::Planned) => {}
            Some(HostState::Down) => {
                return Err(Stop::Undecidable {
                    origin: format!("what {name} holds once it runs"),
                    site: Some(play.site.clone()),
                });
            }
            Some(HostState::Up { .. }) | None => return Ok(()),
        }
        self.planned.store(true, Ordering::SeqCst);
        let text = format!("{name} does not exist yet: planned as a fresh Debian");
        self.shared.send(Event::Logged {
            caller: None,
            host: name,
            text,
            site: play.site.clone(),
        });
        Ok(())
    }

    fn standing(&self) -> Standing {
        match self.shared.options.sandbox {
            Some(_) => Standing::Sandbox,
            None if self.planned.load(Ordering::SeqCst) => Standing::Planned,
            None => Standing::Real,
        }
    }

    /// Whether the host is one of data, with its one agent on this machine.
    fn is_virtual(&self) -> bool {
        self.standing() != Standing::Real
    }

    /// Whether something comes of waiting: where effects are only recorded,
    /// nothing does.
    pub fn waits(&self) -> bool {
        self.remembers() && !self.is_virtual()
    }

    /// Whether what is done here outlives the run.
    pub fn remembers(&self) -> bool {
        self.shared.options.mode == Mode::Apply
    }

    /// Whose agent carries out tasks with this escalation; `None` is the
    /// connection's own user.
    pub fn user_for(&self, escalation: &Escalation) -> Option<String> {
        if self.is_virtual() {
            return None;
        }
        let user = escalation.target()?;
        let own = match &self.host.connection {
            Connection::Ssh(ssh) => ssh.user.as_deref(),
            Connection::Incus(_) => Some("root"),
            Connection::Local => None,
        };
        (own != Some(user)).then(|| user.to_owned())
    }

    /// The agent of the tasks that come next. `settle` waits for the tasks of
    /// the one before, which must be done first.
    pub fn agent<E: From<NoAgent>>(
        &self,
        user: &Option<String>,
        settle: impl FnOnce() -> Result<(), E>,
    ) -> Result<Arc<Session>, E> {
        let mut agents = self.agents();
        if agents.current.as_ref() == Some(user)
            && let Some(session) = agents.by_user.get(user)
        {
            return Ok(session.clone());
        }
        if agents.current.is_some() {
            settle()?;
        }
        let session = match agents.by_user.get(user) {
            Some(session) => session.clone(),
            None => {
                let session = self.new_agent(user, &mut agents)?;
                agents.by_user.insert(user.clone(), session.clone());
                session
            }
        };
        if self.shared.options.mode == Mode::Check {
            agents.hand_over(user, &session)?;
        }
        agents.current = Some(user.clone());
        Ok(session)
    }

    /// Ends the agent of a user who is about to change or to go: nobody can as
    /// long as a process runs as him. His next task starts another one.
    pub fn retire(&self, user: &str) {
        let mut agents = self.agents();
        let key = Some(user.to_owned());
        if agents.current.as_ref() == Some(&key) || agents.planned.contains(user) {
            return;
        }
        if let Some(session) = agents.by_user.remove(&key) {
            self.sessions()
                .retain(|known| !Arc::ptr_eq(known, &session));
        }
    }

    /// An agent of a user's own. One whom a dry run only plans has none: the
    /// agent that knows of that plans the tasks, as that user.
    fn new_agent(
        &self,
        user: &Option<String>,
        agents: &mut Agents,
    ) -> Result<Arc<Session>, NoAgent> {
        let why = match self.connect(user) {
            Ok(session) => {
                let session = Arc::new(session);
                self.facts.get_or_init(|| session.facts().clone());
                self.sessions().push(session.clone());
                return Ok(session);
            }
            Err(NoAgent::Refused(why)) => why,
            Err(lost) => return Err(lost),
        };
        let (Some(user), Some(session)) = (user, agents.current()) else {
            return Err(NoAgent::Lost(why));
        };
        if self.shared.options.mode == Mode::Apply {
            return Err(NoAgent::Refused(why));
        }
        let pending = session.take_pending().map_err(NoAgent::Lost)?;
        if pending.has_user(user) {
            agents.planned.insert(user.clone());
            return Ok(session);
        }
        Err(match pending.may_bring_users() {
            Some(origin) => NoAgent::Unknown(format!("the user {user}, who may come of {origin}")),
            None => NoAgent::Refused(why),
        })
    }

    /// What the host is, as the first agent found it.
    pub fn facts(&self) -> Map<String, Value> {
        self.facts.get().cloned().unwrap_or_default()
    }

    /// Its agents, in the order of their coming.
    pub fn sessions(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agents(&self) -> MutexGuard<'_, Agents> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, user: &Option<String>) -> Result<Session, NoAgent> {
        let shared = &self.shared;
        let mut transport = connect(&self.connection()).map_err(NoAgent::Lost)?;
        let escalation = user.as_ref().map(|user| Become { user: user.clone() });
        let arguments = hello(self.world(), &shared.run).map_err(NoAgent::Lost)?;
        let started = start_agent(
            &mut *transport,
            &shared.agent,
            escalation.as_ref(),
            &arguments,
        );
        let pipe = started.map_err(match user {
            Some(_) => NoAgent::Refused,
            None => NoAgent::Lost,
        })?;
        let events = shared.clone();
        let host = self.host.name.clone();
        let listener = move |_, stream, text| {
            let stream = match stream {
                veza_agent::system::live::Stream::Stdout => "stdout",
                veza_agent::system::live::Stream::Stderr => "stderr",
            };
            events.send(Event::TaskOutput {
                host: host.clone(),
                stream: stream.to_owned(),
                text,
            });
        };
        let session = Session::begin(
            transport,
            pipe,
            shared.preparation.contents.clone(),
            Heard {
                secrets: shared.playbook.secrets().clone(),
                trusted: self.is_virtual(),
                listener: Box::new(listener),
            },
        )
        .map_err(NoAgent::Lost)?;
        shared.stop_with_run(session.canceller());
        shared.send(Event::HostConnected {
            host: self.host.name.clone(),
        });
        Ok(session)
    }

    /// The way to the host. Keys that a task of this run told are known.
    fn connection(&self) -> Connection {
        if self.is_virtual() {
            return Connection::Local;
        }
        let mut connection = self.host.connection.clone();
        if let Connection::Ssh(ssh) = &mut connection
            && let Some(HostState::Up { host_keys }) = self.shared.provided.state(&self.host.name)
        {
            ssh.host_keys = host_keys;
        }
        connection
    }

    fn world(&self) -> World {
        let host = self.host.name.clone();
        let directory = |sandbox: &PathBuf| sandbox.join(&host);
        let sandbox = self.shared.options.sandbox.as_ref().map(directory);
        match (sandbox, self.shared.options.mode) {
            _ if self.standing() == Standing::Planned => World::Planned { host },
            (None, Mode::Apply) => World::Live,
            (None, Mode::Check) => World::DryRun,
            (Some(directory), Mode::Apply) => World::Sandbox { directory, host },
            (Some(directory), Mode::Check) => World::SandboxDryRun { directory, host },
        }
    }
}
