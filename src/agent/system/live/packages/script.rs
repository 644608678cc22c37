//! What a package's script does on a first installation, as far as its
//! commands are understood.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::accounts::Accounts;
use super::services::Actions;
use super::shell::{self, Call};
use crate::effect::Attributes;
use crate::system::{FileKind, PackagedFile};

/// Commands that leave nothing behind that anybody would look for, or whose
/// effect is told elsewhere.
const HARMLESS: [&str; 41] = [
    ":",
    "[",
    "[[",
    "aa-enabled",
    "addgroup",
    "adduser",
    "apparmor_parser",
    "command",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "dpkg",
    "dpkg-maintscript-helper",
    "dpkg-trigger",
    "echo",
    "exit",
    "export",
    "false",
    "getent",
    "grep",
    "groupadd",
    "id",
    "invoke-rc.d",
    "ldconfig",
    "local",
    "py3clean",
    "py3compile",
    "readlink",
    "return",
    "sed",
    "set",
    "shift",
    "systemctl",
    "systemd-sysusers",
    "systemd-tmpfiles",
    "test",
    "true",
    "ucfr",
    "udevadm",
    "update-rc.d",
    "useradd",
    "which",
];

/// What the scripts of a package do.
pub struct Deeds {
    /// Users and groups that they add.
    pub accounts: Accounts,
    /// Units that they enable and start.
    pub actions: Actions,
    /// Whether they do something else, too.
    pub obscure: bool,
}

/// Follows a package's scripts; what they do to files is done to `files`.
pub fn follow(scripts: &[&str], files: &mut Vec<PackagedFile>) -> Deeds {
    let mut deeds = Deeds {
        accounts: Accounts::default(),
        actions: Actions::default(),
        obscure: false,
    };
    let brought: HashSet<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let exists = |path: &str| brought.contains(Path::new(path)) || Path::new(path).exists();
    for call in scripts
        .iter()
        .flat_map(|script| shell::commands(script, "configure", &exists))
    {
        deeds.accounts.command(&call.words);
        deeds.actions.command(&call.words);
        deeds.obscure |= !understood(&call, files);
    }
    deeds
}

/// The paths that a package's `postrm` removes when it is purged, with all that
/// is in them.
pub fn wiped_by(postrm: &str) -> Vec<PathBuf> {
    let exists = |path: &str| Path::new(path).exists();
    shell::commands(postrm, "purge", &exists)
        .into_iter()
        .filter(|call| call.certain && call.words.first().is_some_and(|word| word == "rm"))
        .flat_map(|call| call.words)
        .filter(|word| word.starts_with('/') && !word.contains(['$', '`', '*', '?', '[']))
        // Nothing above the second level belongs to one package.
        .filter(|word| Path::new(word).components().count() > 2)
        .map(PathBuf::from)
        .collect()
}

fn understood(call: &Call, files: &mut Vec<PackagedFile>) -> bool {
    let words: Vec<&str> = call.words.iter().map(String::as_str).collect();
    let words = match words[..] {
        ["!", ref rest @ ..] => rest,
        _ => &words[..],
    };
    let Some((program, given)) = words.split_first() else {
        return true;
    };
    if HARMLESS.contains(program) {
        return !call.writes;
    }
    if *program == "dpkg-statoverride" && !given.contains(&"--add") {
        return true;
    }
    let literal = !given.iter().any(|word| word.contains(['$', '`', '*']));
    if !literal || call.writes {
        return false;
    }
    let (options, names): (Vec<&str>, Vec<&str>) =
        given.iter().partition(|word| word.starts_with('-'));
    // Tidying what is not there on a first installation.
    if matches!(*program, "rm" | "rmdir" | "find") {
        return true;
    }
    let last_is_path = names.last().is_some_and(|name| name.starts_with('/'));
    if !call.certain || !last_is_path {
        return false;
    }
    let recursive = options.contains(&"-R") || options.contains(&"--recursive");
    match (*program, &names[..]) {
        ("chown" | "chgrp", [owner, paths @ ..]) => {
            let owner = match *program {
                "chgrp" => format!(":{owner}"),
                _ => (*owner).to_owned(),
            };
            paths
                .iter()
                .for_each(|path| own(files, path, &owner, recursive));
            true
        }
        ("chmod", [mode, paths @ ..]) => match u32::from_str_radix(mode, 8) {
            Ok(mode) => {
                paths
                    .iter()
                    .for_each(|path| allow(files, path, mode, recursive));
                true
            }
            Err(_) => false,
        },
        ("mkdir", paths) => {
            paths.iter().for_each(|path| make_directories(files, path));
            true
        }
        ("touch", paths) => {
            paths.iter().for_each(|path| copy(files, None, path));
            true
        }
        ("ln", [target, path]) if options.iter().any(|option| option.contains('s')) => {
            files.push(link(path, target));
            true
        }
        ("cp" | "ucf", [source, path]) => {
            copy(files, Some(source), path);
            true
        }
        ("dpkg-statoverride", [owner, group, mode, path]) if options.contains(&"--add") => {
            own(files, path, &format!("{owner}:{group}"), false);
            if let Ok(mode) = u32::from_str_radix(mode, 8) {
                allow(files, path, mode, false);
            }
            true
        }
        _ => false,
    }
}

