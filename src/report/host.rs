//! What a run came to on one host.

use std::collections::BTreeMap;

use serde::Serialize;
use veza_agent::effect::{Effect, UnitAction};
use veza_agent::outcome::{Outcome, Verdict};

use super::event::{Event, Mode, Site};

/// What a run came to on one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HostSummary {
    /// Its name.
    pub host: String,
    /// Its tasks by verdict.
    pub counts: Counts,
    /// What was changed, or in a dry run would be.
    pub changed: Vec<String>,
    /// What a dry run cannot tell.
    pub unknown: Vec<String>,
    /// The same, asked for by the scripts of other hosts: these come at their
    /// own pace, so what is of one stays together.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub for_others: BTreeMap<String, Asked>,
    /// How many tasks failed, caught or not, after they had changed something.
    #[serde(skip_serializing_if = "is_zero")]
    pub half_done: usize,
    /// What failed and was not caught, with the reason.
    pub failed: Vec<String>,
    /// What the script itself did wrong.
    pub script_failed: Vec<String>,
    /// Where and why a dry run could not go on.
    pub incomplete: Vec<String>,
    /// Why the host left the run.
    pub lost: Option<String>,
    /// Whether it was in the middle of a play when the run was interrupted.
    pub interrupted: bool,
    /// What went wrong with veza-play itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// What a host did for the script of another one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Asked {
    /// What was changed, or in a dry run would be.
    pub changed: Vec<String>,
    /// What a dry run cannot tell.
    pub unknown: Vec<String>,
}

/// Tasks by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// As asked.
    pub ok: usize,
    /// Changed, or to be changed.
    pub changed: usize,
    /// Not known before apply.
    pub unknown: usize,
    /// Not applicable.
    pub skipped: usize,
    /// Failed, and not caught.
    pub failed: usize,
    /// Failed, and caught by the script.
    pub caught: usize,
}

impl Counts {
    /// The number of one verdict.
    pub fn of(&self, verdict: Verdict) -> usize {
        match verdict {
            Verdict::Ok => self.ok,
            Verdict::Changed => self.changed,
            Verdict::Unknown => self.unknown,
            Verdict::Skipped => self.skipped,
            Verdict::Failed => self.failed,
        }
    }

    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Ok => self.ok += 1,
            Verdict::Changed => self.changed += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::Skipped => self.skipped += 1,
            Verdict::Failed => self.failed += 1,
        }
    }
}

impl HostSummary {
    /// A host of which nothing is known yet.
    pub fn new(host: &str) -> Self {
        Self {
            host: host.into(),
            ..Self::default()
        }
    }

    /// Whether nothing on this host went wrong.
    pub fn is_well(&self) -> bool {
        self.failed.is_empty()
            && self.script_failed.is_empty()
            && self.lost.is_none()
            && !self.interrupted
            && self.broken.is_none()
    }

    /// Takes in one more event of this host.
    pub(super) fn observe(&mut self, event: &Event, mode: Mode) {
        match event {
            Event::TaskFinished {
                host,
                module,
                site,
                caller,
                outcome,
                ..
            } if *host == self.host => {
                self.task(module, site, outcome, caller.as_deref(), mode);
            }
            Event::TaskFinished {
                host,
                module,
                site,
                outcome,
                ..
            } => self.failed_elsewhere(host, module, site, outcome),
            Event::FailureCaught { module, site, .. } => self.caught(module, site),
            Event::HostFailed {
                module,
                site,
                failure,
                ..
            } => self.host_failed(module, site, &failure.message),
            Event::ScriptFailed { message, site, .. } => {
                self.script_failed.push(at(message, site.as_ref()));
            }
            Event::PlanIncomplete { reason, site, .. } => {
                self.incomplete.push(at(reason, site.as_ref()));
            }
            Event::HostLost { reason, .. } => self.lost = Some(reason.clone()),
            Event::HostInterrupted { .. } => self.interrupted = true,
            Event::HostBroken { message, .. } => self.broken = Some(message.clone()),
            Event::RunStarted { .. }
            | Event::PlayStarted { .. }
            | Event::BatchStarted { .. }
            | Event::HostConnected { .. }
            | Event::TaskStarted { .. }
            | Event::TaskOutput { .. }
            | Event::Logged { .. }
            | Event::HostFinished { .. }
            | Event::PlayFinished { .. }
            | Event::PlayStopped { .. }
            | Event::PlaySkipped { .. }
            | Event::RunInterrupted
            | Event::RunFinished { .. } => {}
        }
    }

    fn task(
        &mut self,
        module: &str,
        site: &Site,
        outcome: &Outcome,
        caller: Option<&str>,
        mode: Mode,
    ) {
        self.counts.add(outcome.verdict);
        let what = format!("{module} {}", outcome.title);
        match outcome.verdict {
            Verdict::Ok | Verdict::Skipped => {}
            Verdict::Changed => {
                let what = what + deeds(outcome, mode).as_str();
                match caller {
                    Some(caller) => self.asked_by(caller).changed.push(what),
                    None => self.changed.push(what),
                }
            }
            Verdict::Unknown => match caller {
                Some(caller) => self.asked_by(caller).unknown.push(what),
                None => self.unknown.push(what),
            },
            Verdict::Failed => {
                self.half_done += usize::from(!outcome.effects.is_empty());
                self.failed.push(fault(&what, site, reason(outcome)));
            }
        }
    }

