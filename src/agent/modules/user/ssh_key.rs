//! An SSH key of the user's own, made on the host: its private half never
//! leaves it.

use std::path::{Path, PathBuf};

use super::User;
use crate::effect::{Attributes, Command, Effect};
use crate::module::Result;
use crate::state::State;
use crate::system::{self, Found, System};

/// Whether there is a key.
pub const KEY: &str = "ssh key";

/// Its public half, for the script.
pub const PUBLIC: &str = "ssh_public_key";

impl User {
    /// What is known of the key, if one is asked for.
    pub(super) fn set_key(
        &self,
        state: &mut State,
        user: &system::User,
        system: &dyn System,
    ) -> Result<()> {
        if !self.generate_ssh_key {
            return Ok(());
        }
        let path = self.key_path(user);
        if system.stat(&path)? == Found::Absent {
            state.set(KEY, "missing");
            return Ok(());
        }
        state.set(KEY, "there");
        let public = PathBuf::from(format!("{}.pub", path.display()));
        let content = system.content(&public)?.present();
        match content.and_then(|content| content.text) {
            Some(text) => state.set(PUBLIC, text.trim_end()),
            None => state.set_unknown(PUBLIC, format!("the new key of {}", self.name)),
        }
        Ok(())
    }

    /// Makes the key, and its directory, if they are missing.
    pub(super) fn make_key(&self, system: &mut dyn System) -> Result<()> {
        let Some(user) = self.account(system)? else {
            return Ok(());
        };
        let path = self.key_path(&user);
        if !self.generate_ssh_key || system.stat(&path)? != Found::Absent {
            return Ok(());
        }
        if let Some(directory) = path.parent()
            && system.stat(directory)? == Found::Absent
        {
            system.perform(Effect::MakeDirectory {
                path: directory.to_owned(),
                attributes: Attributes {
                    owner: Some(user.name.clone()),
                    group: Some(user.group.clone()),
                    mode: Some(0o700),
                },
            })?;
        }
        let effect = Effect::RunCommand {
            command: Command {
                user: Some(user.name.clone()),
                ..Command::new(self.key_words(&path))
            },
            creates: Some(path),
            removes: None,
        };
        match system.perform(effect)? {
            system::Performed::Ran(output) if output.code != 0 => {
                Err(crate::outcome::Failure::new(format!(
                    "ssh-keygen ended with exit code {}: {}",
                    output.code,
                    output.stderr.trim()
                )))
            }
            _ => Ok(()),
        }
    }

    fn key_path(&self, user: &system::User) -> PathBuf {
        let usual = || PathBuf::from(format!(".ssh/id_{}", self.ssh_key_type));
        user.home
            .join(self.ssh_key_file.clone().unwrap_or_else(usual))
    }

    fn key_words(&self, path: &Path) -> Vec<String> {
        let mut words = vec!["ssh-keygen".to_owned(), "-q".to_owned(), "-N".to_owned()];
        words.push(String::new());
        words.extend(["-t".to_owned(), self.ssh_key_type.clone()]);
        words.extend(["-f".to_owned(), path.display().to_string()]);
        if let Some(bits) = self.ssh_key_bits {
            words.extend(["-b".to_owned(), bits.to_string()]);
        }
        if let Some(comment) = &self.ssh_key_comment {
            words.extend(["-C".to_owned(), comment.clone()]);
        }
        words
    }
}
