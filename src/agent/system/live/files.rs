//! Files of the live host. Everything that replaces a file is atomic: a new
//! file is complete, checked and has its final owner and mode before it takes
//! the name.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{
    Access, AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW,
};
use rustix::process::{Gid, Uid};
use sha2::{Digest, Sha256};

use super::accounts::Accounts;
use crate::content::{Content, INLINE_LIMIT, hex};
use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{FileKind, Found, Stat};

/// How old a temporary file is before it is taken for a killed agent's.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

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
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// A path without the slash that would make the kernel follow a link there.
fn bare(path: &Path) -> PathBuf {
    path.components().collect()
}

/// What is at `path`, without following a link.
pub fn stat(path: &Path, accounts: &Accounts) -> Result<Found<Stat>> {
    let path = &bare(path);
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
    let Some(file) = open(path)? else {
        return Ok(Found::Absent);
    };
    let metadata = file.metadata().map_err(failed("read", path))?;
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

/// The regular file at `path`, links followed, if it is there.
pub fn open(path: &Path) -> Result<Option<File>> {
    // A pipe without a writer would be waited for.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let metadata = file.metadata().map_err(failed("read", path))?;
    if !metadata.is_file() {
        return Err(Failure::new(format!(
            "{} is not a regular file",
            path.display()
        )));
    }
    Ok(Some(file))
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
    /// Owner, group and mode; what is not given is kept from the file that is
    /// replaced, or is the agent's own and 0644.
    pub attributes: &'a Attributes,
    /// Where a copy of what is replaced is kept.
    pub backup: Option<&'a Path>,
}

/// Puts a file in place once `fill` has written it and `check` has accepted it
/// under another name.
pub fn write(
    new: &NewFile,
    accounts: &Accounts,
    fill: &dyn Fn(&mut dyn Write) -> Result<()>,
    check: &dyn Fn(&Path) -> Result<()>,
) -> Result<()> {
    let temporary = Temporary::beside(new.path)?;
    fill(&mut &temporary.file)?;
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

/// Keeps what is at `path` as `backup` too. A link that somebody put there is
/// replaced, never followed.
fn keep(path: &Path, backup: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if is_absence(&error) => return Ok(()),
        metadata => metadata.map_err(failed("look at", path))?,
    };
    if metadata.is_dir() {
        return Err(is_directory("replace", path));
    }
    let linked = make_temporary(backup, "keep a backup as", |new| fs::hard_link(path, new));
    match linked {
        Ok((temporary, ())) => place(&temporary, backup, "keep a backup as"),
        Err(failure) if !metadata.is_file() => Err(failure),
        // Not every file system has hard links, nor every user the right.
        Err(_) => keep_copy(path, &metadata, backup),
    }
}

fn keep_copy(path: &Path, metadata: &fs::Metadata, backup: &Path) -> Result<()> {
    let copy = Temporary::beside(backup)?;
    let source = File::open(path).map_err(failed("read", path))?;
    copy_hashing(&source, &mut &copy.file).map_err(failed("keep a backup as", backup))?;
    fchown(&copy.file, Some(metadata.uid()), Some(metadata.gid()))
        .and_then(|()| copy.file.set_permissions(metadata.permissions()))
        .and_then(|()| copy.file.sync_all())
        .map_err(failed("keep a backup as", backup))?;
    copy.become_file(backup)
}

/// Gives what was made under another name its own, in one step.
fn place(temporary: &Path, path: &Path, action: &str) -> Result<()> {
    let placed = fs::rename(temporary, path).map_err(failed(action, path));
    // If both are names of one file already, `rename` leaves both.
    let _ = fs::remove_file(temporary);
    placed.and_then(|()| sync_parent(path))
}

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
    let (path, file) = make_temporary(&place, "unpack to", create)?;
    fs::remove_file(&path).map_err(failed("unpack to", &path))?;
    Ok(file)
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
        let create = |new: &Path| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(new)
        };
        let (temporary, file) = make_temporary(path, "write", create)?;
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

/// Makes something beside `path`, under a name that nothing has.
fn make_temporary<T>(
    path: &Path,
    action: &str,
    make: impl Fn(&Path) -> io::Result<T>,
) -> Result<(PathBuf, T)> {
    need_parent(path, action)?;
    sweep(path.parent().unwrap_or(Path::new("/")));
    loop {
        let temporary = temporary_name(path)?;
        match make(&temporary) {
            // An agent of the same number was killed here, or somebody guesses.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                let made = made.map_err(failed(action, path))?;
                return Ok((temporary, made));
            }
        }
    }
}

/// Why this process may not change what is in a directory, if it may not.
pub fn refusal(directory: &Path) -> Option<io::Error> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::access(directory, access) {
        Err(error) if !is_absence(&error.into()) => Some(error.into()),
        _ => None,
    }
}

fn need_parent(path: &Path, action: &str) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    match fs::metadata(parent) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::new(format!(
            "cannot {action} {}: {} is not a directory",
            path.display(),
            parent.display()
        ))),
        Err(error) if is_absence(&error) => Err(Failure::new(format!(
            "cannot {action} {}: its directory does not exist",
            path.display()
        ))
        .hint("Make the directory first, with `file(PATH, #{ state: \"directory\" })`.")),
        Err(error) => Err(failed(action, path)(error)),
    }
}

