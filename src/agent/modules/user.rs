//! Accounts of the host.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::arguments::OneOrMany;
use super::place;
use crate::effect::{Account, Effect};
use crate::mark;
use crate::module::{Module, Result};
use crate::password::{HIDDEN, PasswordHash};
use crate::state::{Attribute, Diff, State};
use crate::system::{self, Found, Reads, System, skeleton};

mod checks;

mod expiry;

mod groups;

mod ssh_key;

pub use self::expiry::Expiry;

/// Keeps an account: its number, groups, home directory, shell and password.
///
/// What is not given is left to the system, or as it is.
///
/// ```rhai
/// user("deploy", #{ groups: ["sudo"], append: true, shell: "/bin/bash" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct User {
    /// The login name.
    #[schemars(extend("x-alias" = ["user"]))]
    name: String,
    /// Whether it shall be there.
    #[serde(default)]
    state: UserState,
    /// The user's number.
    uid: Option<u32>,
    /// Whether another user may have the same number.
    #[serde(default)]
    non_unique: bool,
    /// The primary group, by name or number. A new user gets one of the same
    /// name if not given.
    group: Option<String>,
    /// All other groups, by name or number; the user leaves those that are not named, unless
    /// `append` is set.
    groups: Option<OneOrMany<String>>,
    /// Whether the user stays in groups that are not named.
    #[serde(default)]
    append: bool,
    /// The comment, usually the full name.
    comment: Option<String>,
    /// The home directory.
    #[schemars(extend("x-kind" = "path"))]
    home: Option<PathBuf>,
    /// Whether a missing home directory is made, with what new users get.
    #[serde(default = "super::arguments::yes")]
    #[schemars(extend("x-alias" = ["createhome"]))]
    create_home: bool,
    /// Whether the old home directory is moved to a new `home`.
    #[serde(default)]
    move_home: bool,
    /// The login shell.
    #[schemars(extend("x-kind" = "path"))]
    shell: Option<String>,
    /// The hash of the password, as `openssl passwd -6` prints it. It is never
    /// shown.
    #[schemars(extend("x-secret" = true))]
    password: Option<String>,
    /// Whether the password of a user who is there already is set too.
    #[serde(default)]
    update_password: UpdatePassword,
    /// Whether the password is locked; keys still let the user in.
    password_lock: Option<bool>,
    /// Whether a new user's number comes from the system's range.
    #[serde(default)]
    system: bool,
    /// The last day of the account: `"2030-12-31"`, `"never"`, or a number of
    /// days (or seconds) since 1970.
    expires: Option<Expiry>,
    /// Whether the user gets an SSH key without passphrase, unless there is one;
    /// the result's `ssh_public_key` is its public half.
    #[serde(default)]
    generate_ssh_key: bool,
    /// The kind of that key, such as `ed25519`.
    #[serde(default = "rsa")]
    ssh_key_type: String,
    /// The bits of that key, where its kind has several sizes.
    ssh_key_bits: Option<u32>,
    /// The comment of that key; user and host if not given.
    ssh_key_comment: Option<String>,
    /// Where that key is, below the home directory; `.ssh/id_` and its kind if
    /// not given.
    #[schemars(extend("x-kind" = "path"))]
    ssh_key_file: Option<PathBuf>,
    /// Whether the home directory goes with the user.
    #[serde(default)]
    remove: bool,
    /// Whether a user goes even while logged in.
    #[serde(default)]
    force: bool,
    /// `groups` by name, once those given by number were looked up.
    #[serde(skip)]
    #[schemars(skip)]
    named: OnceCell<Vec<String>>,
}

/// As Ansible has it: a host that it set up keeps its key.
fn rsa() -> String {
    "rsa".to_owned()
}

/// Whether a user shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum UserState {
    /// The user is there.
    #[default]
    Present,
    /// The user is not there.
    Absent,
}

/// When a password is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdatePassword {
    /// Whenever it is another one.
    #[default]
    Always,
    /// For a new user only.
    OnCreate,
}

/// What a password is shown as once it is the one asked for.
const SET: &str = "(hidden, changed)";

/// A home directory that must not exist (Debian Policy 9.2.3).
const NO_HOME: &str = "/nonexistent";

const HOME_DIRECTORY: &str = "home directory";

