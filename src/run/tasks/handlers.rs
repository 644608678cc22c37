//! What is done at the end of a play, or on demand, because tasks changed
//! something.

use std::collections::BTreeSet;

use veza_agent::outcome::Failure;

use super::HostTasks;
use crate::report::event::{Event, Site};
use crate::schema::closest;
use crate::script::tasks::{Stop, Tasks};

/// The handlers of a play on one host; `C` is what one does.
pub(super) struct Handlers<C> {
    defined: Vec<Handler<C>>,
    notified: BTreeSet<String>,
    /// The one that runs now.
    pub running: Option<String>,
}

/// What to do once something has changed.
#[derive(Clone)]
pub(super) struct Handler<C> {
    pub name: String,
    pub closure: C,
}

impl<C> Default for Handlers<C> {
    fn default() -> Self {
        Self {
            defined: Vec::new(),
            notified: BTreeSet::new(),
            running: None,
        }
    }
}

impl<C: Clone> Handlers<C> {
    /// Takes a definition; a later one of the same name wins.
    pub fn define(&mut self, name: &str, closure: C) {
        self.defined.retain(|handler| handler.name != name);
        self.defined.push(Handler {
            name: name.to_owned(),
            closure,
        });
    }

    /// Takes note that a task changed something; `within` is the handler that
    /// it ran in: one that notifies itself would never come to an end.
    pub fn notify(&mut self, names: Vec<String>, within: Option<&str>) {
        let others = names.into_iter().filter(|name| within != Some(name));
        self.notified.extend(others);
    }

    /// The first that is notified, in the order of their definitions. It is
    /// not notified any more.
    pub fn next(&mut self) -> Option<Handler<C>> {
        let is_notified = |handler: &&Handler<C>| self.notified.contains(&handler.name);
        let handler = self.defined.iter().find(is_notified)?.clone();
        self.notified.remove(&handler.name);
        Some(handler)
    }

    /// Whether one waits to be run.
    pub fn has_next(&self) -> bool {
        let mut defined = self.defined.iter();
        defined.any(|handler| self.notified.contains(&handler.name))
    }

    /// Those that were notified and did not run.
    pub fn waiting(&self) -> &BTreeSet<String> {
        &self.notified
    }

    /// Lets go of what the handlers captured.
    pub fn forget(&mut self) {
        self.defined.clear();
    }

    /// Why a notified handler cannot be run: nobody defined it, so it would
    /// silently be lost.
    pub fn check_notified(&self) -> Result<(), Undefined> {
        let Some(name) = self.notified.first() else {
            return Ok(());
        };
        let defined = self.defined.iter().map(|handler| handler.name.as_str());
        Err(Undefined {
            name: name.clone(),
            near: closest(name, defined).map(str::to_owned),
        })
    }
}

/// A handler that was notified and not defined.
#[derive(Debug, PartialEq)]
pub(super) struct Undefined {
    name: String,
    /// The defined one that may have been meant.
    near: Option<String>,
}

impl Undefined {
    fn failure(&self, is_in_on_block: bool) -> Failure {
        let Self { name, near } = self;
        let failure = Failure::new(format!(
            "the handler \"{name}\" was notified, but is not defined"
        ));
        failure.hint(match near {
            _ if is_in_on_block => format!(
                "What an `on` block notifies is defined in it: `handler(\"{name}\", || …)`."
            ),
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => format!("Define it with `handler(\"{name}\", || …)`."),
        })
    }
}

impl HostTasks {
    /// Runs what is notified now, and what that notifies.
    pub(super) fn run_handlers(&self, site: &Site) -> Result<(), Stop> {
        self.settle()?;
        let Some(this) = self.this.upgrade() else {
            return Err(Stop::Cancelled);
        };
        loop {
            let Some(handler) = self.state().handlers.next() else {
                break;
            };
            let outer = self.state().handlers.running.replace(handler.name);
            let ran = self.shared.playbook.call(&handler.closure, this.clone());
            let ran = ran.and_then(|()| self.settle());
            self.state().handlers.running = outer;
            ran?;
        }
        let checked = self.state().handlers.check_notified();
        checked.map_err(|undefined| {
            let failure = undefined.failure(self.caller().is_some());
            self.failure_of("handler", failure, site)
        })
    }

    /// Runs the handlers at the end of the play. One that fails does not keep
    /// the others from running: the next run, which finds nothing to change,
    /// would not notify them again.
    pub(super) fn last_handlers(&self) -> Result<(), Stop> {
        let mut ended = Ok(());
        loop {
            match self.run_handlers(&self.play.site) {
                Ok(()) => return ended,
                Err(Stop::Task(failure)) if self.state().handlers.has_next() => {
                    self.host.fail(*failure);
                    // Nothing is left to tell, as after the loss of a host.
                    ended = Err(Stop::HostLost);
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Says which handlers a failure keeps from running: the next run will not
    /// know that they are due.
    pub(in crate::run) fn tell_forgotten(&self, site: &Site) {
        let names: Vec<_> = self
            .state()
            .handlers
            .waiting()
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        if names.is_empty() {
            return;
        }
        self.shared.send(Event::Logged {
            host: self.view.name.clone(),
            text: format!("notified handlers that did not run: {}", names.join(", ")),
            site: site.clone(),
            caller: self.caller(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handlers(names: &[&str]) -> Handlers<usize> {
        let mut handlers = Handlers::default();
        for (number, name) in names.iter().enumerate() {
            handlers.define(name, number);
        }
        handlers
    }

    fn notify(handlers: &mut Handlers<usize>, names: &[&str], within: Option<&str>) {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        handlers.notify(names, within);
    }

    fn next(handlers: &mut Handlers<usize>) -> Option<String> {
        handlers.next().map(|handler| handler.name)
    }

    #[test]
    fn they_run_once_in_the_order_of_their_definitions() {
        let mut handlers = handlers(&["one", "two", "three"]);
        assert_eq!(next(&mut handlers), None, "nothing is notified");
        notify(&mut handlers, &["three", "one"], None);
        notify(&mut handlers, &["three"], None);
        let order = [(); 3].map(|()| next(&mut handlers));
        assert_eq!(order, [Some("one".into()), Some("three".into()), None]);
    }

    #[test]
    fn a_later_definition_of_the_same_name_wins() {
        let mut handlers = handlers(&["one", "two", "one"]);
        notify(&mut handlers, &["one"], None);
        assert_eq!(handlers.next().map(|handler| handler.closure), Some(2));
    }

    #[test]
    fn one_that_notifies_itself_does_not_run_for_ever() {
        let mut handlers = handlers(&["one", "two"]);
        notify(&mut handlers, &["one", "two"], Some("one"));
        assert_eq!(next(&mut handlers), Some("two".into()));
        assert_eq!(next(&mut handlers), None);
    }

    #[test]
    fn one_that_is_not_defined_is_missed() {
        let mut handlers = handlers(&["reload"]);
        notify(&mut handlers, &["relaod"], None);
        assert_eq!(next(&mut handlers), None);
        let missed = handlers.check_notified().expect_err("it is not defined");
        assert_eq!(missed.near.as_deref(), Some("reload"));
    }
}
