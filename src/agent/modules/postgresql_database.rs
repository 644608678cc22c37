//! Databases of a PostgreSQL server.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::postgresql::sql::{check_name, literal};
use super::postgresql::{Change, DATABASE, ROLE, Server};
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::resource::{Known, Properties, Resource};
use crate::state::{Diff, State};
use crate::system::{Found, System};

mod statements;

/// Keeps a database of a PostgreSQL server, with its owner.
///
/// What is not given is left to the server, or as it is. Encoding and locale
/// are of a database's first day: one that is there with others is refused.
///
/// ```rhai
/// postgresql_user("app");
/// postgresql_database("app", #{ owner: "app", encoding: "UTF8", template: "template0" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct PostgresqlDatabase {
    /// The database's name.
    #[schemars(extend("x-alias" = ["db"]))]
    name: String,
    /// Whether it shall be there.
    #[serde(default)]
    state: DatabaseState,
    /// The role it belongs to.
    owner: Option<String>,
    /// The database it is made from; `template0` where encoding or locale are
    /// not those of the server.
    template: Option<String>,
    /// The encoding of its texts, such as `UTF8`.
    encoding: Option<String>,
    /// The locale its texts are sorted by.
    lc_collate: Option<String>,
    /// The locale that says what a letter is.
    lc_ctype: Option<String>,
    /// How many connections it takes at once; -1 for any number.
    #[schemars(extend("x-alias" = ["conn_limit"]))]
    connection_limit: Option<i32>,
    /// The comment.
    comment: Option<String>,
    /// Whether it is removed even while somebody is connected, whose session
    /// then ends. It needs PostgreSQL 13.
    #[serde(default)]
    force: bool,
    #[serde(flatten)]
    server: Server,
}

/// Whether a database shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DatabaseState {
    /// It is there.
    #[default]
    Present,
    /// It is not there, nor is anything that it held.
    Absent,
}

/// What a database has from its first day, and no statement changes.
const FIXED: [&str; 3] = ["encoding", "lc_collate", "lc_ctype"];

impl Module for PostgresqlDatabase {
    const NAME: &'static str = "postgresql_database";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        check_name("database", &self.name)?;
        let found = self.read(system)?;
        let mut state = State::new();
        match found {
            Found::Absent => state.set("state", "absent"),
            Found::Present(known) => {
                state.set("state", "present");
                for (name, wanted) in self.asked() {
                    match known.properties.get(&name) {
                        Some(value) if same(&name, value, &wanted) => state.set(&name, wanted),
                        Some(value) => state.set(&name, value.clone()),
                        None => state.set_unknown(&name, format!("the database {}", self.name)),
                    }
                }
            }
            Found::Unknown(origin) => {
                for name in self.asked().keys() {
                    state.set_unknown(name, origin.clone());
                }
                state.set_unknown("state", origin);
            }
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        if self.state == DatabaseState::Absent {
            return Ok(State::new().with("state", "absent"));
        }
        let mut wanted = State::new().with("state", "present");
        for (name, value) in self.asked() {
            self.refuse_other(&name, found, &value)?;
            wanted.set(&name, value);
        }
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let found = self.read(system)?;
        if let Found::Unknown(origin) = &found {
            let name = &self.name;
            system.assume(&format!("The database {name} is not there yet: {origin}."));
        }
        let before = found.present().map(|known| known.properties);
        let change = match (self.state, before) {
            (DatabaseState::Absent, None) => return Ok(()),
            (DatabaseState::Absent, before) => Change {
                before,
                after: None,
                sql: statements::remove(&self.name, self.force),
                secret: None,
                undo: None,
            },
            (DatabaseState::Present, before) => {
                self.need_owner(diff, system)?;
                let change = self.change(before);
                if change.before == change.after {
                    return Ok(());
                }
                change
            }
        };
        self.server.change(self.resource(), change, system)
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let there = state.text("state") == Some("present");
        Map::from_iter([("present".to_owned(), there.into())])
    }
}

