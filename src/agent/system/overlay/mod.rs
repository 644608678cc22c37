//! The dry-run world: a host that is only read, and over it what would have
//! been done so far, so that every later read sees it.
//!
//! An effect that would fail on the host fails here too, with the same words.
//! What cannot be known is said ([`Found::Unknown`]) or, where a package that
//! is about to be installed explains it, assumed and written down.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::archive::{Archive, Member};
use super::{
    AccountKind, Available, Found, Group, KernelParameter, Output, Package, Performed, Port, Reads,
    Stat, System, Transaction, Unit, User, check, observe, visible,
};
use crate::content::Content;
use crate::effect::{
    Command, Effect, InstallOptions, PackageRequest, Record, RemoveOptions, Scope,
};
use crate::http::{HttpRequest, HttpResponse, is_local};
use crate::mark;
use crate::module::Result;
use crate::modules::systemd::full_name;
use crate::outcome::Failure;
use crate::resource::{Known, Resource};
use crate::secrets::Table;

mod accounts;

mod crontabs;

mod files;

mod http;

mod kernel;

mod packages;

mod resources;

pub mod pending;

mod permissions;

mod units;

#[cfg(test)]
pub mod fake;

#[cfg(test)]
mod unknowns;

pub use pending::Pending;

/// Effects recorded over a host that is only read.
pub struct Overlay {
    base: Box<dyn Reads>,
    absence: Absence,
    pending: Pending,
    /// Whose tasks are planned, where that is a user of this run's.
    acting: Option<String>,
    records: Vec<Record>,
    assumptions: RefCell<Vec<String>>,
}

/// What it means that a file is neither on the base nor recorded, while
/// packages are pending whose contents are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It is not there: the host is virtual, and nothing else fills it.
    Certain,
    /// A package may bring it.
    Doubtful,
}

impl Overlay {
    /// An overlay over `base`, starting with what is pending already.
    pub fn new(base: Box<dyn Reads>, absence: Absence, pending: Pending) -> Self {
        Self {
            base,
            absence,
            pending,
            acting: None,
            records: Vec::new(),
            assumptions: RefCell::default(),
        }
    }

    /// Everything recorded so far.
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Replaces everything recorded so far.
    pub fn set_pending(&mut self, pending: Pending) {
        self.pending = pending;
    }

    /// Plans what comes next as a user whom the base does not know yet.
    pub fn act_as(&mut self, user: Option<String>) {
        self.acting = user;
    }

