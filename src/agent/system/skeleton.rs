//! What useradd does where it is not told: its defaults, and a new home
//! directory.

use std::path::{Path, PathBuf};

use super::{FileKind, Found, Reads, User};
use crate::effect::{Attributes, Effect};
use crate::module::Result;

const LOGIN_DEFS: &str = "/etc/login.defs";
const USERADD: &str = "/etc/default/useradd";

/// useradd's defaults, from /etc/login.defs and /etc/default/useradd.
pub struct Defaults {
    /// Where home directories are.
    pub home: PathBuf,
    /// The login shell.
    pub shell: String,
    /// The primary group of users who get none of their own.
    pub group: String,
    /// Whether each user gets a group of the same name.
    pub own_groups: bool,
    home_mode: u32,
    skeleton: PathBuf,
}

impl Defaults {
    /// Reads them; what the files do not say is as Debian has it.
    pub fn read(reads: &dyn Reads) -> Result<Self> {
        let login = text(LOGIN_DEFS, reads)?;
        let useradd = text(USERADD, reads)?;
        let of_useradd = |name: &str, default: &str| {
            value(&useradd, name, '=').unwrap_or_else(|| default.to_owned())
        };
        let octal = |name: &str| {
            let digits = value(&login, name, ' ')?;
            u32::from_str_radix(&digits, 8).ok()
        };
        let umask = octal("UMASK").unwrap_or(0o022);
        Ok(Self {
            home: PathBuf::from(of_useradd("HOME", "/home")),
            shell: of_useradd("SHELL", "/bin/sh"),
            group: of_useradd("GROUP", "100"),
            skeleton: PathBuf::from(of_useradd("SKEL", "/etc/skel")),
            own_groups: value(&login, "USERGROUPS_ENAB", ' ').as_deref() != Some("no"),
            home_mode: octal("HOME_MODE").unwrap_or(0o777 & !umask),
        })
    }
}

fn text(path: &str, reads: &dyn Reads) -> Result<String> {
    let content = reads.content(Path::new(path))?.present();
    Ok(content.and_then(|content| content.text).unwrap_or_default())
}

/// A setting's value; in login.defs spaces or tabs come before it.
fn value(text: &str, name: &str, separator: char) -> Option<String> {
    let of_line = |line: &str| {
        let rest = line.trim_start().strip_prefix(name)?;
        let rest = match separator {
            ' ' => rest.strip_prefix([' ', '\t'])?,
            other => rest.strip_prefix(other)?,
        };
        Some(rest.trim().trim_matches('"').to_owned())
    };
    text.lines()
        .filter_map(of_line)
        .find(|value| !value.is_empty())
}

/// The effects that make a user's home directory, with what new users get.
pub fn home(user: &User, reads: &dyn Reads) -> Result<Vec<Effect>> {
    let defaults = Defaults::read(reads)?;
    let mut effects = missing_parents(&user.home, reads)?;
    let directory = |path: PathBuf, mode| Effect::MakeDirectory {
        path,
        attributes: of_user(user, mode),
    };
    effects.push(directory(user.home.clone(), defaults.home_mode));
    let mut left = vec![PathBuf::new()];
    while let Some(inside) = left.pop() {
        for name in reads.list(&defaults.skeleton.join(&inside))? {
            let inside = inside.join(name);
            let source = defaults.skeleton.join(&inside);
            let path = user.home.join(&inside);
            let Found::Present(stat) = reads.stat(&source)? else {
                continue;
            };
            match (stat.kind, stat.target) {
                (FileKind::Directory, _) => {
                    effects.push(directory(path, stat.mode));
                    left.push(inside);
                }
                (FileKind::Link, Some(target)) => effects.push(Effect::Link { path, target }),
                (FileKind::File, _) => {
                    if let Found::Present(content) = reads.content(&source)? {
                        effects.push(Effect::WriteFile {
                            path,
                            content,
                            attributes: of_user(user, stat.mode),
                            backup: None,
                            validate: None,
                        });
                    }
                }
                _ => {}
            }
        }
    }
    Ok(effects)
}

fn missing_parents(home: &Path, reads: &dyn Reads) -> Result<Vec<Effect>> {
    let mut effects = Vec::new();
    for parent in home.ancestors().skip(1) {
        if reads.stat(parent)? != Found::Absent {
            break;
        }
        effects.insert(
            0,
            Effect::MakeDirectory {
                path: parent.to_owned(),
                attributes: Attributes {
                    mode: Some(0o755),
                    ..Attributes::default()
                },
            },
        );
    }
    Ok(effects)
}

fn of_user(user: &User, mode: u32) -> Attributes {
    Attributes {
        owner: Some(user.name.clone()),
        group: Some(user.group.clone()),
        mode: Some(mode),
    }
}
