//! What a task did, or in a dry run would do: the answer to one call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::effect::Record;
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
            failure: Some(failure),
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
            failure: None,
        }
    }
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
