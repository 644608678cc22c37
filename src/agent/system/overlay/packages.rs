//! Packages in a dry run: what a transaction brings and takes is recorded with
//! it, so that later reads see it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Overlay;
use super::pending::{Entry, Node};
use super::units::is_mask;
use crate::effect::{InstallOptions, PackageRequest, RemoveOptions, Scope};
use crate::mark;
use crate::module::Result;
use crate::system::{
    Available, FileKind, Found, Package, PackageState, PackagedFile, PackagedUnit, Reads,
    Transaction, Unit,
};

impl Overlay {
    pub(super) fn packages_pending(&self, names: &[String]) -> Result<BTreeMap<String, Package>> {
        let mut known = self.base.packages(names)?;
        for name in names {
            let before = known.remove(name);
            known.extend(
                self.package_pending(name, before)
                    .map(|package| (name.clone(), package)),
            );
        }
        Ok(known)
    }

    fn package_pending(&self, name: &str, before: Option<Package>) -> Option<Package> {
        let held = before.as_ref().is_some_and(|package| package.held);
        let requested = self.pending.requested.contains(name);
        // What was not there before came as a dependency.
        let dependency = before.as_ref().is_none_or(|package| {
            package.automatic || package.state == PackageState::Configuration
        });
        let automatic = dependency && !requested;
        match self.pending.packages.get(name) {
            Some(Some(version)) => Some(Package {
                version: version.clone(),
                state: PackageState::Installed,
                held,
                automatic,
            }),
            Some(None) => {
                let version = before.map(|package| package.version).unwrap_or_default();
                let left = self.pending.left_configuration.contains(name);
                let state = PackageState::Configuration;
                left.then_some(Package {
                    version,
                    state,
                    held,
                    automatic: false,
                })
            }
            None => before
                .filter(|package| !self.provider_went(package))
                .map(|package| Package {
                    automatic: package.automatic && !requested,
                    ..package
                })
                .or_else(|| self.provided_pending(name)),
        }
    }

    fn provider_went(&self, package: &Package) -> bool {
        let PackageState::Provided(provider) = &package.state else {
            return false;
        };
        self.pending.packages.get(provider) == Some(&None)
    }

    fn provided_pending(&self, name: &str) -> Option<Package> {
        let provider = self.pending.provided.get(name)?;
        let version = self.pending.packages.get(provider)?.clone()?;
        Some(Package {
            version,
            state: PackageState::Provided(provider.clone()),
            held: false,
            automatic: false,
        })
    }

    pub(super) fn available_pending(
        &self,
        names: &[String],
        release: Option<&str>,
    ) -> Result<BTreeMap<String, Found<Available>>> {
        if let Some(origin) = self.unknown_sources() {
            let unknown = |name: &String| (name.clone(), Found::Unknown(origin.clone()));
            return Ok(names.iter().map(unknown).collect());
        }
        let available = self.base.available(names, release)?;
        if self.pending.lists_updated && self.absence == super::Absence::Doubtful {
            self.assume("The package lists hold what they held when they were last fetched.");
        }
        Ok(available)
    }

    /// Why it is not known what the package lists offer: they are fetched from
    /// sources that a pending change adds.
    pub(super) fn unknown_sources(&self) -> Option<String> {
        if let Some(origin) = &self.pending.unknown_sources {
            return Some(origin.clone());
        }
        let configures_apt = |path: &&PathBuf| path.starts_with("/etc/apt");
        let changed = self.pending.files.keys().find(configures_apt)?;
        (self.pending.lists_updated && self.absence == super::Absence::Doubtful).then(|| {
            format!(
                "the package lists fetched after the change of {}",
                changed.display()
            )
        })
    }

    pub(super) fn install(
        &mut self,
        packages: &[PackageRequest],
        options: &InstallOptions,
    ) -> Result<()> {
        let names = packages.iter().map(|package| package.name.clone());
        self.pending.requested.extend(names);
        let went =
            |(name, version): (&String, &Option<String>)| version.is_none().then(|| name.clone());
        let gone: Vec<String> = self.pending.packages.iter().filter_map(went).collect();
        match self.simulate_install(packages, options, &gone)? {
            Found::Present(transaction) => self.commit(transaction),
            Found::Absent => Ok(()),
            Found::Unknown(origin) => {
                self.assume_versions(packages, &origin);
                Ok(())
            }
        }
    }

    pub(super) fn remove_packages(
        &mut self,
        names: &[String],
        options: &RemoveOptions,
    ) -> Result<()> {
        let mut transaction = self
            .base
            .simulate_removal(names, options)?
            .present()
            .unwrap_or_default();
        // The host does not know yet of packages that are only pending.
        for name in names {
            let known = transaction.removed.contains(name) || transaction.purged.contains(name);
            match options.purge {
                _ if known => {}
                true => transaction.purged.push(name.clone()),
                false => transaction.removed.push(name.clone()),
            }
        }
        self.commit(transaction)
    }

