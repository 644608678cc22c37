//! What a dry run has recorded so far, as data: it can be handed from one
//! agent to another on the same host, and kept as a sandbox's host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::effect::Attributes;
use crate::resource::Known;
use crate::system::{FileKind, Found, Group, Stat, Unit, User};

/// Everything recorded over a base.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pending {
    /// Files that came, changed or went, by absolute path.
    pub files: BTreeMap<PathBuf, Node>,
    /// What changed of files that may have several names, by [`inode_name`].
    pub inodes: BTreeMap<String, Inode>,
    /// Versions of packages that came, or `None` for those that went.
    pub packages: BTreeMap<String, Option<String>>,
    /// Packages that were asked for by name, so that they stay when nothing
    /// else needs them.
    pub requested: BTreeSet<String>,
    /// Packages that came without it being known what they bring.
    pub opaque_packages: BTreeSet<String>,
    /// Packages that went and left their configuration.
    pub left_configuration: BTreeSet<String>,
    /// Virtual packages that came, with the package that provides them.
    pub provided: BTreeMap<String, String>,
    /// Units that went with their package.
    pub gone_units: BTreeSet<String>,
    /// All users, once one has changed.
    pub users: Option<Vec<User>>,
    /// Users who went.
    pub gone_users: BTreeSet<String>,
    /// All groups, once one has changed.
    pub groups: Option<Vec<Group>>,
    /// Units that changed, by scope and name.
    pub units: BTreeMap<String, Unit>,
    /// Units whose files changed since systemd was told to read them.
    pub changed_units: BTreeSet<String>,
    /// What masked units say once they are unmasked, by scope and name.
    pub masked_units: BTreeMap<String, String>,
    /// Managers that were told to read their unit files, by scope.
    pub reloaded_managers: BTreeSet<String>,
    /// Crontabs that changed; `None` for one that went.
    pub crontabs: BTreeMap<String, Option<String>>,
    /// Resources that came or changed, by kind and name; `None` for one that
    /// went.
    pub resources: BTreeMap<String, Option<Known>>,
    /// Parameters of the kernel that changed, by their path below /proc/sys.
    pub kernel_parameters: BTreeMap<String, String>,
    /// The host's new name.
    pub hostname: Option<String>,
    /// Whether commands ran of which nobody knows what they changed.
    pub ran_commands: bool,
    /// Where packages will come from, if nobody can look there yet.
    pub unknown_sources: Option<String>,
    /// Whether the package lists were fetched.
    pub lists_updated: bool,
    /// Paths that commands name which would have run: what is there may have
    /// changed for whoever else names it.
    pub named: BTreeSet<PathBuf>,
}

/// What is recorded for a path.
#[expect(
    clippy::large_enum_variant,
    reason = "most of what is recorded is there"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// Nothing is there, nor below it.
    Removed,
    /// This is there.
    Present(Entry),
}

/// A file, directory or link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: FileKind,
    /// Owner, group and mode.
    pub attributes: Attributes,
    /// A regular file's content.
    pub content: Option<Content>,
    /// What a link says.
    pub target: Option<PathBuf>,
    /// Where its content will come from, if that is not known; without owner,
    /// group and mode nothing else is known of it either.
    pub expected: Option<String>,
    /// The digest of a content that is not known otherwise.
    #[serde(default)]
    pub sha256: Option<String>,
    /// A directory that hides what the base has below it.
    pub fresh: bool,
    /// Last change of the content, in seconds since 1970.
    pub modified: i64,
    /// Which file it is, where it is one of the base or has a second name.
    #[serde(default)]
    pub identity: Option<(u64, u64)>,
}

impl Entry {
    /// A new one.
    pub fn new(kind: FileKind, attributes: Attributes, now: u64) -> Self {
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

    /// What is there, without its content.
    pub fn of(stat: &Stat) -> Self {
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

    /// The command that makes it, if it may be a directory that holds more than
    /// is known.
    pub fn maker(&self) -> Option<&str> {
        let may_hold = self.kind == FileKind::Directory || self.attributes.is_empty();
        self.expected.as_deref().filter(|_| may_hold)
    }

    /// What a read finds; unknown as long as its attributes are.
    pub fn stat(&self) -> Found<Stat> {
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

/// What a file has under all its names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inode {
    /// Owner, group and mode.
    pub attributes: Attributes,
    /// Last change of the content, in seconds since 1970.
    pub modified: i64,
}

/// An identity as a key of JSON.
pub fn inode_name((device, inode): (u64, u64)) -> String {
    format!("{device}:{inode}")
}

/// The paths in a word of a command, be it a whole script.
fn paths_in(word: &str) -> impl Iterator<Item = &Path> {
    const AROUND: &str = "=:,;|&<>()\"'`";
    word.split(|part: char| part.is_whitespace() || AROUND.contains(part))
        .filter_map(|part| Some(&part[part.find('/')?..]))
        // `file:///srv` names /srv.
        .map(|path| Path::new(path.trim_start_matches("//")))
        .filter(|path| path.parent().is_some())
}

impl Pending {
    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// An identity that no file has, on a device that does not exist.
    pub fn new_identity(&self) -> (u64, u64) {
        let inode = |node: &Node| match node {
            Node::Present(entry) => entry.identity.filter(|(device, _)| *device == 0),
            Node::Removed => None,
        };
        let highest = self.files.values().filter_map(inode).max();
        (0, highest.map_or(1, |(_, inode)| inode + 1))
    }

    /// Whether a user is among those that something has changed.
    pub fn has_user(&self, name: &str) -> bool {
        let users = self.users.as_deref().unwrap_or_default();
        users.iter().any(|user| user.name == name)
    }

    /// What may have brought a user of which nothing is known.
    pub fn may_bring_users(&self) -> Option<String> {
        match self.opaque_packages.first() {
            Some(package) => Some(format!("what the package {package} brings")),
            None => self.ran_commands.then(|| "what commands change".to_owned()),
        }
    }

    /// The path in a word of a command, be it a whole script, that changed, or
    /// that something changed below.
    pub fn mentioned<'a>(&self, word: &'a str) -> Option<&'a Path> {
        paths_in(word).find(|path| self.changes_below(path))
    }

    /// Notes what a command names beside its program.
    pub fn note_named(&mut self, argv: &[String]) {
        let words = argv.iter().skip(1);
        self.named
            .extend(words.flat_map(|word| paths_in(word)).map(Path::to_owned));
    }

    fn changes_below(&self, path: &Path) -> bool {
        let from = path.to_owned();
        let changed = self.files.range(from.clone()..).next();
        let named = self.named.range(from..).next();
        let mut known = changed.map(|(path, _)| path).into_iter().chain(named);
        known.any(|known| known.starts_with(path))
    }

    /// The command that makes what a path is in, without saying what else it
    /// makes there.
    pub fn maker_above(&self, path: &Path) -> Option<&str> {
        let mut above = path.ancestors().skip(1);
        match above.find_map(|path| self.files.get(path))? {
            Node::Present(entry) => entry.maker(),
            Node::Removed => None,
        }
    }

    /// Whether the base's view of `path` is hidden by a recorded ancestor.
    pub fn hides(&self, path: &Path) -> bool {
        path.ancestors()
            .skip(1)
            .any(|ancestor| match self.files.get(ancestor) {
                Some(Node::Removed) => true,
                Some(Node::Present(entry)) => entry.fresh || entry.kind != FileKind::Directory,
                None => false,
            })
    }
}
