//! Jobs and variables of crontabs: those of users, and the files in
//! /etc/cron.d.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::schedule::{SpecialTime, TimeField};
use self::table::Table;
use super::place;
use crate::content::Content;
use crate::effect::{Attributes, Effect};
use crate::mark;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Attribute, Diff, State};
use crate::system::{Found, System};

mod line;

mod schedule;

mod table;

/// Keeps a job, or a variable, in a crontab; the rest of the table stays as it
/// is.
///
/// A job is known by its name, in the comment that Ansible writes above it:
/// what Ansible made is taken over, and the same job without a name gets it.
///
/// ```rhai
/// cron("backup", "/usr/local/bin/backup", #{ at: "0 3 * * *" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Cron {
    /// The job's name, or the variable's.
    name: String,
    /// The command, or the variable's value. A `%` stands for a line end
    /// unless written `\%`.
    #[schemars(extend("x-alias" = ["value"]))]
    job: Option<String>,
    /// Whose crontab it is, the agent's own user if not given; in a
    /// `cron_file`, who runs the job.
    user: Option<String>,
    /// A file instead of a user's crontab; a name without a path is in
    /// /etc/cron.d. It is removed with its last job.
    #[schemars(extend("x-kind" = "path"))]
    cron_file: Option<PathBuf>,
    /// Whether it shall be there.
    #[serde(default)]
    state: CronState,
    /// The whole schedule in one: `"0 3 * * *"` or `"@daily"`.
    at: Option<String>,
    /// The minutes, 0 to 59; every one if not given.
    minute: Option<TimeField>,
    /// The hours, 0 to 23; every one if not given.
    hour: Option<TimeField>,
    /// The days of the month, 1 to 31; every one if not given.
    #[schemars(extend("x-alias" = ["dom"]))]
    day: Option<TimeField>,
    /// The months, 1 to 12 or `jan` to `dec`; every one if not given.
    month: Option<TimeField>,
    /// The days of the week, 0 (Sunday) to 7 or `sun` to `sat`; every one if
    /// not given.
    #[schemars(extend("x-alias" = ["dow"]))]
    weekday: Option<TimeField>,
    /// A word for the whole schedule.
    special_time: Option<SpecialTime>,
    /// Whether the job is kept but does not run.
    #[serde(default)]
    disabled: bool,
    /// Whether it is a variable, not a job.
    #[serde(default)]
    env: bool,
    /// The variable below which a new one goes.
    insertafter: Option<String>,
    /// The variable above which a new one goes.
    insertbefore: Option<String>,
    /// Whether to keep a copy of a table that changes: of a file beside it, of
    /// a user's crontab in /var/backups.
    #[serde(default)]
    backup: bool,
}

/// Whether something shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CronState {
    /// It is there.
    #[default]
    Present,
    /// It is not there.
    Absent,
}

/// Where the table is.
enum Place {
    User(String),
    File(PathBuf),
}

const TABLE: &str = "crontab";
const FILES: &str = "/etc/cron.d";
const BACKUPS: &str = "/var/backups";

impl Module for Cron {
    const NAME: &'static str = "cron";
    const POSITIONAL: &'static [&'static str] = &["name", "job"];

    fn title(&self) -> String {
        let place = match (&self.cron_file, &self.user) {
            (Some(file), _) => Path::new(FILES).join(file).display().to_string(),
            (None, Some(user)) => user.clone(),
            (None, None) => return self.name.clone(),
        };
        format!("{} ({place})", self.name)
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        let mut state = State::new();
        match self.read(system)? {
            Found::Absent => state.set(TABLE, Value::Null),
            Found::Present(table) => state.set_content(TABLE, Content::of(table.as_bytes())),
            Found::Unknown(origin) => {
                let table = format!("{}\n", mark::unknown(&origin));
                state.set_content(TABLE, Content::of(table.as_bytes()));
            }
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let found = match found.get(TABLE) {
            Some(Attribute::Content(content)) => Some(text_of(content)?),
            _ => None,
        };
        let mut wanted = State::new();
        match (self.edited(found.unwrap_or_default())?, found) {
            (Some(table), None) if table.is_empty() => {}
            (Some(table), _) => wanted.set_content(TABLE, Content::of(table.as_bytes())),
            (None, _) => wanted.set(TABLE, Value::Null),
        }
        Ok(wanted)
    }

    fn fix(&self, _: &Diff, system: &mut dyn System) -> Result<()> {
        let found = self.found(system)?;
        let wanted = self.wanted(&found)?;
        let table = match wanted.get(TABLE) {
            Some(Attribute::Content(content)) => Some(content.clone()),
            _ => None,
        };
        let place = self.place(system)?;
        let old = match found.get(TABLE) {
            Some(Attribute::Content(content)) if self.backup => Some(content.clone()),
            _ => None,
        };
        if let (Some(old), Place::User(user)) = (&old, &place) {
            keep_copy(user, old, system)?;
        }
        let effect = match (place, table) {
            (Place::User(user), table) => Effect::WriteCrontab {
                user,
                content: table.map(|table| table.text.unwrap_or_default()),
            },
            (Place::File(path), None) => Effect::Remove { path },
            (Place::File(path), Some(content)) => Effect::WriteFile {
                backup: old.map(|_| place::backup_path(&path, system.now())),
                attributes: new_file_attributes(&path, system)?,
                path,
                content,
                validate: None,
            },
        };
        system.perform(effect).map(drop)
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let table = match state.get(TABLE) {
            Some(Attribute::Content(content)) => content.text.as_deref().unwrap_or_default(),
            _ => "",
        };
        let table = Table::parse(table);
        let values = [("jobs", table.jobs()), ("envs", table.variables())];
        let values = values.map(|(name, list)| (name.to_owned(), Value::from(list)));
        values.into_iter().collect()
    }
}

