//! The closed vocabulary of effects: everything that may happen to a host, as
//! data. A plan is a list of these; the journal keeps them with their inverse.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::http::HttpRequest;
use crate::password::PasswordHash;
use crate::resource::{Properties, ResourceChange};

/// One thing that is done to a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Puts a regular file in place, atomically; the parent exists.
    WriteFile {
        /// Where.
        path: PathBuf,
        /// The bytes, whole.
        content: Content,
        /// Owner, group and mode the file has from its first moment.
        attributes: Attributes,
        /// A copy of what is replaced, kept here.
        backup: Option<PathBuf>,
        /// A command that accepts the new file before it goes live; `%s`
        /// stands for the file's path.
        validate: Option<Vec<String>>,
    },
    /// Changes owner, group or mode of what is there.
    SetAttributes {
        /// Of what; a symbolic link itself is never followed.
        path: PathBuf,
        /// The attributes to set.
        attributes: Attributes,
    },
    /// Makes one directory; its parent exists.
    MakeDirectory {
        /// Where.
        path: PathBuf,
        /// Owner, group and mode.
        attributes: Attributes,
    },
    /// Removes a file, a link, or a directory with all that is in it.
    Remove {
        /// What.
        path: PathBuf,
    },
    /// Puts a symbolic link in place, atomically.
    Link {
        /// Where the link is.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
    },
    /// Gives a file a second name.
    HardLink {
        /// The new name.
        path: PathBuf,
        /// The file that is there.
        target: PathBuf,
    },
    /// Sets the time of last change of a file's content to now.
    Touch {
        /// Of what.
        path: PathBuf,
    },
    /// Fetches the package lists anew.
    UpdatePackageLists {
        /// How long to wait for another package manager, in seconds.
        lock_timeout: u32,
    },
    /// Installs, up- or downgrades packages in one transaction.
    InstallPackages {
        /// What to install.
        packages: Vec<PackageRequest>,
        /// How.
        options: InstallOptions,
    },
    /// Removes packages in one transaction.
    RemovePackages {
        /// Their names; none to remove only what nothing needs any more.
        names: Vec<String>,
        /// How.
        options: RemoveOptions,
    },
    /// Starts, stops, enables … a systemd unit.
    ChangeUnit {
        /// Its full name, such as `haproxy.service`.
        unit: String,
        /// What is done to it.
        action: UnitAction,
        /// Whose manager it belongs to.
        scope: Scope,
        /// Whether to return before the job has ended.
        no_block: bool,
    },
    /// Makes systemd read its unit files again.
    ReloadUnitFiles {
        /// Whose manager.
        scope: Scope,
    },
    /// Adds an account.
    AddUser {
        /// Its name.
        name: String,
        /// What it is like.
        account: Account,
    },
    /// Changes an account; only what is given is changed.
    ChangeUser {
        /// Its name.
        name: String,
        /// What changes.
        account: Account,
    },
    /// Removes an account.
    RemoveUser {
        /// Its name.
        name: String,
        /// Whether the home directory and the mail go too.
        remove_home: bool,
        /// Whether to remove it even while it is logged in.
        force: bool,
    },
    /// Adds a group.
    AddGroup {
        /// Its name.
        name: String,
        /// Its number; the system chooses when absent.
        gid: Option<u32>,
        /// Whether the number comes from the system's range.
        system: bool,
        /// Whether another group may have the same number.
        non_unique: bool,
    },
    /// Changes a group's number.
    ChangeGroup {
        /// Its name.
        name: String,
        /// The new number.
        gid: u32,
        /// Whether another group may have the same number.
        non_unique: bool,
    },
    /// Removes a group.
    RemoveGroup {
        /// Its name.
        name: String,
        /// Whether to remove it even while it is a user's primary group.
        force: bool,
    },
    /// Replaces a user's crontab; no content removes it.
    WriteCrontab {
        /// Whose.
        user: String,
        /// The whole table.
        content: Option<String>,
    },
    /// Changes a thing that a program of the host keeps, by a command of which
    /// it is known what it changes.
    ChangeResource(ResourceChange),
    /// Sets a parameter of the running kernel.
    SetKernelParameter {
        /// Its name, as sysctl(8) takes it.
        name: String,
        /// The new value.
        value: String,
    },
    /// Gives the running host another name.
    SetHostname {
        /// The new name.
        name: String,
    },
    /// Puts what a URL leads to in place as a regular file, atomically; the
    /// parent exists.
    Download {
        /// What is asked for.
        request: HttpRequest,
        /// Where it goes.
        path: PathBuf,
        /// SHA-256 that the content must have, in hexadecimal.
        sha256: Option<String>,
        /// Owner, group and mode the file has from its first moment.
        attributes: Attributes,
        /// A copy of what is replaced, kept here.
        backup: Option<PathBuf>,
    },
    /// Sends a request over HTTP whose effects are not known.
    SendRequest {
        /// What is sent.
        request: HttpRequest,
    },
    /// Runs a command whose effects are not known.
    RunCommand {
        /// The command.
        command: Command,
        /// A path that is there afterwards.
        creates: Option<PathBuf>,
        /// A path that is gone afterwards.
        removes: Option<PathBuf>,
    },
}

