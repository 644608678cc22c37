//! What the hosts of a play do for each other: blocks that one runs for all,
//! and tasks that one's script has another do.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use veza_agent::outcome::Failure;

use super::host::RunHost;
use super::once::{Claim, Onces};
use super::tasks::{HostTasks, TICK};
use crate::report::event::Site;
use crate::script::tasks::{Stop, TaskFailure, Tasks};

/// What the hosts of one play have in common.
pub struct Company {
    /// All hosts of the inventory, also those that the play leaves out.
    pub hosts: BTreeMap<String, Arc<RunHost>>,
    /// Its `once` blocks.
    pub onces: Onces,
}

/// A script on its way through a play, on whichever hosts its tasks are.
pub struct Script {
    /// The host that it runs for.
    pub host: String,
    /// Whether it is in a `once` block, for all hosts.
    for_all: AtomicBool,
    /// How often it came to each `once`.
    turns: Mutex<HashMap<Site, usize>>,
}

impl Script {
    /// The script of this host.
    pub fn of(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            for_all: AtomicBool::new(false),
            turns: Mutex::default(),
        }
    }

    /// Who runs its `on` blocks, as a host remembers it from run to run.
    pub fn name(&self) -> String {
        match self.for_all.load(Ordering::Relaxed) {
            true => String::new(),
            false => self.host.clone(),
        }
    }

    /// How often it has come to this place before.
    fn turn_at(&self, site: &Site) -> usize {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(site.clone()).or_default();
        *turn += 1;
        *turn - 1
    }
}

impl HostTasks {
    /// Runs a `once` block, or takes what another host made of it.
    pub(super) fn run_once(
        &self,
        site: &Site,
        run: &mut dyn FnMut() -> Result<Value, Stop>,
    ) -> Result<Value, Stop> {
        self.settle()?;
        let me = &self.script.host;
        let key = (site.clone(), self.script.turn_at(site));
        let goes_on = || self.check_cancelled();
        match self.company.onces.claim(&key, me, TICK, goes_on)? {
            Claim::First(begun) => {
                let outer = self.script.for_all.swap(true, Ordering::Relaxed);
                let ended = run();
                self.script.for_all.store(outer, Ordering::Relaxed);
                begun.end(ended.clone());
                ended
            }
            Claim::Ended {
                ended: Ok(value), ..
            } => Ok(value),
            Claim::Ended {
                host,
                ended: Err(stop),
            } => Err(self.failed_there(&host, stop, site)),
            Claim::Circle { host } => {
                let text = format!(
                    "{host} runs this block and waits in it for another one, which {me} runs"
                );
                let failure = Failure::new(text)
                    .hint("Let all hosts come to their `once` blocks in the same order.");
                Err(self.failure_of("once", failure, site))
            }
        }
    }

    /// Why a block that another host ran has no value for this one either.
    fn failed_there(&self, host: &str, stop: Stop, site: &Site) -> Stop {
        let failure = match stop {
            Stop::Task(failed) => Failure {
                message: format!("on {host}, which ran it: {}", failed.failure.message),
                ..failed.failure
            },
            Stop::Script(problem) => Failure::new(format!("on {host}, which ran it: {problem}")),
            Stop::HostLost => Failure::new(format!("{host}, which ran it, was lost")),
            Stop::Undecidable { .. } | Stop::Cancelled => return stop,
        };
        self.failure_of("once", failure, site)
    }

    /// Runs an `on` block: with tasks of another host, for this script.
    pub(super) fn run_on(
        &self,
        name: &str,
        site: &Site,
        run: &mut dyn FnMut(Arc<dyn Tasks>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.settle()?;
        let Some(host) = self.company.hosts.get(name) else {
            let failure = Failure::new(format!("there is no host \"{name}\""));
            return Err(self.failure_of("on", failure, site));
        };
        let ended = match host.lost() {
            Some(_) => Err(Stop::HostLost),
            None => self
                .elsewhere(host)
                .and_then(|there| there.block(site, run)),
        };
        ended.map_err(|stop| self.failed_elsewhere(host, stop, site))
    }

    /// Runs a block and then the handlers it notified.
    fn block(
        self: &Arc<Self>,
        site: &Site,
        run: &mut dyn FnMut(Arc<dyn Tasks>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let ended = run(self.clone());
        // However the block ended: what it had begun comes first.
        let ended = self.settle().and(ended);
        let ended = ended.and_then(|()| self.flush_handlers(site.clone()));
        self.end(ended)
    }

    /// What went wrong on another host, as a failure of this one's script.
    fn failed_elsewhere(&self, host: &RunHost, stop: Stop, site: &Site) -> Stop {
        let name = &host.host.name;
        match stop {
            // The host that was lost may be the one whose script this is.
            Stop::HostLost if *name == self.script.host => stop,
            Stop::HostLost => {
                let why = host.lost().unwrap_or_default();
                let failure = Failure::new(format!("{name} is lost: {why}"));
                self.failure_of("on", failure, site)
            }
            Stop::Task(failed) if failed.host == *name && *name != self.script.host => {
                let TaskFailure { failure, .. } = *failed;
                let message = format!("on {name}: {}", failure.message);
                Stop::Task(Box::new(TaskFailure {
                    failure: Failure { message, ..failure },
                    ..*failed
                }))
            }
            other => other,
        }
    }
}