    fn asked_by(&mut self, caller: &str) -> &mut Asked {
        self.for_others.entry(caller.to_owned()).or_default()
    }

    /// A task that this host's script had another one do.
    fn failed_elsewhere(&mut self, host: &str, module: &str, site: &Site, outcome: &Outcome) {
        self.counts.add(outcome.verdict);
        self.half_done += usize::from(!outcome.effects.is_empty());
        let what = format!("{module} {} on {host}", outcome.title);
        self.failed.push(fault(&what, site, reason(outcome)));
    }

    fn caught(&mut self, module: &str, site: &Site) {
        self.counts.caught += 1;
        // A failure raised before the task reached the agent was not counted.
        if self.has_told(module, site) {
            self.failed.pop();
            self.counts.failed -= 1;
        }
    }

    /// The failure of the last task stands; one that never reached the agent
    /// is told by this event alone.
    fn host_failed(&mut self, module: &str, site: &Site, message: &str) {
        if !self.has_told(module, site) {
            self.counts.failed += 1;
            self.failed.push(fault(module, site, message));
        }
    }

    /// Whether the last failure is the one of this task.
    fn has_told(&self, module: &str, site: &Site) -> bool {
        let here = format!(" ({site}): ");
        let last = self.failed.last();
        last.is_some_and(|last| last.starts_with(module) && last.contains(&here))
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn reason(outcome: &Outcome) -> &str {
    let failure = outcome.failure.as_ref();
    failure.map_or("no reason given", |failure| &failure.message)
}

/// A failure in one line: the rest of a long message stands further up.
fn fault(what: &str, site: &Site, message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    format!("{what} ({site}): {message}")
}

fn at(text: &str, site: Option<&Site>) -> String {
    match site {
        Some(site) => format!("{text} ({site})"),
        None => text.into(),
    }
}

/// What was done, or would be, in brackets: where the title does not tell.
fn deeds(outcome: &Outcome, mode: Mode) -> String {
    let mut deeds: Vec<&str> = Vec::new();
    for (verb, participle) in outcome.effects.iter().filter_map(|it| deed(&it.effect)) {
        let deed = match mode {
            Mode::Apply => participle,
            Mode::Check => verb,
        };
        if !deeds.contains(&deed) {
            deeds.push(deed);
        }
    }
    match deeds.is_empty() {
        true => String::new(),
        false => format!(" ({})", deeds.join(", ")),
    }
}

/// The verb of an effect and its participle.
fn deed(effect: &Effect) -> Option<(&'static str, &'static str)> {
    Some(match effect {
        Effect::InstallPackages { .. } => ("install", "installed"),
        Effect::Remove { .. }
        | Effect::RemovePackages { .. }
        | Effect::RemoveUser { .. }
        | Effect::RemoveGroup { .. } => ("remove", "removed"),
        Effect::AddUser { .. } | Effect::AddGroup { .. } => ("add", "added"),
        Effect::ChangeResource(change) => match (&change.before, &change.after) {
            (_, None) => ("remove", "removed"),
            (None, Some(_)) => ("add", "added"),
            (Some(_), Some(_)) => return None,
        },
        Effect::ChangeUnit { action, .. } => (action.verb(), participle(*action)),
        _ => return None,
    })
}

fn participle(action: UnitAction) -> &'static str {
    match action {
        UnitAction::Start => "started",
        UnitAction::Stop => "stopped",
        UnitAction::Restart => "restarted",
        UnitAction::Reload => "reloaded",
        UnitAction::Enable => "enabled",
        UnitAction::Disable => "disabled",
        UnitAction::Mask => "masked",
        UnitAction::Unmask => "unmasked",
    }
}

#[cfg(test)]
mod tests {
    use veza_agent::outcome::Failure;

    use super::super::sample;
    use super::*;

    #[test]
    fn a_failure_is_told_once_though_two_events_carry_it() {
        let mut host = HostSummary::new("web1");
        let failure = Failure::new("no such file");
        let outcome = sample::failed("/x", failure.clone());
        host.observe(&sample::task("web1", "stat", 4, outcome), Mode::Apply);
        let gone = sample::host_failed("web1", "stat", 4, failure);
        host.observe(&gone, Mode::Apply);
        assert_eq!(host.failed, ["stat /x (site.rhai:4): no such file"]);
        assert_eq!(host.counts.failed, 1);
    }

    #[test]
    fn a_failure_before_the_agent_saw_the_task_is_told_too() {
        let mut host = HostSummary::new("web1");
        let failure = Failure::new("no such template");
        let gone = sample::host_failed("web1", "template", 4, failure);
        host.observe(&gone, Mode::Apply);
        assert_eq!(host.failed, ["template (site.rhai:4): no such template"]);
        assert_eq!(host.counts.failed, 1);
    }

    #[test]
    fn a_change_of_a_unit_says_what_was_done_to_it() {
        let mut host = HostSummary::new("web1");
        let mut outcome = sample::outcome("haproxy", Verdict::Changed);
        outcome.effects = vec![sample::reload("haproxy.service")];
        let task = sample::task("web1", "systemd", 9, outcome);
        host.observe(&task, Mode::Apply);
        host.observe(&task, Mode::Check);
        let expected = ["systemd haproxy (reloaded)", "systemd haproxy (reload)"];
        assert_eq!(host.changed, expected);
    }
}
