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
use super::simulate::Install;
use super::{apt, script, services, tmpfiles};
use crate::effect::{Command, PackageRequest};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{FileKind, Transaction};

/// Where the packages are kept; for root only.
const DIRECTORY: &str = "/var/lib/veza-play/packages";

/// As much as a dry run may fetch, in bytes.
const LIMIT: u64 = 64 * 1024 * 1024;

/// How long a package is kept after it was fetched.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Adds what the packages bring, or the reason why it is not known.
pub fn add(transaction: &mut Transaction, packages: &[Install], requests: &[PackageRequest]) {
    let mut left: Vec<&Install> = packages.iter().collect();
    let reason = match fetch(packages, requests) {
        Ok(fetched) => {
            for (package, path) in &fetched {
                if let Err(failure) = add_package(transaction, path) {
                    transaction.assumptions.push(format!("{failure}."));
                    continue;
                }
                left.retain(|known| known != package);
            }
            format!("a dry run fetches no more than {} MiB", LIMIT >> 20)
        }
        Err(failure) => failure.message,
    };
    // Nobody looks for what a library brings that came along.
    let matters = |name: &String| {
        !name.starts_with("lib") || requests.iter().any(|request| request.name == *name)
    };
    let names = left.iter().map(|package| package.name.clone());
    let names: Vec<String> = names.filter(matters).collect();
    if !names.is_empty() {
        transaction.assumptions.push(format!(
            "What {} will bring is known only after apply: {reason}.",
            names.join(", ")
        ));
    }
    transaction.opaque.extend(names);
    transaction.opaque.retain(matters);
}

/// Fetches what is asked for, and then as many of the dependencies as may be,
/// small ones first.
fn fetch<'a>(
    packages: &'a [Install],
    requests: &[PackageRequest],
) -> Result<Vec<(&'a Install, PathBuf)>> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("only root may fetch packages"));
    }
    let directory = Path::new(DIRECTORY);
    prepare(directory)?;
    let offered = apt::downloads(packages)?;
    let mut files: Vec<_> = packages
        .iter()
        .filter_map(|package| {
            let file = offered.iter().find(|(name, _)| is_of(package, name))?;
            Some((package, file.clone()))
        })
        .collect();
    let requested = |package: &Install| {
        let name = |request: &PackageRequest| request.name.split(':').next() == Some(&package.name);
        requests.iter().any(name)
    };
    files.sort_by_key(|(package, (_, size))| (!requested(package), *size));
    let mut room = LIMIT;
    files.retain(|(_, (_, size))| match room.checked_sub(*size) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
    let missing: Vec<&Install> = files
        .iter()
        .filter(|(_, (name, size))| {
            let there = fs::metadata(directory.join(name));
            !there.is_ok_and(|metadata| metadata.len() == *size)
        })
        .map(|(package, _)| *package)
        .collect();
    if !missing.is_empty() {
        apt::download(&missing, directory)?;
    }
    // In the order in which dpkg unpacks them.
    files.sort_by_key(|(package, _)| packages.iter().position(|known| known == *package));
    Ok(files
        .into_iter()
        .map(|(package, (name, _))| (package, directory.join(name)))
        .collect())
}

/// Whether a file, `NAME_VERSION_ARCH.deb`, is that of a package.
fn is_of(package: &Install, file: &str) -> bool {
    let (name, arch) = match package.name.split_once(':') {
        Some((name, arch)) => (name, format!("_{arch}.deb")),
        None => (package.name.as_str(), ".deb".to_owned()),
    };
    file.split('_').next() == Some(name) && file.ends_with(&arch)
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
    let Deb { mut files, control } = deb::read(path)?;
    let text = |name: &str| control.get(name).map_or("", String::as_str);
    let field = |name: &str| {
        text("control")
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_default()
    };
    let name = field("Package").trim().to_owned();
    for provided in field("Provides").split(',') {
        let provided = provided.split_whitespace().next();
        transaction
            .provided
            .extend(provided.map(|provided| (provided.to_owned(), name.clone())));
    }
    let unpacked = files.len();
    let mut deeds = script::follow(&[text("preinst"), text("postinst")], &mut files);
    let mut directories = Vec::new();
    for file in &files[..unpacked] {
        let content = file.content.as_ref();
        let Some(text) = content.and_then(|content| content.text.as_deref()) else {
            continue;
        };
        match file.path.parent().and_then(Path::to_str) {
            Some("/usr/lib/sysusers.d") => deeds.accounts.sysusers(text),
            Some("/usr/lib/tmpfiles.d") => directories.extend(tmpfiles::parse(text)),
            _ => {}
        }
    }
    if deeds.obscure {
        transaction.opaque.push(name.clone());
    }
    let units = services::units(&files, &deeds.actions, may_start);
    let links = services::links(&files, &deeds.actions);
    transaction.units.extend(units);
    transaction.files.extend(files);
    transaction.files.extend(directories);
    transaction.files.extend(links);
    add_accounts(transaction, deeds.accounts, &name);
    Ok(())
}

fn add_accounts(transaction: &mut Transaction, accounts: Accounts, package: &str) {
    for (path, user, group) in accounts.homes {
        let mut home = script::made(&path, FileKind::Directory, 0o755);
        home.attributes.owner = Some(user);
        home.attributes.group = Some(group);
        transaction.files.push(home);
    }
    for command in accounts.unknown {
        transaction.assumptions.push(format!(
            "Whom package {package} adds with `{command}` is known only after apply."
        ));
    }
    transaction.users.extend(accounts.users);
    transaction.groups.extend(accounts.groups);
    transaction.members.extend(accounts.members);
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