impl Cron {
    fn place(&self, system: &dyn System) -> Result<Place> {
        let Some(file) = &self.cron_file else {
            return Ok(Place::User(match &self.user {
                Some(user) => user.clone(),
                None => system.me()?.name,
            }));
        };
        let path = Path::new(FILES).join(file);
        if path == Path::new("/etc/crontab") {
            return Err(Failure::new("/etc/crontab belongs to the system")
                .hint("Name a file of your own, which goes to /etc/cron.d."));
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if self.state == CronState::Present
            && path.parent() == Some(Path::new(FILES))
            && !name.chars().all(plain)
        {
            return Err(Failure::new(format!("cron ignores a file named {name}"))
                .hint("Use letters, digits, `_` and `-` only: a dot is not allowed there."));
        }
        Ok(Place::File(path))
    }

    fn read(&self, system: &dyn System) -> Result<Found<String>> {
        let path = match self.place(system)? {
            Place::User(user) => return system.crontab(&user),
            Place::File(path) => path,
        };
        Ok(match system.content(&path)? {
            Found::Absent => Found::Absent,
            Found::Unknown(origin) => Found::Unknown(origin),
            Found::Present(content) => Found::Present(text_of(&content)?.to_owned()),
        })
    }

    /// The table as it shall be; nothing if the file goes.
    fn edited(&self, text: &str) -> Result<Option<String>> {
        let mut table = Table::parse(text);
        match (self.env, self.state) {
            (false, CronState::Present) => table.set_job(self.job_name()?, &self.line()?),
            (false, CronState::Absent) => {
                let removed = table.remove_job(self.job_name()?);
                if removed && self.cron_file.is_some() && table.is_blank() {
                    return Ok(None);
                }
            }
            (true, CronState::Present) => {
                table.set_variable(self.variable()?, self.command()?, self.position()?)?;
            }
            (true, CronState::Absent) => table.remove_variable(self.variable()?),
        }
        Ok(Some(table.text()))
    }
}

fn text_of(content: &Content) -> Result<&str> {
    let text = content.text.as_deref();
    text.ok_or_else(|| Failure::new("the crontab is no text, or far too long"))
}

/// A new file gets 0644; one that is there keeps what it has.
fn new_file_attributes(path: &Path, system: &dyn System) -> Result<Attributes> {
    let new = system.stat(path)? == Found::Absent;
    Ok(Attributes {
        mode: new.then_some(0o644),
        ..Attributes::default()
    })
}

/// Crontabs are private, and so is a copy of one.
fn keep_copy(user: &str, table: &Content, system: &mut dyn System) -> Result<()> {
    let directory = Path::new(BACKUPS);
    if system.stat(directory)? == Found::Absent {
        system.perform(Effect::MakeDirectory {
            path: directory.to_owned(),
            attributes: Attributes::default(),
        })?;
    }
    let file = directory.join(format!("crontab.{user}"));
    let effect = Effect::WriteFile {
        path: place::backup_path(&file, system.now()),
        content: table.clone(),
        attributes: Attributes {
            mode: Some(0o600),
            ..Attributes::default()
        },
        backup: None,
        validate: None,
    };
    system.perform(effect).map(drop)
}

#[cfg(test)]
mod tests;
