//! Handlers that a change has made due, kept on the host until they have run:
//! a run may end at any moment, and the next one finds nothing to change.
//!
//! They are noted before the first effect of the task that notifies them. So
//! one may be noted for nothing, and then runs once too often; none is lost.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::live::failed;
use crate::module::Result;
use crate::outcome::Failure;

/// The file's name.
const FILE: &str = "handlers.json";

/// A handler, as it is told from those of other plays and env files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DueHandler {
    /// The env file, within its project.
    pub file: String,
    /// The host, as that file calls it: several may be one machine.
    pub host: String,
    /// The play.
    pub play: String,
    /// The handler.
    pub name: String,
    /// Whose script defines it, if not the host's own: the host that it runs
    /// for, or nothing where whichever comes first runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}

/// The handlers that are due on a host, as far as this user's agent notes them.
#[derive(Default)]
pub struct Due {
    /// Where they are kept; nowhere on a host that is not there yet.
    directory: Option<PathBuf>,
    /// What the task at hand notifies, and is not noted yet.
    announced: RefCell<Vec<DueHandler>>,
}

impl Due {
    /// Those kept in a directory, which is made when it is needed.
    pub fn kept_in(directory: PathBuf) -> Self {
        Self {
            directory: Some(directory),
            announced: RefCell::default(),
        }
    }

    /// All of them.
    pub fn all(&self) -> Result<BTreeSet<DueHandler>> {
        let Some(path) = self.path() else {
            return Ok(BTreeSet::new());
        };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::new(format!("{} cannot be understood: {error}", path.display()))
                    .hint("It lists handlers that are due. Remove it, and run them by hand.")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Hears what the next task notifies if it changes something.
    pub fn announce(&self, handlers: Vec<DueHandler>) {
        self.announced.replace(handlers);
    }

    /// Notes what was announced: something is about to change.
    pub fn note(&self) -> Result<()> {
        let announced = self.announced.borrow().clone();
        if announced.is_empty() {
            return Ok(());
        }
        self.change(announced, &[])?;
        self.announced.take();
        Ok(())
    }

    /// Notes handlers, and strikes out others.
    pub fn change(&self, add: Vec<DueHandler>, remove: &[DueHandler]) -> Result<()> {
        let Some(directory) = &self.directory else {
            return Err(Failure::new("this session may only read the host"));
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("make the directory", directory))?;
        // Another agent may be about to note some, too.
        let opened = File::open(directory).map_err(failed("open", directory))?;
        flock(&opened, FlockOperation::LockExclusive)
            .map_err(|error| failed("lock", directory)(error.into()))?;
        let before = self.all()?;
        let mut after = before.clone();
        after.extend(add);
        after.retain(|handler| !remove.contains(handler));
        match after == before {
            true => Ok(()),
            false => write(&directory.join(FILE), &after, &opened),
        }
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(FILE))
    }
}

fn write(path: &Path, due: &BTreeSet<DueHandler>, directory: &File) -> Result<()> {
    let text = serde_json::to_vec_pretty(due)
        .map_err(|error| Failure::new(format!("cannot note the handlers: {error}")))?;
    let written = match due.is_empty() {
        true => fs::remove_file(path),
        false => replace(path, &text),
    };
    // It must outlive a crash in the middle of the effect that follows.
    written
        .and_then(|()| directory.sync_all())
        .map_err(failed("note the handlers that are due in", path))
}

/// Puts a text in the place of a file; only its owner may read it.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn handler(name: &str) -> DueHandler {
        DueHandler {
            file: "envs/lab.rhai".to_owned(),
            host: "web".to_owned(),
            play: "site".to_owned(),
            name: name.to_owned(),
            script: None,
        }
    }

    fn names(due: &Due) -> Vec<String> {
        let all = due.all().expect("they can be read");
        all.into_iter().map(|handler| handler.name).collect()
    }

    #[test]
    fn what_was_announced_is_noted_once_something_changes() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = directory.path().join("state/veza-play");
        let due = Due::kept_in(kept.clone());
        due.announce(vec![handler("reload")]);
        assert!(!kept.exists(), "nothing has changed yet");
        due.note().expect("it can be written");
        due.note().expect("there is nothing to note any more");
        assert_eq!(names(&due), ["reload"]);
        let metadata = fs::metadata(kept.join(FILE)).expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_has_run_is_struck_out_and_the_others_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let due = Due::kept_in(directory.path().to_owned());
        let add = vec![handler("reload"), handler("restart")];
        due.change(add, &[]).expect("it can be written");
        let other_play = DueHandler {
            play: "other".to_owned(),
            ..handler("restart")
        };
        let removed = [handler("reload"), other_play];
        due.change(Vec::new(), &removed).expect("it can be written");
        assert_eq!(names(&due), ["restart"]);
        let removed = [handler("restart")];
        due.change(Vec::new(), &removed).expect("it can be written");
        assert!(!directory.path().join(FILE).exists(), "none is left");
    }

    #[test]
    fn a_file_that_means_nothing_is_not_taken_for_none() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(FILE), "[{").expect("it can be written");
        let due = Due::kept_in(directory.path().to_owned());
        let failure = due.all().expect_err("it means nothing");
        assert!(failure.hint.is_some(), "{failure}");
        due.announce(vec![handler("reload")]);
        assert!(due.note().is_err(), "what it held may not be lost");
    }

    #[test]
    fn agents_that_note_at_the_same_time_lose_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let due = Due::kept_in(directory.path().to_owned());
                scope.spawn(move || {
                    due.change(vec![handler(&number.to_string())], &[])
                        .expect("it can be written");
                });
            }
        });
        let due = Due::kept_in(directory.path().to_owned());
        assert_eq!(names(&due).len(), 8);
    }
}
