//! Files in a dry run.

use std::path::{Path, PathBuf};

use super::pending::{Entry, Inode, Node, inode_name};
use super::{Absence, Overlay};
use crate::content::Content;
use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::archive::{Archive, Member};
use crate::system::live::failed;
use crate::system::{FileKind, Found, Reads, Stat};

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What a new file holds.
pub(super) enum NewFile<'a> {
    /// This.
    Content(&'a Content),
    /// What is not known yet.
    Expected {
        /// Where it comes from.
        origin: &'a str,
        /// Its digest, if that is known.
        sha256: Option<&'a str>,
    },
}

impl NewFile<'_> {
    fn in_entry(self, mut entry: Entry) -> Entry {
        match self {
            Self::Content(content) => entry.content = Some(content.clone()),
            Self::Expected { origin, sha256 } => {
                entry.expected = Some(origin.to_owned());
                entry.sha256 = sha256.map(str::to_owned);
            }
        }
        entry
    }
}

impl Overlay {
    pub(super) fn stat_pending(&self, path: &Path) -> Result<Found<Stat>> {
        self.look(&self.real_parent(path)?)
    }

    /// What a command was declared to make is there after it has run, though
    /// nobody knows what it is.
    pub(super) fn exists_pending(&self, path: &Path) -> Result<Found<()>> {
        let path = self.real_parent(path)?;
        match self.pending.files.get(&path) {
            Some(Node::Present(_)) => Ok(Found::Present(())),
            Some(Node::Removed) => Ok(Found::Absent),
            None if self.pending.hides(&path) => Ok(Found::Absent),
            None => match self.base.exists(&path)? {
                Found::Absent => Ok(self.absent(&path).map(drop)),
                found => Ok(found),
            },
        }
    }

    /// What is at a path whose parent holds no links.
    pub(super) fn look(&self, path: &Path) -> Result<Found<Stat>> {
        Ok(self.look_by_name(path)?.map(|stat| self.by_inode(stat)))
    }

    /// What was changed under one name of a file shows under all.
    fn by_inode(&self, stat: Stat) -> Stat {
        let inodes = &self.pending.inodes;
        let identity = stat.identity.filter(|_| !inodes.is_empty());
        match identity.and_then(|identity| inodes.get(&inode_name(identity))) {
            Some(inode) => Stat {
                mode: inode.attributes.mode.unwrap_or(stat.mode),
                owner: inode.attributes.owner.clone().unwrap_or(stat.owner),
                group: inode.attributes.group.clone().unwrap_or(stat.group),
                modified: inode.modified,
                ..stat
            },
            None => stat,
        }
    }

    fn look_by_name(&self, path: &Path) -> Result<Found<Stat>> {
        match self.pending.files.get(path) {
            Some(Node::Removed) => Ok(Found::Absent),
            Some(Node::Present(entry)) => Ok(entry.stat()),
            None if self.pending.hides(path) => Ok(Found::Absent),
            None => match self.base.stat(path)? {
                Found::Absent => Ok(self.absent(path)),
                found => Ok(found),
            },
        }
    }

    /// A path that nobody knows, while packages may still bring it.
    fn absent(&self, path: &Path) -> Found<Stat> {
        if self.absence == Absence::Certain {
            return Found::Absent;
        }
        let brings = |package: &&String| names_package(path, package);
        match self.pending.opaque_packages.iter().find(brings) {
            Some(package) => Found::Unknown(format!("package {package}")),
            None => Found::Absent,
        }
    }