impl PostgresqlDatabase {
    fn resource(&self) -> Resource {
        self.server.resource(DATABASE, &self.name)
    }

    fn read(&self, system: &dyn System) -> Result<Found<Known>> {
        let question = statements::question(&self.name);
        self.server
            .read(&self.resource(), &question, understand, system)
    }

    /// The attributes that are asked for.
    fn asked(&self) -> Properties {
        let texts = [
            ("owner", &self.owner),
            ("encoding", &self.encoding),
            ("lc_collate", &self.lc_collate),
            ("lc_ctype", &self.lc_ctype),
            ("comment", &self.comment),
        ];
        let given = |(name, text): (&str, &Option<String>)| {
            Some((name.to_owned(), Value::from(text.as_deref()?)))
        };
        let mut asked: Properties = texts.into_iter().filter_map(given).collect();
        if let Some(limit) = self.connection_limit {
            asked.insert("connection_limit".into(), limit.into());
        }
        asked
    }

    fn refuse_other(&self, name: &str, found: &State, wanted: &Value) -> Result<()> {
        match found.value(name) {
            Some(value) if FIXED.contains(&name) && value != wanted => Err(Failure::new(format!(
                "the database {} has the {name} {}, not {}, and that cannot be changed",
                self.name,
                value.as_str().unwrap_or_default(),
                wanted.as_str().unwrap_or_default()
            ))
            .hint("Dump it, remove it, and let it be made anew; or ask for what it has.")),
            _ => Ok(()),
        }
    }

    /// The server would refuse an owner that it does not have.
    fn need_owner(&self, diff: &Diff, system: &dyn System) -> Result<()> {
        let Some(owner) = self.owner.as_deref().filter(|_| diff.has("owner")) else {
            return Ok(());
        };
        let role = self.server.resource(ROLE, owner);
        let question = format!(
            "SELECT '{{}}'::json FROM pg_roles WHERE rolname = {};",
            literal(owner)
        );
        match self.server.read(&role, &question, understand, system)? {
            Found::Absent => Err(
                Failure::new(format!("the role {owner} does not exist")).hint(format!(
                    "Add it first, with `postgresql_user(\"{owner}\")`."
                )),
            ),
            Found::Present(_) | Found::Unknown(_) => Ok(()),
        }
    }

    fn change(&self, before: Option<Properties>) -> Change {
        let mut after = before.clone().unwrap_or_default();
        if before.is_none() {
            after.insert("connection_limit".into(), (-1).into());
            after.insert("comment".into(), "".into());
        }
        after.extend(self.asked());
        let sql = match &before {
            None => statements::create(&self.name, self.template.as_deref(), &after),
            Some(before) => statements::alter(&self.name, before, &after),
        };
        let undo = match &before {
            None => statements::remove(&self.name, false),
            Some(before) => statements::alter(&self.name, &after, before),
        };
        Change {
            before,
            after: Some(after),
            sql,
            secret: None,
            undo: Some(undo),
        }
    }
}

fn understand(answer: Value) -> Result<Known> {
    match answer {
        Value::Object(fields) => Ok(Known {
            properties: fields.into_iter().collect(),
            secret: None,
        }),
        other => Err(Failure::new(format!(
            "psql answered {other} for a database"
        ))),
    }
}

/// Whether two values mean the same: encodings, also those of locales, have
/// several spellings (`UTF8`, `utf-8`).
fn same(name: &str, one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        let (language, encoding) = match name {
            "encoding" => ("", text),
            _ => text.split_at(text.find('.').unwrap_or(text.len())),
        };
        let letters = encoding.chars().filter(char::is_ascii_alphanumeric);
        let letters: String = letters.flat_map(char::to_lowercase).collect();
        (language.to_owned(), letters)
    };
    one == other || (FIXED.contains(&name) && plain(one) == plain(other))
}

#[cfg(test)]
mod tests;
