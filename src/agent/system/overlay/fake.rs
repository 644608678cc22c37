//! A host for tests: a pristine one whose packages are what the test says.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{Absence, Overlay, Pending};
use crate::content::Content;
use crate::effect::{Command, InstallOptions, PackageRequest, RemoveOptions, Scope};
use crate::http::{HttpRequest, HttpResponse};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::archive::{Archive, Member};
use crate::system::sandbox::Pristine;
use crate::system::{
    Available, AvailableVersion, Found, Group, KernelParameter, Output, Package, PackageState,
    Port, Reads, Stat, Transaction, Unit, User,
};

/// What the package manager of the host knows and would do.
#[derive(Clone, Default)]
pub struct Fake {
    /// Packages that are there.
    pub packages: BTreeMap<String, Package>,
    /// What the package lists offer; versions of one release, highest first.
    pub offers: BTreeMap<String, Vec<&'static str>>,
    /// What any installation would do.
    pub install: Transaction,
    /// What any removal would do.
    pub removal: Transaction,
    /// Users as whom something runs.
    pub busy: Vec<&'static str>,
    /// The age of the package lists.
    pub age: Option<u64>,
}

/// A dry run over that host.
pub fn overlay(host: Fake) -> Overlay {
    Overlay::new(Box::new(host), Absence::Doubtful, Pending::default())
}

/// Packages that are installed.
pub fn installed(packages: &[(&str, &str)]) -> BTreeMap<String, Package> {
    let package = |(name, version): &(&str, &str)| {
        let package = Package {
            version: (*version).to_owned(),
            state: PackageState::Installed,
            held: false,
            automatic: false,
        };
        ((*name).to_owned(), package)
    };
    packages.iter().map(package).collect()
}

impl Reads for Fake {
    fn packages(&self, names: &[String]) -> Result<BTreeMap<String, Package>> {
        let pick = |name: &String| Some((name.clone(), self.packages.get(name)?.clone()));
        Ok(names.iter().filter_map(pick).collect())
    }

    fn simulate_install(
        &self,
        packages: &[PackageRequest],
        _options: &InstallOptions,
        gone: &[String],
    ) -> Result<Found<Transaction>> {
        let there = |package: &PackageRequest| {
            let known = self.packages.get(&package.name);
            known.is_some_and(|known| Some(&known.version) == package.version.as_ref())
                && !gone.contains(&package.name)
        };
        if packages.iter().all(there) {
            return Ok(Found::Present(Transaction::default()));
        }
        let mut transaction = self.install.clone();
        for package in packages {
            let known = |(name, _): &(String, String)| *name == package.name;
            if !transaction.installed.iter().any(known) {
                let Some(version) = &package.version else {
                    return Err(Failure::new(format!("cannot locate {}", package.name)));
                };
                transaction
                    .installed
                    .push((package.name.clone(), version.clone()));
            }
        }
        Ok(Found::Present(transaction))
    }

    fn simulate_removal(
        &self,
        _names: &[String],
        options: &RemoveOptions,
    ) -> Result<Found<Transaction>> {
        let mut transaction = self.removal.clone();
        if options.purge {
            transaction.purged = std::mem::take(&mut transaction.removed);
        }
        Ok(Found::Present(transaction))
    }

    fn available(
        &self,
        names: &[String],
        _release: Option<&str>,
    ) -> Result<BTreeMap<String, Found<Available>>> {
        let version = |version: &&'static str| AvailableVersion {
            version: (*version).to_owned(),
            releases: vec!["stable".to_owned()],
        };
        let offer = |name: &String| {
            let offer = self.offers.get(name).map(|versions| Available {
                candidate: versions.first().map(|&version| version.to_owned()),
                versions: versions.iter().map(version).collect(),
                anything: false,
            });
            (name.clone(), Found::from(offer))
        };
        Ok(names.iter().map(offer).collect())
    }

    fn process_of(&self, user: &str) -> Result<Found<u32>> {
        Ok(Found::from(self.busy.contains(&user).then_some(77)))
    }

    fn package_lists_age(&self) -> Result<Option<u64>> {
        Ok(self.age)
    }

    fn groups(&self) -> Result<Vec<Group>> {
        Pristine.groups()
    }

    fn stat(&self, path: &Path) -> Result<Found<Stat>> {
        Pristine.stat(path)
    }

    fn content(&self, path: &Path) -> Result<Found<Content>> {
        Pristine.content(path)
    }

    fn members(&self, archive: &Archive) -> Result<Found<Vec<Member>>> {
        Pristine.members(archive)
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>> {
        Pristine.list(directory)
    }

    fn users(&self) -> Result<Vec<User>> {
        Pristine.users()
    }

    fn unit(&self, name: &str, scope: &Scope) -> Result<Found<Unit>> {
        Pristine.unit(name, scope)
    }

    fn crontab(&self, user: &str) -> Result<Found<String>> {
        Pristine.crontab(user)
    }

    fn kernel_parameter(&self, name: &str) -> Result<Found<KernelParameter>> {
        Pristine.kernel_parameter(name)
    }

    fn hostname(&self) -> Result<Found<String>> {
        Pristine.hostname()
    }

    fn query(&self, command: &Command) -> Result<Found<Output>> {
        Pristine.query(command)
    }

    fn port(&self, host: &str, port: u16, patience: Duration) -> Result<Found<Port>> {
        Pristine.port(host, port, patience)
    }

    fn pause(&self, time: Duration) -> Result<Found<()>> {
        Pristine.pause(time)
    }

    fn http(&self, request: &HttpRequest) -> Result<Found<HttpResponse>> {
        Pristine.http(request)
    }

    fn download(&self, request: &HttpRequest) -> Result<Found<Content>> {
        Pristine.download(request)
    }

    fn accepts(&self, validate: &[String], content: &Content, path: &Path) -> Result<Found<()>> {
        Pristine.accepts(validate, content, path)
    }

    fn now(&self) -> u64 {
        Pristine.now()
    }

    fn me(&self) -> Result<User> {
        Pristine.me()
    }

    fn assume(&self, _sentence: &str) {}
}
