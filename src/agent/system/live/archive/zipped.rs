//! Zip archives, with the permissions that Unix programs write into them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zip::System;
use zip::ZipArchive;
use zip::read::ZipFile;

use super::Contents;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::archive::MemberKind;
use crate::system::live::processes::need_time;

/// What a mode says of a file's kind (inode(7)).
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// The longest target of a link (PATH_MAX).
const LONGEST: u64 = 4096;

/// Reads all of an archive.
pub fn read(file: File, contents: &mut Contents) -> Result<()> {
    let mut archive = ZipArchive::new(file).map_err(|error| contents.unreadable(error))?;
    for index in 0..archive.len() {
        need_time()?;
        let mut entry = archive
            .by_index(index)
            .map_err(|error| contents.unreadable(error))?;
        let given = entry.name().map_err(|error| contents.unreadable(error))?;
        let path = contents.path(Path::new(&*given))?;
        if path.as_os_str().is_empty() {
            continue;
        }
        let (kind, mode) = attributes(&entry);
        let kind = match kind {
            DIRECTORY => MemberKind::Directory,
            LINK => MemberKind::Link(target(&mut entry, &path, contents)?),
            REGULAR => contents.file(&mut entry)?,
            _ => return Err(contents.special(&path)),
        };
        contents.add(path, mode, kind);
    }
    Ok(())
}

/// What a member is, and its permissions. As unzip does, those that would make
/// a program run as another user are left out.
fn attributes(entry: &ZipFile<File>) -> (u32, u32) {
    let kind = match entry.is_dir() {
        true => DIRECTORY,
        false => REGULAR,
    };
    let usual = match entry.is_dir() {
        true => 0o755,
        false => 0o644,
    };
    match entry.unix_mode().filter(|_| entry.system() == System::Unix) {
        Some(mode) if mode & KIND == 0 => (kind, mode & 0o777),
        Some(mode) => (mode & KIND, mode & 0o777),
        None => (kind, usual),
    }
}

/// Where a link leads: that is what its file holds.
fn target(entry: &mut ZipFile<File>, path: &Path, contents: &Contents) -> Result<PathBuf> {
    let mut target = String::new();
    entry
        .take(LONGEST)
        .read_to_string(&mut target)
        .map_err(|error| contents.unreadable(error))?;
    match target.is_empty() {
        false => Ok(PathBuf::from(target)),
        true => Err(Failure::new(format!(
            "the link {} in {} leads nowhere",
            path.display(),
            contents.name
        ))),
    }
}
