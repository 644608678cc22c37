//! Files of this machine that people and programs share: each is written whole
//! or not at all, and changed by one at a time.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Puts a new content into a file; one that is not there yet gets `mode`. A
/// symbolic link stays one: what it leads to is written.
///
/// # Errors
/// When it cannot be written; it is then as it was.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let path = real(path)?;
    let mut file = tempfile::NamedTempFile::new_in(directory(&path))?;
    file.write_all(content)?;
    let mode = fs::metadata(&path).map_or(mode, |old| old.permissions().mode() & 0o777);
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

/// The right to change a file, until it is dropped. It is that to the whole
/// directory, since a file that is replaced takes its lock with it.
pub struct Lock(#[expect(dead_code, reason = "it is held, not used")] File);

impl Lock {
    /// Waits for the right to change a file.
    ///
    /// # Errors
    /// When its directory cannot be opened or locked.
    pub fn of(path: &Path) -> io::Result<Self> {
        let directory = File::open(directory(&real(path)?))?;
        directory.lock()?;
        Ok(Self(directory))
    }
}

/// Where the file of a path is, or is to be.
fn real(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            Ok(path.to_owned())
        }
        real => real,
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_link_leads_to_is_written_and_the_link_stays() {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("shared")).expect("made");
        fs::write(at("shared/file"), "old").expect("written");
        fs::set_permissions(at("shared/file"), Permissions::from_mode(0o640)).expect("set");
        symlink("shared/file", at("link")).expect("linked");
        replace(&at("link"), b"new", 0o600).expect("written");
        assert!(at("link").is_symlink());
        assert_eq!(fs::read(at("shared/file")).expect("read"), b"new");
        let mode = |name: &str| {
            let metadata = fs::metadata(at(name)).expect("it is there");
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode("shared/file"), 0o640);
        replace(&at("fresh"), b"x", 0o600).expect("written");
        assert_eq!(mode("fresh"), 0o600);
        symlink("nowhere", at("dangling")).expect("linked");
        assert!(replace(&at("dangling"), b"x", 0o600).is_err());
        assert!(at("dangling").is_symlink());
    }

    #[test]
    fn one_at_a_time_has_the_right() {
        let place = tempfile::tempdir().expect("a directory");
        let count = place.path().join("count");
        fs::write(&count, "0").expect("written");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock = Lock::of(&count).expect("locked");
                        let text = fs::read_to_string(&count).expect("read");
                        let next: u32 = text.parse().expect("a number");
                        replace(&count, (next + 1).to_string().as_bytes(), 0o600).expect("written");
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(&count).expect("read"), "160");
    }
}
