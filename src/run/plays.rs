//! The plays of a run, one after the other: the hosts of one in batches, and
//! those of a batch in parallel.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::Run;
use super::batches::{Losses, batches};
use super::company::Company;
use super::host::RunHost;
use super::once::Onces;
use super::shared::Shared;
use super::tasks::HostTasks;
use crate::play::Play;
use crate::report::event::Event;
use crate::script::{STACK_SIZE, panic_text};

/// Why plays, or hosts of one, are left out after an interrupt.
pub(super) const INTERRUPTED: &str = "the run was interrupted";

impl Run {
    /// Runs one play; why no other one may follow, if its losses forbid it.
    pub(super) fn play(
        &self,
        play: &Play,
        names: &[String],
        hosts: &BTreeMap<String, Arc<RunHost>>,
    ) -> Option<String> {
        let (out, taking_part): (Vec<_>, Vec<_>) = names
            .iter()
            .filter_map(|name| hosts.get(name).cloned())
            .partition(|host| host.is_out());
        if taking_part.is_empty() {
            if !out.is_empty() {
                self.skip(play, names, "all its hosts have failed or are lost");
            }
            return None;
        }
        self.shared.send(Event::PlayStarted {
            play: play.name.clone(),
            hosts: names_of(&taking_part),
        });
        let company = Arc::new(Company {
            hosts: hosts.clone(),
            onces: Onces::default(),
        });
        let stopped = self.batches(play, &taking_part, &company);
        self.shared.send(Event::PlayFinished {
            play: play.name.clone(),
        });
        let (reason, waiting) = stopped?;
        if self.shared.is_cancelled() {
            if !waiting.is_empty() {
                self.skip(play, &waiting, &reason);
            }
            return None;
        }
        self.shared.send(Event::PlayStopped {
            play: play.name.clone(),
            hosts: waiting,
            reason,
        });
        Some(format!("the run ended with play {}", play.name))
    }

    /// Runs a play's batches; why it goes no further, if it does not, and the
    /// hosts that it then has not begun on.
    fn batches(
        &self,
        play: &Play,
        hosts: &[Arc<RunHost>],
        company: &Arc<Company>,
    ) -> Option<(String, Vec<String>)> {
        let batches = batches(hosts.to_vec(), &play.serial);
        let is_out = |host: &&Arc<RunHost>| host.is_out();
        for (index, batch) in batches.iter().enumerate() {
            if !play.serial.is_empty() {
                self.shared.send(Event::BatchStarted {
                    play: play.name.clone(),
                    batch: index + 1,
                    batches: batches.len(),
                    hosts: names_of(batch),
                });
            }
            let waiting = self.on_hosts(play, batch.clone(), company);
            if self.shared.is_cancelled() {
                let waiting = [waiting, batches[index + 1..].concat()].concat();
                return Some((INTERRUPTED.to_owned(), names_of(&waiting)));
            }
            let losses = Losses {
                hosts: hosts.len(),
                out: hosts.iter().filter(is_out).count(),
                whole_batch: batch.iter().all(|host| host.is_out()),
            };
            if let Some(reason) = losses.stop(play) {
                return Some((reason, names_of(&batches[index + 1..].concat())));
            }
        }
        None
    }

    pub(super) fn skip(&self, play: &Play, hosts: &[String], reason: &str) {
        self.shared.send(Event::PlaySkipped {
            play: play.name.clone(),
            hosts: hosts.to_vec(),
            reason: reason.to_owned(),
        });
    }

    /// Runs a play on hosts in parallel; those that it did not begin on, since
    /// the run was interrupted.
    fn on_hosts(
        &self,
        play: &Play,
        hosts: Vec<Arc<RunHost>>,
        company: &Arc<Company>,
    ) -> Vec<Arc<RunHost>> {
        let threads = self.shared.options.forks.clamp(1, hosts.len());
        let waiting = Mutex::new(VecDeque::from(hosts));
        let next = || {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match self.shared.is_cancelled() {
                true => None,
                false => waiting.pop_front(),
            }
        };
        let work = || {
            while let Some(host) = next() {
                let on_host = || on_host(&self.shared, play, &host, company);
                // The other hosts, and the report of the run, must not end with it.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(on_host)) {
                    host.broke(&panic_text(&*panic));
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                let builder = thread::Builder::new()
                    .name("host".into())
                    .stack_size(STACK_SIZE);
                if builder.spawn_scoped(scope, work).is_err() {
                    // With no thread to be had the work is done here.
                    work();
                }
            }
        });
        let waiting = waiting.into_inner().unwrap_or_else(PoisonError::into_inner);
        waiting.into()
    }
}

fn names_of(hosts: &[Arc<RunHost>]) -> Vec<String> {
    hosts.iter().map(|host| host.host.name.clone()).collect()
}

/// One host's way through a play.
fn on_host(shared: &Arc<Shared>, play: &Play, host: &Arc<RunHost>, company: &Arc<Company>) {
    let tasks = HostTasks::new(shared.clone(), host.clone(), play, company.clone());
    match tasks.and_then(|tasks| tasks.run()) {
        Ok(()) => shared.send(Event::HostFinished {
            host: host.host.name.clone(),
        }),
        Err(stop) => host.stopped(stop),
    }
}
