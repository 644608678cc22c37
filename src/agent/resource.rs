//! Things that a program of the host keeps, such as the roles of a database
//! server. The system knows them by kind and name only; what they are like,
//! how they are read and which command changes them is the module's business.
//!
//! A module reads one like this: what [`Reads::resource`] has to say comes
//! first, for it is what a dry run recorded or a virtual host keeps; only
//! where that is nothing the host's own program is asked.
//!
//! [`Reads::resource`]: crate::system::Reads::resource

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::effect::Command;
use crate::password::PasswordHash;

/// What a resource is like, by name. What is not among it is not known.
pub type Properties = BTreeMap<String, Value>;

/// Stands for the secret in a command's input. It is a Unicode noncharacter,
/// which no real text contains.
pub const SECRET: &str = "\u{FDD2}";

/// Which resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What it is, such as `database`.
    pub kind: String,
    /// Which of that kind; with the server, where there are several.
    pub name: String,
}

impl Resource {
    /// The resource of this kind and name.
    pub fn new(kind: &str, name: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What is known of a resource that is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// What it is like.
    pub properties: Properties,
    /// The hash of its password, if it has one and that may be read.
    #[serde(with = "crate::password::digest")]
    pub secret: Option<PasswordHash>,
}

/// A change of one resource by a command. Written down, it names only the
/// properties that differ: what a dry run knows beside those may be less than
/// there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Told")]
pub struct ResourceChange {
    /// Which one.
    pub resource: Resource,
    /// What it was like; nothing where it was not there.
    pub before: Option<Properties>,
    /// What it is like afterwards; nothing where it is gone.
    pub after: Option<Properties>,
    /// The command that does it; its input may name the [`SECRET`].
    pub command: Command,
    /// The hash of the new password, if it gets one.
    pub secret: Option<PasswordHash>,
    /// The command that takes it back, if there is one.
    pub undo: Option<Command>,
}

impl ResourceChange {
    /// A change of this resource that is yet to be filled in.
    pub fn of(resource: Resource) -> Self {
        Self {
            resource,
            before: None,
            after: None,
            command: Command::default(),
            secret: None,
            undo: None,
        }
    }

    /// The command as it is run.
    pub fn revealed(&self) -> Command {
        let mut command = self.command.clone();
        if let (Some(input), Some(secret)) = (&mut command.input, &self.secret) {
            *input = input.replace(SECRET, secret.reveal());
        }
        command
    }

    /// The change that takes this one back.
    pub fn inverse(&self) -> Option<Self> {
        let command = self.undo.clone()?;
        Some(Self {
            resource: self.resource.clone(),
            before: self.after.clone(),
            after: self.before.clone(),
            command,
            secret: None,
            undo: None,
        })
    }
}

/// A change as it is written down.
#[derive(Serialize)]
struct Told {
    resource: Resource,
    before: Option<Properties>,
    after: Option<Properties>,
    command: Command,
    secret: Option<PasswordHash>,
    undo: Option<Command>,
}

impl From<ResourceChange> for Told {
    fn from(change: ResourceChange) -> Self {
        let flat = |properties: &Option<Properties>| {
            let mut flat = Properties::new();
            for (name, value) in properties.iter().flatten() {
                flatten(name, value, &mut flat);
            }
            flat
        };
        let (before, after) = (flat(&change.before), flat(&change.after));
        let differing = |here: &Properties, there: &Properties| -> Properties {
            let differs = |(name, value): &(&String, &Value)| there.get(*name) != Some(value);
            let differing = here.iter().filter(differs);
            differing
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        Self {
            // Of what goes, it is enough that it was there.
            before: change.before.as_ref().map(|_| match change.after {
                Some(_) => differing(&before, &after),
                None => Properties::new(),
            }),
            after: change.after.as_ref().map(|_| differing(&after, &before)),
            resource: change.resource,
            command: change.command,
            secret: change.secret,
            undo: change.undo,
        }
    }
}

/// Takes maps apart; what is null is not there.
fn flatten(name: &str, value: &Value, flat: &mut Properties) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&format!("{name}.{key}"), value, flat);
            }
        }
        value => drop(flat.insert(name.to_owned(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn properties(value: Value) -> Option<Properties> {
        value
            .as_object()
            .cloned()
            .map(|it| it.into_iter().collect())
    }

    fn told(before: Value, after: Value) -> Value {
        let change = ResourceChange {
            before: properties(before),
            after: properties(after),
            ..ResourceChange::of(Resource::new("thing", "x"))
        };
        let told = serde_json::to_value(change).expect("json");
        json!([told["before"], told["after"]])
    }

    #[test]
    fn only_what_differs_is_written_down() {
        let before = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "e": null, "f": [1] });
        let after = json!({ "a": 1, "b": { "c": 3, "d": 2 }, "g": null, "f": [1, 2] });
        assert_eq!(
            told(before, after),
            json!([{ "b.c": 1, "f": [1] }, { "b.c": 3, "f": [1, 2] }])
        );
        assert_eq!(
            told(Value::Null, json!({ "a": 1 })),
            json!([null, { "a": 1 }])
        );
        assert_eq!(told(json!({ "a": 1 }), Value::Null), json!([{}, null]));
    }
}
