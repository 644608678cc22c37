//! Handlers that outlive a run: the host remembers which are due until they
//! have run through.
//!
//! They are told apart by env file, host, play, name, and whose script it is:
//! an `on` block has handlers of its own. The agent of the play's
//! own user keeps them, whoever's task notifies them: each run has that agent.

use std::collections::BTreeSet;
use std::sync::Arc;

use veza_agent::outcome::Failure;
use veza_agent::protocol::Request;
use veza_agent::system::due::DueHandler;

use super::HostTasks;
use crate::report::event::{Event, Site};
use crate::run::session::Session;
use crate::script::tasks::Stop;

impl HostTasks {
    /// Has the host remember what a task will notify, before that task changes
    /// anything.
    pub(super) fn announce(
        &self,
        session: &Arc<Session>,
        names: &[String],
    ) -> Result<Result<(), Failure>, Stop> {
        if !self.host.remembers() || self.state().handlers.are_noted(names) {
            return Ok(Ok(()));
        }
        let due = names.iter().map(|name| self.due(name)).collect();
        if Arc::ptr_eq(session, &self.keeper) {
            // It remembers them only once there is an effect.
            let sent = session.send(&Request::Notifies(due));
            return sent.map(Ok).map_err(|why| self.host.lose(why));
        }
        self.state().handlers.noted(names);
        self.host.change_due(&self.keeper, due, Vec::new())
    }

    /// Takes up handlers of this play that an earlier run left. Those that are
    /// not defined yet, or whose play the tags leave out, stay due.
    pub(super) fn take_up_due(&self) {
        let selects = |tags: &[String]| self.shared.options.selects(tags, &[], false);
        if !self.state().is_selected && !selects(&self.play.tags) {
            return;
        }
        let is_defined = |name: &str| self.state().handlers.find(name).is_some();
        let taken = self
            .host
            .take_due(|due| self.is_of_play(due) && is_defined(&due.name));
        for (session, due) in taken {
            let mut state = self.state();
            state.handlers.take_up(&due.name);
            let site = match state.handlers.find(&due.name) {
                Some(handler) => handler.closure.site().clone(),
                None => self.play.site.clone(),
            };
            let text = format!("handler \"{}\" is due since an earlier run", due.name);
            state.taken.push((session, due));
            drop(state);
            self.tell(text, &site);
        }
    }

    /// Strikes out handlers that are no longer due on the host.
    pub(super) fn strike_out(&self, names: BTreeSet<String>) -> Result<(), Stop> {
        if !self.host.remembers() {
            return Ok(());
        }
        let taken = |(_, due): &mut (_, DueHandler)| names.contains(&due.name);
        let taken: Vec<_> = self.state().taken.extract_if(.., taken).collect();
        let own = names
            .iter()
            .map(|name| (self.keeper.clone(), self.due(name)));
        for (session, due) in own.chain(taken) {
            let struck = self.host.change_due(&session, Vec::new(), vec![due])?;
            struck.map_err(|failure| self.failure_of("handler", failure, &self.play.site))?;
        }
        Ok(())
    }

    /// Ends a play or block: says which handlers it leaves to the next run, and
    /// lets go of them, since what they captured may hold this very thing.
    pub(in crate::run) fn end(&self, ended: Result<(), Stop>) -> Result<(), Stop> {
        let struck = match self.host.lost().is_none() && self.check_cancelled().is_ok() {
            true => {
                let spare = self.state().handlers.take_spare();
                self.strike_out(spare)
            }
            false => Ok(()),
        };
        let ended = ended.and(struck);
        match &ended {
            // The apply knows which way the script goes, and comes to them.
            Err(Stop::Undecidable { .. }) => {}
            Err(Stop::Task(failure)) => self.tell_left(&failure.site),
            _ => self.tell_left(&self.play.site),
        }
        self.state().handlers.forget();
        ended
    }

    fn tell_left(&self, site: &Site) {
        let left = self.state().handlers.left();
        if left.is_empty() {
            return;
        }
        let names: Vec<_> = left.iter().map(|name| format!("\"{name}\"")).collect();
        let text = format!("handlers left for the next run: {}", names.join(", "));
        self.tell(text, site);
    }

    fn tell(&self, text: String, site: &Site) {
        self.shared.send(Event::Logged {
            host: self.view.name.clone(),
            text,
            site: site.clone(),
            caller: self.caller(),
        });
    }

    /// How the host remembers a handler of this play.
    fn due(&self, name: &str) -> DueHandler {
        DueHandler {
            file: self.shared.playbook.file().to_owned(),
            host: self.view.name.clone(),
            play: self.play.name.clone(),
            name: name.to_owned(),
            script: self.block_of.clone(),
        }
    }

    /// Whether a handler that is due may be one of this play or block: of a
    /// play or host that is gone, or has another name now, any other may have
    /// it.
    fn is_of_play(&self, due: &DueHandler) -> bool {
        let playbook = &self.shared.playbook;
        let is_gone = || {
            let mut plays = playbook.plays().iter();
            plays.all(|play| play.name != due.play)
        };
        let is_of_script = match (&due.script, &self.block_of) {
            (Some(theirs), Some(own)) if !theirs.is_empty() && theirs != own => {
                let mut hosts = playbook.inventory().hosts().iter();
                hosts.all(|host| host.name != *theirs)
            }
            (theirs, own) => theirs == own,
        };
        is_of_script && self.host.is_of_file(due) && (due.play == self.play.name || is_gone())
    }
}
