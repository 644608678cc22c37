//! Archives, read whole before anything of them is put in place: their members
//! with digests, and the bytes of those that are not small texts in a nameless
//! file, where they are found again by digest.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tar::{Entry, EntryType};

use super::{files, processes};
use crate::content::{Content, INLINE_LIMIT, hex};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::archive::{Member, MemberKind};

/// How much text of an archive's members is kept in memory, in bytes.
const TEXTS: u64 = 4 * 1024 * 1024;

/// Where the bytes of members wait: not in /tmp, which may be memory.
const SPOOL: &str = "/var/tmp";

/// How archives begin, and the program that unpacks such ones.
const PROGRAMS: [(&[u8], &str, &str); 3] = [
    (b"\xfd7zXZ\0", "xz", "xz-utils"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
    (b"BZh", "bzip2", "bzip2"),
];
const GZIP: &[u8] = b"\x1f\x8b";
const ZIP: &[u8] = b"PK\x03\x04";

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

/// Everything in the archive `file`, called `name`, in its order. With `keep`,
/// the bytes of members are kept by digest.
pub fn read(
    file: File,
    name: &str,
    keep: Option<&mut HashMap<String, Spooled>>,
) -> Result<Vec<Member>> {
    let (reader, unpacker) = decompressed(file, name)?;
    let walk = Walk {
        name,
        spool: match keep {
            Some(_) => Some(Spool::new()?),
            None => None,
        },
        keep,
        texts: TEXTS,
        members: Vec::new(),
    };
    let walked = walk.all(reader);
    if let Some((program, mut child)) = unpacker {
        let status = child.wait().map_err(|error| unreadable(name, error))?;
        if walked.is_ok() && !status.success() {
            return Err(Failure::new(format!("{program} cannot unpack {name}")));
        }
    }
    walked
}

fn unreadable(name: &str, error: io::Error) -> Failure {
    Failure::new(format!("cannot read the archive {name}: {error}"))
}

/// What was read of an archive so far.
struct Walk<'a> {
    name: &'a str,
    spool: Option<Spool>,
    keep: Option<&'a mut HashMap<String, Spooled>>,
    /// How many bytes of text may still be kept in memory.
    texts: u64,
    members: Vec<Member>,
}

impl Walk<'_> {
    fn all(mut self, reader: Box<dyn Read>) -> Result<Vec<Member>> {
        let name = self.name;
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(|error| unreadable(name, error))? {
            if processes::is_cancelled() {
                return Err(Failure::new("the run was interrupted"));
            }
            let mut entry = entry.map_err(|error| unreadable(name, error))?;
            let path = path(&entry, name)?;
            if entry.header().entry_type().is_pax_global_extensions() || path.as_os_str().is_empty()
            {
                continue;
            }
            self.refuse_detour(&path)?;
            let mode = entry.header().mode();
            let mode = mode.map_err(|error| unreadable(name, error))? & 0o7777;
            let kind = self.kind(&mut entry, &path)?;
            // The last one of a name is what tar would leave.
            self.members.retain(|known| known.path != path);
            self.members.push(Member { path, mode, kind });
        }
        // A program that unpacks would fail on a closed pipe.
        io::copy(&mut archive.into_inner(), &mut io::sink())
            .map_err(|error| unreadable(name, error))?;
        Ok(self.members)
    }

    fn kind<R: Read>(&mut self, entry: &mut Entry<R>, path: &Path) -> Result<MemberKind> {
        let name = self.name;
        let link = entry.link_name();
        let link = link.map_err(|error| unreadable(name, error))?;
        let link = link.map(|link| link.into_owned());
        match entry.header().entry_type() {
            EntryType::Directory => Ok(MemberKind::Directory),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let taken = take(entry, self.spool.as_mut(), &mut self.texts);
                let (content, spooled) = taken.map_err(|error| unreadable(name, error))?;
                if let (Some(keep), Some(spooled)) = (&mut self.keep, spooled) {
                    keep.insert(content.sha256.clone(), spooled);
                }
                Ok(MemberKind::File(content))
            }
            EntryType::Symlink => Ok(MemberKind::Link(inside(path, link, name)?)),
            EntryType::Link => linked(link, &self.members, name),
            _ => Err(Failure::new(format!(
                "{} in {name} is a device or a pipe",
                path.display()
            ))
            .hint("Leave it out when the archive is made: nothing of this one is unpacked.")),
        }
    }

    /// A link in the archive, though it stays inside, may make a path below it
    /// lead somewhere else than it says.
    fn refuse_detour(&self, path: &Path) -> Result<()> {
        let is_above = |known: &Member| {
            let is_link = matches!(known.kind, MemberKind::Link(_));
            is_link && path != known.path && path.starts_with(&known.path)
        };
        match self.members.iter().any(is_above) {
            true => Err(Failure::new(format!(
                "{} in {} would be unpacked through a link",
                path.display(),
                self.name
            ))),
            false => Ok(()),
        }
    }
}

