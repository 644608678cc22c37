//! Plays meet hosts: hosts in parallel, each going its own way inside a play,
//! with a barrier between plays.
//!
//! Start at [`run`]. What happens is told as events; nothing is printed here.

mod contents;

mod prepare;

mod provided;

mod session;

mod door;

mod host;

mod tasks;

mod batches;

mod once;

mod turn;

mod company;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::inventory::InventoryError;
use crate::play::Play;
use crate::report::event::{Event, Mode};
use crate::script::tasks::Stop;
use crate::script::{Playbook, STACK_SIZE};
use crate::transport::bootstrap::AgentBinary;
use batches::{Losses, batches};
use company::Company;
use host::RunHost;
use once::Onces;
use prepare::Preparation;
use provided::Provided;
use session::Canceller;
use tasks::HostTasks;

/// How a playbook is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether hosts are changed.
    pub mode: Mode,
    /// The directory of virtual hosts, if those are meant.
    pub sandbox: Option<PathBuf>,
    /// Only these hosts: a pattern.
    pub limit: Option<String>,
    /// Only tasks with one of these tags; all if empty.
    pub tags: Vec<String>,
    /// No tasks with one of these tags.
    pub skip_tags: Vec<String>,
    /// How many hosts at once.
    pub forks: usize,
}

impl Options {
    /// Whether `--tags` and `--skip-tags` let a task run. A handler was
    /// notified by a task that they chose, so it need not be chosen again:
    /// a service would be left with a configuration that it has not read.
    fn selects(&self, play: &[String], task: &[String], in_handler: bool) -> bool {
        let has = |tag: &String| play.contains(tag) || task.contains(tag);
        let always = || play.iter().chain(task).any(|tag| tag == "always");
        let wanted = in_handler || self.tags.is_empty() || self.tags.iter().any(has) || always();
        wanted && !self.skip_tags.iter().any(has)
    }
}

/// What all hosts of a run have in common.
pub struct Shared {
    playbook: Arc<Playbook>,
    options: Options,
    events: Sender<Event>,
    /// Names the run in the journals of the hosts.
    run: String,
    agent: AgentBinary,
    preparation: Preparation,
    provided: Provided,
    hosts_by_group: Arc<BTreeMap<String, Vec<String>>>,
    cancelled: Arc<AtomicBool>,
    cancellers: Mutex<Vec<Canceller>>,
}

impl Shared {
    /// Tells what happened, without any secret: whatever is shown of a run
    /// comes through here.
    fn send(&self, event: Event) {
        let event = self.playbook.secrets().scrub(event);
        let event = event.expect("an event is plain data");
        // The report ends only after the run, unless it broke down; the run
        // then still has to come to a clean end.
        let _ = self.events.send(event);
    }

    fn check_cancelled(&self) -> Result<(), Stop> {
        match self.is_cancelled() {
            true => Err(Stop::Cancelled),
            false => Ok(()),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn cancellers(&self) -> MutexGuard<'_, Vec<Canceller>> {
        self.cancellers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that is about to begin, or going on.
pub struct Run {
    shared: Arc<Shared>,
    /// Each play with the names of its hosts.
    plays: Vec<(Play, Vec<String>)>,
}

/// Ends a run from another thread.
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// Lets no task begin any more, and ends those that run.
    pub fn stop(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        for canceller in &*self.0.cancellers() {
            canceller.cancel();
        }
    }
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
        let hosts_by_group = Arc::new(inventory.host_names_by_group());
        let shared = Shared {
            playbook,
            options,
            events,
            run: name(),
            agent: host::agent(),
            preparation: Preparation::default(),
            provided: Provided::default(),
            hosts_by_group,
            cancelled: Arc::default(),
            cancellers: Mutex::default(),
        };
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
                _ if shared.is_cancelled() => break,
                None => stopped = self.play(play, names, &hosts),
                Some(_) if names.is_empty() => {}
                Some(reason) => self.skip(play, names, reason),
            }
        }
        part(hosts);
        let milliseconds = started.elapsed().as_millis() as u64;
        shared.send(Event::RunFinished { milliseconds });
    }

    /// Runs one play; why no other one may follow, if its losses forbid it.
    fn play(
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
            if self.shared.is_cancelled() {
                return None;
            }
            if !play.serial.is_empty() {
                self.shared.send(Event::BatchStarted {
                    play: play.name.clone(),
                    batch: index + 1,
                    batches: batches.len(),
                    hosts: names_of(batch),
                });
            }
            self.on_hosts(play, batch.clone(), company);
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

    fn skip(&self, play: &Play, hosts: &[String], reason: &str) {
        self.shared.send(Event::PlaySkipped {
            play: play.name.clone(),
            hosts: hosts.to_vec(),
            reason: reason.to_owned(),
        });
    }

    fn on_hosts(&self, play: &Play, hosts: Vec<Arc<RunHost>>, company: &Arc<Company>) {
        let threads = self.shared.options.forks.clamp(1, hosts.len());
        let waiting = Mutex::new(VecDeque::from(hosts));
        let next = || {
            waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front()
        };
        let work = || {
            while let Some(host) = next() {
                on_host(&self.shared, play, host, company);
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

fn names_of(hosts: &[Arc<RunHost>]) -> Vec<String> {
    hosts.iter().map(|host| host.host.name.clone()).collect()
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

/// One host's way through a play.
fn on_host(shared: &Arc<Shared>, play: &Play, host: Arc<RunHost>, company: &Arc<Company>) {
    let name = host.host.name.clone();
    let tasks = HostTasks::new(shared.clone(), host.clone(), play, company.clone());
    let stop = match tasks.and_then(|tasks| tasks.run()) {
        Ok(()) => return shared.send(Event::HostFinished { host: name }),
        Err(stop) => stop,
    };
    let event = match stop {
        Stop::Undecidable { origin, site } => Event::PlanIncomplete {
            host: name,
            reason: format!("the script depends on {origin}, which is known only after apply"),
            site,
        },
        Stop::Task(failed) => return host.fail(*failed),
        Stop::Script(problem) => {
            host.leave();
            Event::ScriptFailed {
                host: name,
                message: problem.to_string(),
                site: problem.site().cloned(),
                rendered: problem.render(),
            }
        }
        // The first was told when it happened; after the other nothing is.
        Stop::HostLost | Stop::Cancelled => return host.leave(),
    };
    shared.send(event);
}

/// A name that no other run on a host has: when, and which process.
fn name() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    format!("{now}-{}", std::process::id())
}
