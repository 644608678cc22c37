//! The live world: reads the host itself and performs effects on it, each one
//! journaled with its inverse before it happens.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::archive::{Archive, Member};
use super::due::Due;
use super::{
    AccountKind, Available, Found, Group, KernelParameter, Output, Package, Port, Reads, Stat,
    Transaction, Unit, User, visible,
};
use crate::content::Content;
use crate::effect::{Command, InstallOptions, PackageRequest, Record, RemoveOptions, Scope};
use crate::http::{HttpRequest, HttpResponse};
use crate::mark;
use crate::module::Result;
use crate::password::PasswordHash;
use crate::secrets::{self, Table};

mod accounts;

mod archive;

mod crontabs;

mod files;

mod http;

mod journal;

mod kernel;

mod packages;

mod perform;

mod ports;

mod processes;

mod running;

mod streams;

mod reveal;

mod units;

pub use files::ContentSource;
pub(super) use files::failed;
pub use journal::Journal;
pub use processes::{OutputSink, cancel, unsuccessful};
pub use streams::Stream;
pub(super) use units::unmet_condition;

/// The host this agent runs on.
pub struct Live {
    accounts: accounts::Accounts,
    packages: packages::Packages,
    contents: Rc<dyn ContentSource>,
    /// Where large contents were seen on this host, by digest.
    seen: RefCell<HashMap<String, PathBuf>>,
    /// What archives were found to hold, by digest.
    unpacked: RefCell<HashMap<String, archive::Spooled>>,
    output: OutputSink,
    journal: Option<Journal>,
    due: Rc<Due>,
    records: Vec<Record>,
    assumptions: RefCell<Vec<String>>,
    secrets: secrets::Shared,
}

impl Live {
    /// The host, with `contents` giving what the controller holds and
    /// `output` taking what running commands print. Without a journal the
    /// host may only be read: [`System::perform`] then refuses.
    pub fn new(
        contents: Rc<dyn ContentSource>,
        output: OutputSink,
        journal: Option<Journal>,
    ) -> Self {
        Self {
            accounts: accounts::Accounts::default(),
            packages: packages::Packages::default(),
            contents,
            seen: RefCell::default(),
            unpacked: RefCell::default(),
            output,
            journal,
            due: Rc::default(),
            records: Vec::new(),
            assumptions: RefCell::default(),
            secrets: secrets::Shared::default(),
        }
    }

    /// The same host, with the secrets it may be told.
    pub fn with_secrets(self, secrets: secrets::Shared) -> Self {
        Self { secrets, ..self }
    }

    /// The same host, with the handlers that are due before it changes.
    pub fn with_due(self, due: Rc<Due>) -> Self {
        Self { due, ..self }
    }
}

impl Live {
    /// What was found in a file, as it may be told. It is remembered where it
    /// was: it need not be sent for another.
    fn seen(&self, path: &Path, found: Found<Content>) -> Found<Content> {
        let secrets = self.secrets();
        let found = found.map(|content| secrets.found_content(content));
        if let Found::Present(content) = &found
            && content.text.is_none()
        {
            let mut seen = self.seen.borrow_mut();
            seen.insert(content.sha256.clone(), path.to_owned());
        }
        found
    }
}

/// A content that is on the host already need not be sent.
impl ContentSource for Live {
    fn fetch(&self, sha256: &str, sink: &mut dyn Write) -> Result<()> {
        if let Some(spooled) = self.unpacked.borrow().get(sha256) {
            return spooled.copy_to(sha256, sink);
        }
        let seen = self.seen.borrow().get(sha256).cloned();
        let kept = self.journal.as_ref().map(|journal| journal.kept(sha256));
        // What was there when it was seen may have been replaced since.
        let holds = |path: &PathBuf| matches!(files::content(path), Ok(Found::Present(content)) if content.sha256 == sha256);
        match seen.into_iter().chain(kept).find(holds) {
            Some(path) => files::copy_to(&path, sha256, sink),
            None => self.contents.fetch(sha256, sink),
        }
    }
}

impl Reads for Live {
    fn stat(&self, path: &Path) -> Result<Found<Stat>> {
        files::stat(path, &self.accounts)
    }

    fn content(&self, path: &Path) -> Result<Found<Content>> {
        Ok(self.seen(path, files::content(path)?))
    }

    fn content_at(&self, path: &Path) -> Result<Found<Content>> {
        Ok(self.seen(path, files::content_at(path)?))
    }

