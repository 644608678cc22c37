//! Directories that are held open while something in them is changed. Whoever
//! may move one, or put a link in its place, leads no change elsewhere.
//!
//! **Invariant:** a link that belongs to neither root nor the agent's user is
//! only followed to what belongs to its owner.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{absent, failed};
use crate::outcome::Failure;
use crate::system::foreign_link;

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The directory that a path is in, and the name there.
pub(super) struct Held {
    directory: File,
    name: OsString,
}

/// Why a path leads nowhere.
pub(super) enum Obstacle {
    /// The kernel says so.
    Io(io::Error),
    /// This link on the way is not to be trusted.
    Foreign(PathBuf),
}

impl Held {
    /// The directory of `path`, itself reached through links that may be
    /// followed; it may turn out to be none.
    pub fn parent_of(path: &Path) -> Result<Self, Obstacle> {
        let (directory, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (parent, name),
            _ => (path, OsStr::new(".")),
        };
        Ok(Self {
            directory: open(directory)?,
            name: name.to_owned(),
        })
    }

    /// Whether it is a directory at all.
    pub fn is_directory(&self) -> io::Result<bool> {
        Ok(self.directory.metadata()?.is_dir())
    }

    /// A path of the name: it leads through this directory, whatever becomes of
    /// the way to it, as long as this is held.
    pub fn path(&self) -> PathBuf {
        self.beside(&self.name)
    }

    /// Such a path of another name in the directory (proc_pid_fd(5)).
    pub fn beside(&self, name: &OsStr) -> PathBuf {
        Path::new("/proc/self/fd")
            .join(self.directory.as_raw_fd().to_string())
            .join(name)
    }
}

impl Obstacle {
    /// The failure of an action on `path`. That a parent is not a directory is
    /// one way of not being there.
    pub fn failure(self, action: &str, path: &Path) -> Failure {
        match self {
            Self::Io(error) => failed(action, path)(absent(error)),
            Self::Foreign(link) => foreign_link(path, &link),
        }
    }
}

impl From<Errno> for Obstacle {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// What a path leads to, only to be named.
fn open(path: &Path) -> Result<File, Obstacle> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let direct = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    match direct {
        Ok(opened) => Ok(opened.into()),
        // There is a link, or the kernel is older than 5.6.
        Err(_) => walk(path),
    }
}

/// What is to be done on the way, the next at the end.
enum Step {
    Enter(OsString),
    /// What was reached is what a link leads to, and must be its owner's.
    Reached {
        link: PathBuf,
        owner: u32,
    },
}

fn walk(path: &Path) -> Result<File, Obstacle> {
    let root = || step(CWD, OsStr::new("/"));
    let mut reached = root()?;
    let mut real = PathBuf::from("/");
    let mut left = steps(path);
    let mut links = 0;
    while let Some(next) = left.pop() {
        let name = match next {
            Step::Enter(name) => name,
            Step::Reached { link, owner } => {
                let found = reached.metadata().map_err(Obstacle::Io)?.uid();
                match found == owner {
                    true => continue,
                    false => return Err(Obstacle::Foreign(link)),
                }
            }
        };
        let entered = step(&reached, &name)?;
        let metadata = entered.metadata().map_err(Obstacle::Io)?;
        if !metadata.is_symlink() {
            reached = entered;
            match name == ".." {
                true => drop(real.pop()),
                false => real.push(&name),
            }
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        let me = rustix::process::geteuid().as_raw();
        if ![0, me].contains(&metadata.uid()) {
            left.push(Step::Reached {
                link: real.join(&name),
                owner: metadata.uid(),
            });
        }
        let target = rustix::fs::readlinkat(&entered, "", Vec::new())?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            (reached, real) = (root()?, PathBuf::from("/"));
        }
        left.extend(steps(&target));
    }
    Ok(reached)
}

/// The names of a path, the first at the end.
fn steps(path: &Path) -> Vec<Step> {
    let name = |part: Component| match part {
        Component::Normal(_) | Component::ParentDir => {
            Some(Step::Enter(part.as_os_str().to_owned()))
        }
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

fn step(from: impl std::os::fd::AsFd, name: &OsStr) -> Result<File, Obstacle> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(from, name, flags, Mode::empty())?.into())
}
