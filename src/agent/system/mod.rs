//! The one door to a host: reads, and effects as data.
//!
//! Three worlds stand behind it. [`live`] does what it is told; [`overlay`]
//! records it over a host that is only read, so that later reads see it (the
//! dry run); and a [`sandbox`] is such an overlay kept in a directory.
//!
//! **Invariant:** nothing outside this folder opens a file of the host or
//! starts a process; clippy.toml refuses it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use self::archive::{Archive, Member};
use crate::content::Content;
use crate::effect::{
    Command, Effect, InstallOptions, PackageRequest, Record, RemoveOptions, Scope,
};
use crate::http::{HttpRequest, HttpResponse};
use crate::module::Result;
use crate::outcome::Failure;
use crate::resource::{Known, Resource};
use crate::secrets::Table;

pub mod archive;

mod account;

mod file;

mod kernel;

mod package;

mod unit;

pub mod due;

pub mod kept;

pub mod live;

pub mod overlay;

pub mod sandbox;

mod observe;

mod privilege;

mod busy;

pub mod skeleton;

pub(crate) mod sound;

pub mod visible;

#[cfg(test)]
mod differential;

#[cfg(test)]
pub mod server;

pub use account::{AccountKind, Group, User};
pub use file::{FileKind, Stat};
pub use kernel::KernelParameter;
pub use package::{
    Available, AvailableVersion, Package, PackageState, PackagedFile, PackagedUnit, Transaction,
};
pub use unit::Unit;

/// What a read finds.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<T> {
    /// It is not there.
    Absent,
    /// It is there.
    Present(T),
    /// A dry run cannot know; the text says where it will come from.
    Unknown(String),
}

impl<T> Found<T> {
    /// What is there, if it is known to be there.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Turns what is there into something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Present(value) => Found::Present(change(value)),
            Self::Absent => Found::Absent,
            Self::Unknown(origin) => Found::Unknown(origin),
        }
    }
}

impl<T> From<Option<T>> for Found<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Present)
    }
}

/// Everything a module may ask of a host. No read changes anything.
pub trait Reads {
    /// What is at `path`, without following a link there.
    fn stat(&self, path: &Path) -> Result<Found<Stat>>;

    /// Whether anything is at `path`, of whatever kind.
    fn exists(&self, path: &Path) -> Result<Found<()>> {
        Ok(self.stat(path)?.map(drop))
    }

    /// The content of a regular file; links are followed.
    fn content(&self, path: &Path) -> Result<Found<Content>>;

    /// The content of the regular file that is at `path` itself. A link there is
    /// a failure: what it leads to may be nothing that its owner could read.
    fn content_at(&self, path: &Path) -> Result<Found<Content>> {
        match self.stat(path)? {
            Found::Present(stat) if stat.kind == FileKind::Link => {
                Err(Failure::new(format!("{} is a link", path.display())))
            }
            _ => self.content(path),
        }
    }

    /// Whether the bytes of a regular file have this SHA-256, secrets included;
    /// links are followed. A dry run may know it of a file whose content it does
    /// not know.
    fn has_sha256(&self, path: &Path, sha256: &str) -> Result<Found<bool>> {
        let secrets = self.secrets();
        let has = |content| secrets.has_sha256(&content, sha256);
        Ok(self.content(path)?.map(has))
    }

    /// What is in an archive, in the order of paths. One that leads outside, or
    /// that is no file, directory or link, is a failure.
    fn members(&self, archive: &Archive) -> Result<Found<Vec<Member>>>;

    /// The names in a directory, sorted; nothing if it is not one.
    fn list(&self, directory: &Path) -> Result<Vec<String>>;

    /// All accounts, in the order of /etc/passwd.
    fn users(&self) -> Result<Vec<User>>;

    /// One account, of which the files in /etc may know nothing: a name service
    /// (LDAP, systemd) may.
    fn user(&self, name: &str) -> Result<Option<User>> {
        let users = self.users()?;
        Ok(users.into_iter().find(|user| user.name == name))
    }

    /// All groups, in the order of /etc/group.
    fn groups(&self) -> Result<Vec<Group>>;

    /// Whether an account that the files in /etc do not list is known to the
    /// host's name service (LDAP, systemd).
    fn name_service_knows(&self, _account: &str, _kind: AccountKind) -> Result<bool> {
        Ok(false)
    }

    /// A process that runs as a user, if one still does after a moment.
    fn process_of(&self, _user: &str) -> Result<Found<u32>> {
        Ok(Found::Absent)
    }

    /// Why the agent's user may not add to, or remove from, a directory of the
    /// host; nothing if it may, or if the directory is not there.
    fn refusal(&self, _directory: &Path) -> Option<std::io::Error> {
        None
    }

    /// What is known of each package that is installed, left its
    /// configuration, or is provided by another.
    fn packages(&self, names: &[String]) -> Result<BTreeMap<String, Package>>;

    /// The installed version of each package that is installed.
    fn installed(&self, names: &[String]) -> Result<BTreeMap<String, String>> {
        let version = |(name, package): (String, Package)| match package.state {
            PackageState::Installed | PackageState::Unfinished => Some((name, package.version)),
            PackageState::Configuration | PackageState::Provided(_) => None,
        };
        Ok(self
            .packages(names)?
            .into_iter()
            .filter_map(version)
            .collect())
    }

