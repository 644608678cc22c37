//! Files and directories that the controller sends, put below a destination:
//! one file for `template`, any number for `copy`.

use std::path::{Path, PathBuf};

use super::arguments::{Mode, SourceFile, octal};
use super::place::{self, Placement};
use crate::content::Content;
use crate::effect::Effect;
use crate::module::Result;
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{FileKind, Found, System};

/// What the owner of a directory needs to put something into it.
const WRITABLE: u32 = 0o700;

/// What is to be put where.
pub struct Tree<'a> {
    /// The destination: a file's path, or a directory's.
    pub dest: &'a Path,
    /// The name a single file gets in a destination that is a directory.
    pub name: &'a str,
    /// What the controller sends, parents before what they hold.
    pub files: &'a [SourceFile],
    /// Who owns it.
    pub owner: Option<&'a str>,
    /// Whose group it has.
    pub group: Option<&'a str>,
    /// Permissions of files.
    pub mode: Option<&'a Mode>,
    /// Permissions of directories that are made; `preserve` is about those that
    /// are there, too.
    pub directory_mode: Option<&'a Mode>,
    /// Whether files that are there already are replaced.
    pub force: bool,
    /// Whether links are followed instead of replaced.
    pub follow: bool,
    /// Whether copies of what is replaced are kept.
    pub backup: bool,
    /// The command that accepts each new file.
    pub validate: Option<&'a [String]>,
}