    fn commit(&mut self, transaction: Transaction) -> Result<()> {
        for sentence in &transaction.assumptions {
            self.assume(sentence);
        }
        self.forget(&transaction)?;
        for (name, version) in transaction.installed {
            self.pending.left_configuration.remove(&name);
            self.pending.packages.insert(name, Some(version));
        }
        self.pending.opaque_packages.extend(transaction.opaque);
        self.pending.provided.extend(transaction.provided);
        self.add_accounts(transaction.users, transaction.groups, &transaction.members)?;
        for file in transaction.files {
            self.unpack(file)?;
        }
        for unit in transaction.units {
            self.install_unit(unit)?;
        }
        Ok(())
    }

    fn assume_versions(&mut self, packages: &[PackageRequest], origin: &str) {
        for package in packages {
            let known = package.version.clone();
            let version = known.unwrap_or_else(|| mark::unknown(origin));
            let name = package.name.clone();
            self.assume(&format!(
                "The package {name} can be installed from {origin}."
            ));
            self.pending.opaque_packages.insert(name.clone());
            self.pending.packages.insert(name, Some(version));
        }
    }

    fn forget(&mut self, transaction: &Transaction) -> Result<()> {
        for name in transaction.removed.iter().chain(&transaction.purged) {
            self.pending.packages.insert(name.clone(), None);
            self.pending.opaque_packages.remove(name);
            self.pending.requested.remove(name);
        }
        for name in &transaction.removed {
            self.pending.left_configuration.insert(name.clone());
        }
        for name in &transaction.purged {
            self.pending.left_configuration.remove(name);
        }
        for path in &transaction.gone {
            let holds = |other: &PathBuf| other != path && other.starts_with(path);
            self.remove_packaged(path, transaction.gone.iter().any(holds))?;
        }
        for path in &transaction.wiped {
            self.remove(path);
        }
        Ok(())
    }

    /// dpkg leaves a directory that still holds something, and a link that
    /// stands for a directory, as `/lib` does.
    fn remove_packaged(&mut self, path: &Path, directory: bool) -> Result<()> {
        let path = self.real_parent(path)?;
        let Found::Present(stat) = self.stat(&path)? else {
            return Ok(());
        };
        let kept = match stat.kind {
            FileKind::Directory => !self.list(&path)?.is_empty(),
            _ => directory,
        };
        if kept {
            return Ok(());
        }
        if let Some(unit) = super::units::unit_of(&path) {
            self.pending.units.remove(unit);
            self.pending.gone_units.insert(unit.to_owned());
        }
        self.pending.files.insert(path, Node::Removed);
        Ok(())
    }

    fn add_accounts(
        &mut self,
        new_users: Vec<crate::system::User>,
        new_groups: Vec<crate::system::Group>,
        members: &[(String, String)],
    ) -> Result<()> {
        if new_users.is_empty() && new_groups.is_empty() && members.is_empty() {
            return Ok(());
        }
        let mut groups = self.groups()?;
        let mut users = self.users()?;
        for group in new_groups {
            if !groups.iter().any(|known| known.name == group.name) {
                groups.push(group);
            }
        }
        for user in new_users {
            if !users.iter().any(|known| known.name == user.name) {
                users.push(user);
            }
        }
        for (user, group) in members {
            let group = groups.iter_mut().find(|known| known.name == *group);
            if let Some(group) = group.filter(|group| !group.members.contains(user)) {
                group.members.push(user.clone());
            }
        }
        self.pending.groups = Some(groups);
        self.pending.users = Some(users);
        Ok(())
    }

    /// dpkg keeps a configuration file that is there already, and follows
    /// links that stand for directories.
    fn unpack(&mut self, file: PackagedFile) -> Result<()> {
        let path = self.real_parent(&file.path)?;
        let there = matches!(self.stat(&path)?, Found::Present(_));
        if there && (file.configuration || file.kind == FileKind::Directory) {
            return Ok(());
        }
        let entry = Entry::new(file.kind, file.attributes, self.now());
        let unread = file.content.is_none() && file.kind == FileKind::File;
        let entry = Entry {
            content: file.content,
            target: file.target,
            modified: file.modified.unwrap_or(entry.modified),
            sha256: None,
            expected: unread.then(|| format!("the package that brings {}", file.path.display())),
            ..entry
        };
        self.pending.files.insert(path, Node::Present(entry));
        Ok(())
    }

    /// A mask outlives the installation of what it masks.
    fn install_unit(&mut self, unit: PackagedUnit) -> Result<()> {
        let own = Path::new("/etc/systemd/system").join(&unit.name);
        if let Found::Present(stat) = self.stat(&own)?
            && is_mask(&stat)
        {
            return Ok(());
        }
        let state = Unit {
            active: unit.active,
            active_state: if unit.active { "active" } else { "inactive" }.to_owned(),
            file_state: unit.file_state,
            ..Unit::default()
        };
        self.pending.gone_units.remove(&unit.name);
        self.pending
            .units
            .insert(super::units::key(&unit.name, &Scope::System), state);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
