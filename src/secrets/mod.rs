//! Secrets: where they are kept, and what a run knows of them.
//!
//! Start at [`Secrets`]: an env file declares files ([`Secrets::declare`]),
//! scripts name what is in them and get marks ([`veza_agent::mark`]), and a
//! run that reaches real hosts opens the files ([`Secrets::unlock`]). A
//! sandbox knows secrets by name only, and needs no key.
//!
//! **Invariant:** a value is read in three places: by the template engine for
//! a filter that needs it, by a session for the host that needs it, and by
//! whatever looks for it in texts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use veza_agent::mark;
use veza_agent::outcome::Failure;
use veza_agent::secrets::{Secret, Table, check_length, names_in};

use crate::schema::closest;

mod trouble;

pub mod file;

pub mod vault;

pub mod ansible;

pub mod keys;

pub mod prompt;

mod derived;

mod heard;

pub use trouble::Trouble;

use file::{File, Opener};

/// What opens files of secrets.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Files with identities of age or SSH; the usual ones if none is given.
    pub identities: Vec<PathBuf>,
    /// A file with the password of `ansible-vault`.
    pub vault_password_file: Option<PathBuf>,
}

/// The secrets of a playbook; shared by all that deals with them.
#[derive(Default)]
pub struct Secrets(Mutex<State>);

#[derive(Default)]
struct State {
    /// The declared files, by their paths.
    files: Vec<(PathBuf, File)>,
    table: Arc<Table>,
    /// Whether the files are open.
    open: bool,
    /// Whether they stay closed: in a sandbox.
    by_name: bool,
    /// Secrets of the files that are too short to be hidden.
    too_short: BTreeSet<String>,
}

impl Secrets {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is known of them.
    pub fn table(&self) -> Arc<Table> {
        self.state().table.clone()
    }

    /// Takes in the names of a file; reads it once.
    ///
    /// # Errors
    /// When it is no file of secrets, or names what another one names too.
    pub fn declare(&self, id: &str, path: &Path) -> Result<(), Trouble> {
        let mut state = self.state();
        if state.files.iter().any(|(known, _)| known == path) {
            return Ok(());
        }
        let file = File::read(id, path)?;
        for name in file.names().unwrap_or_default() {
            let mut others = state.files.iter().map(|(_, other)| other);
            let has = |other: &&File| other.names().unwrap_or_default().contains(&name);
            if let Some(other) = others.find(has) {
                let message = format!("the secret \"{name}\" is in {} and in {id}", other.id);
                return Err(Trouble::new(message).help("Take it out of one of them."));
            }
        }
        state.files.push((path.to_owned(), file));
        Ok(())
    }

    /// Whether any file was declared.
    pub fn is_declared(&self) -> bool {
        !self.state().files.is_empty()
    }

    /// The mark of a secret of the declared files.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn mark(&self, name: &str) -> Result<String, Trouble> {
        let state = self.state();
        if state.too_short.contains(name) {
            return Err(too_short(name));
        }
        let names: Vec<_> = state.files.iter().map(|(_, file)| file.names()).collect();
        let hidden_names = names.iter().any(Option::is_none) && !state.open;
        let mut known = names.iter().flatten().flatten().copied();
        if !hidden_names && !known.any(|known| known == name) && state.table.get(name).is_none() {
            let trouble = Trouble::new(format!("there is no secret \"{name}\""));
            if state.files.is_empty() {
                return Err(trouble.help(
                    "Name the file it is in at the top of the env file: secrets(\"secrets/NAME.toml\").",
                ));
            }
            let known = names.iter().flatten().flatten().copied();
            return Err(match closest(name, known) {
                Some(near) => trouble.help(format!("did you mean \"{near}\"?")),
                None => trouble.help(format!(
                    "`veza-play vault list {}` shows what there is.",
                    state.files[0].1.id
                )),
            });
        }
        Ok(mark::secret(name))
    }

    /// Opens the declared files: from now on values are known.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn unlock(&self, keys: &Keys) -> Result<(), Trouble> {
        let mut state = self.state();
        let mut table = Table::clone(&state.table);
        let mut opener = Opener::new(keys);
        let State {
            files, too_short, ..
        } = &mut *state;
        for (_, file) in files {
            let values = file.values(&mut opener)?;
            let (fine, short): (Vec<_>, Vec<_>) = values
                .into_iter()
                .partition(|(name, value)| check_length(name, value).is_ok());
            too_short.extend(short.into_iter().map(|(name, _)| name));
            let secrets = fine.into_iter();
            table.add(secrets.map(|(name, value)| (name, Secret::new(value.as_str()))))?;
        }
        state.table = Arc::new(table);
        state.open = true;
        Ok(())
    }

    /// From now on secrets are known by name only, as virtual hosts take them.
    pub fn stay_closed(&self) {
        self.state().by_name = true;
    }

    /// The values a host needs for a request, by name.
    ///
    /// # Errors
    /// When one of them is not known, or cannot be hidden.
    pub fn needed(&self, request: &Value) -> Result<BTreeMap<String, Secret>, Failure> {
        let mut names = BTreeSet::new();
        names_in(request, &mut names);
        let state = self.state();
        let value = |name: String| match state.table.get(&name) {
            Some(secret) => Ok((name, secret.clone())),
            None if state.too_short.contains(&name) => Err(Failure {
                hint: too_short(&name).help,
                ..Failure::new(too_short(&name).message)
            }),
            None => Err(Failure::new(format!(
                "there is no secret {}",
                mark::shown_name(&name)
            ))),
        };
        names.into_iter().map(value).collect()
    }
}

fn too_short(name: &str) -> Trouble {
    match check_length(name, "") {
        Err(failure) => failure.into(),
        Ok(()) => Trouble::new(format!("the secret {name} cannot be hidden")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Secrets of these names and values, as in a run.
    pub fn open(values: &[(&str, &str)]) -> Secrets {
        let secrets = Secrets::default();
        secrets.unlock(&Keys::default()).expect("there is no file");
        for (name, value) in values {
            secrets.conceal(name, value).expect("long enough");
        }
        secrets
    }

    #[test]
    fn a_missing_secret_is_named_with_what_is_near() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("prod.toml");
        let text = "recipients = []\n[secrets]\ndb_password = \"\"\n";
        fs::write(&path, text).expect("written");
        let secrets = Secrets::default();
        let trouble = secrets.mark("db_password").expect_err("no file");
        assert!(trouble.help.is_some_and(|help| help.contains("secrets(")));
        secrets
            .declare("secrets/prod.toml", &path)
            .expect("declared");
        assert!(secrets.mark("db_password").is_ok());
        let trouble = secrets.mark("db_pasword").expect_err("not there");
        assert_eq!(
            trouble.help.as_deref(),
            Some("did you mean \"db_password\"?")
        );
        let again = directory.path().join("other.toml");
        fs::write(&again, text).expect("written");
        let trouble = secrets.declare("other.toml", &again).expect_err("twice");
        assert!(trouble.message.contains("secrets/prod.toml"), "{trouble:?}");
    }
}
