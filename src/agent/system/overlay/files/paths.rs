//! Where a path leads in a dry run, and what may stand above it.

use std::path::{Path, PathBuf};

use crate::effect::Attributes;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::overlay::pending::{Entry, Node};
use crate::system::overlay::{Absence, Overlay};
use crate::system::{FileKind, Found, Reads, Stat, foreign_link};

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

impl Overlay {
    /// `path` with the links of its parent resolved.
    pub(in crate::system::overlay) fn real_parent(&self, path: &Path) -> Result<PathBuf> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(self.real(parent)?.join(name)),
            // It ends with `..`, which is no name.
            _ => self.real(path),
        }
    }

    /// `path` with all links resolved, as far as it exists.
    pub(in crate::system::overlay) fn real(&self, path: &Path) -> Result<PathBuf> {
        self.walk(path, &mut |_, _| {})
    }

    /// Refuses what the host would refuse: a way through a link that is
    /// somebody's who does not own what it leads to.
    pub(in crate::system::overlay) fn need_own_links(&self, path: &Path) -> Result<()> {
        let directory = match (path.parent(), path.file_name()) {
            (Some(parent), Some(_)) => parent,
            _ => path,
        };
        let mut links = Vec::new();
        self.walk(directory, &mut |link, owner| {
            links.push((link.to_owned(), owner.to_owned()))
        })?;
        for (link, owner) in links {
            if owner == "root" || owner == self.me()?.name {
                continue;
            }
            match self.look(&self.real(&link)?)? {
                Found::Present(stat) if stat.owner != owner => {
                    return Err(foreign_link(path, &link));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Follows a path, and tells of each link on the way with its owner.
    fn walk(&self, path: &Path, passed: &mut dyn FnMut(&Path, &str)) -> Result<PathBuf> {
        let mut real = PathBuf::from("/");
        let mut left: Vec<_> = path
            .components()
            .rev()
            .map(|part| part.as_os_str().to_owned())
            .collect();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.to_str() {
                Some("/" | ".") => continue,
                Some("..") => {
                    real.pop();
                    continue;
                }
                _ => real.push(&part),
            }
            let Found::Present(Stat {
                target: Some(target),
                owner,
                ..
            }) = self.look(&real)?
            else {
                continue;
            };
            passed(&real, &owner);
            links += 1;
            if links > MAX_LINKS {
                return Err(Failure::new(format!(
                    "{} has too many links",
                    path.display()
                )));
            }
            real.pop();
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            left.extend(
                target
                    .components()
                    .rev()
                    .map(|part| part.as_os_str().to_owned()),
            );
        }
        Ok(real)
    }

    /// Refuses what the host would refuse: a parent that is not there.
    pub(super) fn need_parent(&mut self, path: &Path, action: &str) -> Result<()> {
        let (Some(shown), Some(parent)) = (path.parent(), path.parent()) else {
            return Ok(());
        };
        let parent = &self.real(parent)?;
        self.take_for_directory(parent)?;
        match self.look(parent)? {
            Found::Present(stat) if stat.kind == FileKind::Directory => {
                return self.need_writable(parent, path, action);
            }
            Found::Present(_) => {
                return Err(Failure::new(format!(
                    "cannot {action} {}: {} is not a directory",
                    path.display(),
                    shown.display()
                )));
            }
            Found::Absent | Found::Unknown(_) => {}
        }
        let Some(package) = self.explaining_package(parent) else {
            return Err(Failure::new(format!(
                "cannot {action} {}: its directory does not exist",
                path.display()
            ))
            .hint("Make the directory first, with `file(PATH, #{ state: \"directory\" })`."));
        };
        self.assume(&format!(
            "{} comes with package {package}.",
            parent.display()
        ));
        let root = Attributes {
            owner: Some("root".to_owned()),
            group: Some("root".to_owned()),
            mode: Some(0o755),
        };
        for missing in parent.ancestors() {
            if !matches!(self.look(missing)?, Found::Absent | Found::Unknown(_)) {
                break;
            }
            let entry = Entry::new(FileKind::Directory, root.clone(), self.now());
            self.put(missing.to_owned(), entry);
        }
        Ok(())
    }

    /// What a command makes may as well be a directory, if a later task puts
    /// something into it.
    fn take_for_directory(&mut self, path: &Path) -> Result<()> {
        let certain = self.absence == Absence::Certain;
        let Some(Node::Present(entry)) = self.pending.files.get(path) else {
            return Ok(());
        };
        let Some(origin) = &entry.expected else {
            return Ok(());
        };
        if !certain && !entry.attributes.is_empty() {
            return Ok(());
        }
        self.assume(&format!(
            "{} is a directory that `{origin}` makes.",
            path.display()
        ));
        let me = self.me()?;
        let attributes = Attributes {
            owner: Some(me.name),
            group: Some(me.group),
            mode: Some(0o755),
        };
        let directory = Entry::new(FileKind::Directory, attributes, self.now());
        let expected = (!certain).then(|| origin.clone());
        let fresh = !certain;
        self.put(
            path.to_owned(),
            Entry {
                expected,
                fresh,
                ..directory
            },
        );
        Ok(())
    }

    /// The pending package that would explain a path: the one it is named
    /// after, or else any of which it is not known what they bring.
    pub(super) fn explaining_package(&self, path: &Path) -> Option<String> {
        let named = self.named_package(path);
        named.or_else(|| self.opaque_packages().pop_first())
    }

    /// The pending package, of which it is not known what it brings, that a path
    /// is named after.
    pub(super) fn named_package(&self, path: &Path) -> Option<String> {
        let mut opaque = self.opaque_packages().into_iter();
        opaque.find(|package| names_package(path, package))
    }

    /// The pending package that will bring a program, if it is not there yet.
    pub(in crate::system::overlay) fn expected_program(&self, program: &str) -> Option<String> {
        const PATH: [&str; 6] = [
            "/usr/local/sbin",
            "/usr/local/bin",
            "/usr/sbin",
            "/usr/bin",
            "/sbin",
            "/bin",
        ];
        let places: Vec<PathBuf> = match program.contains('/') {
            true => vec![PathBuf::from(program)],
            false => PATH
                .iter()
                .map(|directory| Path::new(directory).join(program))
                .collect(),
        };
        let on_base = |path: &PathBuf| matches!(self.base.stat(path), Ok(Found::Present(_)));
        if places.iter().any(on_base) {
            return None;
        }
        if places
            .iter()
            .any(|path| matches!(self.look(path), Ok(Found::Present(_))))
        {
            return Some(format!("{program} of a pending change"));
        }
        let package = self.explaining_package(Path::new(program))?;
        Some(format!("package {package}"))
    }
}

/// Whether a part of a path is named after a package: `/etc/ssh` after
/// `openssh-server`, `/etc/postgresql/15` after `postgresql`.
pub(super) fn names_package(path: &Path, package: &str) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part.len() > 2 && (package.contains(&*part) || part.contains(package))
    })
}
