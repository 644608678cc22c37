//! Who may connect to a PostgreSQL server: its `pg_hba.conf`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::rule::{Rule, RuleArguments};
use super::arguments::OneOrMany;
use super::place;
use super::postgresql::Server;
use crate::content::Content;
use crate::effect::{Attributes, Effect};
use crate::mark;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Attribute, Diff, State};
use crate::system::{Found, System};

mod rule;

mod table;

/// Keeps rules of a PostgreSQL server's `pg_hba.conf`, in their order.
///
/// The server takes the first rule that fits a connection. So the rules of a
/// call stand together, before all others or after them. What others wrote
/// stays, but for a rule of the same type, databases, users and address, which
/// gives way. The server reads the file when it is reloaded: notify a handler.
///
/// ```rhai
/// package("postgresql");
/// postgresql_pg_hba(#{
///     path: "/etc/postgresql/15/main/pg_hba.conf",
///     rules: [
///         #{ type: "local", users: "postgres", method: "peer" },
///         #{ type: "host", databases: "app", users: "app", address: "10.0.0.0/8", method: "scram-sha-256" },
///     ],
/// });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct PostgresqlPgHba {
    /// The rules, or one.
    rules: OneOrMany<RuleArguments>,
    /// The file; if not given, the one that the server says it reads, or that
    /// of the only cluster in `/etc/postgresql`.
    #[schemars(extend("x-kind" = "path", "x-alias" = ["dest"]))]
    path: Option<PathBuf>,
    /// Whether the rules shall be there.
    #[serde(default)]
    state: RulesState,
    /// Where they stand.
    #[serde(default)]
    position: Position,
    /// Whether the file holds these rules and nothing else, not even comments.
    #[serde(default)]
    overwrite: bool,
    /// Whether a copy of the old file is kept beside it.
    #[serde(default)]
    backup: bool,
    #[serde(flatten)]
    server: Server,
}

/// Whether rules shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RulesState {
    /// They are there.
    #[default]
    Present,
    /// No rule of the same type, databases, users and address is there.
    Absent,
}

/// Where rules stand among others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Position {
    /// Before all others, which they thus overrule.
    #[default]
    First,
    /// After all others, for connections that none of those fits.
    Last,
}

/// What Debian gives a new cluster's file.
const OWNER: &str = "postgres";
const MODE: u32 = 0o640;

impl Module for PostgresqlPgHba {
    const NAME: &'static str = "postgresql_pg_hba";
    const POSITIONAL: &'static [&'static str] = &["rules"];

    fn title(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => "pg_hba.conf".to_owned(),
        }
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        self.checked()?;
        let mut state = State::new();
        match self.file(system)? {
            Found::Present(path) => {
                state.set("path", path.display().to_string());
                match system.content(&path)? {
                    Found::Present(content) => state.set_content("content", content),
                    Found::Absent => {}
                    Found::Unknown(origin) => state.set_unknown("content", origin),
                }
            }
            Found::Unknown(origin) => {
                state.set_unknown("path", origin.clone());
                state.set_unknown("content", origin);
            }
            Found::Absent => {}
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut wanted = State::new();
        let text = text(found)?;
        if text.is_none() && self.state == RulesState::Absent {
            return Ok(wanted);
        }
        let edited = self.edited(text.as_deref().unwrap_or_default())?;
        if text.as_deref() != Some(&edited) {
            wanted.set_content("content", Content::of(edited.as_bytes()));
        }
        Ok(wanted)
    }

    fn fix(&self, _diff: &Diff, system: &mut dyn System) -> Result<()> {
        let Found::Present(path) = self.file(system)? else {
            system.assume("The rules are written once it is known where the server has them.");
            return Ok(());
        };
        let found = self.found(system)?;
        let text = text(&found)?;
        let edited = self.edited(text.as_deref().unwrap_or_default())?;
        let attributes = match text {
            Some(_) => Attributes::default(),
            None => Attributes {
                owner: Some(OWNER.to_owned()),
                group: Some(OWNER.to_owned()),
                mode: Some(MODE),
            },
        };
        let backup = self.backup && text.is_some();
        system
            .perform(Effect::WriteFile {
                backup: backup.then(|| place::backup_path(&path, system.now())),
                path,
                content: Content::of(edited.as_bytes()),
                attributes,
                validate: None,
            })
            .map(drop)
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let path = match state.get("path") {
            Some(Attribute::Value(path)) => path.clone(),
            Some(Attribute::Unknown(origin)) => mark::unknown(origin).into(),
            Some(Attribute::Content(_)) | None => Value::Null,
        };
        Map::from_iter([("path".to_owned(), path)])
    }
}

impl PostgresqlPgHba {
    /// The rules that are asked for.
    fn checked(&self) -> Result<Vec<Rule>> {
        let rules = self.rules.0.iter();
        rules
            .map(|rule| rule.checked(self.state == RulesState::Present))
            .collect()
    }

    fn edited(&self, text: &str) -> Result<String> {
        let rules = self.checked()?;
        Ok(match (self.state, self.overwrite) {
            (RulesState::Absent, _) => table::without(text, &rules),
            (RulesState::Present, true) => table::only(&rules),
            (RulesState::Present, false) => {
                table::with(text, &rules, self.position == Position::First)
            }
        })
    }

    /// The server's file.
    fn file(&self, system: &dyn System) -> Result<Found<PathBuf>> {
        if let Some(path) = &self.path {
            place::absolute(path)?;
            return place::follow(system, path).map(Found::Present);
        }
        let question = "SELECT to_json(current_setting('hba_file'));";
        let said = self.server.ask(question, system);
        if let Ok(Found::Present(Value::String(path))) = said {
            return place::follow(system, Path::new(&path)).map(Found::Present);
        }
        match (only_cluster(system)?, said) {
            (Some(path), _) => Ok(Found::Present(path)),
            (None, Ok(Found::Unknown(origin))) => Ok(Found::Unknown(origin)),
            (None, Ok(_)) => Err(Failure::new("the server does not say where its rules are")
                .hint("Give the file's path, with `path`.")),
            (None, Err(failure)) => Err(failure),
        }
    }
}

/// The rules of Debian's only cluster, if there is only one.
fn only_cluster(system: &dyn System) -> Result<Option<PathBuf>> {
    let top = Path::new("/etc/postgresql");
    let mut files = Vec::new();
    for version in system.list(top)? {
        for cluster in system.list(&top.join(&version))? {
            let file = top.join(&version).join(cluster).join("pg_hba.conf");
            if matches!(system.exists(&file)?, Found::Present(())) {
                files.push(file);
            }
        }
    }
    Ok(files.pop().filter(|_| files.is_empty()))
}

/// The text that was found: a mark, where it is not known; `None` for no file.
fn text(found: &State) -> Result<Option<String>> {
    match found.get("content") {
        None => Ok(None),
        Some(Attribute::Unknown(origin)) => Ok(Some(mark::unknown(origin) + "\n")),
        Some(Attribute::Content(content)) => match &content.text {
            Some(text) => Ok(Some(text.clone())),
            None => Err(Failure::new("the file that holds the rules is not a text")),
        },
        Some(Attribute::Value(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
