//! What archives hold, as data.

use std::path::PathBuf;

use crate::content::Content;

/// An archive.
#[derive(Clone, Debug, PartialEq)]
pub enum Archive {
    /// A file of the host.
    File(PathBuf),
    /// What the controller holds, by its digest.
    Content(Content),
}

/// One thing in an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Where it goes, below the directory that the archive is unpacked to.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: MemberKind,
}

/// What a thing in an archive is.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link, with what it says; it may lead anywhere.
    Link(PathBuf),
}