impl Effect {
    /// The paths of what is changed, or takes part, where that is files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let (path, other) = match self {
            Self::WriteFile { path, backup, .. } | Self::Download { path, backup, .. } => {
                (Some(path), backup.as_ref())
            }
            Self::HardLink { path, target } => (Some(path), Some(target)),
            Self::SetAttributes { path, .. }
            | Self::MakeDirectory { path, .. }
            | Self::Remove { path }
            | Self::Link { path, .. }
            | Self::Touch { path } => (Some(path), None),
            _ => (None, None),
        };
        path.into_iter().chain(other).map(PathBuf::as_path)
    }
}

/// Owner, group and mode, as far as they are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// A user's name, or a number.
    pub owner: Option<String>,
    /// A group's name, or a number.
    pub group: Option<String>,
    /// Permission bits, such as 0o644.
    pub mode: Option<u32>,
}

impl Attributes {
    /// These attributes, with what is not given taken from `other`.
    pub fn or(&self, other: Attributes) -> Attributes {
        Attributes {
            owner: self.owner.clone().or(other.owner),
            group: self.group.clone().or(other.group),
            mode: self.mode.or(other.mode),
        }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A package to install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRequest {
    /// Its name, with `:arch` where given.
    pub name: String,
    /// The exact version; the candidate when absent.
    pub version: Option<String>,
}

/// How packages are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallOptions {
    /// Whether recommended packages come too; the host's setting when absent.
    pub recommends: Option<bool>,
    /// Whether a lower version may replace a higher one.
    pub allow_downgrade: bool,
    /// Whether packages that are on hold may change.
    pub allow_held: bool,
    /// The release to prefer, such as `bookworm-backports`.
    pub default_release: Option<String>,
    /// How long to wait for another package manager, in seconds.
    pub lock_timeout: u32,
}

/// How packages are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveOptions {
    /// Whether their configuration goes too.
    pub purge: bool,
    /// Whether packages that nothing needs any more go too.
    pub autoremove: bool,
    /// Whether packages that are on hold may go.
    pub allow_held: bool,
    /// How long to wait for another package manager, in seconds.
    pub lock_timeout: u32,
}

/// What is done to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitAction {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Make it read its configuration again.
    Reload,
    /// Start it at boot.
    Enable,
    /// No longer start it at boot.
    Disable,
    /// Make it impossible to start.
    Mask,
    /// Make it possible to start again.
    Unmask,
}

/// Whose systemd manager a unit belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The system's.
    #[default]
    System,
    /// A user's, by name.
    User(String),
    /// The defaults of all users: only enabling and masking make sense.
    Global,
}

/// What an account is like; `None` leaves it to the system, or as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user's number.
    pub uid: Option<u32>,
    /// The primary group, by name or number.
    pub group: Option<String>,
    /// All supplementary groups.
    pub groups: Option<Vec<String>>,
    /// The comment (GECOS) field.
    pub comment: Option<String>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// Whether to create (or, on a change, move) the home directory.
    pub create_home: bool,
    /// The login shell.
    pub shell: Option<String>,
    /// The hash of the password.
    pub password: Option<PasswordHash>,
    /// Whether the password is locked.
    pub locked: Option<bool>,
    /// Whether the number comes from the system's range.
    pub system: bool,
    /// The day the account expires, in days since 1970-01-01; -1 for never.
    pub expires: Option<i64>,
    /// Whether another user may have the same number.
    pub non_unique: bool,
}

/// A command, as an argument list: no shell is involved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The directory to run in; the root directory when absent.
    pub directory: Option<PathBuf>,
    /// Variables added to the agent's environment.
    pub environment: BTreeMap<String, String>,
    /// What the command reads; nothing when absent.
    pub input: Option<String>,
    /// The user to run as; the agent's own when absent.
    pub user: Option<String>,
    /// Seconds after which the command and its children are killed.
    pub timeout: Option<u64>,
}

impl Command {
    /// A command of these words.
    pub fn new<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Self {
        Self {
            argv: words.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// An effect with what was found before it and how to take it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was, or would be, done.
    pub effect: Effect,
    /// What was there before: the plan's precondition.
    pub before: Before,
    /// How to take it back.
    pub inverse: Inverse,
}

/// What an effect found before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Before {
    /// Nothing was there.
    Absent,
    /// A file, link or directory; `sha256` of a regular file's content.
    File {
        /// `file`, `directory`, `link` or `other`.
        kind: String,
        /// Owner, group and mode.
        attributes: Attributes,
        /// Digest of a regular file's content.
        sha256: Option<String>,
        /// Where a link pointed.
        target: Option<PathBuf>,
    },
    /// Installed versions by package name; `None` for not installed.
    Packages(BTreeMap<String, Option<String>>),
    /// A unit's state.
    Unit {
        /// Whether it was running.
        active: bool,
        /// Whether it was started at boot.
        enabled: bool,
        /// Whether it was masked.
        masked: bool,
    },
    /// An account.
    User(Account),
    /// A group's number.
    Group(u32),
    /// A crontab.
    Crontab(String),
    /// What a resource was like.
    Resource(Properties),
    /// The value of a kernel's parameter.
    KernelParameter(String),
    /// The host's name.
    Hostname(String),
    /// It cannot be observed, or a dry run cannot know it; the text says why.
    Unknown(String),
}

/// How an effect is taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inverse {
    /// These effects, in order, lead back.
    Effects(Vec<Effect>),
    /// Nothing has to be done.
    Nothing,
    /// There is no way back; the text says why.
    None(String),
}