impl Tree<'_> {
    /// What is there of all of it.
    pub fn found(&self, system: &dyn System) -> Result<State> {
        place::absolute(self.dest)?;
        let mut all = State::new();
        for file in self.files {
            let path = self.path(file, system)?;
            let found = match &file.content {
                Some(content) => self.placement(path, file, content).found(system)?,
                None => self.found_directory(&path, system)?,
            };
            all.merge(&prefix(file), found);
        }
        Ok(all)
    }

    /// What is asked for, of all of it.
    pub fn wanted(&self, found: &State) -> Result<State> {
        let mut all = State::new();
        for file in self.files {
            let found = found.part(&prefix(file));
            all.merge(&prefix(file), self.wanted_file(file, &found)?);
        }
        Ok(all)
    }

    fn wanted_file(&self, file: &SourceFile, found: &State) -> Result<State> {
        match &file.content {
            Some(content) => self
                .placement(self.dest.join(&file.path), file, content)
                .wanted(found),
            None => self.wanted_directory(file, found),
        }
    }

    /// A directory with its attributes. Those of the destination itself, and of
    /// directories that are only on the way, are nobody's to change.
    fn wanted_directory(&self, file: &SourceFile, found: &State) -> Result<State> {
        let mut wanted = State::new().with("state", "directory");
        let is_new = found.text("state") == Some("absent");
        if is_new || file.path.as_os_str().is_empty() || file.mode.is_none() {
            return Ok(wanted);
        }
        wanted.set_some("owner", self.owner);
        wanted.set_some("group", self.group);
        if self.directory_mode == Some(&Mode::Preserve) {
            wanted.set_some("mode", file.mode.map(octal));
        }
        Ok(wanted)
    }

    /// Puts in place what differs, many files at a time. Behind a link, two
    /// paths may be one: there each is looked at when the one before is done.
    pub fn fix(&self, system: &mut dyn System) -> Result<()> {
        let directories = self.files.iter().filter(|file| file.content.is_none());
        if directories.count() > 0 || self.dest.to_string_lossy().ends_with('/') {
            self.make_parents(system)?;
        }
        let links = self.links(system)?;
        let is_behind = |file: &&SourceFile| links.iter().any(|link| file.path.starts_with(link));
        let (behind, plain): (Vec<_>, Vec<_>) = self.files.iter().partition(is_behind);
        self.put(&plain, system)?;
        behind
            .iter()
            .try_for_each(|file| self.put(&[*file], system))?;
        // What is put into a directory may be more than its mode allows.
        self.fix_directories(&plain, system)?;
        behind
            .iter()
            .rev()
            .try_for_each(|file| self.fix_directories(&[*file], system))
    }

    /// Directories that the host has as links.
    fn links(&self, system: &dyn System) -> Result<Vec<&Path>> {
        let mut links = Vec::new();
        for file in self.files.iter().filter(|file| file.content.is_none()) {
            let below = !file.path.as_os_str().is_empty();
            if let Found::Present(stat) = system.stat(&self.dest.join(&file.path))?
                && below
                && stat.kind == FileKind::Link
            {
                links.push(file.path.as_path());
            }
        }
        Ok(links)
    }

    /// Makes directories, and then the files that they hold.
    fn put(&self, files: &[&SourceFile], system: &mut dyn System) -> Result<()> {
        let mut effects = Vec::new();
        for file in files.iter().filter(|file| file.content.is_none()) {
            let path = self.dest.join(&file.path);
            effects.extend(self.make_directory(path, file.mode, system)?);
        }
        system.perform_all(effects)?;
        let mut effects = Vec::new();
        for file in files {
            if let Some(content) = &file.content {
                effects.extend(self.write_file(file, content, system)?);
            }
        }
        system.perform_all(effects)
    }

    /// A destination that is a directory is made, with all above it.
    fn make_parents(&self, system: &mut dyn System) -> Result<()> {
        let mut parents = Vec::new();
        for path in place::missing_directories(self.dest, system)? {
            parents.extend(self.make_directory(path, None, system)?);
        }
        system.perform_all(parents)
    }

    fn write_file(
        &self,
        file: &SourceFile,
        content: &Content,
        system: &dyn System,
    ) -> Result<Option<Effect>> {
        let placement = self.placement(self.path(file, system)?, file, content);
        let found = placement.found(system)?;
        let diff = Diff::between(&found, &placement.wanted(&found)?);
        match diff.is_empty() {
            true => Ok(None),
            false => placement.effect(&diff, &found, system).map(Some),
        }
    }

    fn make_directory(
        &self,
        path: PathBuf,
        mode: Option<u32>,
        system: &dyn System,
    ) -> Result<Option<Effect>> {
        if self.found_directory(&path, system)?.text("state") == Some("directory") {
            return Ok(None);
        }
        let mode = match self.directory_mode {
            Some(Mode::Preserve) => mode.map(|mode| octal(mode | WRITABLE)),
            mode => place::wanted_mode(mode, &State::new(), true)?,
        };
        let mut wanted = State::new();
        wanted.set_some("owner", self.owner);
        wanted.set_some("group", self.group);
        wanted.set("mode", mode.unwrap_or_else(|| "0755".to_owned()));
        let attributes = place::attributes(&wanted)?;
        Ok(Some(Effect::MakeDirectory { path, attributes }))
    }

    /// Gives directories the attributes asked for, the innermost first.
    fn fix_directories(&self, files: &[&SourceFile], system: &mut dyn System) -> Result<()> {
        let mut effects = Vec::new();
        for file in files.iter().rev().filter(|file| file.content.is_none()) {
            effects.extend(self.fix_directory(file, system)?);
        }
        system.perform_all(effects)
    }

    fn fix_directory(&self, file: &SourceFile, system: &dyn System) -> Result<Option<Effect>> {
        let path = place::follow(system, &self.path(file, system)?)?;
        let found = self.found_directory(&path, system)?;
        let wanted = self.wanted_directory(file, &found)?;
        if Diff::between(&found, &wanted).is_empty() {
            return Ok(None);
        }
        let attributes = place::attributes(&wanted)?;
        Ok(Some(Effect::SetAttributes { path, attributes }))
    }

    fn found_directory(&self, path: &Path, system: &dyn System) -> Result<State> {
        let mut state = State::new();
        match system.stat(&place::follow(system, path)?)? {
            Found::Absent => state.set("state", "absent"),
            Found::Unknown(origin) => {
                for attribute in ["state", "owner", "group", "mode"] {
                    state.set_unknown(attribute, origin.clone());
                }
            }
            Found::Present(stat) if stat.kind == FileKind::Directory => {
                place::set_attributes(&mut state, &stat, [self.owner, self.group], system)?;
            }
            Found::Present(_) => {
                return Err(Failure::new(format!(
                    "{} is not a directory",
                    path.display()
                )));
            }
        }
        Ok(state)
    }

    fn placement<'b>(
        &'b self,
        path: PathBuf,
        file: &SourceFile,
        content: &'b Content,
    ) -> Placement<'b> {
        let mode = match self.mode {
            Some(Mode::Preserve) => file.mode.map(Mode::Octal),
            mode => mode.cloned(),
        };
        Placement {
            path,
            content,
            owner: self.owner,
            group: self.group,
            mode,
            force: self.force,
            backup: self.backup,
            validate: self.validate,
        }
    }

    /// Where a file goes: a single one into a directory that is there, or that
    /// the destination says it is by ending with a slash.
    fn path(&self, file: &SourceFile, system: &dyn System) -> Result<PathBuf> {
        if !file.path.as_os_str().is_empty() || file.content.is_none() {
            return Ok(self.dest.join(&file.path));
        }
        let stat = system.stat(&place::follow(system, self.dest)?)?;
        let into = self.dest.to_string_lossy().ends_with('/')
            || matches!(&stat, Found::Present(stat) if stat.kind == FileKind::Directory);
        let name = Path::new(self.name).file_name();
        let path = match (into, name) {
            (true, Some(name)) => self.dest.join(name),
            (true, None) => {
                return Err(Failure::new(format!(
                    "{} is a directory",
                    self.dest.display()
                )));
            }
            (false, _) => self.dest.to_owned(),
        };
        match self.follow {
            true => place::follow(system, &path),
            false => Ok(path),
        }
    }
}

/// What tells the attributes of one file from those of another.
fn prefix(file: &SourceFile) -> String {
    match file.path.as_os_str().is_empty() {
        true => String::new(),
        false => format!("{} ", file.path.display()),
    }
}
