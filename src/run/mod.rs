//! Plays meet hosts: hosts in parallel, each going its own way inside a play,
//! with a barrier between plays.
//!
//! Start at [`Run::run`]. What happens is told as events; nothing is printed
//! here.

mod options;

mod shared;

mod plays;

mod batches;

mod host;

mod agents;

mod session;

mod line;

mod tasks;

mod prepare;

mod ansible;

mod contents;

mod door;

mod company;

mod once;

mod turn;

mod provided;

mod due;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

pub use options::Options;
pub use shared::Stopper;

use crate::inventory::InventoryError;
use crate::play::Play;
use crate::report::event::Event;
use crate::script::Playbook;
use host::RunHost;
use plays::INTERRUPTED;
use shared::Shared;

/// A run that is about to begin, or going on.
pub struct Run {
    shared: Arc<Shared>,
    /// Each play with the names of its hosts.
    plays: Vec<(Play, Vec<String>)>,
}

impl Run {
    /// Prepares a run of `plays`; a pattern that selects nothing is refused.
    pub fn new(
        playbook: Arc<Playbook>,
        plays: Vec<Play>,
        options: Options,
        events: Sender<Event>,
    ) -> Result<Self, InventoryError> {
        let inventory = playbook.inventory();
        let names = |pattern: &str| -> Result<Vec<String>, InventoryError> {
            let hosts = inventory.select(pattern)?;
            Ok(hosts.iter().map(|host| host.name.clone()).collect())
        };
        let limit = options.limit.as_deref().map(names).transpose()?;
        if limit.as_ref().is_some_and(Vec::is_empty) {
            return Err(selects_nothing(
                options.limit.as_deref().unwrap_or_default(),
            ));
        }
        let within = |name: &String| limit.as_ref().is_none_or(|limit| limit.contains(name));
        let hosts_of = |play: Play| {
            let hosts = names(&play.pattern)?.into_iter().filter(within).collect();
            Ok((play, hosts))
        };
        let plays = plays.into_iter().map(hosts_of).collect::<Result<_, _>>()?;
        let shared = Shared::new(playbook, options, events);
        Ok(Self {
            shared: Arc::new(shared),
            plays,
        })
    }

    /// A handle to end the run with.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.shared.clone())
    }

    /// Runs all plays to their end and tells what happens.
    pub fn run(self) {
        let started = Instant::now();
        let shared = &self.shared;
        shared.send(Event::RunStarted {
            file: shared.playbook.file().to_owned(),
            mode: shared.options.mode,
            sandbox: shared
                .options
                .sandbox
                .as_ref()
                .map(|path| path.display().to_string()),
        });
        let hosts: BTreeMap<String, Arc<RunHost>> = shared
            .playbook
            .inventory()
            .hosts()
            .iter()
            .map(|host| {
                (
                    host.name.clone(),
                    Arc::new(RunHost::new(host.clone(), shared.clone())),
                )
            })
            .collect();
        let mut stopped = None;
        for (play, names) in &self.plays {
            match &stopped {
                _ if names.is_empty() => {}
                _ if shared.is_cancelled() => self.skip(play, names, INTERRUPTED),
                None => stopped = self.play(play, names, &hosts),
                Some(reason) => self.skip(play, names, reason),
            }
        }
        self.tell_undefined(hosts.values().map(Arc::as_ref));
        part(hosts);
        let milliseconds = started.elapsed().as_millis() as u64;
        shared.send(Event::RunFinished { milliseconds });
    }
}

/// All that the pattern names, it takes away again.
pub fn selects_nothing(pattern: &str) -> InventoryError {
    InventoryError {
        message: format!("the pattern \"{pattern}\" selects no host"),
        word: pattern.to_owned(),
        help: None,
    }
}

/// Parts with all hosts at once: each goodbye takes a round trip.
fn part(hosts: BTreeMap<String, Arc<RunHost>>) {
    thread::scope(|scope| {
        for host in hosts.into_values() {
            // Where no thread is to be had the host is dropped here.
            let _ = thread::Builder::new()
                .name("goodbye".into())
                .spawn_scoped(scope, move || drop(host));
        }
    });
}
