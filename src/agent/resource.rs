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

/// A change of one resource by a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
