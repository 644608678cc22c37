//! What happened in one play, kept until it has ended.

use std::collections::HashMap;

use veza_agent::outcome::Outcome;

use super::block::Block;
use super::event::{Event, Site};
use super::fold::{self, Key, Step};
use super::human::View;
use super::paint;
use super::recap;

/// The tasks of one play by host, or what happens outside of any play.
#[derive(Default)]
pub(super) struct Play {
    /// Its name; events may come before the first play and after the last.
    name: Option<String>,
    /// The hosts, in the order in which they are shown.
    hosts: Vec<String>,
    /// How many of them take part; the others are only told of.
    size: usize,
    /// Those of each batch that began, if it has batches.
    batches: Vec<Vec<String>>,
    /// How many batches it has.
    batch_count: usize,
    /// Whether it came to its end.
    finished: bool,
    /// What each host did.
    tracks: HashMap<String, Vec<Step<Entry>>>,
    /// How often each host did it.
    turns: HashMap<(String, Key), usize>,
}

/// One step of a host.
pub(super) enum Entry {
    /// A task that ended.
    Task(Task),
    /// Anything else.
    Block(Box<Block>),
}

/// A task that ended.
pub(super) struct Task {
    pub module: String,
    pub site: Site,
    /// The host it ran on, if another one's script asked for it.
    pub elsewhere: Option<String>,
    pub handler: Option<String>,
    pub outcome: Box<Outcome>,
    /// Whether the script caught its failure.
    pub caught: bool,
}

impl Play {
    pub fn new(name: &str, hosts: &[String]) -> Self {
        Self {
            name: Some(name.into()),
            hosts: hosts.to_vec(),
            size: hosts.len(),
            ..Self::default()
        }
    }

    /// Marks that nothing more will come: only then may it be said that
    /// nothing changed.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Keeps what there is to say about an event of one host.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::TaskFinished {
                host,
                module,
                site,
                handler,
                caller,
                outcome,
                ..
            } => {
                let (track, elsewhere) = track(host, caller.as_deref());
                let name = format!("{handler:?} {module} {}", outcome.title);
                let task = Task {
                    module: module.clone(),
                    site: site.clone(),
                    elsewhere,
                    handler: handler.clone(),
                    outcome: outcome.clone(),
                    caught: false,
                };
                self.push(track, Some(site), name, Entry::Task(task));
            }
            Event::BatchStarted { hosts, batches, .. } => {
                self.batches.push(hosts.clone());
                self.batch_count = *batches;
            }
            Event::FailureCaught { host, module, site } => self.caught(host, module, site),
            Event::HostFailed {
                host,
                failure,
                module,
                site,
            } => {
                // The task that failed has told all, if it reached the host.
                if self.last_failure(host, module, site).is_none() {
                    let block = Block::refused(module, site, failure);
                    self.push_block(host, Some(site), block);
                }
            }
            other => {
                if let Some((host, site, block)) = remark(other) {
                    self.push_block(host, site, block);
                }
            }
        }
    }

    /// The play as lines, with an empty one at its end; none when there is
    /// nothing to say.
    pub fn render(mut self, view: &View) -> Vec<String> {
        let size = self.size;
        let tracks: Vec<_> = self
            .hosts
            .iter()
            .filter_map(|host| Some((host.clone(), self.tracks.remove(host)?)))
            .collect();
        let mut lines = Vec::new();
        for fold in fold::fold(tracks, |one, other| one.reads_like(other, view)) {
            if let Some(block) = fold.item.block(view) {
                lines.extend(block.lines(&fold.hosts, size, view));
            }
        }
        if let Some(name) = &self.name {
            let name = paint::line(name);
            let hosts = recap::names(&self.hosts[..size], size, view.settings.verbose);
            let quiet = match lines.is_empty() && self.finished {
                true => ": no changes",
                false => "",
            };
            let heading = format!("play {name} ({hosts}){quiet}");
            lines.insert(0, view.paint.heading(&heading).to_string());
            if !self.batches.is_empty() {
                let all = self.batch_count;
                let batches = recap::batches(&self.batches, all, view.settings.verbose);
                lines.insert(1, view.paint.faint(&batches).to_string());
            }
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines
    }

    fn caught(&mut self, host: &str, module: &str, site: &Site) {
        if let Some(task) = self.last_failure(host, module, site) {
            task.caught = true;
        }
    }

    /// The failed task that the host's latest event is about.
    fn last_failure(&mut self, host: &str, module: &str, site: &Site) -> Option<&mut Task> {
        let steps = self.tracks.get_mut(host)?.iter_mut().rev();
        let mut tasks = steps.filter_map(|step| match &mut step.item {
            Entry::Task(task) => Some(task),
            Entry::Block(_) => None,
        });
        tasks.next().filter(|task| {
            let failed = task.outcome.failure.is_some() && !task.caught;
            failed && task.module == module && task.site == *site
        })
    }

    fn push_block(&mut self, host: &str, site: Option<&Site>, block: Block) {
        self.push(host, site, block.name(), Entry::Block(Box::new(block)));
    }

    fn push(&mut self, host: &str, site: Option<&Site>, name: String, item: Entry) {
        if !self.tracks.contains_key(host) {
            if !self.hosts.iter().any(|known| known == host) {
                self.hosts.push(host.into());
            }
            self.tracks.insert(host.into(), Vec::new());
        }
        let Some(steps) = self.tracks.get_mut(host) else {
            return;
        };
        let place = match site {
            Some(site) => (site.file.clone(), site.line, site.column),
            None => (String::new(), 0, 0),
        };
        let mut key = Key {
            place,
            name,
            turn: 0,
        };
        let turns = self.turns.entry((host.into(), key.clone())).or_default();
        key.turn = *turns;
        *turns += 1;
        steps.push(Step { key, item });
    }
}

