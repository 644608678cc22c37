//! One host during a run: what it is to the run, and whether it is still part
//! of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Map, Value};
use veza_agent::outcome::{Failure, HostState};
use veza_agent::protocol::check_size;

use super::agents::Agents;
use super::session::Session;
use super::shared::Shared;
use super::turn::Turn;
use crate::inventory::{Escalation, Host};
use crate::play::Play;
use crate::report::event::{Event, Mode};
use crate::script::tasks::Stop;
use crate::transport::{Connection, Unreachable};

/// A host that takes part in a run.
pub struct RunHost {
    /// What the inventory says of it.
    pub host: Host,
    pub(super) shared: Arc<Shared>,
    pub(super) agents: Mutex<Agents>,
    /// Each agent, in the order of their coming.
    pub(super) sessions: Mutex<Vec<Arc<Session>>>,
    /// What the host is, as the first agent found it.
    pub(super) facts: OnceLock<Map<String, Value>>,
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
pub(super) enum Standing {
    /// It is there.
    Real,
    /// A dry run takes it for a fresh Debian, since a task will make it.
    Planned,
    /// It is kept in a directory.
    Sandbox,
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

    pub(super) fn standing(&self) -> Standing {
        match self.shared.options.sandbox {
            Some(_) => Standing::Sandbox,
            None if self.planned.load(Ordering::SeqCst) => Standing::Planned,
            None => Standing::Real,
        }
    }

    /// Whether the host is one of data, with its one agent on this machine.
    pub(super) fn is_virtual(&self) -> bool {
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

    /// What the host is, as the first agent found it.
    pub fn facts(&self) -> Map<String, Value> {
        self.facts.get().cloned().unwrap_or_default()
    }

    /// Its agents, in the order of their coming.
    pub fn sessions(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
