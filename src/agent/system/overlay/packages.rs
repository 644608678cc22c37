//! Packages in a dry run: what a transaction brings is recorded with it.

use std::collections::BTreeMap;

use super::Overlay;
use super::pending::Entry;
use crate::effect::{InstallOptions, PackageRequest, Scope};
use crate::module::Result;
use crate::system::{Found, PackagedFile, PackagedUnit, Reads, Unit};

impl Overlay {
    pub(super) fn installed_pending(&self, names: &[String]) -> Result<BTreeMap<String, String>> {
        let mut installed = self.base.installed(names)?;
        for name in names {
            match self.pending.packages.get(name) {
                Some(Some(version)) => drop(installed.insert(name.clone(), version.clone())),
                Some(None) => drop(installed.remove(name)),
                None => {}
            }
        }
        Ok(installed)
    }

    pub(super) fn install(
        &mut self,
        packages: &[PackageRequest],
        options: &InstallOptions,
    ) -> Result<()> {
        let transaction = match self.base.simulate_install(packages, options)? {
            Found::Present(transaction) => transaction,
            Found::Absent | Found::Unknown(_) => {
                self.assume_versions(packages);
                return Ok(());
            }
        };
        for (name, version) in transaction.installed {
            if !transaction.contents_known {
                self.pending.opaque_packages.insert(name.clone());
            }
            self.pending.packages.insert(name, Some(version));
        }
        self.remove_packages(&transaction.removed);
        for file in transaction.files {
            self.unpack(file)?;
        }
        for unit in transaction.units {
            self.install_unit(unit);
        }
        Ok(())
    }

    fn assume_versions(&mut self, packages: &[PackageRequest]) {
        for package in packages {
            let version = package
                .version
                .clone()
                .unwrap_or_else(|| "candidate".to_owned());
            self.pending
                .packages
                .insert(package.name.clone(), Some(version));
            self.pending.opaque_packages.insert(package.name.clone());
        }
    }

    pub(super) fn remove_packages(&mut self, names: &[String]) {
        for name in names {
            self.pending.packages.insert(name.clone(), None);
            self.pending.opaque_packages.remove(name);
        }
    }

    /// dpkg keeps a configuration file that is there already.
    fn unpack(&mut self, file: PackagedFile) -> Result<()> {
        if let Found::Present(_) = self.stat(&file.path)? {
            return Ok(());
        }
        let entry = Entry::new(file.kind, file.attributes, self.now());
        let unread = file.content.is_none() && file.kind == crate::system::FileKind::File;
        let entry = Entry {
            content: file.content,
            target: file.target,
            expected: unread.then(|| format!("the package that brings {}", file.path.display())),
            ..entry
        };
        self.pending
            .files
            .insert(file.path, super::pending::Node::Present(entry));
        Ok(())
    }

    fn install_unit(&mut self, unit: PackagedUnit) {
        let state = Unit {
            active: unit.started,
            active_state: if unit.started { "active" } else { "inactive" }.to_owned(),
            file_state: if unit.enabled { "enabled" } else { "disabled" }.to_owned(),
            ..Unit::default()
        };
        self.pending
            .units
            .insert(super::units::key(&unit.name, &Scope::System), state);
    }
}
