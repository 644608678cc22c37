//! Files of the live host. Everything that replaces a file is atomic: a new
//! file is complete, checked and has its final owner and mode before it takes
//! the name. Nothing here waits for the disk but [`sync`] and [`sync_parents`]:
//! who changes many files calls them once for all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use self::held::{Held, Obstacle};
use crate::module::Result;
use crate::outcome::Failure;

mod change;

mod durable;

mod held;

mod read;

mod temporary;

mod write;

pub use change::{hard_link, link, make_directory, remove, set_attributes, touch};
pub use durable::{sync, sync_parents};
pub use read::{content, content_at, copy_hashing, copy_to, has_names, list, open, open_at, stat};
pub use temporary::{PrivateCopy, nameless};
pub use write::{NewFile, Prepared, prepare, send};

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

/// That a parent is not a directory is one way of not being there.
fn absent(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotADirectory => rustix::io::Errno::NOENT.into(),
        _ => error,
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

/// The directory in which something is about to be made.
fn need_parent(path: &Path, action: &str) -> Result<Held> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    match Held::parent_of(path) {
        Ok(held) => match held.is_directory().map_err(failed(action, path))? {
            true => Ok(held),
            false => Err(Failure::new(format!(
                "cannot {action} {}: {} is not a directory",
                path.display(),
                parent.display()
            ))),
        },
        Err(Obstacle::Io(error)) if is_absence(&error) => Err(Failure::new(format!(
            "cannot {action} {}: its directory does not exist",
            path.display()
        ))
        .hint("Make the directory first, with `file(PATH, #{ state: \"directory\" })`.")),
        Err(obstacle) => Err(obstacle.failure(action, path)),
    }
}

fn is_directory(action: &str, path: &Path) -> Failure {
    Failure::new(format!(
        "cannot {action} {}: is a directory",
        path.display()
    ))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
