//! Tar archives, plain or compressed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::Contents;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::archive::MemberKind;
use crate::system::live::processes::need_time;

/// How archives begin, and the program that unpacks such ones.
const PROGRAMS: [(&[u8], &str, &str); 3] = [
    (b"\xfd7zXZ\0", "xz", "xz-utils"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
    (b"BZh", "bzip2", "bzip2"),
];
const GZIP: &[u8] = b"\x1f\x8b";

/// Reads all of an archive that begins with `start`.
pub fn read(file: File, start: &[u8], contents: &mut Contents) -> Result<()> {
    let name = contents.name;
    let (reader, unpacker) = decompressed(file, start, name)?;
    let walked = walk(reader, contents);
    if let Some((program, mut child)) = unpacker {
        let status = child.wait().map_err(|error| contents.unreadable(error))?;
        if walked.is_ok() && !status.success() {
            return Err(Failure::new(format!("{program} cannot unpack {name}")));
        }
    }
    walked
}

fn walk(reader: Box<dyn Read>, contents: &mut Contents) -> Result<()> {
    let mut archive = Archive::new(reader);
    let entries = archive.entries();
    for entry in entries.map_err(|error| contents.unreadable(error))? {
        need_time()?;
        let mut entry = entry.map_err(|error| contents.unreadable(error))?;
        let given = entry.path().map_err(|error| contents.unreadable(error))?;
        let path = contents.path(&given)?;
        if entry.header().entry_type().is_pax_global_extensions() || path.as_os_str().is_empty() {
            continue;
        }
        let mode = entry.header().mode();
        let mode = mode.map_err(|error| contents.unreadable(error))? & 0o7777;
        let kind = kind(&mut entry, &path, contents)?;
        contents.add(path, mode, kind);
    }
    // A program that unpacks would fail on a closed pipe.
    io::copy(&mut archive.into_inner(), &mut io::sink())
        .map_err(|error| contents.unreadable(error))?;
    Ok(())
}

fn kind<R: Read>(entry: &mut Entry<R>, path: &Path, contents: &mut Contents) -> Result<MemberKind> {
    let link = entry.link_name();
    let link = link.map_err(|error| contents.unreadable(error))?;
    let link = link.map(|link| link.into_owned()).unwrap_or_default();
    match entry.header().entry_type() {
        EntryType::Directory => Ok(MemberKind::Directory),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => contents.file(entry),
        EntryType::Symlink => Ok(MemberKind::Link(link)),
        EntryType::Link => contents.hard_link(&link),
        _ => Err(contents.special(path)),
    }
}

/// The archive without its compression, and the program that takes it off.
type Unpacked = (Box<dyn Read>, Option<(&'static str, Child)>);

fn decompressed(file: File, start: &[u8], name: &str) -> Result<Unpacked> {
    if start.starts_with(GZIP) {
        return Ok((Box::new(MultiGzDecoder::new(file)), None));
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
