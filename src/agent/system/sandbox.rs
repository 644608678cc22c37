//! The virtual host of a sandbox: a pristine Debian that exists only as data,
//! and over it an overlay kept in a directory. Files are kept as files, below
//! `root/`, so that people may look at them, and even change them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::archive::{Archive, Member};
use super::overlay::{Absence, Overlay, Pending};
use super::{
    Available, FileKind, Found, Group, KernelParameter, Output, Package, Port, Reads, Stat,
    Transaction, Unit, User,
};
use crate::content::Content;
use crate::effect::{Command, InstallOptions, PackageRequest, RemoveOptions, Scope};
use crate::http::{HttpRequest, HttpResponse};
use crate::module::Result;
use crate::outcome::Failure;
use crate::password::PasswordHash;
use crate::resource::{Known, Resource};

mod store;

pub use store::Store;

/// A freshly installed host that nobody has touched.
pub struct Pristine;

const DIRECTORIES: [&str; 58] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/apt",
    "/etc/apt/apt.conf.d",
    "/etc/apt/keyrings",
    "/etc/apt/preferences.d",
    "/etc/apt/sources.list.d",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/cron.weekly",
    "/etc/default",
    "/etc/logrotate.d",
    "/etc/modules-load.d",
    "/etc/pam.d",
    "/etc/profile.d",
    "/etc/security",
    "/etc/security/limits.d",
    "/etc/skel",
    "/etc/ssh",
    "/etc/ssh/sshd_config.d",
    "/etc/ssl",
    "/etc/ssl/certs",
    "/etc/ssl/private",
    "/etc/sudoers.d",
    "/etc/sysctl.d",
    "/etc/systemd",
    "/etc/systemd/system",
    "/etc/tmpfiles.d",
    "/home",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib/systemd/system",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/local/share",
    "/usr/sbin",
    "/usr/share",
    "/usr/share/keyrings",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/var/tmp",
];

/// Files that every host has, though a virtual one does not say what they hold.
const FILES: [&str; 18] = [
    "/etc/adduser.conf",
    "/etc/bash.bashrc",
    "/etc/crontab",
    "/etc/environment",
    "/etc/fstab",
    "/etc/hosts",
    "/etc/login.defs",
    "/etc/nsswitch.conf",
    "/etc/pam.d/common-session",
    "/etc/profile",
    "/etc/resolv.conf",
    "/etc/security/limits.conf",
    "/etc/ssh/ssh_config",
    "/etc/ssh/sshd_config",
    "/etc/sudoers",
    "/etc/sysctl.conf",
    "/etc/systemd/journald.conf",
    "/etc/systemd/logind.conf",
];

const UNITS: [&str; 4] = [
    "cron.service",
    "ssh.service",
    "systemd-journald.service",
    "dbus.service",
];

const USERS: [(&str, u32, &str, &str); 5] = [
    ("root", 0, "/root", "/bin/bash"),
    ("daemon", 1, "/usr/sbin", "/usr/sbin/nologin"),
    ("www-data", 33, "/var/www", "/usr/sbin/nologin"),
    ("sshd", 102, "/run/sshd", "/usr/sbin/nologin"),
    ("nobody", 65534, "/nonexistent", "/usr/sbin/nologin"),
];

const GROUPS: [(&str, u32); 8] = [
    ("root", 0),
    ("daemon", 1),
    ("adm", 4),
    ("sudo", 27),
    ("www-data", 33),
    ("systemd-journal", 999),
    ("users", 100),
    ("nogroup", 65534),
];

/// The version a virtual host has of every package.
const VERSION: &str = "sandbox";

impl Reads for Pristine {
    fn stat(&self, path: &Path) -> Result<Found<Stat>> {
        if !DIRECTORIES
            .iter()
            .any(|directory| path == Path::new(directory))
        {
            return Ok(Found::Absent);
        }
        let mode = match path.to_str() {
            Some("/root") => 0o700,
            Some("/tmp" | "/var/tmp") => 0o1777,
            _ => 0o755,
        };
        Ok(Found::Present(Stat {
            kind: FileKind::Directory,
            mode,
            owner: "root".to_owned(),
            group: "root".to_owned(),
            size: 0,
            modified: 0,
            target: None,
            identity: None,
        }))
    }

    fn expected(&self, path: &Path) -> Result<Found<Stat>> {
        match FILES.iter().any(|file| path == Path::new(file)) {
            true => Ok(Found::Unknown("a real host".to_owned())),
            false => self.stat(path),
        }
    }

    fn content(&self, _path: &Path) -> Result<Found<Content>> {
        Ok(Found::Absent)
    }

