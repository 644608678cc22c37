//! What may be read.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Read;
use super::arguments::{HostPath, answer, number};
use crate::effect::Scope;
use crate::module::Result;
use crate::modules::arguments::octal;
use crate::modules::systemd::full_name;
use crate::outcome::Failure;
use crate::system::{self, Found, PackageState, System};

/// Whether anything is at a path.
#[derive(Deserialize, JsonSchema)]
pub struct Exists {
    /// The path.
    path: HostPath,
}

impl Read for Exists {
    const NAME: &'static str = "exists";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        Ok(match system.exists(self.path.path())? {
            Found::Absent => false.into(),
            found => answer(found.map(|()| true)),
        })
    }
}

/// What is at a path: `kind` ("file", "directory", "link" or "other"), `mode`
/// as "0644", `owner`, `group`, `size`, `modified` in seconds since 1970, and
/// `target` of a link; `()` where nothing is.
#[derive(Deserialize, JsonSchema)]
pub struct Stat {
    /// The path.
    path: HostPath,
    /// Whether a link at the path is followed.
    #[serde(default)]
    follow: bool,
}

impl Read for Stat {
    const NAME: &'static str = "stat";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        let path = self.path.at_end(self.follow, system)?;
        let told = |stat: system::Stat| {
            json!({
                "kind": stat.kind.name(), "mode": octal(stat.mode), "owner": stat.owner,
                "group": stat.group, "size": stat.size, "modified": stat.modified,
                "target": stat.target.map(|target| target.display().to_string()),
            })
        };
        Ok(answer(system.stat(&path)?.map(told)))
    }
}

/// The text of a file, up to 256 KiB; `()` where nothing is. Links are
/// followed.
#[derive(Deserialize, JsonSchema)]
pub struct Content {
    /// The file.
    path: HostPath,
}

impl Read for Content {
    const NAME: &'static str = "read";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        let path = self.path.path();
        match system.content(path)? {
            Found::Present(content) => content.text.map(Value::from).ok_or_else(|| {
                let path = path.display();
                Failure::new(format!("{path} cannot be read as text"))
                    .hint("A module reads texts of up to 256 KiB.")
            }),
            Found::Unknown(origin) => Ok(answer(Found::<Value>::Unknown(origin))),
            Found::Absent => Ok(Value::Null),
        }
    }
}

/// The names of what is in a directory, sorted; none if it is not one.
#[derive(Deserialize, JsonSchema)]
pub struct List {
    /// The directory.
    path: HostPath,
}

impl Read for List {
    const NAME: &'static str = "list";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        Ok(system.list(self.path.path())?.into())
    }
}

/// An account: `name`, `uid`, `group`, `groups` it is in beside that one,
/// `comment`, `home` and `shell`; `()` if there is none.
#[derive(Deserialize, JsonSchema)]
pub struct User {
    /// Its name.
    name: String,
}

impl Read for User {
    const NAME: &'static str = "user";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        let mut users = system.users()?.into_iter();
        let Some(user) = users.find(|user| user.name == self.name) else {
            return Ok(Value::Null);
        };
        let groups = system.groups()?.into_iter();
        let of_user = |group: &system::Group| group.members.contains(&self.name);
        let groups: Vec<_> = groups.filter(of_user).map(|group| group.name).collect();
        Ok(json!({
            "name": user.name, "uid": number(user.uid, &format!("user {}", self.name)),
            "group": user.group, "groups": groups, "comment": user.comment,
            "home": user.home.display().to_string(), "shell": user.shell,
        }))
    }
}

/// A group: `name`, `gid` and `members`; `()` if there is none.
#[derive(Deserialize, JsonSchema)]
pub struct Group {
    /// Its name.
    name: String,
}

impl Read for Group {
    const NAME: &'static str = "group";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        let mut groups = system.groups()?.into_iter();
        let told = |group: system::Group| {
            let gid = number(group.gid, &format!("group {}", group.name));
            json!({ "name": group.name, "gid": gid, "members": group.members })
        };
        Ok(groups
            .find(|group| group.name == self.name)
            .map_or(Value::Null, told))
    }
}

/// A package: its `version`, and whether it is `held`; `()` unless it is
/// installed.
#[derive(Deserialize, JsonSchema)]
pub struct Package {
    /// Its name.
    name: String,
}

impl Read for Package {
    const NAME: &'static str = "package";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        let mut packages = system.packages(std::slice::from_ref(&self.name))?;
        let installed = |package: &system::Package| {
            matches!(
                package.state,
                PackageState::Installed | PackageState::Unfinished
            )
        };
        let package = packages.remove(&self.name).filter(installed);
        Ok(package.map_or(
            Value::Null,
            |package| json!({ "version": package.version, "held": package.held }),
        ))
    }
}

/// A systemd unit: whether it is `active`, `enabled` and `masked`, systemd's
/// own words `active_state` and `file_state`, and whether its files changed
/// since systemd read them, `needs_reload`; `()` if there is none.
#[derive(Deserialize, JsonSchema)]
pub struct Unit {
    /// Its name; a service if it has no suffix.
    name: String,
}

impl Read for Unit {
    const NAME: &'static str = "unit";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        let told = |unit: system::Unit| {
            json!({
                "active": unit.active, "enabled": unit.enabled(), "masked": unit.masked(),
                "active_state": unit.active_state, "file_state": unit.file_state,
                "needs_reload": unit.needs_reload,
            })
        };
        let unit = system.unit(&full_name(&self.name), &Scope::System)?;
        Ok(answer(unit.map(told)))
    }
}

/// The text of a user's crontab; `()` if there is none.
#[derive(Deserialize, JsonSchema)]
pub struct Crontab {
    /// The user.
    user: String,
}

impl Read for Crontab {
    const NAME: &'static str = "crontab";
    const POSITIONAL: &'static [&'static str] = &["user"];

    fn read(&self, system: &dyn System) -> Result<Value> {
        Ok(answer(system.crontab(&self.user)?))
    }
}