/// Whose way through the play a step belongs to, and where it was done if that
/// is another host.
fn track<'a>(host: &'a str, caller: Option<&'a str>) -> (&'a str, Option<String>) {
    match caller {
        Some(caller) => (caller, Some(host.to_owned())),
        None => (host, None),
    }
}

/// What there is to say about a host beside its tasks.
fn remark(event: &Event) -> Option<(&str, Option<&Site>, Block)> {
    match event {
        Event::Logged {
            host,
            text,
            site,
            caller,
        } => {
            let (track, elsewhere) = track(host, caller.as_deref());
            Some((track, Some(site), Block::logged(text, site, elsewhere)))
        }
        Event::ScriptFailed {
            host,
            message,
            site,
            rendered,
        } => {
            let block = Block::script_failed(message, site.as_ref(), rendered);
            Some((host, site.as_ref(), block))
        }
        Event::PlanIncomplete { host, reason, site } => {
            let block = Block::incomplete(reason, site.as_ref());
            Some((host, site.as_ref(), block))
        }
        Event::HostLost { host, reason, hint } => {
            Some((host, None, Block::lost(reason, hint.as_deref())))
        }
        Event::HostInterrupted { host } => Some((host, None, Block::interrupted())),
        Event::HostBroken { host, message } => Some((host, None, Block::broken(message))),
        Event::RunStarted { .. }
        | Event::PlayStarted { .. }
        | Event::BatchStarted { .. }
        | Event::HostConnected { .. }
        | Event::TaskStarted { .. }
        | Event::TaskOutput { .. }
        | Event::TaskFinished { .. }
        | Event::FailureCaught { .. }
        | Event::HostFailed { .. }
        | Event::HostFinished { .. }
        | Event::PlayFinished { .. }
        | Event::PlayStopped { .. }
        | Event::PlaySkipped { .. }
        | Event::RunInterrupted
        | Event::RunFinished { .. } => None,
    }
}

impl Entry {
    /// Whether a reader would find the same in both.
    fn reads_like(&self, other: &Self, view: &View) -> bool {
        match (self, other) {
            (Self::Task(one), Self::Task(other)) => one.reads_like(other, view),
            (Self::Block(one), Self::Block(other)) => one == other,
            _ => false,
        }
    }

    /// The block to show; none for what nobody wants to read.
    fn block(self, view: &View) -> Option<Block> {
        match self {
            Self::Task(task) => Block::of_task(task, view),
            Self::Block(block) => Some(*block),
        }
    }
}
