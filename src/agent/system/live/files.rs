//! Files of the live host. Everything that replaces a file is atomic: a new
//! file is complete, checked and has its final owner and mode before it takes
//! the name.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown,
    symlink,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::accounts::Accounts;
use crate::content::{Content, INLINE_LIMIT, hex};
use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{FileKind, Found, Stat};

/// Gives the bytes of contents that the controller holds.
pub trait ContentSource {
    /// Writes the content with this digest to `sink`.
    fn fetch(&self, sha256: &str, sink: &mut dyn Write) -> Result<()>;
}

/// Turns an I/O error into a failure that says what was tried.
pub fn failed<'a>(action: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Failure + 'a {
    move |error| {
        let failure = Failure::new(format!(
            "cannot {action} {}: {}",
            path.display(),
            plain(&error)
        ));
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                failure.hint("The agent runs as an unprivileged user; add `become: true` to the play or the task.")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                failure.hint("The disk is full; what was there before is untouched.")
            }
            _ => failure,
        }
    }
}

/// The message without `(os error 13)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// What is at `path`, without following a link.
pub fn stat(path: &Path, accounts: &Accounts) -> Result<Found<Stat>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absence(&error) => return Ok(Found::Absent),
        Err(error) => return Err(failed("look at", path)(error)),
    };
    let kind = kind_of(metadata.file_type());
    let target = match kind {
        FileKind::Link => Some(fs::read_link(path).map_err(failed("read the link", path))?),
        _ => None,
    };
    Ok(Found::Present(Stat {
        kind,
        mode: metadata.mode() & 0o7777,
        owner: accounts.user_name(metadata.uid())?,
        group: accounts.group_name(metadata.gid())?,
        size: metadata.size(),
        modified: metadata.mtime(),
        target,
        identity: Some((metadata.dev(), metadata.ino())),
    }))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_symlink() {
        FileKind::Link
    } else {
        debug_assert!(
            kind.is_block_device() || kind.is_char_device() || kind.is_fifo() || kind.is_socket()
        );
        FileKind::Other
    }
}

/// The content of the regular file at `path`, links followed.
pub fn content(path: &Path) -> Result<Found<Content>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absence(&error) => return Ok(Found::Absent),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let metadata = file.metadata().map_err(failed("read", path))?;
    if !metadata.is_file() {
        return Err(Failure::new(format!(
            "{} is not a regular file",
            path.display()
        )));
    }
    if metadata.len() <= INLINE_LIMIT {
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        (&file)
            .read_to_end(&mut bytes)
            .map_err(failed("read", path))?;
        return Ok(Found::Present(Content::of(&bytes)));
    }
    hash(&file)
        .map(Found::Present)
        .map_err(failed("read", path))
}

fn hash(file: &File) -> io::Result<Content> {
    copy_hashing(file, &mut io::sink())
}

fn copy_hashing(mut file: &File, sink: &mut dyn Write) -> io::Result<Content> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            let sha256 = hex(&hasher.finalize());
            return Ok(Content {
                sha256,
                size,
                text: None,
            });
        }
        hasher.update(&buffer[..count]);
        sink.write_all(&buffer[..count])?;
        size += count as u64;
    }
}

/// Copies a file of the host that had this digest when it was read.
pub fn copy_to(path: &Path, sha256: &str, sink: &mut dyn Write) -> Result<()> {
    let copied = File::open(path).and_then(|file| copy_hashing(&file, sink));
    match copied.map_err(failed("copy", path))?.sha256 == sha256 {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{} changed while it was copied",
            path.display()
        ))),
    }
}

/// The names in `directory`, sorted.
pub fn list(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("list", directory))?.file_name();
        names.push(
            name.into_string()
                .map_err(|name| not_text(directory, &name))?,
        );
    }
    names.sort();
    Ok(names)
}

fn not_text(directory: &Path, name: &OsString) -> Failure {
    Failure::new(format!(
        "the name {name:?} in {} is not UTF-8",
        directory.display()
    ))
}

/// A file about to be put in place.
pub struct NewFile<'a> {
    /// Where.
    pub path: &'a Path,
    /// Its bytes.
    pub content: &'a Content,
    /// Owner, group and mode; what is not given is kept from the file that is
    /// replaced, or is the agent's own and 0644.
    pub attributes: &'a Attributes,
    /// Where a copy of what is replaced is kept.
    pub backup: Option<&'a Path>,
}

/// Puts a file in place once `check` has accepted it under another name.
pub fn write(
    new: &NewFile,
    accounts: &Accounts,
    contents: &dyn ContentSource,
    check: &dyn Fn(&Path) -> Result<()>,
) -> Result<()> {
    if let Some(origin) = new.content.unknown_origin() {
        return Err(Failure::new(format!(
            "the content depends on {origin}, which is not known"
        )));
    }
    let temporary = Temporary::beside(new.path)?;
    match &new.content.text {
        Some(text) => (&temporary.file).write_all(text.as_bytes()),
        None => {
            contents.fetch(&new.content.sha256, &mut &temporary.file)?;
            Ok(())
        }
    }
    .map_err(failed("write", new.path))?;
    let attributes = complete(new.attributes, fs::symlink_metadata(new.path).ok().as_ref());
    temporary.set_attributes(new.path, &attributes, accounts)?;
    temporary
        .file
        .sync_all()
        .map_err(failed("write", new.path))?;
    check(&temporary.path)?;
    if let Some(backup) = new.backup {
        keep(new.path, backup)?;
    }
    temporary.become_file(new.path)
}