    fn members(&self, _archive: &Archive) -> Result<Found<Vec<Member>>> {
        Ok(Found::Unknown(
            "an archive, which a sandbox does not unpack".to_owned(),
        ))
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>> {
        let inside = |path: &&&str| Path::new(path).parent() == Some(directory);
        let name = |path: &&str| Some(Path::new(path).file_name()?.to_string_lossy().into_owned());
        let mut names: Vec<String> = DIRECTORIES.iter().filter(inside).filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    fn users(&self) -> Result<Vec<User>> {
        let user = |&(name, uid, home, shell): &(&str, u32, &str, &str)| User {
            name: name.to_owned(),
            uid: Some(uid),
            group: if name == "nobody" || name == "sshd" {
                "nogroup"
            } else {
                name
            }
            .to_owned(),
            comment: name.to_owned(),
            home: PathBuf::from(home),
            shell: shell.to_owned(),
            password: Some(PasswordHash::new("*")),
            expires: None,
        };
        Ok(USERS.iter().map(user).collect())
    }

    fn groups(&self) -> Result<Vec<Group>> {
        let group = |&(name, gid): &(&str, u32)| Group {
            name: name.to_owned(),
            gid: Some(gid),
            members: Vec::new(),
        };
        Ok(GROUPS.iter().map(group).collect())
    }

    fn packages(&self, _names: &[String]) -> Result<BTreeMap<String, Package>> {
        Ok(BTreeMap::new())
    }

    fn simulate_install(
        &self,
        packages: &[PackageRequest],
        _options: &InstallOptions,
        _gone: &[String],
    ) -> Result<Found<Transaction>> {
        let version = |package: &PackageRequest| {
            let version = package
                .version
                .clone()
                .unwrap_or_else(|| VERSION.to_owned());
            (package.name.clone(), version)
        };
        Ok(Found::Present(Transaction {
            installed: packages.iter().map(version).collect(),
            opaque: packages
                .iter()
                .map(|package| package.name.clone())
                .collect(),
            ..Transaction::default()
        }))
    }

    /// A virtual host forgets a package wholly, whatever is asked for.
    fn simulate_removal(
        &self,
        names: &[String],
        _options: &RemoveOptions,
    ) -> Result<Found<Transaction>> {
        Ok(Found::Present(Transaction {
            purged: names.to_vec(),
            ..Transaction::default()
        }))
    }

    fn available(
        &self,
        names: &[String],
        _release: Option<&str>,
    ) -> Result<BTreeMap<String, Found<Available>>> {
        let anything = Available {
            candidate: Some(VERSION.to_owned()),
            versions: Vec::new(),
            anything: true,
        };
        let offer = |name: &String| (name.clone(), Found::Present(anything.clone()));
        Ok(names.iter().map(offer).collect())
    }

    fn package_lists_age(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn unit(&self, name: &str, scope: &Scope) -> Result<Found<Unit>> {
        if *scope != Scope::System || !UNITS.contains(&name) {
            return Ok(Found::Absent);
        }
        Ok(Found::Present(Unit {
            active: true,
            active_state: "active".to_owned(),
            file_state: "enabled".to_owned(),
            ..Unit::default()
        }))
    }

    fn crontab(&self, _user: &str) -> Result<Found<String>> {
        Ok(Found::Absent)
    }

    fn kernel_parameter(&self, _name: &str) -> Result<Found<KernelParameter>> {
        Ok(Found::Unknown(
            "a kernel, which a sandbox has not".to_owned(),
        ))
    }

    fn hostname(&self) -> Result<Found<String>> {
        Ok(Found::Unknown("a real host".to_owned()))
    }

    fn query(&self, command: &Command) -> Result<Found<Output>> {
        let program = command.argv.first().map_or("", String::as_str);
        Ok(Found::Unknown(format!(
            "`{program}`, since a sandbox runs no commands"
        )))
    }

    /// Whatever keeps resources, it keeps none yet.
    fn resource(&self, _resource: &Resource) -> Option<Found<Known>> {
        Some(Found::Absent)
    }

    fn port(&self, host: &str, port: u16, _: Duration) -> Result<Found<Port>> {
        let origin = format!("{host}:{port}, which a virtual host does not reach");
        Ok(Found::Unknown(origin))
    }

    fn pause(&self, _: Duration) -> Result<Found<()>> {
        Ok(Found::Unknown("what happens meanwhile".to_owned()))
    }

    fn http(&self, request: &HttpRequest) -> Result<Found<HttpResponse>> {
        Ok(Found::Unknown(no_network(request)))
    }

    fn download(&self, request: &HttpRequest) -> Result<Found<Content>> {
        Ok(Found::Unknown(no_network(request)))
    }

    fn accepts(&self, _words: &[String], _content: &Content, _path: &Path) -> Result<Found<()>> {
        Ok(Found::Unknown("a real host".to_owned()))
    }

    fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    fn me(&self) -> Result<User> {
        match self.users()?.into_iter().next() {
            Some(root) => Ok(root),
            None => Err(Failure::new("the virtual host has no user")),
        }
    }

    fn assume(&self, _sentence: &str) {}
}

fn no_network(request: &HttpRequest) -> String {
    format!("{}, since a sandbox has no network", request.url)
}

/// The virtual host kept in `directory`; it is made when it is first changed.
pub fn open(directory: &Path) -> Result<Overlay> {
    let pending = Store::new(directory).load()?;
    Ok(Overlay::new(Box::new(Pristine), Absence::Certain, pending))
}

/// A dry run over that virtual host.
pub fn dry_run(directory: &Path) -> Result<Overlay> {
    let host = open(directory)?;
    Ok(Overlay::new(
        Box::new(host),
        Absence::Certain,
        Pending::default(),
    ))
}

/// A dry run of a host that is not there yet. What it can install is known
/// once it is.
pub fn planned() -> Overlay {
    let pending = Pending {
        unknown_sources: Some("the package lists of the new host".to_owned()),
        ..Pending::default()
    };
    Overlay::new(Box::new(Pristine), Absence::Doubtful, pending)
}

/// Whether a sandbox of this host is there.
pub fn exists(directory: &Path) -> bool {
    fs::metadata(directory).is_ok()
}
