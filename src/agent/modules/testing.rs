//! Calls of modules as a run makes them, over a virtual host.

use std::path::Path;
use std::rc::Rc;

use serde_json::Value;

use crate::effect::Effect;
use crate::outcome::{Failure, Outcome, Verdict};
use crate::system::live::{ContentSource, Journal, Live, OutputSink};
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

/// The machine of the tests itself, with the journal of what is done to it.
pub struct RealHost {
    /// Where tests may write.
    pub directory: tempfile::TempDir,
    journal: tempfile::TempDir,
}

impl RealHost {
    /// An empty directory, and an empty journal.
    pub fn new() -> Self {
        let directory = || tempfile::tempdir().expect("a directory");
        Self {
            directory: directory(),
            journal: directory(),
        }
    }

    /// A path in the directory.
    pub fn at(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Does what it is told.
    pub fn live(&self) -> Live {
        let journal = Journal::open(self.journal.path(), "test").expect("a journal");
        Live::new(Rc::new(Nothing), OutputSink::silent(), Some(journal))
    }

    /// Predicts it.
    pub fn dry_run(&self) -> Overlay {
        let host = Live::new(Rc::new(Nothing), OutputSink::silent(), None);
        Overlay::new(Box::new(host), Absence::Doubtful, Pending::default())
    }

    /// Predicts a call and makes it, which must come to the same; and once
    /// more, when nothing may change. Returns what came of it.
    pub fn changes_once(&self, module: &str, arguments: Value) -> Outcome {
        let predicted = self.predicted(module, &arguments);
        let outcome = self.call(module, &arguments);
        assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
        assert_eq!(
            predicted.verdict,
            Verdict::Changed,
            "{:?}",
            predicted.failure
        );
        assert_eq!(predicted.effects, outcome.effects);
        self.unchanged(module, arguments);
        outcome
    }

    /// A call that changes nothing, neither foretold nor made.
    pub fn unchanged(&self, module: &str, arguments: Value) {
        for outcome in [
            self.predicted(module, &arguments),
            self.call(module, &arguments),
        ] {
            assert_eq!(outcome.verdict, Verdict::Ok, "{outcome:?}");
            assert!(outcome.effects.is_empty(), "{:?}", outcome.effects);
        }
    }

    /// What a dry run says of a call.
    pub fn predicted(&self, module: &str, arguments: &Value) -> Outcome {
        let module = super::find(module).expect("a module");
        (module.call)(arguments.clone(), &mut self.dry_run())
    }

    /// One call.
    pub fn call(&self, module: &str, arguments: &Value) -> Outcome {
        let module = super::find(module).expect("a module");
        (module.call)(arguments.clone(), &mut self.live())
    }
}

/// No content comes from a controller.
struct Nothing;

impl ContentSource for Nothing {
    fn fetch(&self, sha256: &str, _: &mut dyn std::io::Write) -> crate::module::Result<()> {
        Err(Failure::new(format!("nobody has the content {sha256}")))
    }
}
