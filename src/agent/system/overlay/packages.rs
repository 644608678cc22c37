//! Packages in a dry run: what a transaction brings and takes is recorded with
//! it, so that later reads see it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Overlay;
use super::pending::{Entry, Node};
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
        match self.pending.packages.get(name) {
            Some(Some(version)) => Some(Package {
                version: version.clone(),
                state: PackageState::Installed,
                held,
            }),
            Some(None) => {
                let version = before.map(|package| package.version).unwrap_or_default();
                let left = self.pending.left_configuration.contains(name);
                let state = PackageState::Configuration;
                left.then_some(Package {
                    version,
                    state,
                    held,
                })
            }
            None => before
                .filter(|package| !self.provider_went(package))
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
        match self.simulate_install(packages, options)? {
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
            && stat.target.as_deref() == Some(Path::new("/dev/null"))
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
mod tests {
    use std::path::PathBuf;

    use super::super::fake::{self, Fake};
    use super::*;
    use crate::content::Content;
    use crate::effect::{Attributes, Effect};
    use crate::system::{Group, System, User};

    fn file(path: &str, text: &str) -> PackagedFile {
        PackagedFile {
            path: PathBuf::from(path),
            kind: FileKind::File,
            attributes: Attributes {
                owner: Some("root".to_owned()),
                group: Some("app".to_owned()),
                mode: Some(0o640),
            },
            content: Some(Content::of(text.as_bytes())),
            target: None,
            modified: Some(7),
            configuration: true,
        }
    }

    fn directory(path: &str) -> PackagedFile {
        PackagedFile {
            kind: FileKind::Directory,
            content: None,
            ..file(path, "")
        }
    }

    fn app() -> Transaction {
        Transaction {
            installed: vec![
                ("app".to_owned(), "1.2-3".to_owned()),
                ("libapp1".to_owned(), "1.2-3".to_owned()),
            ],
            provided: vec![("server".to_owned(), "app".to_owned())],
            files: vec![directory("/etc/app"), file("/etc/app/app.conf", "a = 1\n")],
            units: vec![PackagedUnit {
                name: "app.service".to_owned(),
                file_state: "enabled".to_owned(),
                active: true,
            }],
            users: vec![User {
                name: "app".to_owned(),
                uid: None,
                group: "app".to_owned(),
                comment: String::new(),
                home: PathBuf::from("/nonexistent"),
                shell: "/usr/sbin/nologin".to_owned(),
                password: None,
                expires: None,
            }],
            groups: vec![Group {
                name: "app".to_owned(),
                gid: None,
                members: Vec::new(),
            }],
            members: vec![("app".to_owned(), "adm".to_owned())],
            ..Transaction::default()
        }
    }

    fn install(name: &str) -> Effect {
        Effect::InstallPackages {
            packages: vec![PackageRequest {
                name: name.to_owned(),
                version: None,
            }],
            options: InstallOptions::default(),
        }
    }

    fn remove(name: &str, purge: bool) -> Effect {
        Effect::RemovePackages {
            names: vec![name.to_owned()],
            options: RemoveOptions {
                purge,
                ..RemoveOptions::default()
            },
        }
    }

    #[test]
    fn what_a_package_brings_is_there_for_later_reads() {
        let mut host = fake::overlay(Fake {
            install: app(),
            ..Fake::default()
        });
        host.perform(install("app")).expect("it can be installed");
        let conf = Path::new("/etc/app/app.conf");
        let stat = host
            .stat(conf)
            .expect("stat")
            .present()
            .expect("it is there");
        assert_eq!(
            (stat.mode, stat.group.as_str(), stat.modified),
            (0o640, "app", 7)
        );
        let content = host.content(conf).expect("content").present();
        assert_eq!(
            content.and_then(|content| content.text).as_deref(),
            Some("a = 1\n")
        );
        let unit = host
            .unit("app.service", &Scope::System)
            .expect("unit")
            .present();
        assert!(unit.is_some_and(|unit| unit.active && unit.enabled() && !unit.needs_reload));
        let names = ["app", "libapp1", "server"].map(str::to_owned);
        let known = host.packages(&names).expect("packages");
        assert_eq!(known["libapp1"].version, "1.2-3");
        assert_eq!(
            known["server"].state,
            PackageState::Provided("app".to_owned())
        );
        assert!(
            host.users()
                .expect("users")
                .iter()
                .any(|user| user.name == "app")
        );
        let groups = host.groups().expect("groups");
        let adm = groups
            .iter()
            .find(|group| group.name == "adm")
            .expect("adm");
        assert_eq!(adm.members, ["app"]);
        assert_eq!(
            host.stat(Path::new("/etc/app/other")).expect("stat"),
            Found::Absent
        );
    }

    #[test]
    fn configuration_that_is_there_already_is_kept() {
        let mut host = fake::overlay(Fake {
            install: app(),
            ..Fake::default()
        });
        host.perform(Effect::MakeDirectory {
            path: PathBuf::from("/etc/app"),
            attributes: Attributes::default(),
        })
        .expect("made");
        host.perform(Effect::WriteFile {
            path: PathBuf::from("/etc/app/app.conf"),
            content: Content::of(b"mine\n"),
            attributes: Attributes::default(),
            backup: None,
            validate: None,
        })
        .expect("written");
        host.perform(install("app")).expect("it can be installed");
        let content = host
            .content(Path::new("/etc/app/app.conf"))
            .expect("content");
        assert_eq!(
            content
                .present()
                .and_then(|content| content.text)
                .as_deref(),
            Some("mine\n")
        );
    }

    #[test]
    fn a_package_that_may_bring_more_leaves_its_paths_unknown() {
        let mut host = fake::overlay(Fake {
            install: Transaction {
                opaque: vec!["app".to_owned()],
                ..app()
            },
            ..Fake::default()
        });
        host.perform(install("app")).expect("it can be installed");
        let found = host.stat(Path::new("/etc/app/other")).expect("stat");
        assert!(matches!(found, Found::Unknown(_)));
    }

    #[test]
    fn a_removal_keeps_configuration_and_a_purge_does_not() {
        let gone = vec![PathBuf::from("/opt"), PathBuf::from("/srv")];
        let mut host = fake::overlay(Fake {
            packages: fake::installed(&[("app", "1.0")]),
            removal: Transaction {
                removed: vec!["app".to_owned()],
                gone,
                ..Transaction::default()
            },
            ..Fake::default()
        });
        host.perform(remove("app", false))
            .expect("it can be removed");
        let names = ["app".to_owned()];
        let left = host.packages(&names).expect("packages");
        assert_eq!(left["app"].state, PackageState::Configuration);
        assert!(host.installed(&names).expect("installed").is_empty());
        assert_eq!(host.stat(Path::new("/srv")).expect("stat"), Found::Absent);
        host.perform(remove("app", true)).expect("it can be purged");
        assert!(host.packages(&names).expect("packages").is_empty());
    }

    #[test]
    fn a_link_that_stands_for_a_directory_outlives_what_is_below_it() {
        let mut host = fake::overlay(Fake::default());
        let link = PathBuf::from("/lib");
        host.perform(Effect::Link {
            path: link.clone(),
            target: PathBuf::from("usr/lib"),
        })
        .expect("made");
        let transaction = Transaction {
            gone: vec![PathBuf::from("/lib/app"), link.clone()],
            ..Transaction::default()
        };
        host.commit(transaction).expect("removed");
        assert!(matches!(host.stat(&link).expect("stat"), Found::Present(_)));
    }

    #[test]
    fn sources_that_are_only_pending_make_the_lists_unknown() {
        let mut host = fake::overlay(Fake::default());
        let path = PathBuf::from("/etc/apt/sources.list.d/new.list");
        host.perform(Effect::WriteFile {
            path,
            content: Content::of(b"deb file:/x ./\n"),
            attributes: Attributes::default(),
            backup: None,
            validate: None,
        })
        .expect("written");
        let names = ["new".to_owned()];
        let offered = host.available(&names, None).expect("available");
        assert_eq!(offered["new"], Found::Absent);
        host.perform(Effect::UpdatePackageLists { lock_timeout: 1 })
            .expect("updated");
        let offered = host.available(&names, None).expect("available");
        assert!(matches!(&offered["new"], Found::Unknown(origin) if origin.contains("new.list")));
        host.perform(install("new")).expect("it is assumed");
        let version = &host.installed(&names).expect("installed")["new"];
        assert!(mark::unknown_origin(version).is_some());
        assert!(!host.take_records().1.is_empty());
    }
}
