//! Files, directories and links.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Change;
use super::arguments::{HostPath, done};
use crate::content::Content;
use crate::effect::{Attributes, Effect};
use crate::module::Result;
use crate::modules::arguments::{Mode, Words};
use crate::modules::place;
use crate::outcome::Failure;
use crate::system::{FileKind, Found, System};

/// Owner, group and mode.
#[derive(Deserialize, JsonSchema)]
struct Access {
    /// Who owns it, by name or number.
    owner: Option<String>,
    /// Whose group it has, by name or number.
    group: Option<String>,
    /// Permissions.
    mode: Option<Mode>,
}

impl Access {
    /// As an effect takes them, for what is at a path; `fresh` are the
    /// permissions of what is made there.
    fn of(&self, path: &HostPath, fresh: u32, system: &dyn System) -> Result<Attributes> {
        let found = system.stat(path.path())?;
        let is_new = matches!(found, Found::Absent);
        let stat = found.present();
        let directory = match &stat {
            Some(stat) => stat.kind == FileKind::Directory,
            None => fresh & 0o111 != 0,
        };
        let current = stat.map_or(fresh, |stat| stat.mode);
        let mode = self
            .mode
            .as_ref()
            .map(|mode| mode.resolve(current, directory));
        Ok(Attributes {
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: mode.transpose()?.or(is_new.then_some(fresh)),
        })
    }
}

/// Puts a file with this content in place, whole; its directory is there.
#[derive(Deserialize, JsonSchema)]
pub struct Write {
    /// The file.
    path: HostPath,
    /// The text it shall hold.
    #[schemars(with = "String")]
    content: Content,
    #[serde(flatten)]
    access: Access,
    /// Whether a copy of what is replaced is kept beside it.
    #[serde(default)]
    backup: bool,
    /// A command that accepts the new file before it goes live; `%s` stands
    /// for its path.
    validate: Option<Words>,
}

impl Change for Write {
    const NAME: &'static str = "write";
    const POSITIONAL: &'static [&'static str] = &["path", "content"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let there = system.stat(self.path.path())? != Found::Absent;
        let backup = || place::backup_path(self.path.path(), system.now());
        let effect = Effect::WriteFile {
            path: self.path.0.clone(),
            content: self.content.clone(),
            attributes: self.access.of(&self.path, 0o644, system)?,
            backup: (self.backup && there).then(backup),
            validate: self.validate.as_ref().map(|words| words.0.clone()),
        };
        system.perform(effect).map(done)
    }
}

/// Sets owner, group or mode of what is there.
#[derive(Deserialize, JsonSchema)]
pub struct SetAttributes {
    /// Of what; a link itself is never followed.
    path: HostPath,
    #[serde(flatten)]
    access: Access,
}

impl Change for SetAttributes {
    const NAME: &'static str = "attributes";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::SetAttributes {
            path: self.path.0.clone(),
            attributes: self.access.of(&self.path, 0o644, system)?,
        };
        system.perform(effect).map(done)
    }
}

/// Makes a directory, and those above it that are missing. One that is there
/// is left as it is.
#[derive(Deserialize, JsonSchema)]
pub struct Directory {
    /// The directory.
    path: HostPath,
    #[serde(flatten)]
    access: Access,
}

impl Change for Directory {
    const NAME: &'static str = "directory";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let attributes = self.access.of(&self.path, 0o755, system)?;
        for path in place::missing_directories(self.path.path(), system)? {
            let attributes = attributes.clone();
            system.perform(Effect::MakeDirectory { path, attributes })?;
        }
        Ok(Value::Null)
    }
}

/// Puts a symbolic link in place of whatever link or file is there.
#[derive(Deserialize, JsonSchema)]
pub struct Link {
    /// Where the link is.
    path: HostPath,
    /// Where it leads.
    target: std::path::PathBuf,
}

impl Change for Link {
    const NAME: &'static str = "link";
    const POSITIONAL: &'static [&'static str] = &["path", "target"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        if let Found::Present(stat) = system.stat(self.path.path())?
            && stat.kind == FileKind::Directory
        {
            let path = self.path.path().display();
            return Err(Failure::new(format!("{path} is a directory")));
        }
        let effect = Effect::Link {
            path: self.path.0.clone(),
            target: self.target.clone(),
        };
        system.perform(effect).map(done)
    }
}

/// Gives a file a second name.
#[derive(Deserialize, JsonSchema)]
pub struct HardLink {
    /// The new name.
    path: HostPath,
    /// The file that is there.
    target: HostPath,
}

impl Change for HardLink {
    const NAME: &'static str = "hard_link";
    const POSITIONAL: &'static [&'static str] = &["path", "target"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::HardLink {
            path: self.path.0.clone(),
            target: self.target.0.clone(),
        };
        system.perform(effect).map(done)
    }
}

/// Sets the time of a file's last change to now.
#[derive(Deserialize, JsonSchema)]
pub struct Touch {
    /// The file.
    path: HostPath,
}

impl Change for Touch {
    const NAME: &'static str = "touch";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let path = self.path.0.clone();
        system.perform(Effect::Touch { path }).map(done)
    }
}

/// Removes a file, a link, or a directory with all that is in it. Where
/// nothing is, nothing is done.
#[derive(Deserialize, JsonSchema)]
pub struct Remove {
    /// What.
    path: HostPath,
}

impl Change for Remove {
    const NAME: &'static str = "remove";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        if system.exists(self.path.path())? == Found::Absent {
            return Ok(Value::Null);
        }
        let path = self.path.0.clone();
        system.perform(Effect::Remove { path }).map(done)
    }
}
