//! Files and directories that the controller sends, put below a destination:
//! one file for `template`, any number for `copy`.

use std::path::{Path, PathBuf};

use super::arguments::{Mode, SourceFile};
use super::place::{self, Placement};
use crate::content::Content;
use crate::effect::Effect;
use crate::module::Result;
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{FileKind, Found, System};

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
    /// Permissions of directories that are made.
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
                None => found_directory(&path, system)?,
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
            None => Ok(State::new().with("state", "directory")),
        }
    }

    /// Puts in place what differs.
    pub fn fix(&self, system: &mut dyn System) -> Result<()> {
        if self.dest.to_string_lossy().ends_with('/') {
            self.make_parents(system)?;
        }
        for file in self.files {
            let path = self.path(file, system)?;
            let Some(content) = &file.content else {
                self.fix_directory(path, system)?;
                continue;
            };
            let placement = self.placement(path, file, content);
            let found = placement.found(system)?;
            let diff = Diff::between(&found, &placement.wanted(&found)?);
            if !diff.is_empty() {
                placement.fix(&diff, system)?;
            }
        }
        Ok(())
    }

    /// A destination that says it is a directory is made one, with all above.
    fn make_parents(&self, system: &mut dyn System) -> Result<()> {
        let missing = place::missing_directories(self.dest, system)?;
        missing
            .into_iter()
            .try_for_each(|path| self.fix_directory(path, system))
    }

    fn fix_directory(&self, path: PathBuf, system: &mut dyn System) -> Result<()> {
        if found_directory(&path, system)?.text("state") == Some("directory") {
            return Ok(());
        }
        let mut wanted = State::new();
        wanted.set_some("owner", self.owner);
        wanted.set_some("group", self.group);
        let mode = place::wanted_mode(self.directory_mode, &State::new(), true)?;
        wanted.set("mode", mode.unwrap_or_else(|| "0755".to_owned()));
        let attributes = place::attributes(&wanted)?;
        system
            .perform(Effect::MakeDirectory { path, attributes })
            .map(drop)
    }

    fn placement<'b>(
        &'b self,
        path: PathBuf,
        file: &SourceFile,
        content: &'b Content,
    ) -> Placement<'b> {
        let mode = match self.mode {
            Some(Mode::Preserve) => Some(Mode::Octal(file.mode)),
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

fn found_directory(path: &Path, system: &dyn System) -> Result<State> {
    let mut state = State::new();
    match system.stat(&place::follow(system, path)?)? {
        Found::Absent => state.set("state", "absent"),
        Found::Unknown(origin) => state.set_unknown("state", origin),
        Found::Present(stat) if stat.kind == FileKind::Directory => state.set("state", "directory"),
        Found::Present(_) => {
            return Err(Failure::new(format!(
                "{} is not a directory",
                path.display()
            )));
        }
    }
    Ok(state)
}

/// What tells the attributes of one file from those of another.
fn prefix(file: &SourceFile) -> String {
    match file.path.as_os_str().is_empty() {
        true => String::new(),
        false => format!("{} ", file.path.display()),
    }
}
