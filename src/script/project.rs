//! The files of a project, and the standard library embedded in the program.
//!
//! A file is called by its path in the project, with `/`; an embedded one by
//! `stdlib/…`. Nothing outside the project's root is ever read: neither by an
//! absolute path, nor through `..`, nor through a symbolic link.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, include_dir};

use crate::schema::SourceKind;

static STDLIB: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/stdlib");

const MARKERS: [&str; 6] = [".git", "veza.toml", "roles", "stdlib", "modules", "envs"];

/// A directory with env files, roles, templates and files.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
}

/// The file of a module that is written in Rhai.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// The word a script writes.
    pub name: String,
    /// The file: of the project, or `stdlib/…`.
    pub id: String,
    /// Whether it is one of the standard library.
    pub is_standard: bool,
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// On disk.
    OnDisk(PathBuf),
    /// In the program.
    Embedded(&'static [u8]),
}

impl Project {
    /// The project an env file belongs to, and what it calls the file. Its
    /// root is the nearest directory above the file that holds `.git`,
    /// `veza.toml`, or one of the folders `roles`, `stdlib`, `modules` and
    /// `envs`; else the directory the file is in.
    pub fn of(env_file: &Path) -> Result<(Self, String), String> {
        let unreadable = |error| format!("cannot read {}: {error}", env_file.display());
        let path = std::fs::canonicalize(env_file).map_err(unreadable)?;
        let directory = path.parent().ok_or("the env file is not in a directory")?;
        let root = root_of(directory);
        let id = path.strip_prefix(root).map_err(|error| error.to_string())?;
        Ok((
            Self { root: root.into() },
            id.to_string_lossy().into_owned(),
        ))
    }

    /// The project around a directory, by the same rule.
    pub fn around(directory: &Path) -> Result<Self, String> {
        let unreadable = |error| format!("cannot read {}: {error}", directory.display());
        let path = std::fs::canonicalize(directory).map_err(unreadable)?;
        Ok(Self {
            root: root_of(&path).into(),
        })
    }

    /// The project's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of this name: on disk, or else embedded.
    pub fn find(&self, id: &str) -> Result<Option<Found>, String> {
        let path = self.root.join(id);
        if !path.exists() {
            let embedded = id
                .strip_prefix("stdlib/")
                .and_then(|name| STDLIB.get_file(name));
            return Ok(embedded.map(|file| Found::Embedded(file.contents())));
        }
        self.inside(&path)?;
        Ok(Some(Found::OnDisk(path)))
    }

    /// Where a path of the project really is: inside it.
    pub fn inside(&self, path: &Path) -> Result<PathBuf, String> {
        let shown = path.strip_prefix(&self.root).unwrap_or(path).display();
        let real = std::fs::canonicalize(path);
        let real = real.map_err(|error| format!("cannot read {shown}: {error}"))?;
        match real.starts_with(&self.root) {
            true => Ok(real),
            false => Err(format!(
                "{shown} is a symbolic link that leads out of the project"
            )),
        }
    }

