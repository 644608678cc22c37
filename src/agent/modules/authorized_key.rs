//! The keys that may log in as a user.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use self::line::KeyLine;
use super::arguments::{Mode, OneOrMany, SourceFile, octal};
use super::edited::{Edited, lines};
use super::place;
use crate::effect::Effect;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{FileKind, Found, System, User};

mod line;

/// Keeps SSH keys in a user's `authorized_keys`, or keeps them out of it; other
/// lines stay as they are.
///
/// A key is known by its type and itself, whatever its comment. The file and
/// its directory get the owner and the modes that sshd asks for.
///
/// ```rhai
/// authorized_key("root", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ ops");
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct AuthorizedKey {
    /// Whose keys they are.
    user: String,
    /// The keys as in `authorized_keys`, one or several lines, or a list of
    /// them.
    #[serde(default)]
    key: OneOrMany<String>,
    /// A file of the project with keys, looked for as `copy` does; beside
    /// `key`, or instead of it.
    #[schemars(extend("x-source" = "file"))]
    src: Option<String>,
    /// Whether the keys shall be there.
    #[serde(default)]
    state: KeyState,
    /// Whether all other keys go; give all that shall stay in one call.
    #[serde(default)]
    exclusive: bool,
    /// Options for each key, as in sshd(8): `no-pty,from="192.0.2.*"`. Without
    /// them a key has those that are written before it, or none.
    key_options: Option<String>,
    /// A comment for each key; the one that is there, or comes with the key,
    /// if not given.
    comment: Option<String>,
    /// The file, if it is not `.ssh/authorized_keys` in the home directory. It
    /// is never reached through a link.
    #[schemars(extend("x-kind" = "path"))]
    path: Option<PathBuf>,
    /// Whether its directory is made, and kept private to the user; so it is
    /// unless `path` is given.
    manage_dir: Option<bool>,
    #[serde(default)]
    #[schemars(skip)]
    sources: Vec<SourceFile>,
    /// The user, once looked up.
    #[serde(skip)]
    #[schemars(skip)]
    account: OnceCell<User>,
}

/// Whether keys shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KeyState {
    /// They may log in.
    #[default]
    Present,
    /// They may not.
    Absent,
}

const DIRECTORY: &str = "directory ";

impl Module for AuthorizedKey {
    const NAME: &'static str = "authorized_key";
    const POSITIONAL: &'static [&'static str] = &["user", "key"];

    fn title(&self) -> String {
        self.user.clone()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        if self.exclusive && self.state == KeyState::Absent {
            return Err(
                Failure::new("`exclusive` does not go with `state: \"absent\"`")
                    .hint("Give the keys that shall stay, and `exclusive`; the others go."),
            );
        }
        if self.account.get().is_none() {
            // A second call would set the same.
            let _ = self.account.set(self.look_up(system)?);
        }
        let file = self.file()?;
        let mut state = State::new();
        if let Some(directory) = self.directory(&file.path) {
            state.merge(DIRECTORY, found_directory(directory, system)?);
        }
        // Whose directory it is could lead an agent that may do more elsewhere.
        if let Found::Present(stat) = system.stat(&file.path)?
            && stat.kind == FileKind::Link
        {
            return Err(is_a_link(&file.path));
        }
        state.merge("", file.found(system)?);
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let file = self.file()?;
        let mut wanted = self.wanted_file(&file, found)?;
        wanted.merge(DIRECTORY, self.wanted_directory(&file));
        Ok(wanted)
    }

    fn fix(&self, _: &Diff, system: &mut dyn System) -> Result<()> {
        let file = self.file()?;
        if let Some(directory) = self.directory(&file.path) {
            fix_directory(directory, &self.wanted_directory(&file), system)?;
        }
        let found = file.found(system)?;
        let wanted = self.wanted_file(&file, &found)?;
        let diff = Diff::between(&found, &wanted);
        match diff.is_empty() {
            true => Ok(()),
            false => file.fix(&diff, &wanted, system),
        }
    }
}

impl AuthorizedKey {
    fn look_up(&self, system: &dyn System) -> Result<User> {
        system.user(&self.user)?.ok_or_else(|| {
            Failure::new(format!("there is no user {}", self.user))
                .hint("Make it first, with `user(NAME)`.")
        })
    }

    fn file(&self) -> Result<Edited> {
        let Some(user) = self.account.get() else {
            return Err(Failure::new(format!("the user {} is not known", self.user)));
        };
        let usual = || user.home.join(".ssh/authorized_keys");
        Ok(Edited {
            owner: Some(user.name.clone()),
            group: Some(user.group.clone()),
            mode: Some(Mode::Octal(0o600)),
            // The user may put one there at any moment.
            no_follow: true,
            ..Edited::at(self.path.clone().unwrap_or_else(usual))
        })
    }