    fn predict(&mut self, effect: &Effect) -> Result<()> {
        match effect {
            Effect::WriteFile {
                path,
                content,
                attributes,
                backup,
                validate,
            } => {
                let new = files::NewFile::Content {
                    content,
                    validate: validate.as_deref(),
                };
                self.write_file(path, new, attributes, backup.as_deref())
            }
            Effect::SetAttributes { path, attributes } => self.set_attributes(path, attributes),
            Effect::MakeDirectory { path, attributes } => self.make_directory(path, attributes),
            Effect::Remove { path } => {
                self.need_removable(path)?;
                self.remove(path);
                Ok(())
            }
            Effect::Link { path, target } => self.link(path, target),
            Effect::HardLink { path, target } => self.hard_link(path, target),
            Effect::Touch { path } => self.touch(path),
            Effect::UpdatePackageLists { .. } => {
                self.pending.lists_updated = true;
                Ok(())
            }
            Effect::InstallPackages { packages, options } => self.install(packages, options),
            Effect::RemovePackages { names, options } => self.remove_packages(names, options),
            Effect::ChangeUnit {
                unit,
                action,
                scope,
                ..
            } => self.change_unit(unit, *action, scope),
            Effect::ReloadUnitFiles { scope } => {
                self.reload_unit_files(scope);
                Ok(())
            }
            Effect::AddUser { name, account } => self.add_user(name, account),
            Effect::ChangeUser { name, account } => self.change_user(name, account),
            Effect::RemoveUser {
                name, remove_home, ..
            } => self.remove_user(name, *remove_home),
            Effect::AddGroup {
                name,
                gid,
                non_unique,
                ..
            } => self.add_group(name, *gid, *non_unique),
            Effect::ChangeGroup {
                name,
                gid,
                non_unique,
            } => self.change_group(name, *gid, *non_unique),
            Effect::RemoveGroup { name, force } => self.remove_group(name, *force),
            Effect::WriteCrontab { user, content } => self.write_crontab(user, content.as_deref()),
            Effect::ChangeResource(change) => {
                self.change_resource(change);
                Ok(())
            }
            Effect::Download {
                request,
                path,
                sha256,
                attributes,
                backup,
            } => {
                let origin = format!("the download of {}", request.url);
                let new = files::NewFile::Expected {
                    origin: &origin,
                    sha256: sha256.as_deref(),
                };
                self.write_file(path, new, attributes, backup.as_deref())
            }
            Effect::SetKernelParameter { name, value } => self.set_kernel_parameter(name, value),
            Effect::SetHostname { name } => {
                self.pending.hostname = Some(name.clone());
                Ok(())
            }
            Effect::SendRequest { .. } => Ok(()),
            Effect::RunCommand {
                creates,
                removes,
                command,
            } => {
                self.pending.ran_commands = true;
                // What a virtual host holds, no command changes.
                if self.absence == Absence::Doubtful {
                    self.pending.note_named(&command.argv);
                }
                if let Some(path) = creates {
                    self.expect_file(path, command.argv.first().map_or("", String::as_str))?;
                }
                if let Some(path) = removes {
                    self.remove(path);
                }
                Ok(())
            }
        }
    }

    /// Whether something pending may end processes of the base.
    fn may_have_stopped(&self) -> bool {
        let pending = &self.pending;
        let stopped = pending.units.values().any(|unit| !unit.active);
        let gone = pending.packages.values().any(Option::is_none);
        stopped || gone || pending.ran_commands
    }

    /// Whether something pending may start processes that the base does not
    /// have. On a virtual host none runs.
    fn may_have_started(&self) -> bool {
        let started = self.pending.units.values().any(|unit| unit.active);
        self.absence == Absence::Doubtful && (started || self.pending.ran_commands)
    }

    /// A candidate that is refused now may be accepted once the changes before
    /// it are real, so only an otherwise untouched host refuses for certain.
    fn check_candidate(
        &self,
        validate: Option<&[String]>,
        content: &Content,
        path: &Path,
    ) -> Result<()> {
        let Some(words) = validate else {
            return Ok(());
        };
        if content.unknown_origin().is_some() {
            return Ok(());
        }
        let command = words.join(" ");
        let answer = match words.first().map(|program| self.expected_program(program)) {
            Some(Some(package)) => Found::Unknown(package),
            _ => match self.base.accepts(words, content, path) {
                Err(_) if !self.pending.is_empty() => {
                    Found::Unknown("the changes that come before it".to_owned())
                }
                answer => answer?,
            },
        };
        if let Found::Unknown(origin) = answer {
            self.assume(&format!(
                "`{command}` accepts the file once {origin} is there."
            ));
        }
        Ok(())
    }
}

fn change_of(what: impl std::fmt::Display) -> String {
    format!("the pending change of {what}")
}

impl Reads for Overlay {
    fn stat(&self, path: &Path) -> Result<Found<Stat>> {
        self.stat_pending(path)
    }

    fn exists(&self, path: &Path) -> Result<Found<()>> {
        self.exists_pending(path)
    }

    fn content(&self, path: &Path) -> Result<Found<Content>> {
        self.content_pending(path)
    }

    fn content_at(&self, path: &Path) -> Result<Found<Content>> {
        self.content_at_pending(path)
    }

    fn has_sha256(&self, path: &Path, sha256: &str) -> Result<Found<bool>> {
        self.has_sha256_pending(path, sha256)
    }