    /// The text of a script.
    pub fn read(&self, id: &str) -> Result<String, String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("cannot read {id}: {error}");
        let bytes = match self.find(id)? {
            None => return Err(format!("there is no file {id}")),
            Some(Found::Embedded(bytes)) => bytes.to_vec(),
            Some(Found::OnDisk(path)) => std::fs::read(path).map_err(|error| unreadable(&error))?,
        };
        String::from_utf8(bytes).map_err(|_| unreadable(&"it is not UTF-8 text"))
    }

    /// The script that `import "name"` in the file `from` means.
    pub fn resolve(&self, name: &str, from: &str) -> Result<String, ImportError> {
        if name.starts_with(['/', '~']) {
            return Err(ImportError::new(
                format!("an import cannot be an absolute path: \"{name}\""),
                "Name a role, or write \"./…\" for a file beside this one.",
            ));
        }
        let relative = name.starts_with("./") || name.starts_with("../");
        let base = if relative { parent(from) } else { "" };
        let Some(plain) = normalize(base, name) else {
            return Err(ImportError::new(
                format!("the import \"{name}\" leads out of the project"),
                "Everything a script imports must be inside the project.",
            ));
        };
        for id in candidates(&plain, relative) {
            if self
                .find(&id)
                .map_err(|message| ImportError {
                    message,
                    help: None,
                })?
                .is_some()
            {
                return Ok(id);
            }
        }
        Err(self.not_found(name, &plain, relative))
    }

    fn not_found(&self, name: &str, plain: &str, relative: bool) -> ImportError {
        let roles = self.roles();
        let help = match crate::schema::closest(name, roles.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("looked for {}", candidates(plain, relative).join(", ")),
        };
        ImportError::new(format!("there is no role or script \"{name}\""), help)
    }

    /// The names of all roles, embedded ones included.
    pub fn roles(&self) -> Vec<String> {
        let on_disk = |folder: &str| {
            let entries = std::fs::read_dir(self.root.join(folder))
                .into_iter()
                .flatten()
                .flatten();
            entries
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .filter(|name| !name.starts_with('.'))
                .map(|name| name.trim_end_matches(".rhai").to_owned())
                .collect::<Vec<_>>()
        };
        let embedded = STDLIB
            .dirs()
            .map(|dir| dir.path().to_string_lossy().into_owned());
        let mut names: Vec<_> = on_disk("roles")
            .into_iter()
            .chain(on_disk("stdlib"))
            .chain(embedded)
            .collect();
        names.sort();
        names.dedup();
        names.retain(|name| self.resolve_role(name).is_some());
        names
    }

    /// The modules written in Rhai, by name: those of the project, and those
    /// of the standard library that it does not have itself.
    pub fn modules(&self) -> Vec<ModuleFile> {
        let on_disk = |folder: &str| {
            let entries = std::fs::read_dir(self.root.join(folder)).into_iter();
            let names = entries.flatten().flatten().map(|entry| entry.file_name());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        let embedded = STDLIB.get_dir("modules").into_iter();
        let embedded = embedded.flat_map(|folder| folder.files());
        let embedded =
            embedded.filter_map(|file| Some(file.path().file_name()?.to_str()?.to_owned()));
        let standard = on_disk("stdlib/modules").into_iter().chain(embedded);
        let own = on_disk("modules").into_iter().map(|file| (file, "modules"));
        let mut modules = BTreeMap::new();
        for (file, folder) in own.chain(standard.map(|file| (file, "stdlib/modules"))) {
            if let Some(name) = file
                .strip_suffix(".rhai")
                .filter(|name| !name.starts_with('.'))
            {
                modules.entry(name.to_owned()).or_insert(ModuleFile {
                    name: name.to_owned(),
                    id: format!("{folder}/{file}"),
                    is_standard: folder != "modules",
                });
            }
        }
        modules.into_values().collect()
    }

    fn resolve_role(&self, name: &str) -> Option<String> {
        candidates(name, false)
            .into_iter()
            .find(|id| matches!(self.find(id), Ok(Some(_))))
    }

    /// The template or file that a call in `script` names: beside the role
    /// first, so that a role works wherever it is, then in the project. The
    /// project's `roles/NAME` goes before an embedded role of that name.
    pub fn source(
        &self,
        kind: SourceKind,
        name: &str,
        script: &str,
    ) -> Result<(String, Found), ImportError> {
        let places = source_places(kind, parent(script));
        let mut looked = Vec::new();
        for place in places {
            let Some(id) = normalize(&place, name).filter(|_| !name.starts_with(['/', '~'])) else {
                return Err(ImportError::new(
                    format!("\"{name}\" leads out of the project"),
                    "Put the file into the project and name it by its path there.",
                ));
            };
            if let Some(found) = self.find(&id).map_err(|message| ImportError {
                message,
                help: None,
            })? {
                return Ok((id, found));
            }
            if !looked.contains(&id) {
                looked.push(id);
            }
        }
        let what = match kind {
            SourceKind::Template => "template",
            SourceKind::File => "file",
        };
        let help = match self.nearest(name, &looked) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("looked for {}", looked.join(", ")),
        };
        Err(ImportError::new(
            format!("there is no {what} \"{name}\""),
            help,
        ))
    }

    /// A file beside one of those that were looked for, with a similar name.
    fn nearest(&self, name: &str, looked: &[String]) -> Option<String> {
        let names: Vec<_> = looked
            .iter()
            .map(|id| parent(id))
            .flat_map(|folder| {
                std::fs::read_dir(self.root.join(folder))
                    .into_iter()
                    .flatten()
                    .flatten()
            })
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        crate::schema::closest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }
}

fn root_of(directory: &Path) -> &Path {
    let is_root = |directory: &&Path| MARKERS.iter().any(|marker| directory.join(marker).exists());
    directory.ancestors().find(is_root).unwrap_or(directory)
}

/// Why an import or a source cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl ImportError {
    fn new(message: String, help: impl Into<String>) -> Self {
        Self {
            message,
            help: Some(help.into()),
        }
    }
}

fn candidates(plain: &str, relative: bool) -> Vec<String> {
    let plain = plain.trim_end_matches(".rhai");
    match relative {
        true => vec![format!("{plain}.rhai"), format!("{plain}/role.rhai")],
        false => vec![
            format!("roles/{plain}/role.rhai"),
            format!("roles/{plain}.rhai"),
            format!("stdlib/{plain}/role.rhai"),
            format!("{plain}.rhai"),
        ],
    }
}

