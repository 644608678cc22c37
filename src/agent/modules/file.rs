//! What is at a path: a directory, a link, nothing; and who owns it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{Mode, octal};
use super::place;
use crate::effect::Effect;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{FileKind, Found, Stat, System};

/// Keeps a directory, a link, an empty file, or nothing at a path, and sets
/// owner, group and mode.
///
/// ```rhai
/// file("/etc/veza", #{ state: "directory", owner: "root", mode: "0750" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct File {
    /// The path.
    #[schemars(extend("x-kind" = "path", "x-alias" = ["dest", "name"]))]
    path: PathBuf,
    /// What shall be there; what is there is kept if not given.
    state: Option<FileState>,
    /// Where a link leads.
    src: Option<PathBuf>,
    /// Who owns it.
    owner: Option<String>,
    /// Whose group it has.
    group: Option<String>,
    /// Permissions.
    mode: Option<Mode>,
    /// Whether owner, group and mode are set for all that a directory holds.
    #[serde(default)]
    recurse: bool,
    /// Whether a link may replace a file or an empty directory, and may lead
    /// nowhere.
    #[serde(default)]
    force: bool,
    /// Whether a link at the path is followed.
    #[serde(default = "yes")]
    follow: bool,
}

fn yes() -> bool {
    true
}

/// What shall be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum FileState {
    /// A file that is there already; it is never made.
    File,
    /// A directory; missing parents are made too.
    Directory,
    /// A symbolic link to `src`.
    Link,
    /// A second name for the file `src`.
    Hard,
    /// A file, with its times set to now each time.
    Touch,
    /// Nothing: a directory goes with all that is in it.
    Absent,
}

impl Module for File {
    const NAME: &'static str = "file";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn title(&self) -> String {
        self.path.display().to_string()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        place::absolute(&self.path)?;
        let path = self.target(system)?;
        let mut state = State::new();
        let stat = match system.stat(&path)? {
            Found::Absent => return Ok(state.with("state", "absent")),
            Found::Unknown(origin) => {
                for attribute in ["state", "owner", "group", "mode", "src", "below"] {
                    state.set_unknown(attribute, origin.clone());
                }
                return Ok(state);
            }
            Found::Present(stat) => stat,
        };
        place::set_attributes(&mut state, &stat);
        state.set_some(
            "src",
            stat.target
                .as_ref()
                .map(|target| target.display().to_string()),
        );
        if self.state == Some(FileState::Hard) {
            self.set_hard(&mut state, &stat, system)?;
        }
        if self.recurse && stat.kind == FileKind::Directory {
            let differing = self.differing(&path, system)?;
            let names = differing.iter().map(|path| path.display().to_string());
            state.set("below", names.collect::<Vec<_>>());
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut state = State::new();
        let there = found.text("state") != Some("absent");
        match self.state {
            Some(FileState::Absent) => return Ok(state.with("state", "absent")),
            Some(FileState::Directory) => state.set("state", "directory"),
            Some(FileState::Link) => {
                state.set("state", "link");
                state.set("src", self.source()?.display().to_string());
                return Ok(state);
            }
            Some(FileState::Hard) => {
                state.set("state", "hard");
                state.set("src", self.source()?.display().to_string());
            }
            Some(FileState::Touch) => {
                if !there {
                    state.set("state", "file");
                }
                state.request("touch");
            }
            Some(FileState::File) | None if !there => {
                return Err(Failure::new(format!("{} does not exist", self.path.display()))
                    .hint("Give `state: \"directory\"`, `\"link\"` or `\"touch\"` to make it, or use `copy`."));
            }
            Some(FileState::File) => state.set("state", "file"),
            None => {}
        }
        let directory =
            self.state == Some(FileState::Directory) || found.text("state") == Some("directory");
        state.set_some("owner", self.owner.as_deref());
        state.set_some("group", self.group.as_deref());
        state.set_some(
            "mode",
            place::wanted_mode(self.mode.as_ref(), found, directory)?,
        );
        if self.recurse {
            state.set("below", Vec::<String>::new());
        }
        Ok(state)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let path = self.target(system)?;
        if diff.has("state") || diff.has("src") {
            self.make(&path, system)?;
        }
        if diff.requests("touch") {
            system.perform(Effect::Touch { path: path.clone() })?;
        }
        if self.state == Some(FileState::Absent) || self.state == Some(FileState::Link) {
            return Ok(());
        }
        self.fix_attributes(&path, system)?;
        if self.recurse {
            for below in self.differing(&path, system)? {
                self.fix_attributes(&below, system)?;
            }
        }
        Ok(())
    }
}

impl File {
    /// The path meant: a link itself when it is about the link.
    fn target(&self, system: &dyn System) -> Result<PathBuf> {
        let about_link = matches!(
            self.state,
            Some(FileState::Link | FileState::Absent | FileState::Hard)
        );
        match self.follow && !about_link {
            true => place::follow(system, &self.path),
            false => Ok(self.path.clone()),
        }
    }

    fn source(&self) -> Result<&Path> {
        self.src
            .as_deref()
            .ok_or_else(|| Failure::new("a link needs `src`, the path it leads to"))
    }

