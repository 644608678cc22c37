//! Archives, unpacked.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{Mode, OneOrMany, SourceFile};
use super::guards;
use super::place;
use super::tree::Tree;
use crate::effect::Effect;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::archive::Archive;
use crate::system::{FileKind, Found, System};

use self::members::{Choice, Members};

mod members;

/// Unpacks a zip archive, or a tar archive, plain or with gzip, xz, zstd or
/// bzip2; what is unpacked already is compared, file by file, and left alone.
///
/// Files belong to whom `owner` and `group` say, or to the user that unpacks;
/// directories have the permissions that the archive gives them.
/// Nothing is unpacked from an archive with a path that leads out of `dest`, or
/// with a link among what is asked for that does. An archive of the project is sent in each run to be compared: give
/// `creates`, or `copy` it and unpack that with `remote_src`.
///
/// ```rhai
/// get_url("https://example.org/app-1.2.tar.gz", "/srv/app-1.2.tar.gz");
/// unarchive("/srv/app-1.2.tar.gz", "/opt", #{ remote_src: true, creates: "/opt/app-1.2" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Unarchive {
    /// An archive of the project, looked for as `copy` does.
    #[schemars(extend("x-source" = "file"))]
    src: String,
    /// The directory to unpack to; it must be there.
    #[schemars(extend("x-kind" = "path"))]
    dest: PathBuf,
    /// Whether `src` is a file of the host, not of the project.
    #[serde(default)]
    remote_src: bool,
    /// A path that the archive brings: nothing is unpacked, nor looked at, when
    /// that is there.
    #[schemars(extend("x-kind" = "path"))]
    creates: Option<PathBuf>,
    /// Only these members, with what is below them; `*` stands for any text.
    #[serde(default)]
    include: OneOrMany<String>,
    /// Not these members, nor what is below them; `*` stands for any text.
    #[serde(default)]
    exclude: OneOrMany<String>,
    /// How many leading parts of each path are left out.
    #[serde(default)]
    strip_components: usize,
    /// Who owns what is unpacked; what is there is kept if not given.
    owner: Option<String>,
    /// Whose group it has; what is there is kept if not given.
    group: Option<String>,
    /// Permissions of files; those in the archive if not given.
    mode: Option<Mode>,
    #[serde(default)]
    #[schemars(skip)]
    sources: Vec<SourceFile>,
    /// What is to be unpacked, once it was read.
    #[serde(skip)]
    #[schemars(skip)]
    members: OnceCell<Found<Members>>,
}

/// Nothing is looked at: what `creates` names is there.
const UNPACKED: &str = "unpacked";

const MEMBERS: &str = "members";

impl Module for Unarchive {
    const NAME: &'static str = "unarchive";
    const POSITIONAL: &'static [&'static str] = &["src", "dest"];

    fn title(&self) -> String {
        format!("{} to {}", self.src, self.dest.display())
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        place::absolute(&self.dest)?;
        if self.members.get().is_none() {
            if let Some(creates) = &self.creates
                && guards::exists(&self.dest.join(creates), system)? == Found::Present(())
            {
                return Ok(State::new().with(UNPACKED, true));
            }
            self.need_directory(system)?;
            // A second call would set the same.
            let _ = self.members.set(self.read(system)?);
        }
        let mut state = State::new();
        match self.members.get() {
            Some(Found::Present(members)) => {
                state.merge("", self.tree(members, |tree| tree.found(system))?);
                for (path, _) in &members.links {
                    state.merge(&prefix(path), self.found_link(path, system)?);
                }
            }
            Some(Found::Unknown(origin)) => state.set_unknown(MEMBERS, origin.clone()),
            _ => {}
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut wanted = State::new();
        match self.members.get() {
            Some(Found::Present(members)) => {
                wanted.merge("", self.tree(members, |tree| tree.wanted(found))?);
                for (path, target) in &members.links {
                    let link = State::new()
                        .with("state", "link")
                        .with("src", target.display().to_string());
                    wanted.merge(&prefix(path), link);
                }
            }
            Some(Found::Unknown(origin)) => wanted.set_unknown(MEMBERS, origin.clone()),
            _ => {}
        }
        Ok(wanted)
    }

    fn fix(&self, _: &Diff, system: &mut dyn System) -> Result<()> {
        let Some(Found::Present(members)) = self.members.get() else {
            return Ok(());
        };
        self.tree(members, |tree| tree.fix(system))?;
        let mut links = Vec::new();
        for (path, target) in &members.links {
            if self.found_link(path, system)?.text("src") != target.to_str() {
                let (path, target) = (self.dest.join(path), target.clone());
                links.push(Effect::Link { path, target });
            }
        }
        system.perform_all(links)
    }
}

impl Unarchive {
    fn need_directory(&self, system: &dyn System) -> Result<()> {
        match system.stat(&place::follow(system, &self.dest)?)? {
            Found::Present(stat) if stat.kind == FileKind::Directory => Ok(()),
            Found::Unknown(_) => Ok(()),
            Found::Present(_) => Err(Failure::new(format!(
                "{} is not a directory",
                self.dest.display()
            ))),
            Found::Absent => Err(
                Failure::new(format!("{} does not exist", self.dest.display())).hint(
                    "Make the directory first, with `file(PATH, #{ state: \"directory\" })`.",
                ),
            ),
        }
    }

    fn read(&self, system: &dyn System) -> Result<Found<Members>> {
        let archive = match (self.remote_src, &self.sources[..]) {
            (true, _) => {
                let path = PathBuf::from(&self.src);
                place::absolute(&path)?;
                Archive::File(path)
            }
            (false, [source]) => match &source.content {
                Some(content) => Archive::Content(content.clone()),
                None => return Err(self.no_archive()),
            },
            (false, _) => return Err(self.no_archive()),
        };
        Ok(match system.members(&archive)? {
            Found::Absent => {
                return Err(Failure::new(format!("{} does not exist", self.src)));
            }
            Found::Unknown(origin) => Found::Unknown(origin),
            Found::Present(members) => {
                let choice = Choice {
                    include: &self.include.0,
                    exclude: &self.exclude.0,
                    strip_components: self.strip_components,
                };
                Found::Present(choice.of(members, &self.src)?)
            }
        })
    }

    /// A link is judged by where its path says that it is: that must be so on
    /// the host, too, whatever was unpacked before.
    fn found_link(&self, path: &Path, system: &dyn System) -> Result<State> {
        let above = path.ancestors().skip(1);
        for above in above.filter(|above| !above.as_os_str().is_empty()) {
            let above = self.dest.join(above);
            if matches!(system.stat(&above)?, Found::Present(stat) if stat.kind == FileKind::Link) {
                return Err(Failure::new(format!(
                    "the link {} would be made behind another, {}",
                    path.display(),
                    above.display()
                )));
            }
        }
        place::found_link(&self.dest.join(path), system)
    }

    fn no_archive(&self) -> Failure {
        Failure::new(format!("{} is a directory, not an archive", self.src))
    }

    fn tree<T>(&self, members: &Members, run: impl FnOnce(Tree) -> Result<T>) -> Result<T> {
        run(Tree {
            dest: &self.dest,
            name: &self.src,
            files: &members.files,
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: Some(self.mode.as_ref().unwrap_or(&Mode::Preserve)),
            directory_mode: Some(&Mode::Preserve),
            force: true,
            follow: false,
            backup: false,
            validate: None,
        })
    }
}

/// What tells the attributes of one link from those of another.
fn prefix(path: &Path) -> String {
    format!("{} ", path.display())
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what the door did is looked at from outside"
)]
mod tests;
