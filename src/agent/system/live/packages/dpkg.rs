//! dpkg's database, read as files: no process is started to learn what is
//! installed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::files::failed;
use super::{script, services};
use crate::module::Result;
use crate::system::{Package, PackageState, Transaction};

const STATUS: &str = "/var/lib/dpkg/status";

/// Where apt keeps which packages came as dependencies.
const EXTENDED_STATES: &str = "/var/lib/apt/extended_states";

const INFO: &str = "/var/lib/dpkg/info";

/// The database, read again when dpkg replaced it.
#[derive(Default)]
pub struct Database {
    read: RefCell<Option<(Stamp, Rc<Status>)>>,
}

type Stamp = (u64, i64, i64);

impl Database {
    /// What is known of these packages, by the names asked for.
    pub fn find(&self, names: &[String]) -> Result<BTreeMap<String, Package>> {
        let status = self.status()?;
        let automatic = automatic(&status.native)?;
        let find = |name: &String| {
            let package = Package {
                automatic: automatic.contains(name.as_str()),
                ..status.find(name)?
            };
            Some((name.clone(), package))
        };
        Ok(names.iter().filter_map(find).collect())
    }

    /// Adds what goes with the packages that a transaction removes.
    pub fn add_gone(&self, transaction: &mut Transaction) -> Result<()> {
        let mut gone = BTreeSet::new();
        let mut wiped = Vec::new();
        let status = self.status()?;
        for name in transaction.removed.iter().chain(&transaction.purged) {
            let Some(entry) = status.entry(name) else {
                continue;
            };
            let files = file_list(name, &status.native)?;
            if !transaction.purged.contains(name) {
                let goes = |path: &PathBuf| !entry.conffiles.contains(path);
                gone.extend(files.into_iter().filter(goes));
                continue;
            }
            gone.extend(entry.conffiles.iter().cloned());
            gone.extend(files);
            let purge = script::purge(&info(name, &status.native, "postrm")?);
            gone.extend(purge.units.iter().flat_map(|unit| services::links_to(unit)));
            wiped.extend(purge.paths);
        }
        // What is in a directory goes before the directory.
        transaction.gone = gone.into_iter().rev().collect();
        transaction.wiped = wiped;
        Ok(())
    }

    fn status(&self) -> Result<Rc<Status>> {
        let path = Path::new(STATUS);
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(crate::outcome::Failure::new(
                    "this host has no dpkg, the package manager of Debian and its kin",
                )
                .hint("Other package managers are not supported yet."));
            }
            Err(error) => return Err(failed("read", path)(error)),
        };
        let stamp = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
        if let Some((known, status)) = &*self.read.borrow()
            && *known == stamp
        {
            return Ok(status.clone());
        }
        let bytes = fs::read(path).map_err(failed("read", path))?;
        let status = Rc::new(Status::parse(&String::from_utf8_lossy(&bytes)));
        *self.read.borrow_mut() = Some((stamp, status.clone()));
        Ok(status)
    }
}

/// The status file as it is once some packages are removed.
pub fn status_without(gone: &[String]) -> Result<String> {
    let path = Path::new(STATUS);
    let bytes = fs::read(path).map_err(failed("read", path))?;
    Ok(without(&String::from_utf8_lossy(&bytes), gone))
}