    /// The directory, if it is ours to care for.
    fn directory<'a>(&self, file: &'a Path) -> Option<&'a Path> {
        let managed = self.manage_dir.unwrap_or(self.path.is_none());
        managed.then(|| file.parent()).flatten()
    }

    fn wanted_file(&self, file: &Edited, found: &State) -> Result<State> {
        let keys = self.keys()?;
        file.wanted(found, |text| match (self.state, text) {
            (KeyState::Absent, None) => Ok(None),
            (_, text) => Ok(Some(self.edited(text.unwrap_or_default(), &keys))),
        })
    }

    fn wanted_directory(&self, file: &Edited) -> State {
        match self.directory(&file.path) {
            Some(_) if self.state == KeyState::Present => State::new()
                .with("state", "directory")
                .with("owner", file.owner.clone())
                .with("group", file.group.clone())
                .with("mode", octal(0o700)),
            _ => State::new(),
        }
    }

    /// The keys asked for, each with its options and comment.
    fn keys(&self) -> Result<Vec<KeyLine>> {
        let files = self.sources.iter().map(|file| {
            let text = file.content.as_ref().and_then(|file| file.text.as_deref());
            let name = self.src.as_deref().unwrap_or_default();
            text.ok_or_else(|| Failure::new(format!("{name} is no text with keys")))
        });
        let texts = self.key.0.iter().map(|text| Ok(text.as_str())).chain(files);
        let mut keys: Vec<KeyLine> = Vec::new();
        for text in texts {
            for line in text?.lines().map(str::trim) {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let mut key = KeyLine::parse(line).ok_or_else(|| no_key(line))?;
                if let Some(options) = &self.key_options {
                    key.options = options.clone();
                }
                if let Some(comment) = &self.comment {
                    key.comment = comment.clone();
                }
                keys.retain(|known| !known.is_same_key(&key));
                keys.push(key);
            }
        }
        match keys.is_empty() {
            true => Err(Failure::new("no key is given").hint("Give `key` or `src`.")),
            false => Ok(keys),
        }
    }

    fn edited(&self, text: &str, keys: &[KeyLine]) -> String {
        let mut left: Vec<&KeyLine> = keys.iter().collect();
        let mut out = String::new();
        for line in lines(text) {
            let known = KeyLine::parse(line.trim());
            let asked = |known: &KeyLine| keys.iter().any(|key| key.is_same_key(known));
            match &known {
                None if self.exclusive && !is_comment(&line) => {}
                Some(known) if self.exclusive && !asked(known) => {}
                None => out.push_str(&line),
                Some(known) if !asked(known) => out.push_str(&line),
                Some(_) if self.state == KeyState::Absent => {}
                // Of the same key twice, the first counts for sshd.
                Some(known) => {
                    let index = left.iter().position(|key| key.is_same_key(known));
                    if let Some(key) = index.map(|index| left.remove(index)) {
                        match self.agrees(known, key) {
                            true => out.push_str(&line),
                            false => out.push_str(&format!("{}\n", self.merged(known, key))),
                        }
                    }
                }
            }
        }
        if self.state == KeyState::Present && !left.is_empty() {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.extend(left.iter().map(|key| format!("{key}\n")));
        }
        out
    }

    fn agrees(&self, known: &KeyLine, key: &KeyLine) -> bool {
        known.options == key.options && (self.comment.is_none() || known.comment == key.comment)
    }

    fn merged(&self, known: &KeyLine, key: &KeyLine) -> KeyLine {
        let comment = match &self.comment {
            Some(comment) => comment,
            None => &known.comment,
        };
        KeyLine {
            comment: comment.clone(),
            ..key.clone()
        }
    }
}

fn is_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn no_key(line: &str) -> Failure {
    let shown: String = line.chars().take(40).collect();
    Failure::new(format!("`{shown}` is not an SSH public key")).hint(
        "A key is a line such as `ssh-ed25519 AAAA… comment`, from a file that ends with `.pub`.",
    )
}

fn is_a_link(path: &Path) -> Failure {
    Failure::new(format!("{} is a link", path.display()))
        .hint("It is not followed. Remove it, or give the file itself as `path`.")
}

fn found_directory(path: &Path, system: &dyn System) -> Result<State> {
    let mut state = State::new();
    match system.stat(path)? {
        Found::Absent => state.set("state", "absent"),
        Found::Unknown(origin) => {
            for attribute in ["state", "owner", "group", "mode"] {
                state.set_unknown(attribute, origin.clone());
            }
        }
        Found::Present(stat) => match stat.kind {
            FileKind::Directory => {
                place::set_attributes(&mut state, &stat, [None, None], system)?;
            }
            FileKind::Link => return Err(is_a_link(path)),
            _ => {
                return Err(Failure::new(format!(
                    "{} is not a directory",
                    path.display()
                )));
            }
        },
    }
    Ok(state)
}

fn fix_directory(path: &Path, wanted: &State, system: &mut dyn System) -> Result<()> {
    let found = found_directory(path, system)?;
    if Diff::between(&found, wanted).is_empty() {
        return Ok(());
    }
    let attributes = place::attributes(wanted)?;
    let path = path.to_owned();
    let effect = match found.text("state") {
        Some("absent") => Effect::MakeDirectory { path, attributes },
        _ => Effect::SetAttributes { path, attributes },
    };
    system.perform(effect).map(drop)
}

#[cfg(test)]
mod tests;
