//! Every effect as one readable line, in the imperative.
//!
//! What a command reads and the values of its variables are never shown: they
//! are where passwords travel. Neither is the hash of an account's password.

use std::collections::BTreeSet;
use std::path::Path;

use crate::content::Content;
use crate::effect::{
    Account, Attributes, Command, Effect, InstallOptions, PackageRequest, Scope, UnitAction,
};
use crate::http::HttpRequest;
use crate::mark;
use crate::resource::ResourceChange;

impl Effect {
    /// The effect as one line, such as `write /etc/motd (12 B, root:root 0644)`.
    pub fn describe(&self) -> String {
        mark::show(&self.line()).into_owned()
    }

    fn line(&self) -> String {
        match self {
            Self::WriteFile {
                path,
                content,
                attributes,
                backup,
                validate,
            } => write_file(path, content, attributes, backup.as_deref(), validate),
            Self::SetAttributes { path, attributes } => {
                format!("set {} on {}", attributes.describe(), path.display())
            }
            Self::MakeDirectory { path, attributes } => {
                let notes = Notes::default().add(attributes.describe());
                format!("make directory {}{notes}", path.display())
            }
            Self::Remove { path } => format!("remove {}", path.display()),
            Self::Link { path, target } => {
                format!("link {} -> {}", path.display(), target.display())
            }
            Self::HardLink { path, target } => {
                format!("hard-link {} to {}", path.display(), target.display())
            }
            Self::Touch { path } => format!("touch {}", path.display()),
            Self::UpdatePackageLists { .. } => "update the package lists".into(),
            Self::InstallPackages { packages, options } => install(packages, options),
            Self::RemovePackages { names, options } => {
                remove_packages(names, options.purge, options.autoremove)
            }
            Self::ChangeUnit {
                unit,
                action,
                scope,
                no_block,
            } => change_unit(unit, *action, scope, *no_block),
            Self::ReloadUnitFiles { scope } => format!("reload the unit files{}", of(scope)),
            Self::AddUser { name, account } => format!("add user {name}{}", account.notes()),
            Self::ChangeUser { name, account } => {
                format!("change user {name}{}", account.notes())
            }
            Self::RemoveUser {
                name,
                remove_home,
                force,
            } => remove_user(name, *remove_home, *force),
            Self::AddGroup {
                name, gid, system, ..
            } => {
                let notes = Notes::default()
                    .add_some(gid.map(|gid| format!("gid {gid}")))
                    .add_if(*system, "system");
                format!("add group {name}{notes}")
            }
            Self::ChangeGroup { name, gid, .. } => format!("change group {name} to gid {gid}"),
            Self::RemoveGroup { name, .. } => format!("remove group {name}"),
            Self::WriteCrontab { user, content } => write_crontab(user, content.as_deref()),
            Self::ChangeResource(change) => change_resource(change),
            Self::SetKernelParameter { name, value } => {
                format!("set the kernel's {name} to {value}")
            }
            Self::SetHostname { name } => format!("name the running host {name}"),
            Self::Download {
                request,
                path,
                attributes,
                backup,
                ..
            } => download(request, path, attributes, backup.as_deref()),
            Self::SendRequest { request } => send_request(request),
            Self::RunCommand { command, .. } => command.describe(),
        }
    }
}

impl Attributes {
    /// Owner, group and mode as far as given, such as `root:adm 0640`.
    pub fn describe(&self) -> String {
        let owner = match (&self.owner, &self.group) {
            (Some(owner), Some(group)) => Some(format!("{owner}:{group}")),
            (Some(owner), None) => Some(format!("owner {owner}")),
            (None, Some(group)) => Some(format!("group {group}")),
            (None, None) => None,
        };
        let mode = self.mode.map(|mode| format!("{mode:04o}"));
        let parts: Vec<_> = owner.into_iter().chain(mode).collect();
        parts.join(" ")
    }
}

impl UnitAction {
    /// What is done, as a verb.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Mask => "mask",
            Self::Unmask => "unmask",
        }
    }
}

impl Command {
    /// The command as one line: `run`, the words as a shell would need them,
    /// and how it runs, without any value it is given in secret.
    pub fn describe(&self) -> String {
        let variables: Vec<_> = self.environment.keys().map(String::as_str).collect();
        let notes = Notes::default()
            .add_some(
                self.directory
                    .as_ref()
                    .map(|path| format!("in {}", path.display())),
            )
            .add_some(self.user.as_ref().map(|user| format!("as {user}")))
            .add_if(self.input.is_some(), "with input")
            .add_some(
                (!variables.is_empty()).then(|| format!("with {} set", variables.join(", "))),
            );
        format!("run `{}`{notes}", shell_words(&self.argv))
    }
}