    pub(super) fn content_pending(&self, path: &Path) -> Result<Found<Content>> {
        let shown = path;
        let path = self.real(path)?;
        match self.pending.files.get(&path) {
            Some(Node::Removed) => Ok(Found::Absent),
            Some(Node::Present(entry))
                if entry.kind != FileKind::File && entry.expected.is_none() =>
            {
                let shown = shown.display();
                Err(Failure::new(format!("{shown} is not a regular file")))
            }
            Some(Node::Present(entry)) => Ok(match (&entry.content, &entry.expected) {
                (_, Some(origin)) => Found::Unknown(origin.clone()),
                (Some(content), None) => Found::Present(content.clone()),
                (None, None) => Found::Absent,
            }),
            None if self.pending.hides(&path) => Ok(Found::Absent),
            None => match self.base.content(&path)? {
                Found::Absent => Ok(match self.absent(&path) {
                    Found::Unknown(origin) => Found::Unknown(origin),
                    _ => Found::Absent,
                }),
                found => Ok(found),
            },
        }
    }

    pub(super) fn has_sha256_pending(&self, path: &Path, asked: &str) -> Result<Found<bool>> {
        let real = self.real(path)?;
        let recorded = match self.pending.files.get(&real) {
            Some(Node::Present(Entry { sha256, .. })) => {
                sha256.as_ref().map(|sha256| sha256 == asked)
            }
            Some(Node::Removed) => None,
            None if self.pending.hides(&real) => None,
            None => self.base.has_sha256(&real, asked)?.present(),
        };
        match recorded {
            Some(has) => Ok(Found::Present(has)),
            None => Ok(self
                .content_pending(path)?
                .map(|content| self.secrets().has_sha256(&content, asked))),
        }
    }

    /// What is in an archive. One that a task before put in place is known by
    /// its digest, if the controller has it.
    pub(super) fn members_pending(&self, archive: &Archive) -> Result<Found<Vec<Member>>> {
        let asked = match archive {
            Archive::Content(_) => self.base.members(archive),
            Archive::File(path) => {
                let real = self.real(path)?;
                match self.pending.files.get(&real) {
                    None if !self.pending.hides(&real) => self.base.members(&Archive::File(real)),
                    _ => match self.content_pending(path)? {
                        Found::Absent => return Ok(Found::Absent),
                        Found::Unknown(origin) => return Ok(Found::Unknown(origin)),
                        Found::Present(content) => self.base.members(&Archive::Content(content)),
                    },
                }
            }
        };
        match asked {
            // The program that unpacks it may come with a package.
            Err(failure) if !self.pending.packages.is_empty() => {
                Ok(Found::Unknown(format!("the archive: {failure}")))
            }
            asked => asked,
        }
    }

