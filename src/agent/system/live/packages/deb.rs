//! What is in a `.deb`, read without unpacking it: `dpkg-deb` writes its two
//! archives to a pipe, and they are looked through as they come.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType};

use crate::content::{Content, INLINE_LIMIT, hex};
use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{FileKind, PackagedFile};

/// What a package brings.
pub struct Deb {
    /// Its files, in the archive's order.
    pub files: Vec<PackagedFile>,
    /// `control`, `postinst` and their like, by name.
    pub control: BTreeMap<String, String>,
}

/// Reads the package at `path`.
pub fn read(path: &Path) -> Result<Deb> {
    let mut control = BTreeMap::new();
    each_entry(path, "--ctrl-tarfile", |name, entry| {
        if entry.header().entry_type() == EntryType::Regular {
            let mut bytes = Vec::new();
            entry.take(INLINE_LIMIT).read_to_end(&mut bytes)?;
            let name = name.to_string_lossy().trim_start_matches('/').to_owned();
            control.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
        Ok(())
    })?;
    let listed = control.get("conffiles").map_or("", String::as_str);
    let conffiles: Vec<&Path> = listed.lines().map(|line| Path::new(line.trim())).collect();
    let mut files: Vec<PackagedFile> = Vec::new();
    each_entry(path, "--fsys-tarfile", |name, entry| {
        let configuration = conffiles.contains(&name.as_path());
        files.extend(file(name, entry, configuration, &files)?);
        Ok(())
    })?;
    Ok(Deb { files, control })
}

fn each_entry(
    path: &Path,
    archive: &str,
    mut take: impl FnMut(PathBuf, &mut Entry<'_, &mut dyn Read>) -> io::Result<()>,
) -> Result<()> {
    let unreadable =
        |error: io::Error| Failure::new(format!("cannot read {}: {error}", path.display()));
    let mut dpkg = Command::new("dpkg-deb")
        .arg(archive)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(unreadable)?;
    let mut walk = || {
        let mut pipe = dpkg.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        for entry in Archive::new(&mut pipe as &mut dyn Read).entries()? {
            let mut entry = entry?;
            let name =
                Path::new("/").join(entry.path()?.strip_prefix(".").unwrap_or(Path::new("")));
            take(name, &mut entry)?;
        }
        // The padding at the end; dpkg-deb would fail on a closed pipe.
        io::copy(&mut pipe, &mut io::sink())
    };
    let walked = walk();
    let status = dpkg.wait().map_err(unreadable)?;
    walked.map_err(unreadable)?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "dpkg-deb cannot read {}",
            path.display()
        ))),
    }
}

/// None for what dpkg would not unpack, such as the root directory.
fn file(
    path: PathBuf,
    entry: &mut Entry<'_, &mut dyn Read>,
    configuration: bool,
    earlier: &[PackagedFile],
) -> io::Result<Option<PackagedFile>> {
    if path == Path::new("/") {
        return Ok(None);
    }
    let link = entry.link_name()?.map(|name| name.into_owned());
    let header = entry.header();
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Link => FileKind::File,
        EntryType::Directory => FileKind::Directory,
        EntryType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    };
    let attributes = Attributes {
        owner: Some(name_or_number(header.username(), header.uid()?)),
        group: Some(name_or_number(header.groupname(), header.gid()?)),
        mode: Some(header.mode()? & 0o7777),
    };
    let modified = i64::try_from(header.mtime()?).ok();
    let content = match (header.entry_type(), &link) {
        (EntryType::Regular, _) => Some(content(&path, entry)?),
        (EntryType::Link, Some(target)) => {
            let target = Path::new("/").join(target.strip_prefix(".").unwrap_or(target));
            let first = earlier.iter().find(|file| file.path == target);
            first.and_then(|file| file.content.clone())
        }
        _ => None,
    };
    Ok(Some(PackagedFile {
        path,
        kind,
        attributes,
        content,
        target: link.filter(|_| kind == FileKind::Link),
        modified,
        configuration,
    }))
}

fn name_or_number<E>(name: std::result::Result<Option<&str>, E>, number: u64) -> String {
    match name {
        Ok(Some(name)) if !name.is_empty() => name.to_owned(),
        _ if number == 0 => "root".to_owned(),
        _ => number.to_string(),
    }
}

/// The text is kept of what scripts are likely to edit, and of what says what
/// a package does; of the rest the digest is enough.
fn content(path: &Path, entry: &mut Entry<'_, &mut dyn Read>) -> io::Result<Content> {
    const TEXTS: [&str; 5] = ["etc", "systemd", "sysusers.d", "tmpfiles.d", "default"];
    const ENDINGS: [&str; 4] = [".conf", ".cfg", ".default", ".sample"];
    let name = path.to_string_lossy();
    let worth = path
        .iter()
        .any(|part| TEXTS.iter().any(|text| part == *text))
        || ENDINGS.iter().any(|ending| name.ends_with(ending));
    if worth && entry.size() <= INLINE_LIMIT {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        return Ok(Content::of(&bytes));
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match entry.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(Content {
        sha256: hex(&hasher.finalize()),
        size: entry.size(),
        text: None,
    })
}
