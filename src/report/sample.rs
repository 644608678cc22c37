//! Events for the tests of the report.

use serde_json::json;
use veza_agent::effect::{Before, Effect, Inverse, Record, Scope, UnitAction};
use veza_agent::outcome::{Change, Failure, Outcome, Side, Verdict};

use super::event::{Event, Mode, Site};

pub(super) fn site(line: usize) -> Site {
    Site {
        file: "site.rhai".into(),
        line,
        column: 5,
    }
}

pub(super) fn run_started(mode: Mode) -> Event {
    Event::RunStarted {
        file: "site.rhai".into(),
        mode,
        sandbox: None,
    }
}

pub(super) fn play_started(play: &str, hosts: &[&str]) -> Event {
    Event::PlayStarted {
        play: play.into(),
        hosts: hosts.iter().map(|&host| host.into()).collect(),
    }
}

pub(super) fn play_finished(play: &str) -> Event {
    Event::PlayFinished { play: play.into() }
}

pub(super) fn outcome(title: &str, verdict: Verdict) -> Outcome {
    Outcome {
        title: title.into(),
        verdict,
        changes: Vec::new(),
        effects: Vec::new(),
        assumptions: Vec::new(),
        provides: Vec::new(),
        values: serde_json::Map::new(),
        failure: None,
    }
}

pub(super) fn failed(title: &str, failure: Failure) -> Outcome {
    Outcome {
        failure: Some(failure),
        ..outcome(title, Verdict::Failed)
    }
}

/// A changed text file.
pub(super) fn edited(title: &str, before: &str, after: &str) -> Outcome {
    Outcome {
        changes: vec![Change {
            attribute: "content".into(),
            before: Side::Text(before.into()),
            after: Side::Text(after.into()),
        }],
        ..outcome(title, Verdict::Changed)
    }
}

pub(super) fn value(attribute: &str, before: &str, after: &str) -> Change {
    Change {
        attribute: attribute.into(),
        before: Side::Value(json!(before)),
        after: Side::Value(json!(after)),
    }
}

pub(super) fn task(host: &str, module: &str, line: usize, outcome: Outcome) -> Event {
    Event::TaskFinished {
        host: host.into(),
        module: module.into(),
        site: site(line),
        handler: None,
        caller: None,
        milliseconds: 7,
        outcome: Box::new(outcome),
    }
}

pub(super) fn started(host: &str, module: &str, title: &str, line: usize) -> Event {
    Event::TaskStarted {
        host: host.into(),
        module: module.into(),
        title: title.into(),
        site: site(line),
    }
}

pub(super) fn output(host: &str, text: &str) -> Event {
    Event::TaskOutput {
        host: host.into(),
        stream: "stdout".into(),
        text: text.into(),
    }
}

pub(super) fn caught(host: &str, module: &str, line: usize) -> Event {
    Event::FailureCaught {
        host: host.into(),
        module: module.into(),
        site: site(line),
    }
}

pub(super) fn host_failed(host: &str, module: &str, line: usize, failure: Failure) -> Event {
    Event::HostFailed {
        host: host.into(),
        failure,
        module: module.into(),
        site: site(line),
    }
}

pub(super) fn lost(host: &str) -> Event {
    Event::HostLost {
        host: host.into(),
        reason: "connection refused by 10.0.0.2 port 22".into(),
        hint: Some("check that sshd runs there".into()),
    }
}

pub(super) fn effect(effect: Effect) -> Record {
    Record {
        effect,
        before: Before::Absent,
        inverse: Inverse::Nothing,
    }
}

pub(super) fn reload(unit: &str) -> Record {
    effect(Effect::ChangeUnit {
        unit: unit.into(),
        action: UnitAction::Reload,
        scope: Scope::System,
        no_block: false,
    })
}