    pub(super) fn list_pending(&self, directory: &Path) -> Result<Vec<String>> {
        let directory = self.real(directory)?;
        let hidden = match self.pending.files.get(&directory) {
            Some(Node::Removed) => return Ok(Vec::new()),
            Some(Node::Present(entry)) => entry.fresh,
            None => self.pending.hides(&directory),
        };
        let mut names = match hidden {
            true => Vec::new(),
            false => self.base.list(&directory)?,
        };
        for (path, node) in &self.pending.files {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                continue;
            };
            if parent != directory {
                continue;
            }
            let name = name.to_string_lossy().into_owned();
            names.retain(|known| *known != name);
            if matches!(node, Node::Present(_)) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// `path` with the links of its parent resolved.
    pub(super) fn real_parent(&self, path: &Path) -> Result<PathBuf> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(self.real(parent)?.join(name)),
            // It ends with `..`, which is no name.
            _ => self.real(path),
        }
    }

    /// `path` with all links resolved, as far as it exists.
    pub(super) fn real(&self, path: &Path) -> Result<PathBuf> {
        let mut real = PathBuf::from("/");
        let mut left: Vec<_> = path
            .components()
            .rev()
            .map(|part| part.as_os_str().to_owned())
            .collect();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.to_str() {
                Some("/" | ".") => continue,
                Some("..") => {
                    real.pop();
                    continue;
                }
                _ => real.push(&part),
            }
            let Found::Present(Stat {
                target: Some(target),
                ..
            }) = self.look(&real)?
            else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Failure::new(format!(
                    "{} has too many links",
                    path.display()
                )));
            }
            real.pop();
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            left.extend(
                target
                    .components()
                    .rev()
                    .map(|part| part.as_os_str().to_owned()),
            );
        }
        Ok(real)
    }

    pub(super) fn write_file(
        &mut self,
        path: &Path,
        new: NewFile<'_>,
        attributes: &Attributes,
        backup: Option<&Path>,
    ) -> Result<()> {
        let shown = path;
        let path = self.real_parent(path)?;
        self.need_parent(shown, "write")?;
        self.need_accounts(attributes)?;
        self.refuse_directory(shown, "replace")?;
        let replaced = self.look(&path)?;
        if let Some(backup) = backup
            && let Found::Present(stat) = &replaced
        {
            let content = match stat.kind {
                FileKind::File => self.content_pending(&path)?.present(),
                _ => None,
            };
            let kept = Entry {
                content,
                ..Entry::of(stat)
            };
            self.put(self.real_parent(backup)?, kept);
        }
        let defaults = self.defaults(&path, &replaced, 0o644)?;
        let attributes = self.named(attributes)?.or(defaults);
        self.need_ownership(&self.me()?.name, &attributes, shown)?;
        self.need_own_entry(shown, "replace")?;
        let entry = Entry::new(FileKind::File, attributes, self.now());
        self.put(path, new.in_entry(entry));
        Ok(())
    }

    /// Nothing takes a directory's place but what removes it first.
    fn refuse_directory(&self, path: &Path, action: &str) -> Result<()> {
        match self.stat_pending(path)? {
            Found::Present(stat) if stat.kind == FileKind::Directory => {
                let path = path.display();
                Err(Failure::new(format!(
                    "cannot {action} {path}: is a directory"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Names instead of numbers, as a later look shows them.
    fn named(&self, attributes: &Attributes) -> Result<Attributes> {
        let mut named = attributes.clone();
        let number = |text: &Option<String>| text.as_ref()?.parse::<u32>().ok();
        if let Some(uid) = number(&named.owner) {
            let known = self.users()?.into_iter().find(|user| user.uid == Some(uid));
            named.owner = Some(known.map_or(uid.to_string(), |user| user.name));
        }
        if let Some(gid) = number(&named.group) {
            let known = self.groups()?;
            let known = known.into_iter().find(|group| group.gid == Some(gid));
            named.group = Some(known.map_or(gid.to_string(), |group| group.name));
        }
        Ok(named)
    }

    /// What a new file gets where nothing is asked for: what the file it
    /// replaces has, or else the agent's own.
    fn defaults(&self, path: &Path, replaced: &Found<Stat>, mode: u32) -> Result<Attributes> {
        if let Found::Present(stat) = replaced
            && stat.kind == FileKind::File
        {
            return Ok(stat.attributes());
        }
        let me = self.me()?;
        let group = match self.look(path.parent().unwrap_or(Path::new("/")))? {
            // What is made in a directory with the setgid bit gets its group.
            Found::Present(parent) if parent.mode & 0o2000 != 0 => parent.group,
            _ => me.group,
        };
        Ok(Attributes {
            owner: Some(me.name),
            group: Some(group),
            mode: Some(mode),
        })
    }

    pub(super) fn set_attributes(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        self.need_accounts(attributes)?;
        let real = self.real_parent(path)?;
        let mut entry = self.entry(&real, path, "set the mode of")?;
        let kept = entry.attributes.clone();
        if let Some(owner) = &kept.owner {
            self.need_ownership(owner, &self.named(attributes)?, path)?;
        }
        entry.attributes = self.named(attributes)?.or(entry.attributes);
        if entry.kind == FileKind::Link {
            entry.attributes.mode = kept.mode;
        }
        self.put_changed(real, entry);
        Ok(())
    }

    pub(super) fn make_directory(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        self.need_parent(path, "make the directory")?;
        let shown = path;
        let path = self.real_parent(path)?;
        self.need_accounts(attributes)?;
        if let Found::Present(_) = self.look(&path)? {
            let shown = shown.display();
            return Err(Failure::new(format!("{shown} is there already")));
        }
        let defaults = self.defaults(&path, &Found::Absent, 0o755)?;
        let attributes = self.named(attributes)?.or(defaults);
        self.need_ownership(&self.me()?.name, &attributes, shown)?;
        let entry = Entry::new(FileKind::Directory, attributes, self.now());
        self.put(
            path,
            Entry {
                fresh: true,
                ..entry
            },
        );
        Ok(())
    }

    /// Refuses to remove what the host would refuse to; what is not there is
    /// removed already.
    pub(super) fn need_removable(&self, path: &Path) -> Result<()> {
        let real = self.real_parent(path)?;
        match (self.look(&real)?, real.parent()) {
            (Found::Present(_), Some(parent)) => {
                self.need_writable(parent, path, "remove")?;
                self.need_own_entry(path, "remove")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn remove(&mut self, path: &Path) {
        let path = self.real_parent(path).unwrap_or_else(|_| path.to_owned());
        self.pending
            .files
            .retain(|known, _| !known.starts_with(&path));
        self.note_unit_file(&path);
        self.pending.files.insert(path, Node::Removed);
    }

    pub(super) fn link(&mut self, path: &Path, target: &Path) -> Result<()> {
        self.need_parent(path, "make the link")?;
        self.refuse_directory(path, "make the link")?;
        self.need_own_entry(path, "make the link")?;
        let path = self.real_parent(path)?;
        let defaults = self.defaults(&path, &Found::Absent, 0o777)?;
        let entry = Entry::new(FileKind::Link, defaults, self.now());
        self.put(
            path,
            Entry {
                target: Some(target.to_owned()),
                ..entry
            },
        );
        Ok(())
    }

    pub(super) fn hard_link(&mut self, path: &Path, target: &Path) -> Result<()> {
        self.need_parent(path, "make the hard link")?;
        let source = self.real_parent(target)?;
        let mut entry = self.entry(&source, target, "make a hard link to")?;
        self.refuse_directory(target, "make a hard link to")?;
        self.refuse_directory(path, "make the hard link")?;
        self.need_same_device(path, &source)?;
        self.need_own_entry(path, "make the hard link")?;
        if entry.identity.is_none() {
            entry.identity = Some(self.pending.new_identity());
            self.put(source, entry.clone());
        }
        self.put(self.real_parent(path)?, entry);
        Ok(())
    }

    pub(super) fn touch(&mut self, path: &Path) -> Result<()> {
        let real = self.real(path)?;
        let mut entry = self.entry(&real, path, "touch")?;
        self.need_touchable(&real, path)?;
        entry.modified = i64::try_from(self.now()).unwrap_or(i64::MAX);
        self.put_changed(real, entry);
        Ok(())
    }

    /// A second name is one on the same file system.
    fn need_same_device(&self, path: &Path, source: &Path) -> Result<()> {
        let (here, there) = (self.device(&self.real_parent(path)?)?, self.device(source)?);
        match (here, there) {
            (Some(here), Some(there)) if here != there => {
                let error = rustix::io::Errno::XDEV;
                Err(failed("make the hard link", path)(error.into()))
            }
            _ => Ok(()),
        }
    }

    /// The file system that the directory of a path is on. One that is still to
    /// be made is on that of the directory above.
    fn device(&self, path: &Path) -> Result<Option<u64>> {
        for directory in path.ancestors().skip(1) {
            if let Found::Present(Stat {
                identity: Some((device, _)),
                ..
            }) = self.look(directory)?
            {
                return Ok(Some(device));
            }
        }
        Ok(None)
    }

    /// Puts what was changed where it is: its other names show it too.
    fn put_changed(&mut self, path: PathBuf, entry: Entry) {
        if let Some(identity) = entry.identity {
            let inode = Inode {
                attributes: entry.attributes.clone(),
                modified: entry.modified,
            };
            self.pending.inodes.insert(inode_name(identity), inode);
        }
        self.put(path, entry);
    }

    /// A file that will be there without it being known what it holds. On a
    /// virtual host it is there then, with the attributes of a new file.
    pub(super) fn expect_file(&mut self, path: &Path, origin: &str) {
        let attributes = match self.absence {
            Absence::Certain => Attributes {
                owner: Some("root".to_owned()),
                group: Some("root".to_owned()),
                mode: Some(0o644),
            },
            Absence::Doubtful => Attributes::default(),
        };
        let entry = Entry::new(FileKind::File, attributes, self.now());
        self.put(
            path.to_owned(),
            Entry {
                expected: Some(origin.to_owned()),
                ..entry
            },
        );
    }

    pub(super) fn put(&mut self, path: PathBuf, entry: Entry) {
        if !self.holds(&path, &entry) {
            self.note_unit_file(&path);
        }
        self.pending.files.insert(path, Node::Present(entry));
    }

    /// Whether a path holds the same, unchanged since: only attributes differ.
    fn holds(&self, path: &Path, entry: &Entry) -> bool {
        let modified = self.look(path).map(|found| found.map(|stat| stat.modified));
        let content = self.content_pending(path).map(Found::present);
        matches!(modified, Ok(Found::Present(time)) if time == entry.modified)
            && matches!(content, Ok(known) if known == entry.content)
    }

    /// What is at `path` as an entry of its own, to be changed.
    fn entry(&self, path: &Path, shown: &Path, action: &str) -> Result<Entry> {
        let found = self.look(path)?;
        if let Some(Node::Present(entry)) = self.pending.files.get(path) {
            let mut entry = entry.clone();
            if let Found::Present(stat) = found {
                (entry.attributes, entry.modified) = (stat.attributes(), stat.modified);
            }
            return Ok(entry);
        }
        match found {
            Found::Present(stat) => {
                let content = match stat.kind {
                    FileKind::File => self.base.content(path)?.present(),
                    _ => None,
                };
                Ok(Entry {
                    content,
                    ..Entry::of(&stat)
                })
            }
            Found::Unknown(origin) => {
                let entry = Entry::new(FileKind::File, Attributes::default(), self.now());
                Ok(Entry {
                    expected: Some(origin),
                    ..entry
                })
            }
            Found::Absent => Err(Failure::new(format!(
                "cannot {action} {}: no such file or directory",
                shown.display()
            ))),
        }
    }

    /// Refuses what the host would refuse: a parent that is not there.
    fn need_parent(&mut self, path: &Path, action: &str) -> Result<()> {
        let (Some(shown), Some(parent)) = (path.parent(), path.parent()) else {
            return Ok(());
        };
        let parent = &self.real(parent)?;
        self.take_for_directory(parent)?;
        match self.look(parent)? {
            Found::Present(stat) if stat.kind == FileKind::Directory => {
                return self.need_writable(parent, path, action);
            }
            Found::Present(_) => {
                return Err(Failure::new(format!(
                    "cannot {action} {}: {} is not a directory",
                    path.display(),
                    shown.display()
                )));
            }
            Found::Absent | Found::Unknown(_) => {}
        }
        let Some(package) = self.explaining_package(parent) else {
            return Err(Failure::new(format!(
                "cannot {action} {}: its directory does not exist",
                path.display()
            ))
            .hint("Make the directory first, with `file(PATH, #{ state: \"directory\" })`."));
        };
        self.assume(&format!(
            "{} comes with package {package}.",
            parent.display()
        ));
        let root = Attributes {
            owner: Some("root".to_owned()),
            group: Some("root".to_owned()),
            mode: Some(0o755),
        };
        for missing in parent.ancestors() {
            if !matches!(self.look(missing)?, Found::Absent | Found::Unknown(_)) {
                break;
            }
            let entry = Entry::new(FileKind::Directory, root.clone(), self.now());
            self.put(missing.to_owned(), entry);
        }
        Ok(())
    }

    /// What a command makes may as well be a directory, if a later task puts
    /// something into it.
    fn take_for_directory(&mut self, path: &Path) -> Result<()> {
        let certain = self.absence == Absence::Certain;
        let Some(Node::Present(entry)) = self.pending.files.get(path) else {
            return Ok(());
        };
        let Some(origin) = &entry.expected else {
            return Ok(());
        };
        if !certain && !entry.attributes.is_empty() {
            return Ok(());
        }
        self.assume(&format!(
            "{} is a directory that `{origin}` makes.",
            path.display()
        ));
        let me = self.me()?;
        let attributes = Attributes {
            owner: Some(me.name),
            group: Some(me.group),
            mode: Some(0o755),
        };
        let directory = Entry::new(FileKind::Directory, attributes, self.now());
        self.put(path.to_owned(), directory);
        Ok(())
    }

    /// The pending package that would explain a path: the one it is named
    /// after, or else any of which it is not known what they bring.
    fn explaining_package(&self, path: &Path) -> Option<String> {
        let opaque = &self.pending.opaque_packages;
        let named = opaque.iter().find(|package| names_package(path, package));
        named.or_else(|| opaque.first()).cloned()
    }

    /// The pending package that will bring a program, if it is not there yet.
    pub(super) fn expected_program(&self, program: &str) -> Option<String> {
        const PATH: [&str; 6] = [
            "/usr/local/sbin",
            "/usr/local/bin",
            "/usr/sbin",
            "/usr/bin",
            "/sbin",
            "/bin",
        ];
        let places: Vec<PathBuf> = match program.contains('/') {
            true => vec![PathBuf::from(program)],
            false => PATH
                .iter()
                .map(|directory| Path::new(directory).join(program))
                .collect(),
        };
        let on_base = |path: &PathBuf| matches!(self.base.stat(path), Ok(Found::Present(_)));
        if places.iter().any(on_base) {
            return None;
        }
        if places
            .iter()
            .any(|path| matches!(self.look(path), Ok(Found::Present(_))))
        {
            return Some(format!("{program}, which a pending change brings,"));
        }
        let package = self.explaining_package(Path::new(program))?;
        Some(format!("package {package}"))
    }
}

/// Whether a part of a path is named after a package: `/etc/ssh` after
/// `openssh-server`, `/etc/postgresql/15` after `postgresql`.
fn names_package(path: &Path, package: &str) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part.len() > 2 && (package.contains(&*part) || part.contains(package))
    })
}

impl Attributes {
    /// These attributes, with what is not given taken from `other`.
    fn or(&self, other: Attributes) -> Attributes {
        Attributes {
            owner: self.owner.clone().or(other.owner),
            group: self.group.clone().or(other.group),
            mode: self.mode.or(other.mode),
        }
    }
}

impl Entry {
    pub(super) fn new(kind: FileKind, attributes: Attributes, now: u64) -> Self {
        Self {
            kind,
            attributes,
            content: None,
            target: None,
            expected: None,
            sha256: None,
            fresh: false,
            identity: None,
            modified: i64::try_from(now).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            kind: stat.kind,
            attributes: stat.attributes(),
            content: None,
            target: stat.target.clone(),
            expected: None,
            sha256: None,
            fresh: false,
            identity: stat.identity,
            modified: stat.modified,
        }
    }

    fn stat(&self) -> Found<Stat> {
        let Attributes { owner, group, mode } = &self.attributes;
        let known = owner.is_some() && group.is_some() && mode.is_some();
        if let (Some(origin), false) = (&self.expected, known) {
            return Found::Unknown(origin.clone());
        }
        Found::Present(Stat {
            kind: self.kind,
            mode: self.attributes.mode.unwrap_or_default(),
            owner: self.attributes.owner.clone().unwrap_or_default(),
            group: self.attributes.group.clone().unwrap_or_default(),
            size: match (&self.content, &self.target) {
                (Some(content), _) => content.size,
                (None, Some(target)) => target.as_os_str().len() as u64,
                (None, None) => 0,
            },
            modified: self.modified,
            target: self.target.clone(),
            identity: self.identity,
        })
    }
}