    fn set_hard(&self, state: &mut State, stat: &Stat, system: &dyn System) -> Result<()> {
        let source = self.source()?;
        let Found::Present(other) = system.stat(source)? else {
            return Err(Failure::new(format!("{} does not exist", source.display())));
        };
        match (stat.identity, other.identity) {
            (Some(one), Some(two)) if one == two => {
                state.set("state", "hard");
                state.set("src", source.display().to_string());
            }
            (Some(_), Some(_)) => {}
            _ => {
                state.set_unknown("state", "the hard link");
                state.set_unknown("src", "the hard link");
            }
        }
        Ok(())
    }

    fn make(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        match self.state {
            Some(FileState::Absent) => system
                .perform(Effect::Remove {
                    path: path.to_owned(),
                })
                .map(drop),
            Some(FileState::Directory) => self.make_directories(path, system),
            Some(FileState::Link) => self.make_link(path, system),
            Some(FileState::Hard) => {
                let target = self.source()?.to_owned();
                self.make_room(path, system)?;
                system
                    .perform(Effect::HardLink {
                        path: path.to_owned(),
                        target,
                    })
                    .map(drop)
            }
            Some(FileState::Touch) => self.make_empty(path, system),
            Some(FileState::File) | None => Err(Failure::new(format!(
                "{} is not a regular file",
                path.display()
            ))),
        }
    }

    fn make_empty(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let wanted = self.wanted(&State::new().with("state", "absent"))?;
        let effect = Effect::WriteFile {
            path: path.to_owned(),
            content: crate::content::Content::of(b""),
            attributes: place::attributes(&wanted)?,
            backup: None,
            validate: None,
        };
        system.perform(effect).map(drop)
    }

    fn make_directories(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let mut missing = Vec::new();
        for ancestor in path.ancestors() {
            match system.stat(&place::follow(system, ancestor)?)? {
                Found::Absent => missing.push(ancestor.to_owned()),
                Found::Unknown(_) => break,
                Found::Present(stat) if stat.kind == FileKind::Directory => break,
                Found::Present(stat) => {
                    return Err(Failure::new(format!(
                        "{} is a {}, not a directory",
                        ancestor.display(),
                        stat.kind.name()
                    )));
                }
            }
        }
        let wanted = self.wanted(&State::new().with("state", "absent"))?;
        let attributes = place::attributes(&wanted)?;
        for path in missing.into_iter().rev() {
            let attributes = attributes.clone();
            system.perform(Effect::MakeDirectory { path, attributes })?;
        }
        Ok(())
    }

    fn make_link(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let target = self.source()?.to_owned();
        let leads_to = path.parent().unwrap_or(Path::new("/")).join(&target);
        if !self.force && system.stat(&leads_to)? == Found::Absent {
            return Err(
                Failure::new(format!("{} does not exist", leads_to.display()))
                    .hint("Give `force: true` for a link that leads nowhere yet."),
            );
        }
        self.make_room(path, system)?;
        system
            .perform(Effect::Link {
                path: path.to_owned(),
                target,
            })
            .map(drop)
    }

    /// A link replaces another link; anything else only with `force`.
    fn make_room(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let Found::Present(stat) = system.stat(path)? else {
            return Ok(());
        };
        let empty = stat.kind == FileKind::Directory && system.list(path)?.is_empty();
        match stat.kind {
            FileKind::Link => Ok(()),
            FileKind::Directory if !empty => Err(Failure::new(format!(
                "{} is a directory that is not empty",
                path.display()
            ))),
            _ if !self.force => Err(Failure::new(format!(
                "{} is a {} already",
                path.display(),
                stat.kind.name()
            ))
            .hint("Give `force: true` to replace it.")),
            FileKind::Directory => system
                .perform(Effect::Remove {
                    path: path.to_owned(),
                })
                .map(drop),
            FileKind::File | FileKind::Other => Ok(()),
        }
    }

    fn fix_attributes(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let Found::Present(stat) = system.stat(path)? else {
            return Ok(());
        };
        let wanted = self.attributes_of(&stat)?;
        let mut found = State::new();
        place::set_attributes(&mut found, &stat);
        if Diff::between(&found, &wanted).is_empty() {
            return Ok(());
        }
        let attributes = place::attributes(&wanted)?;
        system
            .perform(Effect::SetAttributes {
                path: path.to_owned(),
                attributes,
            })
            .map(drop)
    }

    /// The attributes asked for, of something that is there.
    fn attributes_of(&self, stat: &Stat) -> Result<State> {
        let mut wanted = State::new();
        wanted.set_some("owner", self.owner.as_deref());
        wanted.set_some("group", self.group.as_deref());
        if let Some(mode) = &self.mode
            && stat.kind != FileKind::Link
        {
            let mode = mode.resolve(stat.mode, stat.kind == FileKind::Directory)?;
            wanted.set("mode", octal(mode));
        }
        Ok(wanted)
    }

    /// Everything below a directory whose attributes are not as asked.
    fn differing(&self, directory: &Path, system: &dyn System) -> Result<Vec<PathBuf>> {
        let mut differing = Vec::new();
        let mut left = vec![directory.to_owned()];
        while let Some(directory) = left.pop() {
            for name in system.list(&directory)? {
                let path = directory.join(name);
                let Found::Present(stat) = system.stat(&path)? else {
                    continue;
                };
                let mut found = State::new();
                place::set_attributes(&mut found, &stat);
                if !Diff::between(&found, &self.attributes_of(&stat)?).is_empty() {
                    differing.push(path.clone());
                }
                if stat.kind == FileKind::Directory {
                    left.push(path);
                }
            }
        }
        differing.sort();
        Ok(differing)
    }
}