fn without(text: &str, gone: &[String]) -> String {
    let native = Status::parse(text).native;
    let paragraphs = text.split("\n\n").map(|text| {
        let paragraph = Paragraph(text);
        let goes = paragraph
            .name(&native)
            .is_some_and(|name| gone.contains(&name) || gone.contains(&format!("{name}:{native}")));
        let line = |line| match goes && Paragraph(line).field("Status").is_some() {
            true => "Status: deinstall ok config-files",
            false => line,
        };
        let lines: Vec<&str> = text.split('\n').map(line).collect();
        lines.join("\n")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The packages that came as dependencies, by name; those of a foreign
/// architecture as `name:arch`.
fn automatic(native: &str) -> Result<BTreeSet<String>> {
    let path = Path::new(EXTENDED_STATES);
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed("read", path)(error)),
    };
    Ok(automatic_of(&text, native))
}

fn automatic_of(text: &str, native: &str) -> BTreeSet<String> {
    let name = |paragraph: &str| {
        let paragraph = Paragraph(paragraph);
        let name = paragraph.field("Package")?;
        let architecture = paragraph.field("Architecture").unwrap_or(native);
        let is_automatic = paragraph.field("Auto-Installed") == Some("1");
        is_automatic.then(|| match architecture == native || architecture == "all" {
            true => name.to_owned(),
            false => format!("{name}:{architecture}"),
        })
    };
    text.split("\n\n").filter_map(name).collect()
}

/// The files of an installed package; none for one that is not.
fn file_list(name: &str, native: &str) -> Result<Vec<PathBuf>> {
    let list = info(name, native, "list")?;
    let inside = |line: &&str| *line != "/.";
    Ok(list.lines().filter(inside).map(PathBuf::from).collect())
}

/// A file that dpkg keeps of a package, such as `list` or `postrm`; empty if
/// it keeps none.
fn info(name: &str, native: &str, kind: &str) -> Result<String> {
    let with_native = format!("{name}:{native}");
    for name in [name, with_native.as_str()] {
        let path = Path::new(INFO).join(format!("{name}.{kind}"));
        match fs::read(&path) {
            Ok(bytes) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read", &path)(error)),
        }
    }
    Ok(String::new())
}

/// Everything of the status file that matters here.
pub(super) struct Status {
    /// By name; those of a foreign architecture as `name:arch`.
    entries: HashMap<String, Entry>,
    /// Installed packages by the virtual package that they provide.
    providers: HashMap<String, String>,
    /// The architecture of dpkg itself.
    native: String,
}

struct Entry {
    package: Package,
    conffiles: Vec<PathBuf>,
}

impl Status {
    pub(super) fn parse(text: &str) -> Self {
        let paragraphs: Vec<Paragraph> = text.split("\n\n").map(Paragraph).collect();
        let native = paragraphs
            .iter()
            .find(|paragraph| paragraph.field("Package") == Some("dpkg"))
            .and_then(|paragraph| paragraph.field("Architecture"))
            .unwrap_or("all")
            .to_owned();
        let mut status = Self {
            entries: HashMap::new(),
            providers: HashMap::new(),
            native,
        };
        for paragraph in paragraphs {
            status.add(&paragraph);
        }
        status
    }

    fn add(&mut self, paragraph: &Paragraph) -> Option<()> {
        let package = paragraph.package()?;
        let name = paragraph.name(&self.native)?;
        if package.state == PackageState::Installed {
            for provided in paragraph.field("Provides").unwrap_or_default().split(',') {
                let Some(provided) = provided.split_whitespace().next() else {
                    continue;
                };
                self.providers.insert(provided.to_owned(), name.clone());
            }
        }
        let conffiles = paragraph.conffiles();
        self.entries.insert(name, Entry { package, conffiles });
        Some(())
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        let bare = name
            .strip_suffix(&self.native)
            .and_then(|name| name.strip_suffix(':'));
        self.entries.get(bare.unwrap_or(name))
    }

    pub(super) fn find(&self, name: &str) -> Option<Package> {
        let known = self.entry(name).map(|entry| entry.package.clone());
        let there = |package: &Package| package.state != PackageState::Configuration;
        if known.as_ref().is_some_and(there) {
            return known;
        }
        let provided = self.providers.get(name).and_then(|provider| {
            Some(Package {
                version: self.entries.get(provider)?.package.version.clone(),
                state: PackageState::Provided(provider.clone()),
                held: false,
                automatic: false,
            })
        });
        provided.or(known)
    }
}

/// One paragraph of the status file.
struct Paragraph<'a>(&'a str);

