//! What a run came to: what changed, what failed, what was not reached. Both
//! the end of every output and the exit code are read from it.

use serde::Serialize;
use veza_agent::outcome::Verdict;

use super::event::{Event, Mode};
use super::host::HostSummary;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How the hosts were treated.
    pub mode: Mode,
    /// The hosts, in the order in which they were first heard of.
    pub hosts: Vec<HostSummary>,
    /// Plays, or parts of them, that were not run.
    pub skipped: Vec<SkippedPlay>,
    /// Whether a play stopped, and the run with it.
    pub stopped: bool,
    /// Whether the user ended the run.
    pub interrupted: bool,
    /// Whether the run came to its end; it did not when its thread is gone.
    pub finished: bool,
    /// Wall time in milliseconds.
    pub milliseconds: u64,
    /// Why a part of the output could not be written. A reader that closed
    /// its pipe is no error.
    pub output_error: Option<String>,
}

/// A play that was not run on some of the hosts it asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedPlay {
    /// Its name.
    pub play: String,
    /// The hosts it was not run on.
    pub hosts: Vec<String>,
    /// Why not.
    pub reason: String,
}

/// A run in one word, for the exit code. What went wrong earliest in a run's
/// life comes first: it hides the most of what would have come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// veza-play broke down: on a host, or the run ended without its last event.
    Broken,
    /// The user ended the run.
    Interrupted,
    /// The script went wrong on a host.
    ScriptFailed,
    /// A task failed.
    TaskFailed,
    /// A host could not be reached, or was lost.
    HostLost,
    /// A dry run found, or cannot exclude, changes that an apply would make.
    Pending,
    /// All is done, or all was as asked.
    Done,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            mode: Mode::Apply,
            hosts: Vec::new(),
            skipped: Vec::new(),
            stopped: false,
            interrupted: false,
            finished: false,
            milliseconds: 0,
            output_error: None,
        }
    }
}

impl Summary {
    /// Takes in one more event.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::RunStarted { mode, .. } => self.mode = *mode,
            Event::PlayStarted { hosts, .. } => {
                for host in hosts {
                    self.host(host);
                }
            }
            Event::PlayStopped {
                play,
                hosts,
                reason,
            } => {
                self.stopped = true;
                self.skip(play, hosts, reason);
            }
            Event::PlaySkipped {
                play,
                hosts,
                reason,
            } => self.skip(play, hosts, reason),
            Event::RunInterrupted => self.interrupted = true,
            Event::RunFinished { milliseconds } => {
                self.finished = true;
                self.milliseconds = *milliseconds;
            }
            Event::BatchStarted { .. } | Event::PlayFinished { .. } => {}
            // Whoever asked for a task bears its failure.
            Event::TaskFinished {
                caller: Some(caller),
                outcome,
                ..
            } if outcome.verdict == Verdict::Failed => {
                let mode = self.mode;
                self.host(caller).observe(event, mode);
            }
            Event::HostConnected { host }
            | Event::TaskStarted { host, .. }
            | Event::TaskOutput { host, .. }
            | Event::TaskFinished { host, .. }
            | Event::FailureCaught { host, .. }
            | Event::Logged { host, .. }
            | Event::ScriptFailed { host, .. }
            | Event::PlanIncomplete { host, .. }
            | Event::HostLost { host, .. }
            | Event::HostFailed { host, .. }
            | Event::HostInterrupted { host }
            | Event::HostBroken { host, .. }
            | Event::HostFinished { host } => {
                let mode = self.mode;
                self.host(host).observe(event, mode);
            }
        }
    }

    /// The run in one word.
    pub fn ending(&self) -> Ending {
        let any = |test: fn(&HostSummary) -> bool| self.hosts.iter().any(test);
        if !self.finished || any(|host| host.broken.is_some()) {
            return Ending::Broken;
        }
        if self.interrupted {
            return Ending::Interrupted;
        }
        if any(|host| !host.script_failed.is_empty()) {
            return Ending::ScriptFailed;
        }
        // A run that was ended for its losses has failed, whatever they were.
        if self.stopped || any(|host| !host.failed.is_empty()) {
            return Ending::TaskFailed;
        }
        if any(|host| host.lost.is_some()) {
            return Ending::HostLost;
        }
        match self.is_pending() {
            true => Ending::Pending,
            false => Ending::Done,
        }
    }

    /// Whether this was a dry run after which something may be left to do. A
    /// plan that could not be followed to its end is no promise of nothing.
    pub fn is_pending(&self) -> bool {
        let pending = |host: &HostSummary| {
            host.counts.changed + host.counts.unknown > 0 || !host.incomplete.is_empty()
        };
        self.mode == Mode::Check && self.hosts.iter().any(pending)
    }

    /// How many tasks ended with this verdict, on all hosts.
    pub fn count(&self, verdict: Verdict) -> usize {
        let counts = self.hosts.iter().map(|host| host.counts.of(verdict));
        counts.sum()
    }

    fn skip(&mut self, play: &str, hosts: &[String], reason: &str) {
        if hosts.is_empty() {
            return;
        }
        self.skipped.push(SkippedPlay {
            play: play.to_owned(),
            hosts: hosts.to_vec(),
            reason: reason.to_owned(),
        });
    }

    fn host(&mut self, name: &str) -> &mut HostSummary {
        let at = match self.hosts.iter().position(|host| host.host == name) {
            Some(at) => at,
            None => {
                self.hosts.push(HostSummary::new(name));
                self.hosts.len() - 1
            }
        };
        &mut self.hosts[at]
    }
}

