//! What was done to this host, kept on it: every effect with what was there
//! before and its inverse, written before the effect happens.
//!
//! One file a run, one JSON object a line. Contents that do not fit in a line
//! are kept beside it, by digest. Only the agent's user may read any of it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::files::{copy_hashing, failed, open_at, sync, sync_parents};
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

    /// Writes down what is about to happen; returns the entries' numbers.
    pub fn begin(&self, records: &[Record]) -> Result<Range<u64>> {
        self.keep_contents(records)?;
        let first = self.next.get();
        self.next.set(first + records.len() as u64);
        let numbers = first..self.next.get();
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let entries = numbers.clone().zip(records);
        self.write(entries.map(|(number, record)| Line::Begin {
            number,
            time,
            record,
        }))?;
        // It must outlive a crash in the middle of the effects.
        self.file
            .sync_data()
            .map_err(failed("write the journal", &self.path))?;
        Ok(numbers)
    }

    /// Writes down how they ended: so many are done, and the rest are not, for
    /// this reason.
    pub fn end(&self, numbers: Range<u64>, done: usize, failure: Option<&Failure>) -> Result<()> {
        let failure = failure.map(|failure| failure.message.as_str());
        self.write(numbers.enumerate().map(|(index, number)| Line::End {
            number,
            failure: failure.filter(|_| index >= done),
        }))
    }

    /// Where a content with this digest is kept, if it is.
    pub fn kept(&self, sha256: &str) -> PathBuf {
        self.directory.join(sha256)
    }

    fn write<'a>(&self, lines: impl Iterator<Item = Line<'a>>) -> Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, &line)
                .map_err(|error| Failure::new(format!("cannot write the journal: {error}")))?;
            bytes.push(b'\n');
        }
        (&self.file)
            .write_all(&bytes)
            .map_err(failed("write the journal", &self.path))
    }

    /// Keeps the bytes of files that are about to go, where the inverses name
    /// them by digest only.
    fn keep_contents(&self, records: &[Record]) -> Result<()> {
        let mut copies = BTreeMap::new();
        for (path, sha256) in records.iter().flat_map(going) {
            let kept = self.kept(sha256);
            if kept.exists() || copies.contains_key(&kept) {
                continue;
            }
            let part = kept.with_extension("part");
            let copy = copy(path, sha256, &part)?;
            copies.insert(kept, (copy, part));
        }
        sync(copies.values().map(|(copy, part)| (copy, part.as_path())))?;
        for (kept, (_, part)) in &copies {
            std::fs::rename(part, kept).map_err(failed("keep a copy as", kept))?;
        }
        sync_parents(copies.keys().map(PathBuf::as_path))
    }
}

/// The files whose bytes an inverse names by digest only.
fn going(record: &Record) -> impl Iterator<Item = (&Path, &str)> {
    let effects = match &record.inverse {
        Inverse::Effects(effects) => effects.as_slice(),
        Inverse::Nothing | Inverse::None(_) => &[],
    };
    effects.iter().filter_map(|effect| match effect {
        Effect::WriteFile { path, content, .. } if content.text.is_none() => {
            Some((path.as_path(), content.sha256.as_str()))
        }
        _ => None,
    })
}

/// Copies a file, which must have this digest, for nobody but the agent's user.
fn copy(path: &Path, sha256: &str, part: &Path) -> Result<File> {
    let changed = || Failure::new(format!("{} changed while it was copied", path.display()));
    let source = open_at(path)?.ok_or_else(changed)?;
    let copy = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(part)
        .map_err(failed("keep a copy as", part))?;
    let copied = copy_hashing(&source, &mut &copy).map_err(failed("keep a copy of", path))?;
    match copied.sha256 == sha256 {
        true => Ok(copy),
        false => Err(changed()),
    }
}
