//! What is at a path of the live host.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::held::{Held, Obstacle};
use super::{bare, failed, is_absence};
use crate::content::{Content, INLINE_LIMIT, hex};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::live::accounts::Accounts;
use crate::system::{FileKind, Found, Stat};

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

/// Whether what is at a path has other names, too.
pub fn has_names(path: &Path) -> bool {
    let metadata = fs::symlink_metadata(bare(path));
    metadata.is_ok_and(|metadata| !metadata.is_dir() && metadata.nlink() > 1)
}

pub(super) fn kind_of(kind: fs::FileType) -> FileKind {
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
    content_of(open(path)?, path)
}

/// The content of the regular file that is at `path` itself.
pub fn content_at(path: &Path) -> Result<Found<Content>> {
    content_of(open_at(path)?, path)
}

fn content_of(file: Option<File>, path: &Path) -> Result<Found<Content>> {
    let Some(file) = file else {
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
    regular(path, path, OFlags::empty())
}

/// The regular file that is at `path` itself, not where a link there leads.
pub fn open_at(path: &Path) -> Result<Option<File>> {
    let path = &bare(path);
    match Held::parent_of(path) {
        Ok(held) => regular(&held.path(), path, OFlags::NOFOLLOW),
        Err(Obstacle::Io(error)) if is_absence(&error) => Ok(None),
        Err(obstacle) => Err(obstacle.failure("read", path)),
    }
}

fn regular(at: &Path, path: &Path, flags: OFlags) -> Result<Option<File>> {
    // A pipe without a writer would be waited for.
    let flags = flags | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(at);
    let file = match opened {
        Ok(file) => file,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) if flags.contains(OFlags::NOFOLLOW) && is_loop(&error) => {
            return Err(Failure::new(format!("{} is a link", path.display())));
        }
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

pub(super) fn hash(file: &File) -> io::Result<Content> {
    copy_hashing(file, &mut io::sink())
}

fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Copies what is left of a file, and tells what it was.
pub fn copy_hashing(mut file: &File, sink: &mut dyn Write) -> io::Result<Content> {
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

pub(super) fn not_text(directory: &Path, name: &OsString) -> Failure {
    Failure::new(format!(
        "the name {name:?} in {} is not UTF-8",
        directory.display()
    ))
}