#[cfg(test)]
mod tests {
    use veza_agent::outcome::Failure;

    use super::super::sample;
    use super::*;

    fn ending(mode: Mode, events: Vec<Event>) -> Ending {
        let mut summary = Summary::default();
        summary.observe(&sample::run_started(mode));
        events.iter().for_each(|event| summary.observe(event));
        summary.observe(&Event::RunFinished { milliseconds: 1 });
        summary.ending()
    }

    #[test]
    fn a_run_without_its_last_event_is_broken() {
        assert_eq!(Summary::default().ending(), Ending::Broken);
    }

    #[test]
    fn an_interrupted_run_is_not_done() {
        let events = vec![
            Event::RunInterrupted,
            Event::HostInterrupted {
                host: "web1".into(),
            },
        ];
        assert_eq!(ending(Mode::Apply, events), Ending::Interrupted);
    }

    #[test]
    fn a_bug_on_one_host_is_a_bug_of_the_run() {
        let broken = Event::HostBroken {
            host: "web1".into(),
            message: "it panicked".into(),
        };
        assert_eq!(
            ending(Mode::Apply, vec![broken, sample::lost("web2")]),
            Ending::Broken
        );
    }

    #[test]
    fn changes_are_pending_in_a_dry_run_only() {
        let changed = sample::task("web1", "copy", 1, sample::outcome("/x", Verdict::Changed));
        assert_eq!(ending(Mode::Apply, vec![changed.clone()]), Ending::Done);
        assert_eq!(ending(Mode::Check, vec![changed]), Ending::Pending);
    }

    #[test]
    fn an_incomplete_plan_is_pending() {
        let incomplete = Event::PlanIncomplete {
            host: "web1".into(),
            reason: "the script branches on an unknown value".into(),
            site: None,
        };
        assert_eq!(ending(Mode::Check, vec![incomplete]), Ending::Pending);
    }

    #[test]
    fn a_caught_failure_is_none() {
        let failure = Failure::new("no such file");
        let events = vec![
            sample::task("web1", "stat", 4, sample::failed("/x", failure)),
            sample::caught("web1", "stat", 4),
        ];
        assert_eq!(ending(Mode::Apply, events), Ending::Done);
    }

    #[test]
    fn a_failed_task_outweighs_a_lost_host() {
        let failure = Failure::new("no such file");
        let events = vec![
            sample::lost("web2"),
            sample::task("web1", "stat", 4, sample::failed("/x", failure.clone())),
            sample::host_failed("web1", "stat", 4, failure),
        ];
        assert_eq!(ending(Mode::Apply, events.clone()), Ending::TaskFailed);
        assert_eq!(ending(Mode::Apply, events[..1].to_vec()), Ending::HostLost);
    }
}