    /// What an installation would do to the host's packages, dependencies
    /// included, once those in `gone` are removed.
    fn simulate_install(
        &self,
        packages: &[PackageRequest],
        options: &InstallOptions,
        gone: &[String],
    ) -> Result<Found<Transaction>>;

    /// What a removal would do to the host's packages, those that depend on
    /// them included.
    fn simulate_removal(
        &self,
        names: &[String],
        options: &RemoveOptions,
    ) -> Result<Found<Transaction>>;

    /// What the package lists offer for each name; `release` prefers one.
    fn available(
        &self,
        names: &[String],
        release: Option<&str>,
    ) -> Result<BTreeMap<String, Found<Available>>>;

    /// How many seconds ago the package lists were fetched, if they ever were.
    fn package_lists_age(&self) -> Result<Option<u64>>;

    /// A systemd unit's state.
    fn unit(&self, name: &str, scope: &Scope) -> Result<Found<Unit>>;

    /// A user's crontab.
    fn crontab(&self, user: &str) -> Result<Found<String>>;

    /// A parameter of the running kernel, by its name as sysctl(8) takes it.
    fn kernel_parameter(&self, name: &str) -> Result<Found<KernelParameter>>;

    /// The name that the running host has.
    fn hostname(&self) -> Result<Found<String>>;

    /// The output of a command that is declared to change nothing.
    fn query(&self, command: &Command) -> Result<Found<Output>>;

    /// The output of a command that changes nothing and must succeed. What
    /// comes before it in a dry run may be all that it fails for.
    fn answer(&self, command: &Command) -> Result<Found<Output>> {
        match self.query(command)? {
            Found::Present(output) if output.code != 0 => Err(live::unsuccessful(command, &output)),
            answer => Ok(answer),
        }
    }

    /// What a dry run recorded, or a virtual host keeps, of a resource; `None`
    /// if the host itself has to be asked.
    fn resource(&self, _resource: &Resource) -> Option<Found<Known>> {
        None
    }

    /// The answer to a request that is declared to change nothing, whatever its
    /// status.
    fn http(&self, request: &HttpRequest) -> Result<Found<HttpResponse>>;

    /// What a URL leads to. It is read to its end, and kept only where it is a
    /// small text.
    fn download(&self, request: &HttpRequest) -> Result<Found<Content>>;

    /// Whether a TCP port of this or another host accepts connections; one has
    /// to be made within `patience`.
    fn port(&self, host: &str, port: u16, patience: Duration) -> Result<Found<Port>>;

    /// Lets time pass. It is unknown what that brings where none does: in a dry
    /// run, and on a virtual host.
    fn pause(&self, time: Duration) -> Result<Found<()>>;

    /// Whether a command accepts `content` as a file; `%s` in it stands for the
    /// path of a private copy named like `path`.
    fn accepts(&self, validate: &[String], content: &Content, path: &Path) -> Result<Found<()>>;

    /// Seconds since 1970, by the host's clock.
    fn now(&self) -> u64;

    /// The secrets that this host was given. A text that is looked for in
    /// what was read must be in the same form: [`Table::canonical`].
    fn secrets(&self) -> Rc<Table> {
        Rc::default()
    }

    /// The name and home directory of the user this agent runs as.
    fn me(&self) -> Result<User>;

    /// What a recorded change of this file or unit is called, while it is not
    /// real yet: whatever depends on it by other ways than reads is not known.
    fn pending(&self, _what: &str) -> Option<String> {
        None
    }

    /// The pending packages of which it is not known what they bring.
    fn opaque_packages(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// What is at a path where something has to be. It is not known where
    /// nothing is seen yet, and a package may bring it.
    fn expected(&self, path: &Path) -> Result<Found<Stat>> {
        self.stat(path)
    }

    /// Notes something a dry run takes for granted, as a full sentence.
    fn assume(&self, sentence: &str);
}

/// The door: everything of [`Reads`], and effects.
pub trait System: Reads {
    /// Performs, or in a dry run predicts, an effect.
    fn perform(&mut self, effect: Effect) -> Result<Performed>;

    /// Performs effects in their order, each about a path of its own. Many files
    /// should be handed over together: then the disk is waited for less often.
    /// Where one of them fails, those that are alike may not be done either.
    fn perform_all(&mut self, effects: Vec<Effect>) -> Result<()> {
        effects
            .into_iter()
            .try_for_each(|effect| self.perform(effect).map(drop))
    }

    /// The effects and assumptions since the last call.
    fn take_records(&mut self) -> (Vec<Record>, Vec<String>);
}

/// Refuses an effect that no world takes, before it is recorded or begun.
fn check(effect: &Effect, reads: &dyn Reads) -> Result<()> {
    privilege::check(effect, reads)?;
    busy::check(effect, reads)?;
    sound::check(effect, reads)
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Performed {
    /// It was done.
    Done,
    /// A command ran.
    Ran(Output),
    /// A server answered a request.
    Answered(HttpResponse),
    /// It was recorded; what it would print is not known.
    Predicted,
}

/// What a command printed and how it ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// Exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// It is accepted.
    Open,
    /// It is not, for this reason.
    Closed(String),
}

/// The failure where a path leads through a link of somebody who could lead
/// others with it to what is not his.
pub(crate) fn foreign_link(path: &Path, link: &Path) -> Failure {
    Failure::new(format!(
        "{} is reached through the link {}, whose owner does not own what it leads to",
        path.display(),
        link.display()
    ))
    .hint("Give the path without the link, or give the link to root.")
}
