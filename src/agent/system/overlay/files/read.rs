//! What a dry run sees of files: what is recorded, and else the host.

use std::path::Path;

use super::paths::names_package;
use crate::content::Content;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::archive::{Archive, Member};
use crate::system::overlay::pending::{Entry, Node, inode_name};
use crate::system::overlay::{Absence, Overlay};
use crate::system::{FileKind, Found, Reads, Stat};

impl Overlay {
    pub(in crate::system::overlay) fn stat_pending(&self, path: &Path) -> Result<Found<Stat>> {
        self.look(&self.real_parent(path)?)
    }

    /// What is at a path where something has to be: where nothing is seen, and
    /// nothing was removed, a package may bring it.
    pub(in crate::system::overlay) fn expected_pending(&self, path: &Path) -> Result<Found<Stat>> {
        let real = self.real_parent(path)?;
        let found = self.look(&real)?;
        let is_removed = |path: &Path| matches!(self.pending.files.get(path), Some(Node::Removed));
        if found != Found::Absent || real.ancestors().any(is_removed) {
            return Ok(found);
        }
        let package = match self.absence {
            Absence::Certain => self.explaining_package(&real),
            // The files of most packages are known; what a script of another
            // one makes is seldom what is looked for.
            Absence::Doubtful => self.named_package(&real),
        };
        match package {
            Some(package) => Ok(Found::Unknown(format!("package {package}"))),
            None => self.base.expected(&real),
        }
    }

    /// What a command was declared to make is there after it has run, though
    /// nobody knows what it is.
    pub(in crate::system::overlay) fn exists_pending(&self, path: &Path) -> Result<Found<()>> {
        let path = self.real_parent(path)?;
        match self.pending.files.get(&path) {
            Some(Node::Present(_)) => Ok(Found::Present(())),
            Some(Node::Removed) => Ok(Found::Absent),
            None if self.pending.hides(&path) => Ok(self.hidden(&path)),
            None => match self.base.exists(&path)? {
                Found::Absent => Ok(self.absent(&path)),
                found => Ok(found),
            },
        }
    }

    /// What is at a path whose parent holds no links.
    pub(in crate::system::overlay) fn look(&self, path: &Path) -> Result<Found<Stat>> {
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
            None if self.pending.hides(path) => Ok(self.hidden(path)),
            None => match self.base.stat(path)? {
                Found::Absent => Ok(self.absent(path)),
                found => Ok(found),
            },
        }
    }

    /// A path that nobody knows, while packages may still bring it.
    fn absent<T>(&self, path: &Path) -> Found<T> {
        if self.absence == Absence::Certain {
            return Found::Absent;
        }
        let brings = |package: &&String| names_package(path, package);
        match self.pending.opaque_packages.iter().find(brings) {
            Some(package) => Found::Unknown(format!("package {package}")),
            None => Found::Absent,
        }
    }

    /// A path below what is recorded: whatever a command makes there.
    fn hidden<T>(&self, path: &Path) -> Found<T> {
        match self.pending.maker_above(path) {
            Some(command) if self.absence == Absence::Doubtful => {
                Found::Unknown(format!("what `{command}` makes"))
            }
            _ => Found::Absent,
        }
    }

    pub(in crate::system::overlay) fn content_pending(
        &self,
        path: &Path,
    ) -> Result<Found<Content>> {
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
            None if self.pending.hides(&path) => Ok(self.hidden(&path)),
            None => match self.base.content(&path)? {
                Found::Absent => Ok(self.absent(&path)),
                found => Ok(found),
            },
        }
    }

    /// The content of a file that is at a path itself: the host is asked for no
    /// more, where the file is still the host's.
    pub(in crate::system::overlay) fn content_at_pending(
        &self,
        path: &Path,
    ) -> Result<Found<Content>> {
        self.need_own_links(path)?;
        let real = self.real_parent(path)?;
        let pending = self.pending.files.contains_key(&real) || self.pending.hides(&real);
        match pending {
            true => self.content_pending(&real),
            false => match self.base.content_at(&real)? {
                Found::Absent => self.content_pending(&real),
                found => Ok(found),
            },
        }
    }

    pub(in crate::system::overlay) fn has_sha256_pending(
        &self,
        path: &Path,
        asked: &str,
    ) -> Result<Found<bool>> {
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
    pub(in crate::system::overlay) fn members_pending(
        &self,
        archive: &Archive,
    ) -> Result<Found<Vec<Member>>> {
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

    pub(in crate::system::overlay) fn list_pending(&self, directory: &Path) -> Result<Vec<String>> {
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
}
