//! What all hosts of a run have in common, and the way to end it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::agents;
use super::options::Options;
use super::prepare::Preparation;
use super::provided::Provided;
use super::session::Canceller;
use crate::report::event::Event;
use crate::script::Playbook;
use crate::script::tasks::Stop;
use crate::transport::bootstrap::AgentBinary;

/// What all hosts of a run have in common.
pub struct Shared {
    /// The scripts.
    pub playbook: Arc<Playbook>,
    /// What the command line asks.
    pub options: Options,
    events: Sender<Event>,
    /// Names the run in the journals of the hosts.
    pub run: String,
    /// The program that hosts are given.
    pub agent: AgentBinary,
    /// Templates and files.
    pub preparation: Preparation,
    /// The hosts that tasks of this run make.
    pub provided: Provided,
    /// The hosts of every group of the inventory.
    pub hosts_by_group: Arc<BTreeMap<String, Vec<String>>>,
    cancelled: AtomicBool,
    cancellers: Mutex<Vec<Canceller>>,
}

impl Shared {
    /// What a run begins with.
    pub fn new(playbook: Arc<Playbook>, options: Options, events: Sender<Event>) -> Self {
        let hosts_by_group = Arc::new(playbook.inventory().host_names_by_group());
        Self {
            playbook,
            options,
            events,
            run: name(),
            agent: agents::agent(),
            preparation: Preparation::default(),
            provided: Provided::default(),
            hosts_by_group,
            cancelled: AtomicBool::default(),
            cancellers: Mutex::default(),
        }
    }

    /// Tells what happened, without any secret: whatever is shown of a run
    /// comes through here.
    pub fn send(&self, event: Event) {
        let event = self.playbook.secrets().scrub(event);
        let event = event.expect("an event is plain data");
        // The report ends only after the run, unless it broke down; the run
        // then still has to come to a clean end.
        let _ = self.events.send(event);
    }

    /// Ends what was about to go on, once the run was cancelled.
    pub fn check_cancelled(&self) -> Result<(), Stop> {
        match self.is_cancelled() {
            true => Err(Stop::Cancelled),
            false => Ok(()),
        }
    }

    /// Whether the user ended the run.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Has an agent stopped when the run is. One that came too late for that
    /// is stopped at once.
    pub fn stop_with_run(&self, canceller: Canceller) {
        self.cancellers().push(canceller.clone());
        if self.is_cancelled() {
            canceller.cancel();
        }
    }

    fn cancellers(&self) -> MutexGuard<'_, Vec<Canceller>> {
        self.cancellers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a run from another thread.
pub struct Stopper(pub(super) Arc<Shared>);

impl Stopper {
    /// Lets no task begin any more, and ends those that run.
    pub fn stop(&self) {
        self.0.send(Event::RunInterrupted);
        self.0.cancelled.store(true, Ordering::SeqCst);
        for canceller in &*self.0.cancellers() {
            canceller.cancel();
        }
    }
}

/// A name that no other run on a host has: when, and which process.
fn name() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    format!("{now}-{}", std::process::id())
}
