//! Roles of a PostgreSQL server.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::arguments::OneOrMany;
use super::postgresql::sql::check_name;
use super::postgresql::{Change, ROLE, Server, verifier};
use super::user::{Expiry, UpdatePassword};
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::password::HIDDEN;
use crate::resource::{Known, Properties, Resource};
use crate::state::{Diff, State};
use crate::system::{Found, System};

mod attributes;

mod belongings;

mod statements;

use self::attributes::FLAGS;

/// Keeps a role of a PostgreSQL server: its rights, password and memberships.
///
/// What is not given is left to the server, or as it is. A password in clear
/// is turned into a SCRAM verifier on the host, so that the server, its log
/// and the plan never see it.
///
/// ```rhai
/// postgresql_user("app", #{ createdb: true, connection_limit: 50 });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct PostgresqlUser {
    /// The role's name.
    #[schemars(extend("x-alias" = ["user", "role"]))]
    name: String,
    /// Whether it shall be there. One that owns something is not removed.
    #[serde(default)]
    state: RoleState,
    /// The password: in clear, or what PostgreSQL keeps of one
    /// (`SCRAM-SHA-256$…`, `md5…`); an empty one takes it away. It is never
    /// shown.
    #[schemars(extend("x-secret" = true))]
    password: Option<String>,
    /// Whether the password of a role that is there already is set too.
    #[serde(default)]
    update_password: UpdatePassword,
    /// Whether it may log in; a new role may, if not given.
    login: Option<bool>,
    /// Whether it may do everything.
    superuser: Option<bool>,
    /// Whether it may make databases.
    createdb: Option<bool>,
    /// Whether it may make roles.
    createrole: Option<bool>,
    /// Whether it may replicate.
    replication: Option<bool>,
    /// Whether it has the rights of the roles it is a member of.
    inherit: Option<bool>,
    /// Whether row security is not for it.
    bypassrls: Option<bool>,
    /// The same rights as Ansible writes them: `"CREATEDB,NOSUPERUSER"`.
    role_attr_flags: Option<String>,
    /// How many connections it may have at once; -1 for any number.
    #[schemars(extend("x-alias" = ["conn_limit"]))]
    connection_limit: Option<i32>,
    /// From which day on its password is not taken any more, in UTC:
    /// `"2030-12-31"`, `"never"`, or a number of days (or seconds) since 1970.
    expires: Option<Expiry>,
    /// All roles it is a member of; it leaves those that are not named.
    member_of: Option<OneOrMany<String>>,
    /// The comment.
    comment: Option<String>,
    /// Settings of its sessions, such as `#{ search_path: ["app", "public"] }`;
    /// `()` takes one away, and those that are not named stay.
    configuration: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    server: Server,
}

/// Whether a role shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RoleState {
    /// It is there.
    #[default]
    Present,
    /// It is not there.
    Absent,
}

/// What a password is shown as once it is the one asked for.
const SET: &str = "(hidden, changed)";

impl Module for PostgresqlUser {
    const NAME: &'static str = "postgresql_user";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        self.refuse_nonsense()?;
        let state = match self.read(system)? {
            Found::Absent => State::new().with("state", "absent"),
            Found::Present(known) => self.state_of(&known, system)?,
            Found::Unknown(origin) => {
                let mut state = State::new();
                for name in self.asked(true)?.keys().map(String::as_str) {
                    state.set_unknown(name, origin.clone());
                }
                state.set_unknown("state", origin);
                state
            }
        };
        self.refuse_what_cannot_go(&state, system)?;
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        if self.state == RoleState::Absent {
            return Ok(State::new().with("state", "absent"));
        }
        let new = found.text("state") != Some("present");
        let mut wanted = State::new().with("state", "present");
        for (name, value) in self.asked(new)? {
            wanted.set(&name, value);
        }
        if self.password.is_some() && (new || self.update_password == UpdatePassword::Always) {
            wanted.set("password", SET);
        }
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let found = self.read(system)?;
        if let Found::Unknown(origin) = &found {
            let name = &self.name;
            system.assume(&format!("The role {name} is not there yet: {origin}."));
        }
        let known = found.present();
        let before = known.map(|known| known.properties);
        let change = match (self.state, before) {
            (RoleState::Absent, None) => return Ok(()),
            (RoleState::Absent, before) => Change {
                before,
                after: None,
                sql: statements::remove(&self.name),
                secret: None,
                undo: None,
            },
            (RoleState::Present, before) => self.change(diff, before, system)?,
        };
        if change.before == change.after && change.secret.is_none() {
            return Ok(());
        }
        self.server.change(self.resource(), change, system)
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let mut values = Map::new();
        values.insert(
            "present".into(),
            (state.text("state") == Some("present")).into(),
        );
        values
    }
}

