//! What is done at the end of a play, or on demand, because tasks changed
//! something.

use std::collections::BTreeSet;

use veza_agent::outcome::Failure;

use super::HostTasks;
use crate::report::event::Site;
use crate::schema::closest;
use crate::script::tasks::{Stop, Tasks};

/// The handlers of a play on one host; `C` is what one does.
pub(super) struct Handlers<C> {
    defined: Vec<Handler<C>>,
    notified: BTreeSet<String>,
    /// Those of the notified that an earlier run left.
    earlier: BTreeSet<String>,
    /// Those that did not come to their end, or not in full.
    unfinished: BTreeSet<String>,
    /// Those that the host may remember as due.
    noted: BTreeSet<String>,
    /// The one that runs now.
    pub running: Option<String>,
}

/// What to do once something has changed.
#[derive(Clone)]
pub(super) struct Handler<C> {
    pub name: String,
    pub closure: C,
}

/// Which of the notified handlers run.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Which {
    /// Each one.
    All,
    /// Those that an earlier run left.
    Earlier,
}

impl<C> Default for Handlers<C> {
    fn default() -> Self {
        Self {
            defined: Vec::new(),
            notified: BTreeSet::new(),
            earlier: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            noted: BTreeSet::new(),
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

    /// The definition of this name.
    pub fn find(&self, name: &str) -> Option<&Handler<C>> {
        self.defined.iter().find(|handler| handler.name == name)
    }

    /// Takes note that a task changed something; `within` is the handler that
    /// it ran in: one that notifies itself would never come to an end.
    pub fn notify(&mut self, names: &[String], within: Option<&str>) {
        let others = names.iter().filter(|name| within != Some(name));
        self.notified.extend(others.cloned());
    }

    /// Takes note that an earlier run was to run this one.
    pub fn take_up(&mut self, name: &str) {
        self.notified.insert(name.to_owned());
        self.earlier.insert(name.to_owned());
    }

    /// Takes note that the host may remember these.
    pub fn noted(&mut self, names: &[String]) {
        self.noted.extend(names.iter().cloned());
    }

    /// Whether the host remembers all of these for certain.
    pub fn are_noted(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.noted.contains(name))
    }

    /// The first that is to run, in the order of their definitions. It is not
    /// notified any more.
    pub fn next(&mut self, which: Which) -> Option<Handler<C>> {
        let handler = self.waiting(which).next()?.clone();
        for names in [&mut self.notified, &mut self.earlier, &mut self.unfinished] {
            names.remove(&handler.name);
        }
        Some(handler)
    }

    /// Whether one is to run.
    pub fn has_next(&self, which: Which) -> bool {
        self.waiting(which).next().is_some()
    }

    fn waiting(&self, which: Which) -> impl Iterator<Item = &Handler<C>> {
        let names = match which {
            Which::All => &self.notified,
            Which::Earlier => &self.earlier,
        };
        let defined = self.defined.iter();
        defined.filter(|handler| names.contains(&handler.name))
    }

    /// A part of the running handler is left out.
    pub fn cut_short(&mut self) {
        self.unfinished.extend(self.running.clone());
    }

    /// Takes note how one ended; whether nothing of it is left to be done.
    pub fn end(&mut self, name: &str, is_well: bool) -> bool {
        if !is_well {
            self.unfinished.insert(name.to_owned());
        }
        let is_done = !self.left().contains(name);
        if is_done {
            self.noted.remove(name);
        }
        is_done
    }

    /// Those that the next run is to run.
    pub fn left(&self) -> BTreeSet<String> {
        &self.notified | &self.unfinished
    }

    /// Those that the host may remember, though nothing notified them. They
    /// are not asked for again.
    pub fn take_spare(&mut self) -> BTreeSet<String> {
        let spare = &self.noted - &self.left();
        self.noted.retain(|name| !spare.contains(name));
        spare
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
    pub(super) fn run_handlers(&self, which: Which, site: &Site) -> Result<(), Stop> {
        self.settle()?;
        self.take_up_due();
        let Some(this) = self.this.upgrade() else {
            return Err(Stop::Cancelled);
        };
        loop {
            let Some(handler) = self.state().handlers.next(which) else {
                break;
            };
            let name = handler.name;
            let outer = self.state().handlers.running.replace(name.clone());
            let ran = self.shared.playbook.call(&handler.closure, this.clone());
            let ran = ran.and_then(|()| self.settle());
            self.state().handlers.running = outer;
            let is_done = self.state().handlers.end(&name, ran.is_ok());
            ran?;
            if is_done {
                self.strike_out(BTreeSet::from([name]))?;
            }
        }
        if which == Which::Earlier {
            return Ok(());
        }
        let checked = self.state().handlers.check_notified();
        checked.map_err(|undefined| {
            let failure = undefined.failure(self.caller().is_some());
            self.failure_of("handler", failure, site)
        })
    }

    /// Runs handlers at the end of the play. One that fails does not keep the
    /// others from running.
    pub(super) fn last_handlers(&self, which: Which) -> Result<(), Stop> {
        let mut ended = Ok(());
        loop {
            match self.run_handlers(which, &self.play.site) {
                Ok(()) => return ended,
                Err(stop @ Stop::Task(_)) if self.state().handlers.has_next(which) => {
                    self.host.stopped(stop);
                    // Nothing is left to tell, as after the loss of a host.
                    ended = Err(Stop::HostLost);
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Runs handlers that an earlier run left, although the play failed: where
    /// a task fails each time they would never run. Those of this run wait for
    /// the next one, since what they are for may be half done.
    pub(super) fn after_failure(&self, stop: Stop) -> Result<(), Stop> {
        if !matches!(stop, Stop::Task(_) | Stop::Script(_)) {
            return Err(stop);
        }
        self.take_up_due();
        if !self.state().handlers.has_next(Which::Earlier) {
            return Err(stop);
        }
        self.host.stopped(stop);
        self.last_handlers(Which::Earlier).and(Err(Stop::HostLost))
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
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        handlers.notify(&names, within);
    }

    fn next(handlers: &mut Handlers<usize>) -> Option<String> {
        handlers.next(Which::All).map(|handler| handler.name)
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
        assert_eq!(
            handlers.next(Which::All).map(|handler| handler.closure),
            Some(2)
        );
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

    #[test]
    fn one_is_done_once_all_of_it_has_run() {
        let mut handlers = handlers(&["failed", "skipped", "again", "done"]);
        let names = ["failed", "skipped", "again", "done"].map(str::to_owned);
        handlers.notify(&names, None);
        handlers.noted(&names);
        handlers.noted(&["spare".to_owned()]);
        let run = |handlers: &mut Handlers<usize>, is_well| {
            let name = next(handlers).expect("one waits");
            handlers.running = Some(name.clone());
            match name.as_str() {
                "skipped" => handlers.cut_short(),
                "again" => notify(handlers, &["again"], Some("another")),
                _ => {}
            }
            handlers.running = None;
            handlers.end(&name, is_well)
        };
        let done = [false, true, true].map(|is_well| run(&mut handlers, is_well));
        assert_eq!(done, [false; 3]);
        assert_eq!(next(&mut handlers), Some("again".into()));
        assert!(handlers.end("again", true));
        assert!(run(&mut handlers, true));
        let left: Vec<_> = handlers.left().into_iter().collect();
        assert_eq!(left, ["failed", "skipped"]);
        let spare: Vec<_> = handlers.take_spare().into_iter().collect();
        assert_eq!(spare, ["spare"]);
    }

    #[test]
    fn those_of_an_earlier_run_can_be_run_alone() {
        let mut handlers = handlers(&["now", "earlier"]);
        notify(&mut handlers, &["now"], None);
        handlers.take_up("earlier");
        let alone = handlers.next(Which::Earlier).map(|handler| handler.name);
        assert_eq!(alone.as_deref(), Some("earlier"));
        assert!(!handlers.has_next(Which::Earlier));
        assert_eq!(next(&mut handlers), Some("now".into()));
    }
}
