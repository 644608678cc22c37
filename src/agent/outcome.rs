//! What a task did, or in a dry run would do: the answer to one call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::content;
use crate::effect::{Effect, Inverse, Record};
use crate::mark;

/// The answer to one task call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the task acts on, such as a path or a list of packages.
    pub title: String,
    /// The short answer.
    pub verdict: Verdict,
    /// What differs from the state asked for, attribute by attribute.
    pub changes: Vec<Change>,
    /// The effects performed, or in a dry run predicted, in order.
    pub effects: Vec<Record>,
    /// What a dry run took for granted, as full sentences.
    pub assumptions: Vec<String>,
    /// What the script may read from the result, beside `changed`.
    pub values: Map<String, Value>,
    /// Hosts of the inventory that later plays find because of this task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<ProvidedHost>,
    /// Why the task failed; set exactly when the verdict is `Failed`.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// The outcome of a task that failed.
    pub fn failed(title: String, failure: Failure) -> Self {
        Self {
            title,
            verdict: Verdict::Failed,
            changes: Vec::new(),
            effects: Vec::new(),
            assumptions: Vec::new(),
            values: Map::new(),
            provides: Vec::new(),
            failure: Some(failure),
        }
    }

    /// What was done since the last task, by whichever module.
    pub fn of_records(effects: Vec<Record>, assumptions: Vec<String>) -> Self {
        Self {
            title: String::new(),
            verdict: Verdict::Ok,
            changes: Vec::new(),
            effects,
            assumptions,
            values: Map::new(),
            provides: Vec::new(),
            failure: None,
        }
    }

    /// The outcome without the details, which can be of any size.
    pub fn brief(&self) -> Self {
        let failure = self.failure.as_ref();
        Self {
            title: self.title.clone(),
            verdict: self.verdict,
            changes: Vec::new(),
            effects: Vec::new(),
            assumptions: vec!["What it changes is too much to be told.".to_owned()],
            values: Map::new(),
            provides: self.provides.clone(),
            failure: failure.map(|failure| Failure {
                values: Map::new(),
                ..failure.clone()
            }),
        }
    }

    /// The outcome of a task whose arguments are known only after apply.
    pub fn unknown(title: &str, origin: &str) -> Self {
        Self {
            title: mark::show(title).into_owned(),
            verdict: Verdict::Unknown,
            changes: Vec::new(),
            effects: Vec::new(),
            assumptions: vec![format!(
                "It depends on {origin}, which is known only after apply."
            )],
            values: Map::new(),
            provides: Vec::new(),
            failure: None,
        }
    }
}

/// How many bytes of texts an outcome carries. Those of a large directory
/// would be more than a frame holds.
const TEXTS: usize = 4 * 1024 * 1024;

impl Outcome {
    /// Leaves out the texts beyond a limit: what they belong to is then told
    /// by size and digest, as a file is that is not text.
    pub fn shorten(&mut self) {
        let mut left = TEXTS;
        for change in &mut self.changes {
            change.before.shorten(&mut left);
            change.after.shorten(&mut left);
        }
        for record in &mut self.effects {
            let inverse = match &mut record.inverse {
                Inverse::Effects(effects) => effects.as_mut_slice(),
                Inverse::Nothing | Inverse::None(_) => &mut [],
            };
            for effect in inverse.iter_mut().chain([&mut record.effect]) {
                if let Effect::WriteFile { content, .. } = effect
                    && !fits(content.text.as_deref(), &mut left)
                {
                    content.text = None;
                }
            }
        }
    }
}

impl Side {
    fn shorten(&mut self, left: &mut usize) {
        let Self::Text(text) = self else {
            return;
        };
        if fits(Some(text), left) {
            return;
        }
        *self = match mark::unknown_origin(text) {
            Some(origin) => Self::Unknown(origin.to_owned()),
            // Its digest is that of the text as it is shown, and says nothing.
            None => {
                let shown = mark::show(text);
                Self::Opaque {
                    sha256: content::digest(shown.as_bytes()),
                    size: shown.len() as u64,
                }
            }
        };
    }
}

/// Whether there is room left for a text, which is then taken.
fn fits(text: Option<&str>, left: &mut usize) -> bool {
    let rest = left.checked_sub(text.map_or(0, str::len));
    *left = rest.unwrap_or(*left);
    rest.is_some()
}

/// A host of the inventory that a task provides, such as a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProvidedHost {
    /// Its name in the inventory.
    pub name: String,
    /// How far it is there.
    pub state: HostState,
}

/// How far a provided host is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// It is only planned: nothing is there that could be looked at.
    Planned,
    /// It is there, but cannot be reached: it does not run, or a dry run only
    /// plans to start it.
    Down,
    /// It can be reached.
    Up {
        /// Its public SSH host keys, each as type and key.
        host_keys: Vec<String>,
    },
}

/// The short answer of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The host was as asked.
    Ok,
    /// The host was changed, or in a dry run would be.
    Changed,
    /// A dry run cannot know whether the host would be changed.
    Unknown,
    /// The task does not apply: its `creates` exists, for instance.
    Skipped,
    /// The task failed.
    Failed,
}

/// One attribute that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The attribute's name, such as `mode`, `version` or `content`.
    pub attribute: String,
    /// What was found.
    pub before: Side,
    /// What was asked for.
    pub after: Side,
}

/// One side of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Nothing was there, or nothing shall be.
    Absent,
    /// A plain value, shown in one line.
    Value(Value),
    /// A text, shown as a line diff; it may carry marks.
    Text(String),
    /// A content too large or not textual, shown by size and digest.
    Opaque {
        /// SHA-256 of the content, in hexadecimal.
        sha256: String,
        /// Size in bytes.
        size: u64,
    },
    /// Known only after apply; the text says where it will come from.
    Unknown(String),
}

/// Why a task failed, as data; the report decides how it looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What happened, as a sentence without a full stop.
    pub message: String,
    /// What to try, if there is something.
    pub hint: Option<String>,
    /// The argument at fault, such as `mode` or `env.PATH`, if there is one.
    pub argument: Option<String>,
    /// Values for the script's `catch`, such as `rc` and `stderr`.
    pub values: Map<String, Value>,
}

impl Failure {
    /// A failure with a message only.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            argument: None,
            values: Map::new(),
        }
    }

    /// Adds what to try.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a value for the script's `catch`.
    pub fn value(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.values.insert(key.into(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_beyond_the_limit_are_told_by_size_and_digest() {
        let text = "x".repeat(TEXTS / 2);
        let change = Change {
            attribute: "content".to_owned(),
            before: Side::Text(text.clone()),
            after: Side::Text(text.clone()),
        };
        let mut outcome = Outcome::unknown("/x", "nothing");
        outcome.changes = vec![change.clone(), change.clone()];
        outcome.shorten();
        assert_eq!(outcome.changes[0], change);
        let opaque = Side::Opaque {
            sha256: content::digest(text.as_bytes()),
            size: text.len() as u64,
        };
        assert_eq!(outcome.changes[1].before, opaque);
        assert_eq!(outcome.changes[1].after, opaque);
    }

    #[test]
    fn what_is_unknown_stays_so_without_its_text() {
        let text = "x".repeat(TEXTS) + &mark::unknown("stdout of `id`");
        let mut side = Side::Text(text);
        side.shorten(&mut TEXTS.clone());
        assert_eq!(side, Side::Unknown("stdout of `id`".to_owned()));
    }
}
