//! The agents of one host: one for each user that tasks run as.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

use veza_agent::outcome::HostState;
use veza_agent::protocol::{Request, World};
use veza_agent::system::live::Stream;

use super::host::{RunHost, Standing};
use super::line::Heard;
use super::session::{Session, hello};
use crate::report::event::{Event, Mode};
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

/// The agents that were started so far.
#[derive(Default)]
pub(super) struct Agents {
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
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
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