fn own(files: &mut [PackagedFile], path: &str, owner: &str, recursive: bool) {
    let (user, group) = match owner.split_once([':', '.']) {
        Some((user, "")) => (user, Some(user)),
        Some((user, group)) => (user, Some(group)),
        None => (owner, None),
    };
    for attributes in meant(files, path, recursive) {
        if !user.is_empty() {
            attributes.owner = Some(user.to_owned());
        }
        if let Some(group) = group {
            attributes.group = Some(group.to_owned());
        }
    }
}

fn allow(files: &mut [PackagedFile], path: &str, mode: u32, recursive: bool) {
    for attributes in meant(files, path, recursive) {
        attributes.mode = Some(mode);
    }
}

fn meant<'a>(
    files: &'a mut [PackagedFile],
    path: &str,
    recursive: bool,
) -> impl Iterator<Item = &'a mut Attributes> {
    let path = PathBuf::from(path);
    files
        .iter_mut()
        .filter(move |file| file.path == path || recursive && file.path.starts_with(&path))
        .map(|file| &mut file.attributes)
}

fn make_directories(files: &mut Vec<PackagedFile>, path: &str) {
    let mut paths: Vec<&Path> = Path::new(path).ancestors().collect();
    paths.pop();
    for path in paths.into_iter().rev() {
        if !files.iter().any(|file| file.path == path) {
            files.push(made(path, FileKind::Directory, 0o755));
        }
    }
}

/// A new file, with the content of one that the package brings, or empty.
fn copy(files: &mut Vec<PackagedFile>, source: Option<&str>, path: &str) {
    let content = match source {
        None => Some(crate::content::Content::of(b"")),
        Some(source) => files
            .iter()
            .find(|file| file.path == Path::new(source))
            .and_then(|file| file.content.clone()),
    };
    if !files.iter().any(|file| file.path == Path::new(path)) {
        files.push(PackagedFile {
            content,
            ..made(Path::new(path), FileKind::File, 0o644)
        });
    }
}

fn link(path: &str, target: &str) -> PackagedFile {
    PackagedFile {
        target: Some(PathBuf::from(target)),
        ..made(Path::new(path), FileKind::Link, 0o777)
    }
}

/// Something that root makes, and that is kept if it is there already.
pub fn made(path: &Path, kind: FileKind, mode: u32) -> PackagedFile {
    PackagedFile {
        path: path.to_owned(),
        kind,
        attributes: Attributes {
            owner: Some("root".to_owned()),
            group: Some("root".to_owned()),
            mode: Some(mode),
        },
        content: None,
        target: None,
        modified: None,
        configuration: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(script: &str) -> (Vec<String>, bool) {
        let mut files = vec![made(Path::new("/etc/app"), FileKind::Directory, 0o755)];
        let deeds = follow(&[script], &mut files);
        let shown = files
            .iter()
            .map(|file| {
                let Attributes { owner, group, mode } = &file.attributes;
                let name = |name: &Option<String>| name.clone().unwrap_or_default();
                let path = file.path.display();
                format!(
                    "{path} {}:{} {:o}",
                    name(owner),
                    name(group),
                    mode.unwrap_or(0)
                )
            })
            .collect();
        (shown, deeds.obscure)
    }

    #[test]
    fn what_is_done_to_files_is_followed() {
        let script = "
            chown app:adm /etc/app
            chmod 750 /etc/app
            mkdir -p /var/www/html
            ln -s /etc/app/available /etc/app/enabled
        ";
        let (files, obscure) = followed(script);
        assert_eq!(
            files,
            [
                "/etc/app app:adm 750",
                "/var root:root 755",
                "/var/www root:root 755",
                "/var/www/html root:root 755",
                "/etc/app/enabled root:root 777",
            ]
        );
        assert!(!obscure);
    }

    #[test]
    fn a_purge_wipes_what_the_script_removes() {
        let script = r#"
            if [ "$1" = "remove" ]; then rm -f /run/app/flag; fi
            case "$1" in
              purge)
                rm -rf /var/log/app /etc "$UNKNOWN"
              ;;
            esac
        "#;
        assert_eq!(wiped_by(script), [Path::new("/var/log/app")]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for script in [
            "pg_createcluster 15 main",
            "chown app \"$CONFIGURED\"",
            "echo text > /etc/app/file",
            "chmod g+w /etc/app",
            "mv /etc/app/a /etc/app/b",
        ] {
            assert!(followed(script).1, "{script}");
        }
        assert!(!followed("systemctl --system daemon-reload >/dev/null || true").1);
    }
}
