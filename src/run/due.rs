//! Handlers that are due on a host, over all its agents: each of them keeps
//! those that it was told to.

use std::sync::Arc;

use veza_agent::outcome::Failure;
use veza_agent::protocol::Request;
use veza_agent::system::due::DueHandler;

use super::Run;
use super::host::RunHost;
use super::line::Answer;
use super::session::Session;
use crate::play::Body;
use crate::report::event::{Event, Site};
use crate::script::tasks::Stop;

impl RunHost {
    /// Whether a handler that is due is one of this env file and host, or of a
    /// host that is gone, or has another name now.
    pub fn is_of_file(&self, due: &DueHandler) -> bool {
        let playbook = &self.shared.playbook;
        let is_gone = || {
            let mut hosts = playbook.inventory().hosts().iter();
            hosts.all(|host| host.name != due.host)
        };
        due.file == playbook.file() && (due.host == self.host.name || is_gone())
    }

    /// Handlers that earlier runs left, each with the agent that remembers it.
    pub fn take_due(
        &self,
        wanted: impl Fn(&DueHandler) -> bool,
    ) -> Vec<(Arc<Session>, DueHandler)> {
        let mut taken = Vec::new();
        for session in self.sessions().iter() {
            let due = session.take_due(&wanted).into_iter();
            taken.extend(due.map(|due| (session.clone(), due)));
        }
        taken
    }

    /// Has an agent remember handlers as due, and forget others; why it could
    /// not, if so.
    pub fn change_due(
        &self,
        session: &Session,
        add: Vec<DueHandler>,
        remove: Vec<DueHandler>,
    ) -> Result<Result<(), Failure>, Stop> {
        let id = self.next_call();
        let answer = session
            .send(&Request::Due { id, add, remove })
            .and_then(|()| session.answer(id));
        match answer.map_err(|why| self.lose(why))? {
            Answer::Told(changed) => Ok(changed.map(drop)),
            Answer::Done(..) | Answer::Dropped => Err(Stop::Cancelled),
        }
    }
}

impl Run {
    /// Tells of handlers of this env file that are due and that a run of all of
    /// it, which went well, did not come across. Those that their play defines no
    /// more are struck out, lest they are due for ever.
    pub(super) fn tell_undefined<'a>(&self, hosts: impl Iterator<Item = &'a RunHost> + Clone) {
        if !self.is_whole() || hosts.clone().any(|host| host.is_out()) {
            return;
        }
        for host in hosts.filter(|host| host.remembers()) {
            for (session, due) in host.take_due(|due| host.is_of_file(due)) {
                let (text, is_done) = self.undefined(&due);
                let struck = match is_done {
                    true => host.change_due(&session, Vec::new(), vec![due]),
                    false => Ok(Ok(())),
                };
                let text = match struck {
                    Ok(struck) => struck.map_or_else(|failure| failure.to_string(), |()| text),
                    // It was told when it happened.
                    Err(_) => break,
                };
                self.shared.send(Event::Logged {
                    host: host.host.name.clone(),
                    text,
                    site: Site {
                        file: self.shared.playbook.file().to_owned(),
                        line: 0,
                        column: 0,
                    },
                    caller: None,
                });
            }
        }
    }

    /// What there is to say of a handler that a whole run did not come across,
    /// and whether it is due no longer.
    fn undefined(&self, due: &DueHandler) -> (String, bool) {
        let playbook = &self.shared.playbook;
        let is_there = playbook.plays().iter().any(|play| play.name == due.play);
        let name = format!("handler \"{}\" of play {}", due.name, due.play);
        if playbook.may_define(&due.name) {
            let text = format!("{name} is due since an earlier run; this one did not come to it");
            return (text, false);
        }
        match is_there {
            true => (
                format!(
                    "{name} was due since an earlier run, but is defined no more: it is forgotten"
                ),
                true,
            ),
            // It may be one of another project.
            false => (
                format!(
                    "{name} is due since an earlier run, but {} has neither: once it is done, remove it from handlers.json beside the agent's journal",
                    playbook.file()
                ),
                false,
            ),
        }
    }

    /// Whether the run is one of all plays on all their hosts, to its end.
    fn is_whole(&self) -> bool {
        let options = &self.shared.options;
        let is_narrowed =
            options.limit.is_some() || !options.tags.is_empty() || !options.skip_tags.is_empty();
        let are_scripts = || {
            let mut plays = self.plays.iter();
            plays.all(|(play, _)| matches!(play.body, Body::Script(_)))
        };
        !is_narrowed && !self.shared.is_cancelled() && are_scripts()
    }
}
