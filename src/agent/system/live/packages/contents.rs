//! What the packages of a transaction bring: their `.deb`s are fetched into a
//! directory of the agent's own and read there, so that a dry run knows each
//! file, unit and account before anything is installed.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::files::failed;
use super::super::processes;
use super::accounts::Accounts;
use super::deb::{self, Deb};
use super::services::{self, Actions};
use super::simulate::Install;
use super::{apt, shell, tmpfiles};
use crate::effect::{Attributes, Command};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{FileKind, PackagedFile, Transaction};

/// Where the packages are kept; for root only.
const DIRECTORY: &str = "/var/lib/veza-play/packages";

/// As much as a dry run may fetch, in bytes.
const LIMIT: u64 = 64 * 1024 * 1024;

/// How long a package is kept after it was fetched.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Adds what the packages bring, or the reason why it is not known.
pub fn add(transaction: &mut Transaction, packages: &[Install]) {
    match fetch(packages) {
        Ok(Fetched::Files(paths)) => match paths
            .iter()
            .try_for_each(|path| add_package(transaction, path))
        {
            Ok(()) => transaction.contents_known = true,
            Err(failure) => doubt(transaction, &failure.message),
        },
        Ok(Fetched::Not(reason)) => doubt(transaction, &reason),
        Err(failure) => doubt(transaction, &failure.message),
    }
}

fn doubt(transaction: &mut Transaction, reason: &str) {
    let names: Vec<&str> = transaction
        .installed
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let sentence = format!(
        "What {} brings is known only after apply, since {reason}.",
        names.join(", ")
    );
    transaction.assumptions.push(sentence);
}

enum Fetched {
    Files(Vec<PathBuf>),
    Not(String),
}

fn fetch(packages: &[Install]) -> Result<Fetched> {
    if packages.is_empty() {
        return Ok(Fetched::Files(Vec::new()));
    }
    if !rustix::process::geteuid().is_root() {
        return Ok(Fetched::Not("only root may fetch packages".to_owned()));
    }
    let directory = Path::new(DIRECTORY);
    prepare(directory)?;
    let files = apt::downloads(packages)?;
    let size: u64 = files.iter().map(|(_, size)| size).sum();
    if size > LIMIT {
        let megabytes = size / 1_000_000;
        return Ok(Fetched::Not(format!(
            "{megabytes} MB would have to be fetched"
        )));
    }
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| directory.join(name)).collect();
    let complete = |(path, (_, size)): (&PathBuf, &(String, u64))| {
        fs::metadata(path).is_ok_and(|metadata| metadata.len() == *size)
    };
    if !paths.iter().zip(&files).all(complete) {
        apt::download(packages, directory)?;
    }
    Ok(Fetched::Files(paths))
}

/// Makes the directory, or makes sure that nobody else can write into it, and
/// drops what is old.
fn prepare(directory: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed("make the directory", directory))?;
    let metadata = fs::symlink_metadata(directory).map_err(failed("look at", directory))?;
    if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        return Err(Failure::new(format!("{DIRECTORY} is not root's alone")));
    }
    let entries = fs::read_dir(directory).map_err(failed("list", directory))?;
    for entry in entries.flatten() {
        let fetched = entry.metadata().and_then(|metadata| metadata.modified());
        let age = fetched.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
        if age.is_ok_and(|age| age > KEPT) {
            // Another agent may have dropped it just now.
            drop(fs::remove_file(entry.path()));
        }
    }
    Ok(())
}

fn add_package(transaction: &mut Transaction, path: &Path) -> Result<()> {
    let Deb { files, control } = deb::read(path)?;
    let paragraph = control.get("control").map_or("", String::as_str);
    let field = |name: &str| {
        paragraph
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_default()
    };
    let name = field("Package").trim().to_owned();
    for provided in field("Provides").split(',') {
        if let Some(provided) = provided.split_whitespace().next() {
            transaction
                .provided
                .push((provided.to_owned(), name.clone()));
        }
    }
    let mut accounts = Accounts::default();
    let mut actions = Actions::default();
    for script in ["preinst", "postinst"] {
        for command in shell::commands(control.get(script).map_or("", String::as_str)) {
            accounts.command(&command);
            actions.command(&command);
        }
    }
    for file in &files {
        let text = file
            .content
            .as_ref()
            .and_then(|content| content.text.as_deref());
        let Some(text) = text else {
            continue;
        };
        match file.path.parent().and_then(Path::to_str) {
            Some("/usr/lib/sysusers.d") => accounts.sysusers(text),
            Some("/usr/lib/tmpfiles.d") => transaction.files.extend(tmpfiles::parse(text)),
            _ => {}
        }
    }
    transaction
        .units
        .extend(services::units(&files, &actions, may_start));
    let links = services::links(&files, &actions);
    transaction.files.splice(0..0, files);
    transaction.files.extend(links);
    add_accounts(transaction, accounts, &name);
    Ok(())
}

fn add_accounts(transaction: &mut Transaction, accounts: Accounts, package: &str) {
    for (path, user, group) in accounts.homes {
        transaction.files.push(PackagedFile {
            path,
            kind: FileKind::Directory,
            attributes: Attributes {
                owner: Some(user),
                group: Some(group),
                mode: Some(0o755),
            },
            content: None,
            target: None,
            configuration: true,
        });
    }
    for command in accounts.unknown {
        transaction.assumptions.push(format!(
            "Whom package {package} adds with `{command}` is known only after apply."
        ));
    }
    transaction.users.extend(accounts.users);
    transaction.groups.extend(accounts.groups);
}

/// Whether the host lets packages start a unit (Debian's policy-rc.d).
fn may_start(unit: &str) -> bool {
    const POLICY: &str = "/usr/sbin/policy-rc.d";
    if !Path::new("/run/systemd/system").is_dir() {
        return false;
    }
    if !Path::new(POLICY).exists() {
        return true;
    }
    let service = unit.strip_suffix(".service").unwrap_or(unit);
    let asked = processes::output(&Command::new([POLICY, service, "start"]));
    // 101 forbids it; policies say 0 or 104 otherwise.
    asked.is_ok_and(|output| output.code != 101)
}
