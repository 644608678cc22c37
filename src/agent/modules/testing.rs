//! Calls of modules as a run makes them, over a virtual host.

use std::path::Path;

use serde_json::Value;

use crate::effect::Effect;
use crate::outcome::{Outcome, Verdict};
use crate::system::overlay::{Absence, Overlay, Pending};
use crate::system::sandbox::Pristine;
use crate::system::{Reads, System};

/// A pristine host with something recorded over it.
pub fn host(pending: Pending) -> Overlay {
    Overlay::new(Box::new(Pristine), Absence::Certain, pending)
}

/// One call of a module.
pub fn call(host: &mut Overlay, module: &str, arguments: Value) -> Outcome {
    let module = super::find(module).expect("a module");
    (module.call)(arguments, host)
}

/// A call that changes something, and changes nothing when made again; returns
/// what it did.
pub fn changes_once(host: &mut Overlay, module: &str, arguments: Value) -> Outcome {
    let outcome = call(host, module, arguments.clone());
    assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
    unchanged(host, module, arguments);
    outcome
}

/// A call that changes nothing.
pub fn unchanged(host: &mut Overlay, module: &str, arguments: Value) {
    let outcome = call(host, module, arguments);
    assert_eq!(outcome.verdict, Verdict::Ok, "{outcome:?}");
    assert!(outcome.effects.is_empty(), "{:?}", outcome.effects);
}

/// The message of a call that fails.
pub fn refusal(host: &mut Overlay, module: &str, arguments: Value) -> String {
    let outcome = call(host, module, arguments);
    let failure = outcome.failure.expect("a failure");
    assert!(outcome.effects.is_empty(), "{:?}", outcome.effects);
    format!("{failure} {}", failure.hint.as_deref().unwrap_or_default())
}

/// The effects of a call, as one word each.
pub fn effects(outcome: &Outcome) -> Vec<String> {
    let words = |effect: &Effect| match effect {
        Effect::ChangeUnit { action, .. } => format!("{action:?}").to_lowercase(),
        other => serde_json::to_value(other).expect("serializes")["effect"]
            .as_str()
            .expect("a name")
            .to_owned(),
    };
    outcome
        .effects
        .iter()
        .map(|record| words(&record.effect))
        .collect()
}

/// Writes a file, with the directories it is in.
pub fn write(host: &mut Overlay, path: &str, text: &str) {
    let above: Vec<_> = Path::new(path).ancestors().skip(1).collect();
    for directory in above.into_iter().rev() {
        if host.stat(directory).expect("stat").present().is_none() {
            host.perform(Effect::MakeDirectory {
                path: directory.to_owned(),
                attributes: Default::default(),
            })
            .expect("made");
        }
    }
    host.perform(Effect::WriteFile {
        path: path.into(),
        content: crate::content::Content::of(text.as_bytes()),
        attributes: Default::default(),
        backup: None,
        validate: None,
    })
    .expect("written");
    host.take_records();
}

/// The text of a file.
pub fn text(host: &Overlay, path: &str) -> Option<String> {
    let content = host.content(Path::new(path)).expect("read").present()?;
    content.text
}
