//! What was done to this host, kept on it: every effect with what was there
//! before and its inverse, written before the effect happens.
//!
//! One file a run, one JSON object a line. Contents that do not fit in a line
//! are kept beside it, by digest. Only the agent's user may read any of it.

use std::cell::Cell;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::files::failed;
use crate::effect::{Effect, Inverse, Record};
use crate::module::Result;
use crate::outcome::Failure;

/// The journal of one run.
pub struct Journal {
    directory: PathBuf,
    file: File,
    path: PathBuf,
    next: Cell<u64>,
}

#[derive(Serialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
enum Line<'a> {
    Begin {
        number: u64,
        time: u64,
        record: &'a Record,
    },
    End {
        number: u64,
        failure: Option<&'a str>,
    },
}

impl Journal {
    /// Opens the journal of a run in `directory`, which is made if missing.
    pub fn open(directory: &Path, run: &str) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("make the journal's directory", directory))?;
        let path = directory.join(format!("{run}.jsonl"));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open the journal", &path))?;
        Ok(Self {
            directory: directory.to_owned(),
            file,
            path,
            next: Cell::new(0),
        })
    }

    /// Writes down what is about to happen; returns the entry's number.
    pub fn begin(&self, record: &Record) -> Result<u64> {
        self.keep_contents(record)?;
        let number = self.next.replace(self.next.get() + 1);
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.write(&Line::Begin {
            number,
            time,
            record,
        })?;
        // It must outlive a crash in the middle of the effect.
        self.file
            .sync_data()
            .map_err(failed("write the journal", &self.path))?;
        Ok(number)
    }

    /// Writes down how it ended.
    pub fn end(&self, number: u64, failure: Option<&Failure>) -> Result<()> {
        let failure = failure.map(|failure| failure.message.as_str());
        self.write(&Line::End { number, failure })
    }

    /// Where a content with this digest is kept, if it is.
    pub fn kept(&self, sha256: &str) -> PathBuf {
        self.directory.join(sha256)
    }

    fn write(&self, line: &Line) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)
            .map_err(|error| Failure::new(format!("cannot write the journal: {error}")))?;
        bytes.push(b'\n');
        (&self.file)
            .write_all(&bytes)
            .map_err(failed("write the journal", &self.path))
    }

    /// Keeps the bytes of a file that is about to go, where the inverse names
    /// them by digest only.
    fn keep_contents(&self, record: &Record) -> Result<()> {
        let Inverse::Effects(effects) = &record.inverse else {
            return Ok(());
        };
        for effect in effects {
            if let Effect::WriteFile { path, content, .. } = effect
                && content.text.is_none()
            {
                let kept = self.kept(&content.sha256);
                if kept.exists() {
                    continue;
                }
                let copy = kept.with_extension("part");
                std::fs::copy(path, &copy).map_err(failed("keep a copy of", path))?;
                std::fs::set_permissions(
                    &copy,
                    std::os::unix::fs::PermissionsExt::from_mode(0o600),
                )
                .and_then(|()| File::open(&copy)?.sync_all())
                .and_then(|()| std::fs::rename(&copy, &kept))
                .map_err(failed("keep a copy as", &kept))?;
            }
        }
        Ok(())
    }
}