impl Account {
    fn notes(&self) -> Notes {
        let groups = self.groups.as_ref().map(|groups| match groups.as_slice() {
            [] => "no further groups".into(),
            groups => format!("groups {}", groups.join(" ")),
        });
        let home = self.home.as_ref().map(|home| match self.create_home {
            true => format!("create home {}", home.display()),
            false => format!("home {}", home.display()),
        });
        let locked = self.locked.map(|locked| match locked {
            true => "lock password",
            false => "unlock password",
        });
        let expires = self.expires.map(|day| match day {
            ..0 => "never expires".into(),
            day => format!("expires on day {day} since 1970-01-01"),
        });
        Notes::default()
            .add_some(self.uid.map(|uid| format!("uid {uid}")))
            .add_some(self.group.as_ref().map(|group| format!("group {group}")))
            .add_some(groups)
            .add_some(self.comment.as_ref().map(|text| format!("comment {text}")))
            .add_some(home)
            .add_if(self.home.is_none() && self.create_home, "create home")
            .add_some(self.shell.as_ref().map(|shell| format!("shell {shell}")))
            .add_if(self.password.is_some(), "set password")
            .add_some(locked)
            .add_if(self.system, "system")
            .add_some(expires)
    }
}

/// A number of bytes for people: `317 B`, `1.2 kB`, `3.0 MB`.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be rounded up to 1000.0.
    while amount >= 999.95 && unit + 1 < units.len() {
        amount /= 1000.0;
        unit += 1;
    }
    format!("{amount:.1} {}", units[unit])
}

/// Words as one line that a shell would read back as the same words.
pub fn shell_words(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| quote(&mark::show(word))).collect();
    quoted.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Remarks in brackets after a line; nothing when there are none.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn add(mut self, note: impl Into<String>) -> Self {
        let note = note.into();
        if !note.is_empty() {
            self.0.push(note);
        }
        self
    }

    fn add_some(self, note: Option<impl Into<String>>) -> Self {
        match note {
            Some(note) => self.add(note),
            None => self,
        }
    }

    fn add_if(self, given: bool, note: &str) -> Self {
        self.add_some(given.then_some(note))
    }
}

impl std::fmt::Display for Notes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.0.join(", "))
    }
}

fn write_file(
    path: &Path,
    content: &Content,
    attributes: &Attributes,
    backup: Option<&Path>,
    validate: &Option<Vec<String>>,
) -> String {
    // The size of a text with unknown parts is not known either.
    let secrets = mark::secrets(content.text.as_deref().unwrap_or(""));
    let secrets: BTreeSet<&str> = secrets.map(mark::shown_name).collect();
    let amount = match (content.unknown_origin(), secrets.len()) {
        (Some(_), _) => "size known after apply".into(),
        (None, 0) => size(content.size),
        (None, count) => {
            let noun = if count == 1 { "secret" } else { "secrets" };
            let names: Vec<&str> = secrets.into_iter().collect();
            format!("with the {noun} {}", names.join(", "))
        }
    };
    let notes = Notes::default()
        .add(amount)
        .add(attributes.describe())
        .add_some(backup.map(|path| format!("backup in {}", path.display())))
        .add_some(
            validate
                .as_ref()
                .map(|words| format!("validated by `{}`", shell_words(words))),
        );
    format!("write {}{notes}", path.display())
}

fn download(
    request: &HttpRequest,
    path: &Path,
    attributes: &Attributes,
    backup: Option<&Path>,
) -> String {
    let notes = Notes::default()
        .add(attributes.describe())
        .add_some(backup.map(|path| format!("backup in {}", path.display())));
    format!("download {} to {}{notes}", request.url, path.display())
}

/// Neither headers nor the body are shown: they are where tokens travel.
fn send_request(request: &HttpRequest) -> String {
    let notes = Notes::default()
        .add_if(request.body.is_some(), "with a body")
        .add_some(request.user.as_ref().map(|user| format!("as {user}")));
    format!("send {} {}{notes}", request.method, request.url)
}

fn install(packages: &[PackageRequest], options: &InstallOptions) -> String {
    let names: Vec<_> = packages
        .iter()
        .map(|package| match &package.version {
            Some(version) => format!("{}={version}", package.name),
            None => package.name.clone(),
        })
        .collect();
    let recommends = options.recommends.map(|wanted| match wanted {
        true => "with recommended packages",
        false => "without recommended packages",
    });
    let release = options.default_release.as_ref();
    let notes = Notes::default()
        .add_some(recommends)
        .add_if(options.allow_downgrade, "downgrade allowed")
        .add_some(release.map(|release| format!("from {release}")));
    format!("install {}{notes}", names.join(", "))
}

fn remove_packages(names: &[String], purge: bool, autoremove: bool) -> String {
    let verb = if purge { "purge" } else { "remove" };
    let noun = if names.len() == 1 {
        "package"
    } else {
        "packages"
    };
    let notes = Notes::default().add_if(autoremove, "and what nothing needs any more");
    // Automatic removal alone has no names.
    if names.is_empty() {
        return format!("{verb} packages{notes}");
    }
    format!("{verb} {noun} {}{notes}", names.join(", "))
}

fn change_unit(unit: &str, action: UnitAction, scope: &Scope, no_block: bool) -> String {
    let notes = Notes::default().add_if(no_block, "without waiting");
    format!("{} {unit}{}{notes}", action.verb(), of(scope))
}

