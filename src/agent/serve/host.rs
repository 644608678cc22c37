//! The host that a controller asks for: one of the worlds, between its calls.

use std::rc::Rc;

use serde_json::Value;

use super::link::Link;
use super::pieces::Pieces;
use crate::door;
use crate::module::Result;
use crate::modules;
use crate::outcome::{Failure, Outcome, Verdict};
use crate::protocol::World;
use crate::system::System;
use crate::system::due::Due;
use crate::system::kept;
use crate::system::live::{ContentSource, Journal, Live, OutputSink};
use crate::system::overlay::{Absence, Overlay, Pending};
use crate::system::sandbox::{self, Store};

/// One of the worlds, with what it needs between calls.
pub(super) enum Host {
    Live(Box<Live>),
    DryRun(Box<Overlay>),
    Sandbox {
        host: Box<Overlay>,
        store: Store,
        contents: Rc<dyn ContentSource>,
    },
}

impl Host {
    pub fn open(
        world: &World,
        run: &str,
        link: &Rc<Link>,
        contents: Rc<Pieces>,
        due: &Rc<Due>,
    ) -> Result<Self> {
        Ok(match world {
            World::Live => {
                let journal = Journal::open(&kept::make()?.join("journal"), run)?;
                let live = Live::new(contents, output_to(link), Some(journal));
                let live = live.with_due(due.clone());
                Self::Live(Box::new(live.with_secrets(link.secrets.clone())))
            }
            World::DryRun => {
                let base = Live::new(contents, output_to(link), None);
                let base = base.with_secrets(link.secrets.clone());
                let overlay = Overlay::new(Box::new(base), Absence::Doubtful, Pending::default());
                Self::DryRun(Box::new(overlay))
            }
            World::Sandbox { directory, .. } => Self::Sandbox {
                host: Box::new(sandbox::open(directory)?),
                store: Store::new(directory),
                contents,
            },
            World::Planned { .. } => Self::DryRun(Box::new(sandbox::planned())),
            World::SandboxDryRun { directory, .. } => {
                Self::DryRun(Box::new(sandbox::dry_run(directory)?))
            }
        })
    }

    pub fn call(&mut self, module: &str, arguments: Value) -> Outcome {
        let Some(module) = modules::find(module) else {
            let failure = Failure::new(format!("this agent has no module {module}"));
            return Outcome::failed(String::new(), failure);
        };
        (module.call)(arguments, self.system())
    }

    pub fn door(&mut self, function: &str, arguments: Value) -> Result<Value> {
        match door::find(function) {
            Some(function) => function.call(arguments, self.system()),
            None => Err(Failure::new(format!("this agent knows no host.{function}"))),
        }
    }

    /// What was done since the last task.
    pub fn records(&mut self) -> Outcome {
        let (effects, assumptions) = self.system().take_records();
        Outcome::of_records(effects, assumptions)
    }

    /// The outcome of a task, with its effects kept where this world keeps
    /// them. A change without any effect makes handlers due, too.
    pub fn kept(&self, mut outcome: Outcome, due: &Due) -> Outcome {
        let is_change = matches!(outcome.verdict, Verdict::Changed | Verdict::Unknown);
        let kept = match outcome.effects.is_empty() {
            true if is_change => due.note(),
            true => Ok(()),
            false => due.note().and_then(|()| self.save()),
        };
        due.announce(Vec::new());
        if let Err(failure) = kept {
            outcome.verdict = Verdict::Failed;
            outcome.failure = Some(failure);
        }
        outcome
    }

    fn system(&mut self) -> &mut dyn System {
        match self {
            Self::Live(live) => &mut **live,
            Self::DryRun(overlay) | Self::Sandbox { host: overlay, .. } => &mut **overlay,
        }
    }

    fn save(&self) -> Result<()> {
        let Self::Sandbox {
            host,
            store,
            contents,
        } = self
        else {
            return Ok(());
        };
        store.save(host.pending(), &|content| {
            let mut bytes = Vec::new();
            contents.fetch(&content.sha256, &mut bytes)?;
            Ok(bytes)
        })
    }

    pub fn pending(&self) -> Pending {
        match self {
            Self::DryRun(overlay) => overlay.pending().clone(),
            Self::Live(_) | Self::Sandbox { .. } => Pending::default(),
        }
    }

    pub fn act_as(&mut self, user: Option<String>) {
        if let Self::DryRun(overlay) = self {
            overlay.act_as(user);
        }
    }

    pub fn set_pending(&mut self, pending: Pending) {
        if let Self::DryRun(overlay) = self {
            overlay.set_pending(pending);
        }
    }
}

fn output_to(link: &Rc<Link>) -> OutputSink {
    let link = link.clone();
    OutputSink::new(move |stream, bytes| link.print(stream, bytes))
}

/// The handlers that are due in a world. A dry run only asks for them.
pub(super) fn due_of(world: &World) -> Due {
    match world {
        // Who has no place for them has never noted any.
        World::Live | World::DryRun => {
            kept::directory().map_or_else(|_| Due::default(), Due::kept_in)
        }
        World::Sandbox { directory, .. } | World::SandboxDryRun { directory, .. } => {
            Due::kept_in(directory.clone())
        }
        World::Planned { .. } => Due::default(),
    }
}