impl PostgresqlUser {
    fn resource(&self) -> Resource {
        self.server.resource(ROLE, &self.name)
    }

    fn read(&self, system: &dyn System) -> Result<Found<Known>> {
        let question = statements::question(&self.name, self.password.is_some());
        let understand = |value| attributes::understand(value);
        self.server
            .read(&self.resource(), &question, understand, system)
    }

    fn state_of(&self, known: &Known, system: &dyn System) -> Result<State> {
        let mut state = State::new().with("state", "present");
        for name in self.asked(true)?.keys() {
            match attributes::get(&known.properties, name) {
                Some(value) => state.set(name, value),
                None => state.set_unknown(name, format!("the role {}", self.name)),
            }
        }
        if let Some(password) = self.plain_password(system) {
            let kept = known.secret.clone();
            let kept = kept.unwrap_or_else(|| crate::password::PasswordHash::new(""));
            let same = verifier::is_of(&kept, &password, &self.name);
            state.set("password", if same { SET } else { HIDDEN });
        }
        Ok(state)
    }

    fn change(
        &self,
        diff: &Diff,
        before: Option<Properties>,
        system: &dyn System,
    ) -> Result<Change> {
        let asked = self.asked(before.is_none())?;
        let start = before.clone().unwrap_or_else(attributes::of_new_role);
        let mut after = start.clone();
        for (name, value) in asked {
            attributes::set(&mut after, &name, value);
        }
        let secret = match self.plain_password(system) {
            Some(password) if diff.has("password") => Some(verifier::keep(&password)?),
            _ => None,
        };
        let new = before.is_none();
        let sql = statements::change(&self.name, new, &start, &after, secret.as_ref());
        let undo = match (new, &secret) {
            (true, _) => Some(statements::remove(&self.name)),
            // The old password is not kept.
            (false, Some(_)) => None,
            (false, None) => Some(statements::change(&self.name, false, &after, &start, None)),
        };
        Ok(Change {
            before,
            after: Some(after),
            sql,
            secret,
            undo,
        })
    }

    /// The password itself: what is kept of it has to be made of its value.
    fn plain_password(&self, system: &dyn System) -> Option<String> {
        let password = self.password.as_deref()?;
        Some(system.secrets().resolve(password).into_owned())
    }

    fn refuse_nonsense(&self) -> Result<()> {
        check_name("role", &self.name)?;
        for role in self.member_of.iter().flat_map(|roles| &roles.0) {
            check_name("role", role)?;
        }
        if let Some(flags) = &self.role_attr_flags {
            attributes::flags(flags)?;
        }
        match &self.password {
            Some(password) if password.contains('\0') => {
                Err(Failure::new("a password cannot hold a zero byte"))
            }
            _ => Ok(()),
        }
    }

    /// The attributes that are asked for, but for the password.
    fn asked(&self, new: bool) -> Result<Properties> {
        let mut asked = match &self.role_attr_flags {
            Some(flags) => attributes::flags(flags)?,
            None => Properties::new(),
        };
        let given = [
            self.login,
            self.superuser,
            self.createdb,
            self.createrole,
            self.replication,
            self.inherit,
            self.bypassrls,
        ];
        for ((name, _), given) in FLAGS.iter().zip(given) {
            if let Some(given) = given {
                asked.insert((*name).to_owned(), given.into());
            }
        }
        if new {
            asked.entry("login".to_owned()).or_insert(true.into());
        }
        if let Some(limit) = self.connection_limit {
            asked.insert("connection_limit".into(), limit.into());
        }
        if let Some(day) = self.expires {
            asked.insert("expires".into(), day.to_string().into());
        }
        if let Some(OneOrMany(roles)) = &self.member_of {
            let mut roles = roles.clone();
            roles.sort();
            roles.dedup();
            asked.insert("member_of".into(), roles.into());
        }
        if let Some(comment) = &self.comment {
            asked.insert("comment".into(), comment.as_str().into());
        }
        for (name, value) in self.configuration.iter().flatten() {
            let value = attributes::setting(name, value)?;
            asked.insert(format!("configuration.{}", name.to_lowercase()), value);
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests;
