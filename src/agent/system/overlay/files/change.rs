//! What becomes of files in a dry run.

use std::path::{Path, PathBuf};

use crate::content::Content;
use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::live::failed;
use crate::system::overlay::pending::{Entry, Inode, Node, inode_name};
use crate::system::overlay::{Absence, Overlay};
use crate::system::{FileKind, Found, Reads, Stat};

/// What a new file holds.
pub(in crate::system::overlay) enum NewFile<'a> {
    /// This, if the command accepts it.
    Content {
        content: &'a Content,
        validate: Option<&'a [String]>,
    },
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
            Self::Content { content, .. } => entry.content = Some(content.clone()),
            Self::Expected { origin, sha256 } => {
                entry.expected = Some(origin.to_owned());
                entry.sha256 = sha256.map(str::to_owned);
            }
        }
        entry
    }
}

impl Overlay {
    pub(in crate::system::overlay) fn write_file(
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
        let replaced = self.look(&path)?;
        let defaults = self.defaults(&path, &replaced, 0o644)?;
        let attributes = self.named(attributes)?.or(defaults);
        self.need_ownership(&self.me()?.name, &attributes, shown)?;
        // The host has the new file beside the old one when it asks.
        if let NewFile::Content { content, validate } = &new {
            self.check_candidate(*validate, content, shown)?;
        }
        self.refuse_directory(shown, "replace")?;
        self.need_own_entry(shown, "replace")?;
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

    pub(in crate::system::overlay) fn set_attributes(
        &mut self,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<()> {
        self.need_accounts(attributes)?;
        let real = self.real_parent(path)?;
        if let Found::Unknown(_) = self.look(&real)? {
            // What it is stays unknown, too.
            return Ok(());
        }
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

    pub(in crate::system::overlay) fn make_directory(
        &mut self,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<()> {
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
    pub(in crate::system::overlay) fn need_removable(&self, path: &Path) -> Result<()> {
        let real = self.real_parent(path)?;
        match (self.look(&real)?, real.parent()) {
            (Found::Present(_), Some(parent)) => {
                self.need_writable(parent, path, "remove")?;
                self.need_own_entry(path, "remove")
            }
            _ => Ok(()),
        }
    }

    pub(in crate::system::overlay) fn remove(&mut self, path: &Path) {
        let path = self.real_parent(path).unwrap_or_else(|_| path.to_owned());
        self.pending
            .files
            .retain(|known, _| !known.starts_with(&path));
        self.note_unit_file(&path);
        self.pending.files.insert(path, Node::Removed);
    }

    pub(in crate::system::overlay) fn link(&mut self, path: &Path, target: &Path) -> Result<()> {
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

    pub(in crate::system::overlay) fn hard_link(
        &mut self,
        path: &Path,
        target: &Path,
    ) -> Result<()> {
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

    pub(in crate::system::overlay) fn touch(&mut self, path: &Path) -> Result<()> {
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

    /// A file that will be there without it being known what it holds, with
    /// the directories above it. On a virtual host it is there then, with the
    /// attributes of a new file.
    pub(in crate::system::overlay) fn expect_file(
        &mut self,
        path: &Path,
        origin: &str,
    ) -> Result<()> {
        for above in path.ancestors().skip(1) {
            let above = self.real(above)?;
            if self.look(&above)? != Found::Absent {
                break;
            }
            let attributes = self.unasked(0o755);
            let entry = Entry::new(FileKind::Directory, attributes, self.now());
            let expected = (self.absence == Absence::Doubtful).then(|| origin.to_owned());
            self.put(
                above,
                Entry {
                    expected,
                    fresh: true,
                    ..entry
                },
            );
        }
        let entry = Entry::new(FileKind::File, self.unasked(0o644), self.now());
        self.put(
            path.to_owned(),
            Entry {
                expected: Some(origin.to_owned()),
                ..entry
            },
        );
        Ok(())
    }

    /// The attributes of what a command makes.
    fn unasked(&self, mode: u32) -> Attributes {
        match self.absence {
            Absence::Certain => Attributes {
                owner: Some("root".to_owned()),
                group: Some("root".to_owned()),
                mode: Some(mode),
            },
            Absence::Doubtful => Attributes::default(),
        }
    }

    pub(in crate::system::overlay) fn put(&mut self, path: PathBuf, entry: Entry) {
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
        let found = self.expected(path)?;
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
}
