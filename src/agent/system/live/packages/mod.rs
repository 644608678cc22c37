//! Packages of the live host: dpkg's database is read as files, everything
//! else goes through apt-get and its kin.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::files::failed;
use super::processes::OutputSink;
use crate::effect::{InstallOptions, PackageRequest, RemoveOptions};
use crate::module::Result;
use crate::system::{Available, Found, Package, Transaction};

mod dpkg;

mod apt;

mod locks;

mod policy;

mod simulate;

mod contents;

mod deb;

mod script;

mod shell;

mod accounts;

mod services;

mod tmpfiles;

#[cfg(test)]
mod nonsense;

/// The host's packages.
#[derive(Default)]
pub struct Packages {
    database: dpkg::Database,
}

impl Packages {
    /// What dpkg knows of these packages.
    pub fn find(&self, names: &[String]) -> Result<BTreeMap<String, Package>> {
        self.database.find(names)
    }

    /// What an installation would do, once those in `gone` are removed.
    pub fn simulate_install(
        &self,
        packages: &[PackageRequest],
        options: &InstallOptions,
        gone: &[String],
    ) -> Result<Transaction> {
        let status = match gone.is_empty() {
            true => None,
            false => Some(dpkg::status_without(gone)?),
        };
        let output = apt::simulate(&apt::install_words(packages, options), status.as_deref())?;
        let plan = simulate::parse(&output);
        let mut transaction = plan.transaction();
        simulate::add_requested_names(&mut transaction, packages);
        self.database.add_gone(&mut transaction)?;
        contents::add(&mut transaction, &plan.installed, packages);
        Ok(transaction)
    }

    /// What a removal would do.
    pub fn simulate_removal(
        &self,
        names: &[String],
        options: &RemoveOptions,
    ) -> Result<Transaction> {
        let output = apt::simulate(&apt::remove_words(names, options), None)?;
        let mut transaction = simulate::parse(&output).transaction();
        self.database.add_gone(&mut transaction)?;
        Ok(transaction)
    }
}

/// What the package lists offer for each of these names.
pub fn available(
    names: &[String],
    release: Option<&str>,
) -> Result<BTreeMap<String, Found<Available>>> {
    let output = apt::policy(names, release)?;
    Ok(policy::parse(&output, names))
}

/// How many seconds ago the package lists were fetched.
pub fn lists_age(now: u64) -> Result<Option<u64>> {
    // apt's own timer touches the stamp; the directory changes with each fetch
    // that brings something new.
    let stamps = [
        "/var/lib/apt/periodic/update-success-stamp",
        "/var/lib/apt/lists",
    ];
    let mut newest = None;
    for path in stamps.map(Path::new) {
        match fs::metadata(path) {
            Ok(metadata) => newest = newest.max(Some(metadata.mtime().unsigned_abs())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at", path)(error)),
        }
    }
    Ok(newest.map(|fetched| now.saturating_sub(fetched)))
}

/// Fetches the package lists anew.
pub fn update_lists(lock_timeout: u32, sink: &OutputSink) -> Result<()> {
    apt::update(lock_timeout, sink)
}

/// Installs packages.
pub fn install(
    packages: &[PackageRequest],
    options: &InstallOptions,
    sink: &OutputSink,
) -> Result<()> {
    let words = apt::install_words(packages, options);
    apt::change(&words, options.lock_timeout, sink)
}

/// Removes packages.
pub fn remove(names: &[String], options: &RemoveOptions, sink: &OutputSink) -> Result<()> {
    let words = apt::remove_words(names, options);
    apt::change(&words, options.lock_timeout, sink)
}
