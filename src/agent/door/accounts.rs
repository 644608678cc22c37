//! Users, groups and crontabs.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Change;
use super::arguments::{HostPath, done};
use crate::effect::{Account, Effect};
use crate::module::Result;
use crate::password::PasswordHash;
use crate::system::System;

/// What an account is like.
#[derive(Deserialize, JsonSchema)]
struct Traits {
    /// Its number.
    uid: Option<u32>,
    /// Its primary group, by name or number.
    group: Option<String>,
    /// All groups it is in beside that one.
    groups: Option<Vec<String>>,
    /// The comment (GECOS) field.
    comment: Option<String>,
    /// The home directory.
    home: Option<HostPath>,
    /// The login shell.
    shell: Option<String>,
    /// The hash of the password.
    #[schemars(extend("x-secret" = true))]
    password: Option<String>,
    /// Whether the password is locked.
    locked: Option<bool>,
    /// The day the account expires, in days since 1970-01-01; -1 for never.
    expires: Option<i64>,
}

impl Traits {
    fn account(&self) -> Account {
        Account {
            uid: self.uid,
            group: self.group.clone(),
            groups: self.groups.clone(),
            comment: self.comment.clone(),
            home: self.home.as_ref().map(|home| home.0.clone()),
            shell: self.shell.clone(),
            password: self.password.as_deref().map(PasswordHash::new),
            locked: self.locked,
            expires: self.expires,
            ..Account::default()
        }
    }
}

/// Adds an account.
#[derive(Deserialize, JsonSchema)]
pub struct AddUser {
    /// Its name.
    name: String,
    #[serde(flatten)]
    traits: Traits,
    /// Whether to make the home directory.
    #[serde(default)]
    create_home: bool,
    /// Whether the number comes from the system's range.
    #[serde(default)]
    system: bool,
}

impl Change for AddUser {
    const NAME: &'static str = "add_user";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::AddUser {
            name: self.name.clone(),
            account: Account {
                create_home: self.create_home,
                system: self.system,
                ..self.traits.account()
            },
        };
        system.perform(effect).map(done)
    }
}

/// Changes an account; only what is given is changed.
#[derive(Deserialize, JsonSchema)]
pub struct ChangeUser {
    /// Its name.
    name: String,
    #[serde(flatten)]
    traits: Traits,
    /// Whether what the home directory holds moves along with it.
    #[serde(default)]
    move_home: bool,
}

impl Change for ChangeUser {
    const NAME: &'static str = "change_user";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::ChangeUser {
            name: self.name.clone(),
            account: Account {
                create_home: self.move_home,
                ..self.traits.account()
            },
        };
        system.perform(effect).map(done)
    }
}

/// Removes an account.
#[derive(Deserialize, JsonSchema)]
pub struct RemoveUser {
    /// Its name.
    name: String,
    /// Whether the home directory and the mail go too.
    #[serde(default)]
    remove_home: bool,
    /// Whether to remove it even while it is logged in.
    #[serde(default)]
    force: bool,
}

impl Change for RemoveUser {
    const NAME: &'static str = "remove_user";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::RemoveUser {
            name: self.name.clone(),
            remove_home: self.remove_home,
            force: self.force,
        };
        system.perform(effect).map(done)
    }
}

/// Adds a group.
#[derive(Deserialize, JsonSchema)]
pub struct AddGroup {
    /// Its name.
    name: String,
    /// Its number; the system chooses if not given.
    gid: Option<u32>,
    /// Whether the number comes from the system's range.
    #[serde(default)]
    system: bool,
}

impl Change for AddGroup {
    const NAME: &'static str = "add_group";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::AddGroup {
            name: self.name.clone(),
            gid: self.gid,
            system: self.system,
            non_unique: false,
        };
        system.perform(effect).map(done)
    }
}

/// Changes a group's number.
#[derive(Deserialize, JsonSchema)]
pub struct ChangeGroup {
    /// Its name.
    name: String,
    /// The new number.
    gid: u32,
}

impl Change for ChangeGroup {
    const NAME: &'static str = "change_group";
    const POSITIONAL: &'static [&'static str] = &["name", "gid"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::ChangeGroup {
            name: self.name.clone(),
            gid: self.gid,
            non_unique: false,
        };
        system.perform(effect).map(done)
    }
}

/// Removes a group.
#[derive(Deserialize, JsonSchema)]
pub struct RemoveGroup {
    /// Its name.
    name: String,
    /// Whether to remove it even while it is a user's primary group.
    #[serde(default)]
    force: bool,
}

impl Change for RemoveGroup {
    const NAME: &'static str = "remove_group";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::RemoveGroup {
            name: self.name.clone(),
            force: self.force,
        };
        system.perform(effect).map(done)
    }
}

/// Replaces a user's crontab; without a table it is removed.
#[derive(Deserialize, JsonSchema)]
pub struct WriteCrontab {
    /// The user.
    user: String,
    /// The whole table.
    table: Option<String>,
}

impl Change for WriteCrontab {
    const NAME: &'static str = "write_crontab";
    const POSITIONAL: &'static [&'static str] = &["user", "table"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::WriteCrontab {
            user: self.user.clone(),
            content: self.table.clone(),
        };
        system.perform(effect).map(done)
    }
}
