//! Files that are written anew.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::read::copy_hashing;
use super::temporary::{Temporary, make_temporary};
use super::{ContentSource, failed, is_absence, is_directory};
use crate::content::Content;
use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::live::accounts::Accounts;

/// A file about to be put in place.
pub struct NewFile<'a> {
    /// Where.
    pub path: &'a Path,
    /// Owner, group and mode; what is not given is kept from the file that is
    /// replaced, or is the agent's own and 0644.
    pub attributes: &'a Attributes,
    /// Where a copy of what is replaced is kept.
    pub backup: Option<&'a Path>,
}

/// A file that is complete, and lacks nothing but its name.
pub struct Prepared {
    temporary: Temporary,
    path: PathBuf,
    backup: Option<PathBuf>,
}

/// Makes a file under another name, where `fill` writes it and `check` accepts
/// it.
pub fn prepare(
    new: &NewFile,
    accounts: &Accounts,
    fill: &dyn Fn(&mut dyn Write) -> Result<()>,
    check: &dyn Fn(&Path) -> Result<()>,
) -> Result<Prepared> {
    let temporary = Temporary::beside(new.path)?;
    fill(&mut temporary.file())?;
    let replaced = fs::symlink_metadata(temporary.replaced()).ok();
    let attributes = complete(new.attributes, replaced.as_ref());
    temporary.set_attributes(new.path, &attributes, accounts)?;
    check(&new.path.with_file_name(temporary.name()))?;
    Ok(Prepared {
        temporary,
        path: new.path.to_owned(),
        backup: new.backup.map(Path::to_owned),
    })
}

impl Prepared {
    /// What has to be on disk before it gets its name.
    pub fn file(&self) -> (&File, &Path) {
        (self.temporary.file(), &self.path)
    }

    /// Gives it its name.
    pub fn place(self) -> Result<()> {
        if let Some(backup) = &self.backup {
            keep(&self.temporary.replaced(), &self.path, backup)?;
        }
        self.temporary.become_file(&self.path)
    }
}

/// Writes the bytes of a content, for the file at `path`.
pub fn send(
    content: &Content,
    path: &Path,
    contents: &dyn ContentSource,
    sink: &mut dyn Write,
) -> Result<()> {
    match (content.unknown_origin(), &content.text) {
        (Some(origin), _) => Err(Failure::new(format!(
            "the content depends on {origin}, which is not known"
        ))),
        (None, Some(text)) => sink
            .write_all(text.as_bytes())
            .map_err(failed("write", path)),
        (None, None) => contents.fetch(&content.sha256, sink),
    }
}

/// Fills in what is not asked for from the file that is replaced.
pub(super) fn complete(asked: &Attributes, replaced: Option<&fs::Metadata>) -> Attributes {
    let replaced = replaced.filter(|metadata| metadata.is_file());
    Attributes {
        owner: asked
            .owner
            .clone()
            .or_else(|| replaced.map(|file| file.uid().to_string())),
        group: asked
            .group
            .clone()
            .or_else(|| replaced.map(|file| file.gid().to_string())),
        mode: asked
            .mode
            .or_else(|| replaced.map(|file| file.mode() & 0o7777))
            .or(Some(0o644)),
    }
}

/// Keeps what is `there`, at `path`, as `backup` too. A link that somebody put
/// at that name is replaced, never followed.
fn keep(there: &Path, path: &Path, backup: &Path) -> Result<()> {
    const ACTION: &str = "keep a backup as";
    let metadata = match fs::symlink_metadata(there) {
        Err(error) if is_absence(&error) => return Ok(()),
        metadata => metadata.map_err(failed("look at", path))?,
    };
    if metadata.is_dir() {
        return Err(is_directory("replace", path));
    }
    match make_temporary(backup, ACTION, |new| fs::hard_link(there, new)) {
        Ok(linked) => linked.place(backup, ACTION),
        Err(failure) if !metadata.is_file() => Err(failure),
        // Not every file system has hard links, nor every user the right.
        Err(_) => keep_copy(there, path, backup),
    }
}

fn keep_copy(there: &Path, path: &Path, backup: &Path) -> Result<()> {
    const ACTION: &str = "keep a backup as";
    let copy = Temporary::beside(backup)?;
    let source = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(there)
        .map_err(failed("read", path))?;
    let metadata = source.metadata().map_err(failed("look at", path))?;
    copy_hashing(&source, &mut copy.file()).map_err(failed(ACTION, backup))?;
    fchown(copy.file(), Some(metadata.uid()), Some(metadata.gid()))
        .and_then(|()| copy.file().set_permissions(metadata.permissions()))
        .and_then(|()| copy.file().sync_all())
        .map_err(failed(ACTION, backup))?;
    copy.become_file(backup)
}