impl<'a> Paragraph<'a> {
    fn field(&self, name: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix(':')?;
            Some(value.trim())
        })
    }

    /// The package; that of a foreign architecture as `name:arch`.
    fn name(&self, native: &str) -> Option<String> {
        let name = self.field("Package")?;
        Some(match self.field("Architecture") {
            Some(foreign) if foreign != "all" && foreign != native => format!("{name}:{foreign}"),
            _ => name.to_owned(),
        })
    }

    /// None for a package that left nothing behind.
    fn package(&self) -> Option<Package> {
        let mut words = self.field("Status")?.split_whitespace();
        let (want, flag, status) = (words.next()?, words.next()?, words.next()?);
        let state = match status {
            "installed" | "triggers-pending" | "triggers-awaited" if flag == "ok" => {
                PackageState::Installed
            }
            "not-installed" => return None,
            "config-files" => PackageState::Configuration,
            _ => PackageState::Unfinished,
        };
        Some(Package {
            version: self.field("Version")?.to_owned(),
            state,
            held: want == "hold",
            automatic: false,
        })
    }

    fn conffiles(&self) -> Vec<PathBuf> {
        self.0
            .lines()
            .skip_while(|line| *line != "Conffiles:")
            .skip(1)
            .map_while(|line| line.strip_prefix(" /"))
            .filter_map(|line| line.split(' ').next())
            .map(|path| Path::new("/").join(path))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22

Package: exim4-daemon-light
Status: install ok installed
Architecture: amd64
Provides: exim4-daemon (= 4.96), mail-transport-agent
Conffiles:
 /etc/ppp/ip-up.d/exim4 13eb59a6
 /etc/obsolete 5d41402a obsolete
Version: 4.96-15

Package: libc6
Status: install ok installed
Architecture: i386
Multi-Arch: same
Version: 2.36-9

Package: nginx
Status: deinstall ok config-files
Architecture: amd64
Version: 1.22.1-9

Package: broken
Status: install ok half-configured
Architecture: all
Version: 1.0

Package: kept
Status: hold ok triggers-pending
Architecture: all
Version: 2:3.1~rc1

Package: forgotten
Status: purge ok not-installed
Architecture: amd64
";

    fn package(name: &str) -> Option<(String, PackageState, bool)> {
        let package = Status::parse(TEXT).find(name)?;
        Some((package.version, package.state, package.held))
    }

    #[test]
    fn packages_that_are_to_go_are_not_installed_in_a_status_without_them() {
        let gone = ["exim4-daemon-light", "libc6:i386", "kept:amd64"].map(str::to_owned);
        let text = without(TEXT, &gone);
        let status = Status::parse(&text);
        let state = |name: &str| status.find(name).map(|package| package.state);
        assert_eq!(
            state("exim4-daemon-light"),
            Some(PackageState::Configuration)
        );
        assert_eq!(state("mail-transport-agent"), None);
        assert_eq!(state("libc6:i386"), Some(PackageState::Configuration));
        assert_eq!(state("dpkg"), Some(PackageState::Installed));
        assert_eq!(without(TEXT, &[]), TEXT);
    }

    #[test]
    fn each_state_is_told_apart() {
        use PackageState::{Configuration, Installed, Unfinished};
        let found = |version: &str, state| Some((version.to_owned(), state, false));
        assert_eq!(package("dpkg"), found("1.21.22", Installed));
        assert_eq!(package("dpkg:amd64"), found("1.21.22", Installed));
        assert_eq!(package("nginx"), found("1.22.1-9", Configuration));
        assert_eq!(package("broken"), found("1.0", Unfinished));
        assert_eq!(
            package("kept"),
            Some(("2:3.1~rc1".to_owned(), Installed, true))
        );
        assert_eq!(package("forgotten"), None);
        assert_eq!(package("never-heard-of"), None);
    }

    #[test]
    fn a_foreign_architecture_is_another_package() {
        assert_eq!(package("libc6"), None);
        assert_eq!(
            package("libc6:i386").map(|found| found.0).as_deref(),
            Some("2.36-9")
        );
    }

    #[test]
    fn a_virtual_package_is_there_when_something_provides_it() {
        let provider = PackageState::Provided("exim4-daemon-light".to_owned());
        let found = Some(("4.96-15".to_owned(), provider, false));
        assert_eq!(package("mail-transport-agent"), found);
        assert_eq!(package("exim4-daemon"), found);
    }

    #[test]
    fn what_came_as_a_dependency_is_known() {
        let text = "Package: lsof\nArchitecture: amd64\nAuto-Installed: 1\n\n\
                    Package: curl\nArchitecture: amd64\nAuto-Installed: 0\n\n\
                    Package: libc6\nArchitecture: i386\nAuto-Installed: 1\n";
        let automatic = automatic_of(text, "amd64");
        assert_eq!(Vec::from_iter(automatic), ["libc6:i386", "lsof"]);
    }

    #[test]
    fn configuration_files_are_known() {
        let status = Status::parse(TEXT);
        let entry = status.entry("exim4-daemon-light").expect("it is there");
        assert_eq!(
            entry.conffiles,
            [
                Path::new("/etc/ppp/ip-up.d/exim4"),
                Path::new("/etc/obsolete")
            ]
        );
    }
}
