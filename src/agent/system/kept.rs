//! Where an agent keeps what must outlive it: its journal, and the handlers
//! that are due.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::live::failed;
use crate::module::Result;
use crate::outcome::Failure;

/// The directory of this process's user: root's is with the host's state,
/// another user's in the home directory (XDG base directory specification 0.8).
/// Users of services often have none that they can write; then it is where such
/// a user's agent lives, too.
pub fn directory() -> Result<PathBuf> {
    let user = rustix::process::getuid();
    if user.is_root() {
        return Ok(PathBuf::from("/var/lib/veza-play"));
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".local/state"));
    let state = state.filter(|path| path.is_absolute()).or_else(home);
    match state.map(|state| state.join("veza-play")) {
        Some(own) if can_be_written(&own) => Ok(own),
        _ => {
            let shared = PathBuf::from(format!("/var/tmp/veza-play-{}", user.as_raw()));
            refuse_foreign(&shared, user.as_raw())?;
            Ok(shared)
        }
    }
}

/// Makes the directory of this process's user, for nobody else to look into.
pub fn make() -> Result<PathBuf> {
    let directory = directory()?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(failed("make the directory", &directory))?;
    // Somebody else may have been faster, where everybody may make one.
    refuse_foreign(&directory, rustix::process::getuid().as_raw())?;
    Ok(directory)
}

/// Whether something can be made at a path: in the nearest directory above it
/// that is there.
fn can_be_written(path: &Path) -> bool {
    let there = path.ancestors().find(|path| path.exists());
    there.is_some_and(|path| rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

/// Refuses a directory that another user made or could change.
fn refuse_foreign(directory: &Path, user: u32) -> Result<()> {
    match fs::symlink_metadata(directory) {
        Ok(found) if found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0 => Ok(()),
        Ok(_) => Err(Failure::new(format!(
            "{} is not a directory that only its owner, the user {user}, can write",
            directory.display()
        ))
        .hint("The journal is kept there, for the home directory cannot be written. Remove what is there.")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("look at", directory)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_a_directory_of_the_user_itself_counts() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        let me = rustix::process::getuid().as_raw();
        assert!(refuse_foreign(&at("missing"), me).is_ok());
        fs::create_dir(at("own")).expect("a directory");
        assert!(refuse_foreign(&at("own"), me).is_ok());
        assert!(refuse_foreign(&at("own"), me + 1).is_err());
        symlink("own", at("link")).expect("a link");
        assert!(refuse_foreign(&at("link"), me).is_err());
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(at("own"), open).expect("its owner may");
        assert!(refuse_foreign(&at("own"), me).is_err());
    }

    #[test]
    fn a_directory_below_one_that_can_be_written_can_be_made() {
        let root = tempfile::tempdir().expect("a directory");
        assert!(can_be_written(&root.path().join("a/b")));
        assert!(!can_be_written(Path::new("/proc/1/a/b")));
    }
}
