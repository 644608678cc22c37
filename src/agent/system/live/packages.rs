//! Packages of the live host: dpkg's database is read as a file, everything
//! else goes through apt-get.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::files::failed;
use super::processes::{self, OutputSink};
use crate::effect::{Command, InstallOptions, PackageRequest};
use crate::module::Result;
use crate::system::{Found, Transaction};

const STATUS: &str = "/var/lib/dpkg/status";

/// dpkg's database, read again when it was replaced.
#[derive(Default)]
pub struct Packages {
    read: RefCell<Option<((u64, i64, i64), BTreeMap<String, String>)>>,
}

impl Packages {
    /// The installed versions of these packages.
    pub fn installed(&self, names: &[String]) -> Result<BTreeMap<String, String>> {
        let path = Path::new(STATUS);
        let metadata = fs::metadata(path).map_err(failed("read", path))?;
        let stamp = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
        let mut read = self.read.borrow_mut();
        if read.as_ref().is_none_or(|(known, _)| *known != stamp) {
            let status = fs::read_to_string(path).map_err(failed("read", path))?;
            *read = Some((stamp, parse_status(&status)));
        }
        let Some((_, versions)) = read.as_ref() else {
            return Ok(BTreeMap::new());
        };
        let pick = |name: &String| Some((name.clone(), versions.get(name)?.clone()));
        Ok(names.iter().filter_map(pick).collect())
    }
}

fn parse_status(status: &str) -> BTreeMap<String, String> {
    let field = |paragraph: &str, name: &str| {
        let line = paragraph.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    status
        .split("\n\n")
        .filter(|paragraph| {
            field(paragraph, "Status:").is_some_and(|status| status.ends_with(" ok installed"))
        })
        .filter_map(|paragraph| {
            Some((field(paragraph, "Package:")?, field(paragraph, "Version:")?))
        })
        .collect()
}

/// What an installation would do.
pub fn simulate_install(
    packages: &[PackageRequest],
    _options: &InstallOptions,
) -> Result<Found<Transaction>> {
    let names: Vec<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    Ok(Found::Unknown(format!(
        "the installation of {}",
        names.join(", ")
    )))
}

/// The versions the package lists offer.
pub fn available(
    names: &[String],
    _release: Option<&str>,
) -> Result<Found<BTreeMap<String, Vec<String>>>> {
    let mut words = vec!["apt-cache".to_owned(), "madison".to_owned()];
    words.extend(names.iter().cloned());
    let output = processes::output(&Command::new(words))?;
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in output.stdout.lines() {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [name, version, _] = fields[..] {
            versions
                .entry(name.to_owned())
                .or_default()
                .push(version.to_owned());
        }
    }
    Ok(Found::Present(versions))
}

/// How many seconds ago the package lists were fetched.
pub fn lists_age(now: u64) -> Result<Option<u64>> {
    let path = Path::new("/var/lib/apt/lists");
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(now.saturating_sub(metadata.mtime().unsigned_abs()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// Fetches the package lists anew.
pub fn update_lists(sink: &OutputSink) -> Result<()> {
    processes::succeed_with(&apt_get(["update".to_owned()]), sink)
}

/// Installs packages.
pub fn install(
    packages: &[PackageRequest],
    _options: &InstallOptions,
    sink: &OutputSink,
) -> Result<()> {
    let words = packages.iter().map(|package| match &package.version {
        Some(version) => format!("{}={version}", package.name),
        None => package.name.clone(),
    });
    processes::succeed_with(
        &apt_get(["install".to_owned()].into_iter().chain(words)),
        sink,
    )
}

/// Removes packages.
pub fn remove(names: &[String], purge: bool, autoremove: bool, sink: &OutputSink) -> Result<()> {
    let mut words = vec![if purge { "purge" } else { "remove" }.to_owned()];
    if autoremove {
        words.push("--auto-remove".to_owned());
    }
    words.extend(names.iter().cloned());
    processes::succeed_with(&apt_get(words), sink)
}

fn apt_get(words: impl IntoIterator<Item = String>) -> Command {
    let fixed = ["apt-get", "--quiet", "--assume-yes"].map(str::to_owned);
    let mut command = Command::new(fixed.into_iter().chain(words));
    command
        .environment
        .insert("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned());
    command
}
