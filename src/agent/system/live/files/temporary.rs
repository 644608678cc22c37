//! Files under names of their own for a moment, and what killed agents left of
//! them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::change::remove_at;
use super::held::Held;
use super::{ContentSource, failed, need_parent};
use crate::content::Content;
use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::live::accounts::Accounts;

/// How old a temporary file is before it is taken for a killed agent's.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A file of this user's that has no name, and goes when it is closed.
pub fn nameless(directory: &Path) -> Result<File> {
    let create = |new: &Path| {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(new)
    };
    let place = directory.join("unpack");
    let new = make_temporary(&place, "unpack to", create)?;
    fs::remove_file(new.path()).map_err(failed("unpack to", &place))?;
    Ok(new.made)
}

/// Something under a name of its own, in the directory where it will live.
pub(super) struct New<T> {
    pub held: Held,
    pub name: OsString,
    pub made: T,
}

impl<T> New<T> {
    /// Where it is, as long as this is kept.
    pub fn path(&self) -> PathBuf {
        self.held.beside(&self.name)
    }

    /// Gives it the name that it was made for, in one step.
    pub fn place(self, path: &Path, action: &str) -> Result<()> {
        let temporary = self.path();
        let placed = fs::rename(&temporary, self.held.path()).map_err(failed(action, path));
        // If both are names of one file already, `rename` leaves both.
        let _ = fs::remove_file(&temporary);
        placed
    }
}

/// A new file. It is removed unless it takes its final name.
pub(super) struct Temporary {
    new: New<File>,
    placed: bool,
}

impl Temporary {
    pub fn beside(path: &Path) -> Result<Self> {
        let create = |new: &Path| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(new)
        };
        Ok(Self {
            new: make_temporary(path, "write", create)?,
            placed: false,
        })
    }

    pub fn file(&self) -> &File {
        &self.new.made
    }

    /// The name that it has for the moment.
    pub fn name(&self) -> &OsStr {
        &self.new.name
    }

    /// Where the file is that it will replace.
    pub fn replaced(&self) -> PathBuf {
        self.new.held.path()
    }

    pub fn set_attributes(
        &self,
        path: &Path,
        wanted: &Attributes,
        accounts: &Accounts,
    ) -> Result<()> {
        let (uid, gid) = accounts.ids(wanted)?;
        fchown(self.file(), uid, gid).map_err(failed("set the owner of", path))?;
        let mode = wanted.mode.unwrap_or(0o644);
        self.file()
            .set_permissions(Permissions::from_mode(mode))
            .map_err(failed("set the mode of", path))
    }

    pub fn become_file(mut self, path: &Path) -> Result<()> {
        fs::rename(self.new.path(), self.replaced()).map_err(failed("replace", path))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing more can be done here, and the failure that led here is
            // the one to report.
            let _ = fs::remove_file(self.new.path());
        }
    }
}

/// Makes something beside `path`, under a name that nothing has.
pub(super) fn make_temporary<T>(
    path: &Path,
    action: &str,
    make: impl Fn(&Path) -> io::Result<T>,
) -> Result<New<T>> {
    let held = need_parent(path, action)?;
    sweep(path.parent().unwrap_or(Path::new("/")), &held);
    loop {
        let name = temporary_name(path)?;
        match make(&held.beside(&name)) {
            // An agent of the same number was killed here, or somebody guesses.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                let made = made.map_err(failed(action, path))?;
                return Ok(New { held, name, made });
            }
        }
    }
}

/// Removes what agents that were killed left in a directory, once a process.
/// What cannot be removed does no harm where it is.
pub(super) fn sweep(directory: &Path, held: &Held) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if !swept.insert(directory.to_owned()) {
        return;
    }
    let Ok(entries) = fs::read_dir(held.beside(OsStr::new("."))) else {
        return;
    };
    for entry in entries.flatten() {
        let abandoned = is_temporary(&entry.file_name()) && is_abandoned(&entry.path());
        if abandoned && remove_at(&entry.path()).is_err() {
            return;
        }
    }
}

/// Whether a name is one of [`temporary_name`]'s.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let parts = || {
        let (_, numbers) = name.to_str()?.strip_prefix('.')?.rsplit_once(".veza-")?;
        let (process, count) = numbers.split_once('-')?;
        Some(process.parse::<u32>().is_ok() && count.parse::<u64>().is_ok())
    };
    parts().unwrap_or(false)
}

/// Whether something is ours and older than any effect takes.
pub(super) fn is_abandoned(path: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return false;
    };
    let age = metadata
        .modified()
        .ok()
        .and_then(|time| time.elapsed().ok());
    metadata.uid() == rustix::process::geteuid().as_raw() && age.is_some_and(|age| age > ABANDONED)
}

pub(super) fn temporary_name(path: &Path) -> Result<OsString> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| Failure::new(format!("{} is not a file's path", path.display())))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!(".veza-{}-{count}", std::process::id()));
    Ok(temporary)
}

/// A copy of a content in a directory only this user may enter, for a command
/// that looks at it. It goes when this value goes.
pub struct PrivateCopy {
    directory: PathBuf,
    path: PathBuf,
}

impl PrivateCopy {
    /// Makes the copy, named like `path`.
    pub fn new(content: &Content, path: &Path, contents: &dyn ContentSource) -> Result<Self> {
        let name = path.file_name().unwrap_or(std::ffi::OsStr::new("file"));
        Self::filled(Path::new(name), |file| match &content.text {
            Some(text) => file
                .write_all(text.as_bytes())
                .map_err(failed("write", path)),
            None => contents.fetch(&content.sha256, file),
        })
    }

    /// Makes a file of this name and has it filled.
    pub fn filled(name: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Self> {
        let place = std::env::temp_dir().join("check");
        let create = |new: &Path| fs::DirBuilder::new().mode(0o700).create(new);
        let new = make_temporary(&place, "make the directory", create)?;
        let directory = place.with_file_name(&new.name);
        let copy = Self {
            path: directory.join(name),
            directory,
        };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&copy.path)
            .map_err(failed("write", &copy.path))?;
        fill(&mut &file)?;
        Ok(copy)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        // Left behind, it is still readable by this user only.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
