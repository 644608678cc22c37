//! Packages: what a host has, what its lists offer, and what a change brings.

use std::path::PathBuf;

use super::{FileKind, Group, User};
use crate::content::Content;
use crate::effect::Attributes;

/// A package that the host knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its version; the provider's, where another package provides it.
    pub version: String,
    /// How far it is there.
    pub state: PackageState,
    /// Whether an administrator keeps it from changing (`apt-mark hold`).
    pub held: bool,
    /// Whether it came as a dependency, and goes once nothing needs it
    /// (`apt-mark auto`).
    pub automatic: bool,
}

/// How far a package is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageState {
    /// Wholly.
    Installed,
    /// An installation began and did not end.
    Unfinished,
    /// It was removed, and only its configuration is left.
    Configuration,
    /// It is a virtual package, and this one provides it.
    Provided(String),
}

/// What the package lists offer under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Available {
    /// The version that would be installed; none for a virtual package.
    pub candidate: Option<String>,
    /// All versions, highest first.
    pub versions: Vec<AvailableVersion>,
    /// Whether any other version can be had too, as in a sandbox.
    pub anything: bool,
}

/// A version that the package lists offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailableVersion {
    /// The version.
    pub version: String,
    /// The releases that have it, such as `bookworm-backports`.
    pub releases: Vec<String>,
}

/// What the package manager would do, and what comes of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// Packages that come or change, with their new version.
    pub installed: Vec<(String, String)>,
    /// Packages that go and leave their configuration.
    pub removed: Vec<String>,
    /// Packages that go wholly.
    pub purged: Vec<String>,
    /// Virtual packages that come, with the package that provides them.
    pub provided: Vec<(String, String)>,
    /// Files, links and directories that the new packages bring.
    pub files: Vec<PackagedFile>,
    /// Files, links and directories that go; a directory only once it is empty.
    pub gone: Vec<PathBuf>,
    /// What goes with all that is in it.
    pub wiped: Vec<PathBuf>,
    /// Units that the new packages bring.
    pub units: Vec<PackagedUnit>,
    /// Users that the new packages add.
    pub users: Vec<User>,
    /// Groups that the new packages add.
    pub groups: Vec<Group>,
    /// Users that join groups, by name.
    pub members: Vec<(String, String)>,
    /// Packages that may bring more than this.
    pub opaque: Vec<String>,
    /// What was taken for granted, as full sentences.
    pub assumptions: Vec<String>,
}

/// A file that a package brings.
#[derive(Clone, Debug, PartialEq)]
pub struct PackagedFile {
    /// Where.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Owner, group and mode.
    pub attributes: Attributes,
    /// A regular file's content, where it was read.
    pub content: Option<Content>,
    /// What a symbolic link says.
    pub target: Option<PathBuf>,
    /// Last change of the content, in seconds since 1970; none if it is made
    /// during the installation.
    pub modified: Option<i64>,
    /// Whether it is configuration: dpkg keeps what is there already.
    pub configuration: bool,
}

/// A unit that a package brings.
#[derive(Clone, Debug, PartialEq)]
pub struct PackagedUnit {
    /// Its full name.
    pub name: String,
    /// systemd's word for whether it then starts at boot, such as `enabled`.
    pub file_state: String,
    /// Whether it runs then.
    pub active: bool,
}
