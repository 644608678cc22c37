//! One host during a run: its agents, and whether it is still part of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use veza_agent::outcome::{Failure, HostState};
use veza_agent::protocol::{Request, World, check_size};

use super::session::{Heard, Session, hello};
use super::shared::Shared;
use super::turn::Turn;
use crate::inventory::{Escalation, Host};
use crate::play::Play;
use crate::report::event::{Event, Mode};
use crate::script::tasks::{Stop, TaskFailure};
use crate::transport::bootstrap::{AgentBinary, Become, start_agent};
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
    shared: Arc<Shared>,
    agents: Mutex<Agents>,
    next_call: AtomicU64,
    out: AtomicBool,
    /// Why it is lost, if it is.
    lost: Mutex<Option<String>>,
    /// Whose tasks its agents carry out.
    pub turn: Turn,
    /// Whether a dry run plans the host, which is not there yet.
    planned: AtomicBool,
}

#[derive(Default)]
struct Agents {
    by_user: HashMap<Option<String>, Arc<Session>>,
    /// Whose agent has what a dry run recorded so far.
    current: Option<Option<String>>,
}

impl RunHost {
    /// A host that nobody has connected to.
    pub fn new(host: Host, shared: Arc<Shared>) -> Self {
        Self {
            host,
            shared,
            agents: Mutex::default(),
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

    /// Takes the host out of the run because a task failed, and says so.
    pub fn fail(&self, failed: TaskFailure) {
        self.leave();
        self.shared.send(Event::HostFailed {
            host: self.host.name.clone(),
            failure: failed.failure,
            module: failed.module,
            site: failed.site,
        });
    }

    /// Tells an agent the secrets that it needs for a call and does not know
    /// yet. A virtual host is told none: its files hold marks. A call that
    /// cannot be sent is refused here, while nothing has begun.
    pub fn entrust(&self, session: &Session, arguments: &Value) -> Result<(), Failure> {
        check_size(arguments)?;
        if self.shared.options.sandbox.is_some() {
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
        if options.sandbox.is_some() || options.mode == Mode::Apply || self.is_connected() {
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

    /// Whether the host is one of data, with an agent on this machine.
    fn is_virtual(&self) -> bool {
        self.shared.options.sandbox.is_some() || self.planned.load(Ordering::SeqCst)
    }

    fn is_connected(&self) -> bool {
        self.agents().current.is_some()
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
    pub fn agent<E: From<Unreachable>>(
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
                let session = Arc::new(self.connect(user)?);
                agents.by_user.insert(user.clone(), session.clone());
                session
            }
        };
        // Later reads must see what was recorded under the other user.
        if self.shared.options.mode == Mode::Check
            && let Some(before) = agents
                .current
                .as_ref()
                .and_then(|user| agents.by_user.get(user))
        {
            let pending = before.take_pending()?;
            session.send(&Request::SetPending(pending))?;
        }
        agents.current = Some(user.clone());
        Ok(session)
    }

    /// What the host is, as the first agent found it.
    pub fn facts(&self) -> Map<String, Value> {
        let agents = self.agents();
        agents
            .by_user
            .values()
            .next()
            .map(|session| session.facts().clone())
            .unwrap_or_default()
    }

    fn agents(&self) -> MutexGuard<'_, Agents> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, user: &Option<String>) -> Result<Session, Unreachable> {
        let shared = &self.shared;
        let mut transport = connect(&self.connection())?;
        let escalation = user.as_ref().map(|user| Become { user: user.clone() });
        let arguments = hello(self.world(), &shared.run)?;
        let pipe = start_agent(
            &mut *transport,
            &shared.agent,
            escalation.as_ref(),
            &arguments,
        )?;
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
                trusted: shared.options.sandbox.is_some(),
                listener: Box::new(listener),
            },
        )?;
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
        let options = &self.shared.options;
        let host = self.host.name.clone();
        if self.planned.load(Ordering::SeqCst) {
            return World::Planned { host };
        }
        let directory = |sandbox: &PathBuf| sandbox.join(&host);
        match (&options.sandbox, options.mode) {
            (None, Mode::Apply) => World::Live,
            (None, Mode::Check) => World::DryRun,
            (Some(sandbox), Mode::Apply) => World::Sandbox {
                directory: directory(sandbox),
                host,
            },
            (Some(sandbox), Mode::Check) => World::SandboxDryRun {
                directory: directory(sandbox),
                host,
            },
        }
    }
}
