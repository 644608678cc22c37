//! Users and groups, as /etc/passwd and /etc/group have them.

use std::path::PathBuf;

use crate::password::PasswordHash;

/// What kind of account a name is looked for among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// Users.
    User,
    /// Groups.
    Group,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Number; none where a dry run cannot know what the system will choose.
    pub uid: Option<u32>,
    /// Primary group's name.
    pub group: String,
    /// The comment (GECOS) field.
    pub comment: String,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: String,
    /// The password's hash as in shadow(5), where it may be read.
    #[serde(with = "crate::password::digest")]
    pub password: Option<PasswordHash>,
    /// The day the account expires, in days since 1970-01-01.
    pub expires: Option<i64>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number; none where a dry run cannot know what the system will choose.
    pub gid: Option<u32>,
    /// Users that are in it beside those whose primary group it is.
    pub members: Vec<String>,
}