/// Removes what agents that were killed left in a directory, once a process.
/// What cannot be removed does no harm where it is.
fn sweep(directory: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if !swept.insert(directory.to_owned()) {
        return;
    }
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let abandoned = is_temporary(&entry.file_name()) && is_abandoned(&entry.path());
        if abandoned && remove(&entry.path()).is_err() {
            return;
        }
    }
}

/// Whether a name is one of [`temporary_name`]'s.
fn is_temporary(name: &OsStr) -> bool {
    let parts = || {
        let (_, numbers) = name.to_str()?.strip_prefix('.')?.rsplit_once(".veza-")?;
        let (process, count) = numbers.split_once('-')?;
        Some(process.parse::<u32>().is_ok() && count.parse::<u64>().is_ok())
    };
    parts().unwrap_or(false)
}

/// Whether something is ours and older than any effect takes.
fn is_abandoned(path: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return false;
    };
    let age = metadata
        .modified()
        .ok()
        .and_then(|time| time.elapsed().ok());
    metadata.uid() == rustix::process::geteuid().as_raw() && age.is_some_and(|age| age > ABANDONED)
}

fn is_directory(action: &str, path: &Path) -> Failure {
    Failure::new(format!(
        "cannot {action} {}: is a directory",
        path.display()
    ))
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

/// Changes owner, group and mode of what is there, never through a link: not
/// even one that takes the name while this looks.
pub fn set_attributes(path: &Path, wanted: &Attributes, accounts: &Accounts) -> Result<()> {
    let path = &bare(path);
    let (uid, gid) = accounts.ids(wanted)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held: File = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| absent(error.into()))
        .map_err(failed("set the mode of", path))?
        .into();
    let metadata = held.metadata().map_err(failed("look at", path))?;
    // The owner comes first: changing it clears setuid and setgid.
    if uid.is_some() || gid.is_some() {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        rustix::fs::chownat(&held, "", uid, gid, AtFlags::EMPTY_PATH)
            .map_err(|error| failed("set the owner of", path)(error.into()))?;
    }
    if metadata.is_symlink() {
        return Ok(());
    }
    // Only this name leads to what is held (proc_pid_fd(5)).
    let name = format!("/proc/self/fd/{}", held.as_raw_fd());
    let mode = wanted.mode.unwrap_or(metadata.mode() & 0o7777);
    fs::set_permissions(name, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

/// That a parent is not a directory is one way of not being there.
fn absent(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotADirectory => rustix::io::Errno::NOENT.into(),
        _ => error,
    }
}

/// Makes one directory, with its final owner and mode before it has its name.
pub fn make_directory(path: &Path, wanted: &Attributes, accounts: &Accounts) -> Result<()> {
    const ACTION: &str = "make the directory";
    let create = |new: &Path| fs::DirBuilder::new().mode(0o700).create(new);
    let (temporary, ()) = make_temporary(path, ACTION, create)?;
    let defaulted = Attributes {
        mode: wanted.mode.or(Some(0o755)),
        ..wanted.clone()
    };
    let placed = set_attributes(&temporary, &defaulted, accounts)
        .and_then(|()| rename_directory(&temporary, path));
    if placed.is_err() {
        let _ = fs::remove_dir(&temporary);
    }
    placed.and_then(|()| sync_parent(path))
}

/// A plain `rename` would replace an empty directory: somebody else's, then.
fn rename_directory(temporary: &Path, path: &Path) -> Result<()> {
    let taken = || Failure::new(format!("{} is there already", path.display()));
    match rustix::fs::renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(taken()),
        // Some file systems cannot; then looking first has to do.
        Err(rustix::io::Errno::INVAL) if fs::symlink_metadata(path).is_ok() => Err(taken()),
        Err(rustix::io::Errno::INVAL) => {
            fs::rename(temporary, path).map_err(failed("make the directory", path))
        }
        Err(error) => Err(failed("make the directory", path)(error.into())),
    }
}

/// Removes a file, a link, or a directory with all that is in it.
pub fn remove(path: &Path) -> Result<()> {
    let path = &bare(path);
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
    let (temporary, ()) = make_temporary(path, "make the link", |new| symlink(target, new))?;
    place(&temporary, path, "make the link")
}

/// Gives the file `target` the second name `path`, atomically.
pub fn hard_link(path: &Path, target: &Path) -> Result<()> {
    const ACTION: &str = "make the hard link";
    need_parent(path, ACTION)?;
    let metadata = fs::symlink_metadata(target)
        .map_err(absent)
        .map_err(failed("make a hard link to", target))?;
    if metadata.is_dir() {
        return Err(is_directory("make a hard link to", target));
    }
    let (temporary, ()) = make_temporary(path, ACTION, |new| fs::hard_link(target, new))?;
    place(&temporary, path, ACTION)
}

/// Sets the times of a file to now. It is not opened: that would wait for the
/// other end of a pipe.
pub fn touch(path: &Path) -> Result<()> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())
        .map_err(|error| absent(error.into()))
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
        let place = std::env::temp_dir().join("check");
        let create = |new: &Path| fs::DirBuilder::new().mode(0o700).create(new);
        let (directory, ()) = make_temporary(&place, "make the directory", create)?;
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
