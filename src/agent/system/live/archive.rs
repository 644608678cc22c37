//! Archives, read whole before anything of them is put in place: their members
//! with digests, and the bytes of those that are not small texts in a nameless
//! file, where they are found again by digest.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::files;
use crate::content::{Content, INLINE_LIMIT, hex};
use crate::mark;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::archive::{Member, MemberKind};

mod tarred;

mod zipped;

/// How much text of an archive's members is kept in memory, in bytes.
const TEXTS: u64 = 4 * 1024 * 1024;

/// Where the bytes of members wait: not in /tmp, which may be memory.
const SPOOL: &str = "/var/tmp";

/// How zip archives begin; one without members has only its end.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// The bytes of a member, in the file that holds all of them.
#[derive(Clone, Debug)]
pub struct Spooled {
    file: Rc<File>,
    start: u64,
    size: u64,
}

impl Spooled {
    /// Copies the bytes, which must have this digest.
    pub fn copy_to(&self, sha256: &str, sink: &mut dyn Write) -> Result<()> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        let mut at = 0;
        let cannot = |error: io::Error| Failure::new(format!("cannot unpack a file: {error}"));
        while at < self.size {
            let length = buffer.len().min((self.size - at) as usize);
            let piece = &mut buffer[..length];
            self.file
                .read_exact_at(piece, self.start + at)
                .and_then(|()| sink.write_all(piece))
                .map_err(cannot)?;
            hasher.update(&*piece);
            at += length as u64;
        }
        match hex(&hasher.finalize()) == sha256 {
            true => Ok(()),
            false => Err(Failure::new("an unpacked file changed while it waited")),
        }
    }
}

/// Everything in the archive `file`, called `name`, in the order of paths. With
/// `keep`, the bytes of members are kept by digest.
pub fn read(
    file: File,
    name: &str,
    keep: Option<&mut HashMap<String, Spooled>>,
) -> Result<Vec<Member>> {
    let mut start = [0; 6];
    let count = file.read_at(&mut start, 0);
    let start = &start[..count.map_err(|error| unreadable(name, error))?];
    let mut contents = Contents {
        name,
        spool: match keep {
            Some(_) => Some(Spool::new()?),
            None => None,
        },
        keep,
        texts: TEXTS,
        members: BTreeMap::new(),
    };
    match ZIP.iter().any(|magic| start.starts_with(magic)) {
        true => zipped::read(file, &mut contents)?,
        false => tarred::read(file, start, &mut contents)?,
    }
    Ok(contents.members.into_values().collect())
}

fn unreadable(name: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot read the archive {name}: {error}"))
}

/// What was read of an archive so far.
struct Contents<'a> {
    name: &'a str,
    spool: Option<Spool>,
    keep: Option<&'a mut HashMap<String, Spooled>>,
    /// How many bytes of text may still be kept in memory.
    texts: u64,
    /// By path: the last one of a name is what remains.
    members: BTreeMap<PathBuf, Member>,
}

impl Contents<'_> {
    fn unreadable(&self, error: impl std::fmt::Display) -> Failure {
        unreadable(self.name, error)
    }

    /// A member's path, which must not lead out of where it is unpacked to.
    fn path(&self, given: &Path) -> Result<PathBuf> {
        plain(given).ok_or_else(|| {
            Failure::new(format!(
                "{} in {} would be unpacked outside of the directory",
                given.display(),
                self.name
            ))
        })
    }

    fn add(&mut self, path: PathBuf, mode: u32, kind: MemberKind) {
        let member = Member { path, mode, kind };
        self.members.insert(member.path.clone(), member);
    }

    /// Reads the bytes of a regular file.
    fn file(&mut self, from: &mut dyn Read) -> Result<MemberKind> {
        let taken = take(from, self.spool.as_mut(), &mut self.texts);
        let (content, spooled) = taken.map_err(|error| self.unreadable(error))?;
        if let (Some(keep), Some(spooled)) = (&mut self.keep, spooled) {
            keep.insert(content.sha256.clone(), spooled);
        }
        Ok(MemberKind::File(content))
    }

    /// A second name of a member is unpacked as a file of its own.
    fn hard_link(&mut self, target: &Path) -> Result<MemberKind> {
        let known = plain(target).and_then(|path| self.members.get(&path));
        let Some(known) = known else {
            return Err(Failure::new(format!(
                "a hard link in {} leads to {}, which is not in it",
                self.name,
                target.display()
            )));
        };
        let mut kind = known.kind.clone();
        if let MemberKind::File(content) = &mut kind {
            content.text = content.text.take().filter(|_| content.size <= self.texts);
            self.texts -= content.text.as_ref().map_or(0, |_| content.size);
        }
        Ok(kind)
    }

    fn special(&self, path: &Path) -> Failure {
        Failure::new(format!(
            "{} in {} is a device or a pipe",
            path.display(),
            self.name
        ))
        .hint("Leave it out when the archive is made: nothing of this one is unpacked.")
    }
}

/// A nameless file that grows.
struct Spool {
    file: Rc<File>,
    end: u64,
}

impl Spool {
    fn new() -> Result<Self> {
        let file = Rc::new(files::nameless(Path::new(SPOOL))?);
        Ok(Self { file, end: 0 })
    }
}

/// Reads one member. Small texts are kept as such, as long as there is room.
fn take(
    from: &mut dyn Read,
    mut spool: Option<&mut Spool>,
    texts: &mut u64,
) -> io::Result<(Content, Option<Spooled>)> {
    let start = spool.as_ref().map_or(0, |spool| spool.end);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut text = Vec::new();
    let mut size = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let piece = &buffer[..count];
        hasher.update(piece);
        if let Some(spool) = &mut spool {
            spool.file.write_all_at(piece, spool.end)?;
            spool.end += count as u64;
        }
        size += count as u64;
        if size <= INLINE_LIMIT.min(*texts) {
            text.extend_from_slice(piece);
        }
    }
    let text = (size <= INLINE_LIMIT.min(*texts))
        .then(|| String::from_utf8(text).ok())
        .flatten()
        // What speaks of secrets by itself would be filled in.
        .filter(|text| !mark::is_marked(text));
    *texts -= text.as_ref().map_or(0, |_| size);
    let content = Content {
        sha256: hex(&hasher.finalize()),
        size,
        text,
    };
    let file = spool.map(|spool| spool.file.clone());
    Ok((content, file.map(|file| Spooled { file, start, size })))
}

/// A relative path without `.` and `..`.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::ParentDir if plain.pop() => {}
            _ => return None,
        }
    }
    Some(plain)
}