    fn members(&self, archive: &Archive) -> Result<Found<Vec<Member>>> {
        let (file, name) = match archive {
            Archive::File(path) => match files::open(path)? {
                Some(file) => (file, path.display().to_string()),
                None => return Ok(Found::Absent),
            },
            Archive::Content(content) => {
                let path = Path::new("/var/tmp");
                let file = files::nameless(path)?;
                files::send(content, path, self, &mut &file)?;
                (&file).rewind().map_err(files::failed("unpack to", path))?;
                (file, "sent here".to_owned())
            }
        };
        // Who may not write will not ask for the bytes.
        let mut unpacked = self.unpacked.borrow_mut();
        let keep = self.journal.is_some().then_some(&mut *unpacked);
        archive::read(file, &name, keep).map(Found::Present)
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>> {
        files::list(directory)
    }

    fn users(&self) -> Result<Vec<User>> {
        let mut users = self.accounts.users()?.to_vec();
        let secrets = self.secrets();
        for user in &mut users {
            let hash = user.password.as_ref().map(PasswordHash::reveal);
            user.password = hash.map(|hash| PasswordHash::new(&secrets.mask(hash)));
        }
        Ok(users)
    }

    fn user(&self, name: &str) -> Result<Option<User>> {
        let listed = self.users()?.into_iter().find(|user| user.name == name);
        match listed {
            Some(user) => Ok(Some(user)),
            None => self.accounts.unlisted(name),
        }
    }

    fn groups(&self) -> Result<Vec<Group>> {
        self.accounts.groups()
    }

    fn packages(&self, names: &[String]) -> Result<BTreeMap<String, Package>> {
        self.packages.find(names)
    }

    fn simulate_install(
        &self,
        packages: &[PackageRequest],
        options: &InstallOptions,
        gone: &[String],
    ) -> Result<Found<Transaction>> {
        self.packages
            .simulate_install(packages, options, gone)
            .map(Found::Present)
    }

    fn simulate_removal(
        &self,
        names: &[String],
        options: &RemoveOptions,
    ) -> Result<Found<Transaction>> {
        self.packages
            .simulate_removal(names, options)
            .map(Found::Present)
    }

    fn available(
        &self,
        names: &[String],
        release: Option<&str>,
    ) -> Result<BTreeMap<String, Found<Available>>> {
        packages::available(names, release)
    }

    fn package_lists_age(&self) -> Result<Option<u64>> {
        packages::lists_age(self.now())
    }

    fn unit(&self, name: &str, scope: &Scope) -> Result<Found<Unit>> {
        units::read(name, scope)
    }

    fn crontab(&self, user: &str) -> Result<Found<String>> {
        let secrets = self.secrets();
        let masked = |table: String| secrets.mask(&mark::defused(&table)).into_owned();
        Ok(crontabs::read(user)?.map(masked))
    }

    fn kernel_parameter(&self, name: &str) -> Result<Found<KernelParameter>> {
        kernel::parameter(name)
    }

    fn hostname(&self) -> Result<Found<String>> {
        Ok(Found::Present(kernel::hostname()))
    }

    fn query(&self, command: &Command) -> Result<Found<Output>> {
        visible::check_command(command)?;
        let command = reveal::command(command, &self.secrets())?;
        processes::run(&command, &OutputSink::silent()).map(Found::Present)
    }

    fn port(&self, host: &str, port: u16, patience: Duration) -> Result<Found<Port>> {
        Ok(Found::Present(ports::connect(host, port, patience)))
    }

    fn pause(&self, time: Duration) -> Result<Found<()>> {
        ports::pause(time).map(Found::Present)
    }

    fn http(&self, request: &HttpRequest) -> Result<Found<HttpResponse>> {
        let request = reveal::request(request, &self.secrets())?;
        http::send(&request).map(Found::Present)
    }

    fn download(&self, request: &HttpRequest) -> Result<Found<Content>> {
        let request = reveal::request(request, &self.secrets())?;
        http::download(&request, &mut std::io::sink()).map(Found::Present)
    }

    fn accepts(&self, validate: &[String], content: &Content, path: &Path) -> Result<Found<()>> {
        let content = reveal::content(content, &self.secrets())?;
        let copy = files::PrivateCopy::new(&content, path, self)?;
        processes::validate(validate, copy.path()).map(Found::Present)
    }

    fn name_service_knows(&self, account: &str, kind: AccountKind) -> Result<bool> {
        self.accounts.name_service_knows(account, kind)
    }

    fn process_of(&self, user: &str) -> Result<Found<u32>> {
        let users = self.accounts.users()?;
        let known = users.iter().find(|known| known.name == user);
        match known.and_then(|user| user.uid) {
            Some(uid) => running::process_of(uid).map(Found::from),
            None => Ok(Found::Absent),
        }
    }

    fn refusal(&self, directory: &Path) -> Option<std::io::Error> {
        files::refusal(directory)
    }

    fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    fn secrets(&self) -> Rc<Table> {
        self.secrets.table()
    }

    fn me(&self) -> Result<User> {
        self.accounts.me()
    }

    fn assume(&self, sentence: &str) {
        self.assumptions.borrow_mut().push(sentence.to_owned());
    }
}
