//! Where units' files are, and under which names a dry run keeps them.

use std::path::{Path, PathBuf};

use crate::effect::Scope;

/// Where unit files live, below the manager's own name: `system` or `user`
/// (systemd.unit(5)).
pub const DIRECTORIES: [&str; 5] = [
    "/etc/systemd",
    "/run/systemd",
    "/usr/local/lib/systemd",
    "/usr/lib/systemd",
    "/lib/systemd",
];

/// Below a user's home directory.
pub const IN_HOME: &str = ".config/systemd/user";

/// The name under which a unit's state is recorded.
pub fn key(unit: &str, scope: &Scope) -> String {
    match scope {
        Scope::System => unit.to_owned(),
        Scope::Global => format!("global/{unit}"),
        Scope::User(user) => format!("user/{user}/{unit}"),
    }
}

/// What a path is called inside a directory of unit files, with the prefix
/// that tells users' units from those of the system.
pub fn inside_unit_directory(path: &Path) -> Vec<(&'static str, PathBuf)> {
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        for (manager, prefix) in [("system", ""), ("user", "user/")] {
            if let Ok(inside) = path.strip_prefix(Path::new(directory).join(manager)) {
                found.push((prefix, inside.to_owned()));
            }
        }
    }
    if let Some((_, inside)) = path.to_str().and_then(|path| path.split_once(IN_HOME)) {
        found.push(("user/", PathBuf::from(inside.trim_start_matches('/'))));
    }
    found
}

/// An instance `a@b.service` has the file `a@.service`.
pub fn template(unit: &str) -> Option<String> {
    let (prefix, _) = unit.split_once('@')?;
    let (_, suffix) = unit.rsplit_once('.')?;
    Some(format!("{prefix}@.{suffix}"))
}

/// The names under which changes of a unit's files are noted.
pub fn file_keys(name: &str, scope: &Scope) -> Vec<String> {
    let key = |name: String| match scope {
        Scope::System => name,
        Scope::User(_) | Scope::Global => format!("user/{name}"),
    };
    let names = [Some(name.to_owned()), template(name)];
    names.into_iter().flatten().map(key).collect()
}

/// Whether a package of unknown contents may bring a unit: by its name, or as
/// the only guess left.
pub fn brings(package: &str, unit: &str) -> bool {
    let stem = unit.split(['.', '@']).next().unwrap_or(unit);
    package.contains(stem) || stem.contains(package)
}
