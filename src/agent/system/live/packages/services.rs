//! The units that a package brings, and what its script does with them:
//! `deb-systemd-helper enable`, `deb-systemd-invoke start` and their like.

use std::path::{Path, PathBuf};

use super::script;
use crate::system::{FileKind, PackagedFile, PackagedUnit};

/// Where packages put units.
const DIRECTORIES: [&str; 2] = ["/lib/systemd/system", "/usr/lib/systemd/system"];

const SUFFIXES: [&str; 6] = ["service", "socket", "timer", "path", "mount", "target"];

/// What a script does with units, by their full names.
#[derive(Debug, Default, PartialEq)]
pub struct Actions {
    /// Those it enables.
    pub enabled: Vec<String>,
    /// Those it starts.
    pub started: Vec<String>,
}

impl Actions {
    /// Reads one command of a script.
    pub fn command(&mut self, words: &[String]) {
        let arguments: Vec<&str> = words
            .iter()
            .skip(1)
            .map(String::as_str)
            .filter(|word| !word.starts_with('-'))
            .collect();
        let program = words.first().map_or("", String::as_str);
        match (program.rsplit('/').next(), &arguments[..]) {
            (Some("deb-systemd-helper"), ["enable", units @ ..]) => {
                self.enabled.extend(units.iter().map(|unit| full(unit)));
            }
            (Some("deb-systemd-invoke"), [verb, units @ ..]) if starts(verb) => {
                self.started.extend(units.iter().map(|unit| full(unit)));
            }
            (Some("systemctl"), [verb, units @ ..]) => {
                let units: Vec<String> = units.iter().map(|unit| full(unit)).collect();
                let now = words.iter().any(|word| word == "--now");
                if starts(verb) || (*verb == "enable" && now) {
                    self.started.extend(units.clone());
                }
                if *verb == "enable" {
                    self.enabled.extend(units);
                }
            }
            // debhelper's line for hosts without systemd starts no unit.
            (Some("invoke-rc.d"), [service, verb])
                if starts(verb) && !words.iter().any(|word| word == "--skip-systemd-native") =>
            {
                self.started.push(full(service));
            }
            _ => {}
        }
    }
}

/// `$_dh_action` is `start` on a first installation, `restart` later.
fn starts(verb: &str) -> bool {
    matches!(verb, "start" | "restart") || verb.contains("_dh_action")
}

fn full(unit: &str) -> String {
    match unit.rsplit_once('.') {
        Some((_, suffix)) if SUFFIXES.contains(&suffix) => unit.to_owned(),
        _ => format!("{unit}.service"),
    }
}

/// The units among the files, in the state they have after the installation;
/// `may_start` asks the host's policy.
pub fn units(
    files: &[PackagedFile],
    actions: &Actions,
    may_start: impl Fn(&str) -> bool,
) -> Vec<PackagedUnit> {
    let mut units = Vec::new();
    for (name, file) in files.iter().filter_map(unit_file) {
        let text = text_of(file, files);
        let installs = text.lines().any(|line| line.trim() == "[Install]");
        let file_state = match installs {
            _ if file.target.as_deref() == Some(Path::new("/dev/null")) => "masked",
            true if actions.enabled.contains(&name) => "enabled",
            true => "disabled",
            false => "static",
        };
        let active = actions.started.contains(&name) && may_start(&name) && stays(&name, text);
        units.extend(aliases(text, file_state).map(|alias| PackagedUnit {
            name: alias,
            file_state: file_state.to_owned(),
            active,
        }));
        units.push(PackagedUnit {
            name,
            file_state: file_state.to_owned(),
            active,
        });
    }
    units
}

/// The links that enabling the units makes.
pub fn links(files: &[PackagedFile], actions: &Actions) -> Vec<PackagedFile> {
    let mut links = Vec::new();
    for (name, file) in files.iter().filter_map(unit_file) {
        if !actions.enabled.contains(&name) {
            continue;
        }
        let text = text_of(file, files);
        for (key, suffix) in [("WantedBy", "wants"), ("RequiredBy", "requires")] {
            for target in values(text, key) {
                let directory = Path::new("/etc/systemd/system").join(format!("{target}.{suffix}"));
                links.push(made(directory.clone(), None));
                links.push(made(directory.join(&name), Some(file.path.clone())));
            }
        }
        for alias in values(text, "Alias") {
            let path = Path::new("/etc/systemd/system").join(alias);
            links.push(made(path, Some(file.path.clone())));
        }
    }
    links
}

/// The links that make the host start a unit at boot; they go with a purge.
pub fn links_to(unit: &str) -> Vec<PathBuf> {
    let directory = Path::new("/etc/systemd/system");
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "wants" || end == "requires")
        })
        .map(|path| path.join(unit))
        .filter(|path| path.is_symlink())
        .collect()
}

/// A directory, or a link to `target`.
fn made(path: PathBuf, target: Option<PathBuf>) -> PackagedFile {
    match target {
        None => script::made(&path, FileKind::Directory, 0o755),
        Some(_) => PackagedFile {
            target,
            ..script::made(&path, FileKind::Link, 0o777)
        },
    }
}