    fn members(&self, archive: &Archive) -> Result<Found<Vec<Member>>> {
        self.members_pending(archive)
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>> {
        self.list_pending(directory)
    }

    fn users(&self) -> Result<Vec<User>> {
        match &self.pending.users {
            Some(users) => Ok(users.clone()),
            None => self.base.users(),
        }
    }

    fn user(&self, name: &str) -> Result<Option<User>> {
        let is_it = |user: &User| user.name == name;
        if let Some(user) = self.users()?.into_iter().find(is_it) {
            return Ok(Some(user));
        }
        match self.base.users()?.iter().any(is_it) {
            // It is about to be removed.
            true => Ok(None),
            false => self.base.user(name),
        }
    }

    fn groups(&self) -> Result<Vec<Group>> {
        match &self.pending.groups {
            Some(groups) => Ok(groups.clone()),
            None => self.base.groups(),
        }
    }

    fn packages(&self, names: &[String]) -> Result<BTreeMap<String, Package>> {
        self.packages_pending(names)
    }

    fn simulate_install(
        &self,
        packages: &[PackageRequest],
        options: &InstallOptions,
        gone: &[String],
    ) -> Result<Found<Transaction>> {
        match self.unknown_sources() {
            Some(origin) => Ok(Found::Unknown(origin)),
            None => self.base.simulate_install(packages, options, gone),
        }
    }

    fn simulate_removal(
        &self,
        names: &[String],
        options: &RemoveOptions,
    ) -> Result<Found<Transaction>> {
        self.base.simulate_removal(names, options)
    }

    fn available(
        &self,
        names: &[String],
        release: Option<&str>,
    ) -> Result<BTreeMap<String, Found<Available>>> {
        self.available_pending(names, release)
    }

    fn package_lists_age(&self) -> Result<Option<u64>> {
        match self.pending.lists_updated {
            true => Ok(Some(0)),
            false => self.base.package_lists_age(),
        }
    }

    fn unit(&self, name: &str, scope: &Scope) -> Result<Found<Unit>> {
        self.unit_pending(name, scope)
    }

    fn crontab(&self, user: &str) -> Result<Found<String>> {
        match self.pending.crontabs.get(user) {
            Some(table) => Ok(Found::from(table.clone())),
            None => self.base.crontab(user),
        }
    }

    fn kernel_parameter(&self, name: &str) -> Result<Found<KernelParameter>> {
        self.kernel_parameter_pending(name)
    }

    fn hostname(&self) -> Result<Found<String>> {
        match &self.pending.hostname {
            Some(name) => Ok(Found::Present(name.clone())),
            None => self.base.hostname(),
        }
    }

    fn query(&self, command: &Command) -> Result<Found<Output>> {
        visible::check_command(command)?;
        let texts = command.argv.iter().chain(command.environment.values());
        let mut texts = texts.chain(&command.input);
        if let Some(origin) = texts.find_map(|text| mark::unknown_origin(text)) {
            return Ok(Found::Unknown(origin.to_owned()));
        }
        let directory = command.directory.as_ref().and_then(|path| path.to_str());
        let mut words = command.argv.iter().map(String::as_str).chain(directory);
        if let Some(path) = words.find_map(|word| self.pending.mentioned(word)) {
            return Ok(Found::Unknown(change_of(path.display())));
        }
        let program = command.argv.first().map_or("", String::as_str);
        if let Some(user) = &self.acting {
            let origin = format!("what `{program}` says to {user}, who does not exist yet");
            return Ok(Found::Unknown(origin));
        }
        match self.expected_program(program) {
            Some(package) => Ok(Found::Unknown(package)),
            None => self.base.query(command),
        }
    }

    fn answer(&self, command: &Command) -> Result<Found<Output>> {
        self.answer_pending(command)
    }

    fn resource(&self, resource: &Resource) -> Option<Found<Known>> {
        self.resource_pending(resource)
    }

    fn port(&self, host: &str, port: u16, patience: Duration) -> Result<Found<Port>> {
        if let Some(origin) = mark::unknown_origin(host) {
            return Ok(Found::Unknown(origin.to_owned()));
        }
        // What listens on this host may change with what is pending.
        if is_local(host) && !self.pending.is_empty() {
            let origin = format!("{host}:{port}, after the changes before it");
            return Ok(Found::Unknown(origin));
        }
        self.base.port(host, port, patience)
    }

    fn pause(&self, _: Duration) -> Result<Found<()>> {
        Ok(Found::Unknown("what happens meanwhile".to_owned()))
    }

    fn http(&self, request: &HttpRequest) -> Result<Found<HttpResponse>> {
        self.ask_server(request, |base| base.http(request))
    }

    fn download(&self, request: &HttpRequest) -> Result<Found<Content>> {
        self.ask_server(request, |base| base.download(request))
    }

    fn accepts(&self, validate: &[String], content: &Content, path: &Path) -> Result<Found<()>> {
        self.base.accepts(validate, content, path)
    }

    fn process_of(&self, user: &str) -> Result<Found<u32>> {
        match self.base.process_of(user)? {
            Found::Present(_) if self.may_have_stopped() => {}
            Found::Absent if self.may_have_started() => {}
            found => return Ok(found),
        }
        Ok(Found::Unknown("the changes before it".to_owned()))
    }

    fn refusal(&self, directory: &Path) -> Option<std::io::Error> {
        self.base.refusal(directory)
    }

    fn name_service_knows(&self, account: &str, kind: AccountKind) -> Result<bool> {
        self.base.name_service_knows(account, kind)
    }

    fn now(&self) -> u64 {
        self.base.now()
    }

    fn me(&self) -> Result<User> {
        let Some(name) = &self.acting else {
            return self.base.me();
        };
        let known = self.users()?.into_iter().find(|user| user.name == *name);
        known.ok_or_else(|| Failure::new(format!("the user {name} does not exist any more")))
    }

    fn pending(&self, what: &str) -> Option<String> {
        if what.contains('/') {
            let path = self.pending.mentioned(what);
            return path.map(|path| change_of(path.display()));
        }
        let unit = full_name(what);
        let pending = &self.pending;
        let changed = pending.units.contains_key(&unit) || pending.changed_units.contains(&unit);
        match (changed, self.unit(&unit, &Scope::System)) {
            (true, _) => Some(change_of(what)),
            (false, Ok(Found::Unknown(package))) => Some(package),
            (false, _) => None,
        }
    }

    fn opaque_packages(&self) -> BTreeSet<String> {
        let mut opaque = self.base.opaque_packages();
        opaque.retain(|name| !matches!(self.pending.packages.get(name), Some(None)));
        opaque.extend(self.pending.opaque_packages.iter().cloned());
        opaque
    }

    fn expected(&self, path: &Path) -> Result<Found<Stat>> {
        self.expected_pending(path)
    }

    fn secrets(&self) -> Rc<Table> {
        self.base.secrets()
    }

    fn assume(&self, sentence: &str) {
        let mut assumptions = self.assumptions.borrow_mut();
        if !assumptions.iter().any(|known| known == sentence) {
            assumptions.push(sentence.to_owned());
        }
    }
}

impl System for Overlay {
    fn perform(&mut self, effect: Effect) -> Result<Performed> {
        check(&effect, self)?;
        effect
            .paths()
            .try_for_each(|path| self.need_own_links(path))?;
        let record = observe::record(effect, self)?;
        self.predict(&record.effect)?;
        let performed = match record.effect {
            Effect::RunCommand { .. } | Effect::ChangeResource(_) | Effect::SendRequest { .. } => {
                Performed::Predicted
            }
            _ => Performed::Done,
        };
        self.records.push(record);
        Ok(performed)
    }

    fn take_records(&mut self) -> (Vec<Record>, Vec<String>) {
        let mut assumptions = self.assumptions.take();
        if let (Some(user), false) = (&self.acting, self.records.is_empty()) {
            assumptions.push(format!("It runs as {user}, who does not exist yet."));
        }
        (std::mem::take(&mut self.records), assumptions)
    }
}