/// The archive without its compression, and the program that takes it off.
type Unpacked = (Box<dyn Read>, Option<(&'static str, Child)>);

fn decompressed(file: File, name: &str) -> Result<Unpacked> {
    let mut start = [0; 6];
    let count = file.read_at(&mut start, 0);
    let count = count.map_err(|error| unreadable(name, error))?;
    let start = &start[..count];
    if start.starts_with(GZIP) {
        return Ok((Box::new(MultiGzDecoder::new(file)), None));
    }
    if start.starts_with(ZIP) {
        return Err(Failure::new(format!("{name} is a zip archive"))
            .hint("Only tar is unpacked, plain or with gzip, xz, zstd or bzip2. Use `command` with `unzip`, and `creates`."));
    }
    let program = PROGRAMS.iter().find(|(magic, ..)| start.starts_with(magic));
    let Some((_, program, package)) = program else {
        return Ok((Box::new(file), None));
    };
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            Failure::new(format!(
                "cannot run {program}, which unpacks {name}: {error}"
            ))
            .hint(format!("Install it first, with `package(\"{package}\")`."))
        })?;
    match child.stdout.take() {
        Some(output) => Ok((Box::new(output), Some((program, child)))),
        None => Err(Failure::new(format!("{program} has no output"))),
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
        .flatten();
    *texts -= text.as_ref().map_or(0, |_| size);
    let content = Content {
        sha256: hex(&hasher.finalize()),
        size,
        text,
    };
    let file = spool.map(|spool| spool.file.clone());
    Ok((content, file.map(|file| Spooled { file, start, size })))
}

/// A member's path, which must not lead out of where it is unpacked to.
fn path<R: Read>(entry: &Entry<R>, name: &str) -> Result<PathBuf> {
    let given = entry.path();
    let given = given.map_err(|error| unreadable(name, error))?;
    plain(&given).ok_or_else(|| {
        Failure::new(format!(
            "{} in {name} would be unpacked outside of the directory",
            given.display()
        ))
    })
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

/// What a link says, which must not lead out either.
fn inside(path: &Path, target: Option<PathBuf>, name: &str) -> Result<PathBuf> {
    let target = target.unwrap_or_default();
    let leads_to = path.parent().unwrap_or(Path::new("")).join(&target);
    // Behind a directory's name, `..` may lead anywhere: it may be a link.
    let mut down = target
        .components()
        .skip_while(|part| *part == Component::ParentDir);
    let up_again = down.any(|part| part == Component::ParentDir);
    match plain(&leads_to) {
        Some(_) if !up_again => Ok(target),
        _ => Err(Failure::new(format!(
            "the link {} in {name} leads outside of the directory, to {}",
            path.display(),
            target.display()
        ))),
    }
}

/// A second name of a member is unpacked as a file of its own.
fn linked(target: Option<PathBuf>, members: &[Member], name: &str) -> Result<MemberKind> {
    let target = target.unwrap_or_default();
    let known = plain(&target);
    let known = known.and_then(|path| members.iter().find(|member| member.path == path));
    match known {
        Some(member) => Ok(member.kind.clone()),
        None => Err(Failure::new(format!(
            "a hard link in {name} leads to {}, which is not in it",
            target.display()
        ))),
    }
}