fn unit_file(file: &PackagedFile) -> Option<(String, &PackagedFile)> {
    let name = unit_name(&file.path)?;
    (file.kind != FileKind::Directory).then(|| (name.to_owned(), file))
}

/// The name of the unit whose file a package has at `path`, if it is one.
fn unit_name(path: &Path) -> Option<&str> {
    let parent = path.parent()?.to_str()?;
    let suffix = path.extension()?.to_str()?;
    let is_unit = DIRECTORIES.contains(&parent) && SUFFIXES.contains(&suffix);
    is_unit.then(|| path.file_name()?.to_str())?
}

/// A unit's text; a link has that of the unit beside it that it leads to.
fn text_of<'a>(file: &'a PackagedFile, files: &'a [PackagedFile]) -> &'a str {
    let target = file.target.as_ref().and_then(|target| target.file_name());
    let file = match target {
        None => Some(file),
        Some(name) => files.iter().find(|other| {
            other.path.parent() == file.path.parent() && other.path.file_name() == Some(name)
        }),
    };
    file.and_then(|file| file.content.as_ref()?.text.as_deref())
        .unwrap_or_default()
}

fn aliases<'a>(text: &'a str, file_state: &str) -> impl Iterator<Item = String> + use<'a> {
    let enabled = file_state == "enabled";
    values(text, "Alias")
        .filter(move |_| enabled)
        .map(str::to_owned)
}

fn values<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let key = format!("{key}=");
    text.lines()
        .filter_map(move |line| line.trim().strip_prefix(key.as_str()))
        .flat_map(str::split_whitespace)
}

/// Whether a unit is still active once it was started: not one that does its
/// work and ends, nor one whose condition is not met.
fn stays(name: &str, text: &str) -> bool {
    let says = |line: &str| text.lines().any(|known| known.trim() == line);
    let ends = name.ends_with(".service")
        && says("Type=oneshot")
        && !values(text, "RemainAfterExit")
            .any(|value| matches!(value, "yes" | "true" | "on" | "1"));
    let met = values(text, "ConditionPathExists").all(|path| match path.strip_prefix('!') {
        Some(path) => !Path::new(path).exists(),
        None => Path::new(path).exists(),
    });
    !ends && met
}

#[cfg(test)]
mod tests {
    use super::super::shell;
    use super::*;
    use crate::content::Content;

    fn unit(name: &str, text: &str) -> PackagedFile {
        PackagedFile {
            path: Path::new("/lib/systemd/system").join(name),
            content: Some(Content::of(text.as_bytes())),
            kind: FileKind::File,
            ..made(PathBuf::new(), None)
        }
    }

    fn actions(script: &str) -> Actions {
        let mut actions = Actions::default();
        for call in shell::commands(script, "configure", &|_| true) {
            actions.command(&call.words);
        }
        actions
    }

    const SCRIPT: &str = "
        invoke-rc.d --skip-systemd-native web start || exit 1
        if deb-systemd-helper --quiet was-enabled 'web.service'; then
            deb-systemd-helper enable 'web.service' >/dev/null || true
        fi
        deb-systemd-invoke $_dh_action 'web.service' 'tidy.service' >/dev/null || true
    ";

    #[test]
    fn what_debhelper_writes_is_understood() {
        let actions = actions(SCRIPT);
        assert_eq!(actions.enabled, ["web.service"]);
        assert_eq!(actions.started, ["web.service", "tidy.service"]);
    }

    #[test]
    fn packages_that_call_systemctl_themselves_are_understood_too() {
        let actions = actions("systemctl daemon-reload\nsystemctl enable --now app || true\n");
        assert_eq!(actions.enabled, ["app.service"]);
        assert_eq!(actions.started, ["app.service"]);
    }

    #[test]
    fn units_have_the_state_that_follows_from_file_and_script() {
        let files = [
            unit(
                "web.service",
                "[Service]\nType=notify\n[Install]\nWantedBy=multi-user.target\nAlias=www.service\n",
            ),
            unit("tidy.service", "[Service]\nType=oneshot\n"),
            unit("other.timer", "[Install]\nWantedBy=timers.target\n"),
        ];
        let actions = actions(SCRIPT);
        let states: Vec<_> = units(&files, &actions, |_| true)
            .into_iter()
            .map(|unit| (unit.name, unit.file_state, unit.active))
            .collect();
        let state = |name: &str, state: &str, active| (name.to_owned(), state.to_owned(), active);
        assert_eq!(
            states,
            [
                state("www.service", "enabled", true),
                state("web.service", "enabled", true),
                state("tidy.service", "static", false),
                state("other.timer", "disabled", false),
            ]
        );
        let links = links(&files, &actions);
        assert_eq!(
            links[1].path,
            Path::new("/etc/systemd/system/multi-user.target.wants/web.service")
        );
        assert_eq!(
            links[1].target.as_deref(),
            Some(Path::new("/lib/systemd/system/web.service"))
        );
    }

    #[test]
    fn a_policy_against_starting_is_heeded() {
        let files = [unit("web.service", "[Install]\n")];
        assert!(!units(&files, &actions(SCRIPT), |_| false)[0].active);
    }
}
