//! What is at a path.

use std::path::PathBuf;

use crate::effect::Attributes;

/// What is at a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner's name, or number where it has none.
    pub owner: String,
    /// The group's name, or number where it has none.
    pub group: String,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, in seconds since 1970.
    pub modified: i64,
    /// What a symbolic link says.
    pub target: Option<PathBuf>,
    /// Identifies the file on the host: device and inode; none where a dry
    /// run only expects it.
    pub identity: Option<(u64, u64)>,
}

impl Stat {
    /// Owner, group and mode.
    pub fn attributes(&self) -> Attributes {
        Attributes {
            owner: Some(self.owner.clone()),
            group: Some(self.group.clone()),
            mode: Some(self.mode),
        }
    }
}

/// What kind of thing is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe.
    Other,
}

impl FileKind {
    /// The word modules show.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Other => "other",
        }
    }
}