fn of(scope: &Scope) -> String {
    match scope {
        Scope::System => String::new(),
        Scope::User(name) => format!(" of user {name}"),
        Scope::Global => " for all users".into(),
    }
}

fn remove_user(name: &str, remove_home: bool, force: bool) -> String {
    let notes = Notes::default()
        .add_if(remove_home, "with home and mail")
        .add_if(force, "even while logged in");
    format!("remove user {name}{notes}")
}

fn write_crontab(user: &str, content: Option<&str>) -> String {
    match content {
        None => format!("remove the crontab of {user}"),
        Some(content) => match content.lines().count() {
            1 => format!("write the crontab of {user} (1 line)"),
            lines => format!("write the crontab of {user} ({lines} lines)"),
        },
    }
}

fn change_resource(change: &ResourceChange) -> String {
    let verb = match (&change.before, &change.after) {
        (_, None) => "remove",
        (None, Some(_)) => "add",
        (Some(_), Some(_)) => "change",
    };
    let notes = Notes::default().add(change.command.describe());
    format!("{verb} {}{notes}", change.resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> Attributes {
        Attributes {
            owner: Some("root".into()),
            group: Some("root".into()),
            mode: Some(0o644),
        }
    }

    #[test]
    fn a_file_is_described_with_size_owner_and_mode() {
        let effect = Effect::WriteFile {
            path: "/etc/haproxy/haproxy.cfg".into(),
            content: Content::of(&[b'x'; 1234]),
            attributes: attributes(),
            backup: None,
            validate: None,
        };
        assert_eq!(
            effect.describe(),
            "write /etc/haproxy/haproxy.cfg (1.2 kB, root:root 0644)"
        );
    }

    #[test]
    fn the_size_of_an_unknown_content_is_not_claimed() {
        let effect = Effect::WriteFile {
            path: "/etc/token".into(),
            content: Content::of(mark::unknown("stdout of `id`").as_bytes()),
            attributes: Attributes::default(),
            backup: Some("/etc/token.1".into()),
            validate: Some(vec!["check".into(), "%s".into()]),
        };
        assert_eq!(
            effect.describe(),
            "write /etc/token (size known after apply, backup in /etc/token.1, \
             validated by `check %s`)"
        );
    }

    #[test]
    fn the_size_of_a_secret_is_not_told() {
        let effect = Effect::WriteFile {
            path: "/etc/token".into(),
            content: Content::of(format!("{}\n", mark::secret("token#1")).as_bytes()),
            attributes: attributes(),
            backup: None,
            validate: None,
        };
        assert_eq!(
            effect.describe(),
            "write /etc/token (with the secret token, root:root 0644)"
        );
    }

    #[test]
    fn a_command_is_quoted_and_keeps_its_secrets() {
        let mut command = Command::new(["sh", "-c", "echo 'a b'", ""]);
        command.input = Some("hunter2".into());
        command.environment.insert("TOKEN".into(), "hunter2".into());
        command.user = Some("postgres".into());
        assert_eq!(
            Effect::RunCommand {
                command,
                creates: None,
                removes: None
            }
            .describe(),
            r"run `sh -c 'echo '\''a b'\''' ''` (as postgres, with input, with TOKEN set)"
        );
    }

    #[test]
    fn marks_are_shown_as_a_phrase() {
        let command = Command::new(["kill".to_owned(), mark::unknown("stdout of `pgrep x`")]);
        assert_eq!(command.describe(), "run `kill '(known after apply)'`");
        let effect = Effect::Remove {
            path: mark::unknown("x").into(),
        };
        assert_eq!(effect.describe(), "remove (known after apply)");
    }

    #[test]
    fn a_password_is_named_only() {
        let account = Account {
            uid: Some(1001),
            groups: Some(vec!["docker".into(), "sudo".into()]),
            password: Some(crate::password::PasswordHash::new("$6$secret")),
            ..Account::default()
        };
        let effect = Effect::AddUser {
            name: "deploy".into(),
            account,
        };
        assert_eq!(
            effect.describe(),
            "add user deploy (uid 1001, groups docker sudo, set password)"
        );
    }

    #[test]
    fn packages_and_units_read_as_one_would_say_it() {
        let install = Effect::InstallPackages {
            packages: vec![
                PackageRequest {
                    name: "haproxy".into(),
                    version: None,
                },
                PackageRequest {
                    name: "curl".into(),
                    version: Some("7.88".into()),
                },
            ],
            options: InstallOptions {
                recommends: Some(false),
                ..InstallOptions::default()
            },
        };
        let reload = Effect::ChangeUnit {
            unit: "haproxy.service".into(),
            action: UnitAction::Reload,
            scope: Scope::User("deploy".into()),
            no_block: true,
        };
        assert_eq!(
            install.describe(),
            "install haproxy, curl=7.88 (without recommended packages)"
        );
        assert_eq!(
            reload.describe(),
            "reload haproxy.service of user deploy (without waiting)"
        );
    }

    #[test]
    fn sizes_change_their_unit_in_time() {
        let shown = [0, 999, 1000, 1_250_000, 999_960].map(size);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "1.2 MB", "1.0 MB"]);
    }
}