/// Fills in what is not asked for from the file that is replaced.
fn complete(asked: &Attributes, replaced: Option<&fs::Metadata>) -> Attributes {
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

fn keep(path: &Path, backup: &Path) -> Result<()> {
    match fs::hard_link(path, backup) {
        Ok(()) => Ok(()),
        Err(error) if is_absence(&error) => Ok(()),
        Err(_) => fs::copy(path, backup)
            .map(drop)
            .map_err(failed("keep a backup as", backup)),
    }
}

/// A file under a name of its own, in the directory where it will live. It is
/// removed unless it takes its final name.
struct Temporary {
    path: PathBuf,
    file: File,
    placed: bool,
}

impl Temporary {
    fn beside(path: &Path) -> Result<Self> {
        let temporary = temporary_name(path)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Failure::new(format!(
                    "cannot write {}: its directory does not exist",
                    path.display()
                ))
                .hint("Make the directory first, with `file(PATH, #{ state: \"directory\" })`."),
                _ => failed("write", path)(error),
            })?;
        Ok(Self {
            path: temporary,
            file,
            placed: false,
        })
    }

    fn set_attributes(&self, path: &Path, wanted: &Attributes, accounts: &Accounts) -> Result<()> {
        let (uid, gid) = accounts.ids(wanted)?;
        fchown(&self.file, uid, gid).map_err(failed("set the owner of", path))?;
        let mode = wanted.mode.unwrap_or(0o644);
        self.file
            .set_permissions(Permissions::from_mode(mode))
            .map_err(failed("set the mode of", path))
    }

    fn become_file(mut self, path: &Path) -> Result<()> {
        fs::rename(&self.path, path).map_err(failed("replace", path))?;
        self.placed = true;
        sync_parent(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing more can be done here, and the failure that led here is
            // the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A rename is only durable once the directory is on disk.
fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("sync", parent))
}

fn temporary_name(path: &Path) -> Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| Failure::new(format!("{} is not a file's path", path.display())))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!(".veza-{}-{count}", std::process::id()));
    Ok(path.with_file_name(temporary))
}

/// Changes owner, group and mode of what is there, never through a link.
pub fn set_attributes(path: &Path, wanted: &Attributes, accounts: &Accounts) -> Result<()> {
    let (uid, gid) = accounts.ids(wanted)?;
    let metadata = fs::symlink_metadata(path).map_err(failed("look at", path))?;
    // The owner comes first: changing it clears setuid and setgid.
    if uid.is_some() || gid.is_some() {
        lchown(path, uid, gid).map_err(failed("set the owner of", path))?;
    }
    let mode = wanted.mode.unwrap_or(metadata.mode() & 0o7777);
    if metadata.is_symlink() {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

/// Makes one directory, with its final owner and mode before it has its name.
pub fn make_directory(path: &Path, wanted: &Attributes, accounts: &Accounts) -> Result<()> {
    let temporary = temporary_name(path)?;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&temporary)
        .map_err(failed("make the directory", path))?;
    let defaulted = Attributes {
        mode: wanted.mode.or(Some(0o755)),
        ..wanted.clone()
    };
    let placed = set_attributes(&temporary, &defaulted, accounts)
        .and_then(|()| rename_directory(&temporary, path));
    if placed.is_err() {
        let _ = fs::remove_dir(&temporary);
    }
    placed
}

/// `rename` would replace an empty directory: somebody else's, then.
fn rename_directory(temporary: &Path, path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(Failure::new(format!("{} is there already", path.display())));
    }
    fs::rename(temporary, path).map_err(failed("make the directory", path))
}

/// Removes a file, a link, or a directory with all that is in it.
pub fn remove(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absence(&error) => return Ok(()),
        Err(error) => return Err(failed("remove", path)(error)),
    };
    match metadata.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
    .map_err(failed("remove", path))
}

/// Puts a symbolic link in place, atomically.
pub fn link(path: &Path, target: &Path) -> Result<()> {
    let temporary = temporary_name(path)?;
    symlink(target, &temporary).map_err(failed("make the link", path))?;
    let placed = fs::rename(&temporary, path).map_err(failed("make the link", path));
    if placed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    placed
}

/// Gives the file `target` the second name `path`, atomically.
pub fn hard_link(path: &Path, target: &Path) -> Result<()> {
    let temporary = temporary_name(path)?;
    fs::hard_link(target, &temporary).map_err(failed("make the hard link", path))?;
    let placed = fs::rename(&temporary, path).map_err(failed("make the hard link", path));
    if placed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    placed
}

/// Sets the times of a file to now.
pub fn touch(path: &Path) -> Result<()> {
    let now = std::time::SystemTime::now();
    File::open(path)
        .and_then(|file| file.set_times(fs::FileTimes::new().set_accessed(now).set_modified(now)))
        .map_err(failed("touch", path))
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
        let directory = temporary_name(&std::env::temp_dir().join("check"))?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(failed("make the directory", &directory))?;
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
        match &content.text {
            Some(text) => {
                (&file)
                    .write_all(text.as_bytes())
                    .map_err(failed("write", &copy.path))?;
            }
            None => contents.fetch(&content.sha256, &mut &file)?,
        }
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
