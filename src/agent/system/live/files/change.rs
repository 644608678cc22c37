//! What is changed of files, or at their paths, without writing any.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::process::{Gid, Uid};

use super::held::{Held, Obstacle};
use super::temporary::make_temporary;
use super::{absent, bare, failed, is_absence, is_directory, need_parent};
use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::live::accounts::Accounts;

/// Changes owner, group and mode of what is there, never through a link: not
/// even one that takes the name while this looks.
pub fn set_attributes(path: &Path, wanted: &Attributes, accounts: &Accounts) -> Result<()> {
    let path = &bare(path);
    let held = Held::parent_of(path);
    let held = held.map_err(|obstacle| obstacle.failure("set the mode of", path))?;
    set_attributes_at(&held.path(), path, wanted, accounts)
}

/// The same `at` a path that leads through nothing.
fn set_attributes_at(
    at: &Path,
    path: &Path,
    wanted: &Attributes,
    accounts: &Accounts,
) -> Result<()> {
    let (uid, gid) = accounts.ids(wanted)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held: File = rustix::fs::open(at, flags, Mode::empty())
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

/// Makes one directory, with its final owner and mode before it has its name.
pub fn make_directory(path: &Path, wanted: &Attributes, accounts: &Accounts) -> Result<()> {
    const ACTION: &str = "make the directory";
    let create = |new: &Path| fs::DirBuilder::new().mode(0o700).create(new);
    let new = make_temporary(path, ACTION, create)?;
    let defaulted = Attributes {
        mode: wanted.mode.or(Some(0o755)),
        ..wanted.clone()
    };
    let placed = set_attributes_at(&new.path(), path, &defaulted, accounts)
        .and_then(|()| rename_directory(&new.path(), &new.held.path(), path));
    if placed.is_err() {
        let _ = fs::remove_dir(new.path());
    }
    placed
}

/// A plain `rename` would replace an empty directory: somebody else's, then.
fn rename_directory(temporary: &Path, at: &Path, path: &Path) -> Result<()> {
    let taken = || Failure::new(format!("{} is there already", path.display()));
    match rustix::fs::renameat_with(CWD, temporary, CWD, at, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(taken()),
        // Some file systems cannot; then looking first has to do.
        Err(rustix::io::Errno::INVAL) if fs::symlink_metadata(at).is_ok() => Err(taken()),
        Err(rustix::io::Errno::INVAL) => {
            fs::rename(temporary, at).map_err(failed("make the directory", path))
        }
        Err(error) => Err(failed("make the directory", path)(error.into())),
    }
}

/// Removes a file, a link, or a directory with all that is in it.
pub fn remove(path: &Path) -> Result<()> {
    let path = &bare(path);
    match Held::parent_of(path) {
        Ok(held) => remove_at(&held.path()).map_err(failed("remove", path)),
        Err(Obstacle::Io(error)) if is_absence(&error) => Ok(()),
        Err(obstacle) => Err(obstacle.failure("remove", path)),
    }
}

/// The same at a path that leads through nothing.
pub(super) fn remove_at(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if is_absence(&error) => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

/// Puts a symbolic link in place, atomically.
pub fn link(path: &Path, target: &Path) -> Result<()> {
    const ACTION: &str = "make the link";
    make_temporary(path, ACTION, |new| symlink(target, new))?.place(path, ACTION)
}

/// Gives the file `target` the second name `path`, atomically.
pub fn hard_link(path: &Path, target: &Path) -> Result<()> {
    const ACTION: &str = "make the hard link";
    need_parent(path, ACTION)?;
    let source = Held::parent_of(target);
    let source = source.map_err(|obstacle| obstacle.failure("make a hard link to", target))?;
    let metadata = fs::symlink_metadata(source.path())
        .map_err(absent)
        .map_err(failed("make a hard link to", target))?;
    if metadata.is_dir() {
        return Err(is_directory("make a hard link to", target));
    }
    make_temporary(path, ACTION, |new| fs::hard_link(source.path(), new))?.place(path, ACTION)
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
    let held = Held::parent_of(path).map_err(|obstacle| obstacle.failure("touch", path))?;
    rustix::fs::utimensat(CWD, held.path(), &times, AtFlags::empty())
        .map_err(|error| absent(error.into()))
        .map_err(failed("touch", path))
}