impl Module for User {
    const NAME: &'static str = "user";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        self.refuse_nonsense(&system.secrets())?;
        self.name_groups(system)?;
        let Some(user) = self.account(system)? else {
            return Ok(State::new().with("state", "absent"));
        };
        let mut state = State::new()
            .with("state", "present")
            .with("group", user.group.as_str())
            .with("groups", self.other_groups(&user, system)?)
            .with("comment", user.comment.as_str())
            .with("home", user.home.display().to_string())
            .with(HOME_DIRECTORY, home_directory(&user, system)?)
            .with("shell", user.shell.as_str())
            .with("expires", Expiry::of_shadow(user.expires).to_string());
        match user.uid {
            Some(uid) => state.set("uid", uid),
            None => state.set_unknown("uid", format!("the new user {}", self.name)),
        }
        self.set_key(&mut state, &user, system)?;
        self.set_password(&mut state, user.password.as_ref());
        self.set_wanted_group(&mut state, &user.group, system)?;
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        if self.state == UserState::Absent {
            return Ok(State::new().with("state", "absent"));
        }
        let new = found.text("state") == Some("absent");
        let mut wanted = State::new().with("state", "present");
        wanted.set_some("uid", self.uid);
        wanted.set_some("group", self.group.as_deref());
        wanted.set_some("comment", self.comment.as_deref());
        wanted.set_some(
            "home",
            self.home.as_ref().map(|home| home.display().to_string()),
        );
        wanted.set_some("shell", self.shell.as_deref());
        wanted.set_some("expires", self.expires.map(|day| day.to_string()));
        wanted.set_some("groups", self.wanted_groups(found));
        if self.create_home {
            wanted.set(HOME_DIRECTORY, "there");
        }
        if self.generate_ssh_key {
            wanted.set(ssh_key::KEY, "there");
        }
        if self.password.is_some() && (new || self.update_password == UpdatePassword::Always) {
            wanted.set("password", SET);
        }
        wanted.set_some("password locked", self.password_lock);
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let name = self.name.clone();
        if self.state == UserState::Absent {
            let effect = Effect::RemoveUser {
                name,
                remove_home: self.remove,
                force: self.force,
            };
            return system.perform(effect).map(drop);
        }
        if diff.has("state") {
            self.add(system)?;
            return self.make_key(system);
        }
        let account = self.changes(diff, system)?;
        if account != Account::default() {
            let name = name.clone();
            system.perform(Effect::ChangeUser { name, account })?;
        }
        self.make_home(system)?;
        self.make_key(system)?;
        if diff.has("password") || diff.has("password locked") {
            let account = Account {
                password: diff.has("password").then(|| self.hash()).flatten(),
                locked: self.password_lock,
                ..Account::default()
            };
            system.perform(Effect::ChangeUser { name, account })?;
        }
        Ok(())
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let value = |name: &&str| {
            let value = match state.get(name)? {
                Attribute::Value(value) => value.clone(),
                Attribute::Unknown(origin) => Value::from(mark::unknown(origin)),
                Attribute::Content(_) => return None,
            };
            Some(((*name).to_owned(), value))
        };
        ["uid", "group", "groups", "home", "shell", ssh_key::PUBLIC]
            .iter()
            .filter_map(value)
            .collect()
    }
}

impl User {
    fn account(&self, reads: &dyn System) -> Result<Option<system::User>> {
        reads.user(&self.name)
    }

    fn hash(&self) -> Option<PasswordHash> {
        self.password.as_deref().map(PasswordHash::new)
    }

    /// The password is hidden; what differs is only that it is another one.
    fn set_password(&self, state: &mut State, found: Option<&PasswordHash>) {
        let same = match (self.hash(), found) {
            (Some(wanted), Some(found)) => wanted.is_of_same_password(found),
            _ => false,
        };
        state.set("password", if same { SET } else { HIDDEN });
        let locked = found.is_some_and(|found| match self.password_lock {
            // Without a password there is nothing to unlock.
            Some(false) => found.locked() == Some(true),
            _ => found.has_lock(),
        });
        state.set("password locked", locked);
    }

    fn add(&self, system: &mut dyn System) -> Result<()> {
        let account = Account {
            uid: self.uid,
            group: self.group.clone(),
            groups: self.named_groups(&State::new()),
            comment: self.comment.clone(),
            home: self.home.clone(),
            create_home: self.create_home,
            shell: self.shell.clone(),
            password: self.hash(),
            locked: self.password_lock.filter(|&lock| lock),
            system: self.system,
            expires: self.expires.map(Expiry::days),
            non_unique: self.non_unique,
        };
        let name = self.name.clone();
        system.perform(Effect::AddUser { name, account }).map(drop)
    }

    /// What changes of a user who is there, but for the password.
    fn changes(&self, diff: &Diff, system: &dyn System) -> Result<Account> {
        let found = self.found(system)?;
        let uid = self.uid.filter(|_| diff.has("uid"));
        Ok(Account {
            uid,
            non_unique: uid.is_some() && self.non_unique,
            group: self.group.clone().filter(|_| diff.has("group")),
            groups: self.named_groups(&found).filter(|_| diff.has("groups")),
            comment: self.comment.clone().filter(|_| diff.has("comment")),
            home: self.home.clone().filter(|_| diff.has("home")),
            create_home: self.move_home && diff.has("home"),
            shell: self.shell.clone().filter(|_| diff.has("shell")),
            expires: self
                .expires
                .filter(|_| diff.has("expires"))
                .map(Expiry::days),
            ..Account::default()
        })
    }

    /// The home directory of a user who is there may be missing still.
    fn make_home(&self, system: &mut dyn System) -> Result<()> {
        let Some(user) = self.account(system)? else {
            return Ok(());
        };
        if !self.create_home || home_directory(&user, system)? == "there" {
            return Ok(());
        }
        for effect in skeleton::home(&user, reads(system))? {
            system.perform(effect)?;
        }
        Ok(())
    }
}

fn reads(system: &dyn System) -> &dyn Reads {
    system
}

fn home_directory(user: &system::User, system: &dyn System) -> Result<&'static str> {
    let absent = system.stat(&place::follow_any(system, &user.home)?)? == Found::Absent;
    Ok(match absent && user.home != Path::new(NO_HOME) {
        true => "missing",
        false => "there",
    })
}

#[cfg(test)]
mod tests;
