//! What a package's script does on a first installation, as far as its
//! commands are understood.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::accounts::Accounts;
use super::services::Actions;
use super::shell::{self, Call};
use crate::effect::Attributes;
use crate::modules::Mode;
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

/// What a package's `postrm` does when it is purged.
#[derive(Debug, Default, PartialEq)]
pub struct Purge {
    /// What it removes, with all that is in it.
    pub paths: Vec<PathBuf>,
    /// Units whose links it removes.
    pub units: Vec<String>,
}

/// Follows a `postrm` through a purge.
pub fn purge(postrm: &str) -> Purge {
    let exists = |path: &str| Path::new(path).exists();
    let mut purge = Purge::default();
    for call in shell::commands(postrm, "purge", &exists) {
        let words: Vec<&str> = call.words.iter().map(String::as_str).collect();
        match words[..] {
            ["deb-systemd-helper", "purge", ref units @ ..] => {
                purge
                    .units
                    .extend(units.iter().map(|&unit| unit.to_owned()));
            }
            ["rm", ref paths @ ..] if call.certain => {
                let paths = paths.iter().filter(|path| is_own(path));
                purge.paths.extend(paths.map(PathBuf::from));
            }
            _ => {}
        }
    }
    purge
}

/// Whether a path is known, and may belong to one package alone: nothing
/// above the second level does.
fn is_own(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains(['$', '`', '*', '?', '['])
        && Path::new(path).components().count() > 2
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
        let edits = *program == "sed" && given.iter().any(|word| word.starts_with("-i"));
        return !call.writes && !edits;
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
    done(program, &options, &names, files)
}

/// Does to the files what a command does to the host's; no if it does more.
fn done(program: &str, options: &[&str], names: &[&str], files: &mut Vec<PackagedFile>) -> bool {
    let recursive = options.contains(&"-R") || options.contains(&"--recursive");
    match (program, names) {
        ("chown", [owner, paths @ ..]) => {
            paths
                .iter()
                .for_each(|path| own(files, path, owner, recursive));
        }
        ("chgrp", [group, paths @ ..]) => {
            let owner = format!(":{group}");
            paths
                .iter()
                .for_each(|path| own(files, path, &owner, recursive));
        }
        ("chmod", [mode, paths @ ..]) => {
            let mode = mode_of(mode);
            let mut all = true;
            for path in paths {
                all &= allow(files, path, &mode, recursive);
            }
            return all;
        }
        ("dpkg-statoverride", [owner, group, mode, path]) => {
            own(files, path, &format!("{owner}:{group}"), false);
            return allow(files, path, &mode_of(mode), false);
        }
        ("mkdir", paths) => paths.iter().for_each(|path| make_directories(files, path)),
        ("touch", paths) => paths.iter().for_each(|path| copy(files, None, path)),
        ("ln", [target, path]) if options.iter().any(|option| option.contains('s')) => {
            files.push(link(path, target));
        }
        ("cp" | "ucf", [source, path]) => copy(files, Some(source), path),
        _ => return false,
    }
    true
}

fn own(files: &mut [PackagedFile], path: &str, owner: &str, recursive: bool) {
    let (user, group) = match owner.split_once([':', '.']) {
        Some((user, "")) => (user, Some(user)),
        Some((user, group)) => (user, Some(group)),
        None => (owner, None),
    };
    for file in meant(files, path, recursive) {
        if !user.is_empty() {
            file.attributes.owner = Some(user.to_owned());
        }
        if let Some(group) = group {
            file.attributes.group = Some(group.to_owned());
        }
    }
}

fn mode_of(word: &str) -> Mode {
    match u32::from_str_radix(word, 8) {
        Ok(bits) => Mode::Octal(bits),
        Err(_) => Mode::Symbolic(word.to_owned()),
    }
}

/// Sets permissions; no if they cannot be made out.
fn allow(files: &mut [PackagedFile], path: &str, mode: &Mode, recursive: bool) -> bool {
    for file in meant(files, path, recursive) {
        let current = file.attributes.mode.unwrap_or(0);
        match mode.resolve(current, file.kind == FileKind::Directory) {
            Ok(bits) => file.attributes.mode = Some(bits),
            Err(_) => return false,
        }
    }
    true
}

fn meant<'a>(
    files: &'a mut [PackagedFile],
    path: &str,
    recursive: bool,
) -> impl Iterator<Item = &'a mut PackagedFile> {
    let path = PathBuf::from(path);
    files
        .iter_mut()
        .filter(move |file| file.path == path || recursive && file.path.starts_with(&path))
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
            chmod g+w,o= /etc/app
            mkdir -p /var/www/html
            ln -s /etc/app/available /etc/app/enabled
        ";
        let (files, obscure) = followed(script);
        assert_eq!(
            files,
            [
                "/etc/app app:adm 770",
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
                deb-systemd-helper purge 'app.service' >/dev/null || true
              ;;
            esac
        "#;
        let purge = purge(script);
        assert_eq!(purge.paths, [Path::new("/var/log/app")]);
        assert_eq!(purge.units, ["app.service"]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for script in [
            "pg_createcluster 15 main",
            "chown app \"$CONFIGURED\"",
            "echo text > /etc/app/file",
            "chmod g+rights /etc/app",
            "mv /etc/app/a /etc/app/b",
            "sed -i s/a/b/ /etc/app/file",
        ] {
            assert!(followed(script).1, "{script}");
        }
        assert!(!followed("systemctl --system daemon-reload >/dev/null || true").1);
    }
}