fn source_places(kind: SourceKind, directory: &str) -> Vec<String> {
    let folder = match kind {
        SourceKind::Template => "templates",
        SourceKind::File => "files",
    };
    let mut places = Vec::new();
    let mut both = |base: &str| {
        places.push(join(base, folder));
        places.push(base.to_owned());
    };
    if let Some(role) = directory.strip_prefix("stdlib/") {
        both(&format!("roles/{role}"));
    }
    both(directory);
    both("");
    places
}

fn join(base: &str, name: &str) -> String {
    match base {
        "" => name.into(),
        _ => format!("{base}/{name}"),
    }
}

fn parent(id: &str) -> &str {
    id.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// `name` seen from `base`, without `.` and `..`; nothing when it leads out.
fn normalize(base: &str, name: &str) -> Option<String> {
    let path = Path::new(base).join(name);
    let mut parts: Vec<&str> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> (tempfile::TempDir, Project) {
        let directory = tempfile::tempdir().expect("a directory can be made");
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it has a parent"))
                .expect("it can be made");
            std::fs::write(path, "").expect("it can be written");
        }
        let root = std::fs::canonicalize(directory.path()).expect("it is there");
        (directory, Project { root })
    }

    #[test]
    fn the_root_is_above_envs_and_roles() {
        let (directory, project) = project(&["envs/lab.rhai", "roles/a/role.rhai"]);
        let (found, id) =
            Project::of(&directory.path().join("envs/lab.rhai")).expect("it is there");
        assert_eq!(
            (found.root(), id.as_str()),
            (project.root(), "envs/lab.rhai")
        );
    }

    #[test]
    fn roles_are_found_in_their_places() {
        let (_directory, project) = project(&[
            "roles/a/role.rhai",
            "roles/b.rhai",
            "roles/a/x.rhai",
            "stdlib/c/role.rhai",
        ]);
        let of = |name, from| project.resolve(name, from).expect("it is found");
        assert_eq!(of("a", "site.rhai"), "roles/a/role.rhai");
        assert_eq!(of("b", "site.rhai"), "roles/b.rhai");
        assert_eq!(of("c", "site.rhai"), "stdlib/c/role.rhai");
        assert_eq!(of("./x", "roles/a/role.rhai"), "roles/a/x.rhai");
        assert_eq!(of("../b", "roles/a/role.rhai"), "roles/b.rhai");
        for name in ["a", "b", "c"] {
            assert!(project.roles().contains(&name.into()), "{name}");
        }
    }

    #[test]
    fn nothing_outside_is_imported() {
        let (directory, project) = project(&["p/roles/a/role.rhai", "secret.rhai"]);
        let project = Project {
            root: project.root.join("p"),
        };
        let message = |name| {
            project
                .resolve(name, "roles/a/role.rhai")
                .expect_err("it is outside")
                .message
        };
        assert_eq!(
            message("/etc/passwd"),
            "an import cannot be an absolute path: \"/etc/passwd\""
        );
        assert_eq!(
            message("../../../secret"),
            "the import \"../../../secret\" leads out of the project"
        );
        assert_eq!(
            message("a/../../secret"),
            "the import \"a/../../secret\" leads out of the project"
        );
        let link = project.root.join("roles/link.rhai");
        std::os::unix::fs::symlink(directory.path().join("secret.rhai"), link)
            .expect("it can be made");
        assert!(message("link").contains("symbolic link that leads out"));
        let error = project
            .resolve("aa", "site.rhai")
            .expect_err("there is none");
        assert_eq!(error.help.as_deref(), Some("did you mean \"a\"?"));
    }

    #[test]
    fn sources_are_found_beside_the_role_first() {
        let (_directory, project) = project(&[
            "roles/a/templates/x.j2",
            "templates/x.j2",
            "templates/y.j2",
            "roles/c/templates/z.j2",
        ]);
        let of = |name, script| {
            project
                .source(SourceKind::Template, name, script)
                .map(|(id, _)| id)
        };
        assert_eq!(
            of("x.j2", "roles/a/role.rhai"),
            Ok("roles/a/templates/x.j2".into())
        );
        assert_eq!(of("y.j2", "roles/a/role.rhai"), Ok("templates/y.j2".into()));
        assert_eq!(
            of("z.j2", "stdlib/c/role.rhai"),
            Ok("roles/c/templates/z.j2".into())
        );
        let error = of("yy.j2", "envs/site.rhai").expect_err("there is none");
        assert_eq!(error.help.as_deref(), Some("did you mean \"y.j2\"?"));
        assert!(of("../../x", "envs/site.rhai").is_err());
    }
}
