//! What is there before an effect, and what would take the effect back. Both
//! are found through reads alone, so they are the same in every world.

use std::collections::BTreeMap;
use std::path::Path;

use super::{FileKind, Found, Group, Reads, User, visible};
use crate::effect::{
    Account, Attributes, Before, Effect, InstallOptions, Inverse, PackageRequest, Record,
    RemoveOptions, Scope, UnitAction,
};
use crate::mark;
use crate::module::Result;
use crate::password::PasswordHash;
use crate::veil;

/// How long an inverse waits for another package manager, in seconds.
const LOCK_TIMEOUT: u32 = 60;

/// The effect with what is there before it and its inverse.
pub fn record(effect: Effect, reads: &dyn Reads) -> Result<Record> {
    visible::check_effect(&effect)?;
    let before = before(&effect, reads)?;
    let (before, inverse) = match before {
        Before::Unknown(reason) => (Before::Unknown(reason.clone()), Inverse::None(reason)),
        known if replaces_secret(&effect, &known, reads)? => (
            without_content(known),
            Inverse::None("What stood in the place of a secret is not kept.".to_owned()),
        ),
        known => {
            let inverse = inverse(&effect, &known, reads)?;
            (known, inverse)
        }
    };
    Ok(Record {
        effect,
        before,
        inverse,
    })
}

/// Whether what is there may hold an older value of a secret: then it is
/// neither told nor written down.
fn replaces_secret(effect: &Effect, before: &Before, reads: &dyn Reads) -> Result<bool> {
    let secrets = reads.secrets();
    Ok(match (effect, before) {
        (Effect::WriteFile { path, content, .. }, Before::File { kind, .. })
            if content.has_secret() && kind == FileKind::File.name() =>
        {
            let found = reads.content(path)?.present();
            let found = found.map(|content| secrets.canonical_content(&content));
            let text = found.as_ref().and_then(|content| content.text.as_deref());
            let new = content.text.as_deref().unwrap_or_default();
            veil::hides(text, &secrets.canonical(new))
        }
        (
            Effect::WriteCrontab {
                content: Some(new), ..
            },
            Before::Crontab(old),
        ) => veil::hides(Some(&secrets.canonical(old)), &secrets.canonical(new)),
        _ => false,
    })
}

fn without_content(before: Before) -> Before {
    match before {
        Before::File {
            kind,
            attributes,
            target,
            ..
        } => Before::File {
            kind,
            attributes,
            sha256: None,
            target,
        },
        Before::Crontab(_) => Before::Crontab(mark::hidden()),
        other => other,
    }
}

fn before(effect: &Effect, reads: &dyn Reads) -> Result<Before> {
    match effect {
        Effect::WriteFile { path, .. }
        | Effect::SetAttributes { path, .. }
        | Effect::MakeDirectory { path, .. }
        | Effect::Remove { path }
        | Effect::Link { path, .. }
        | Effect::HardLink { path, .. }
        | Effect::Touch { path }
        | Effect::Download { path, .. } => file(path, reads),
        Effect::InstallPackages { packages, .. } => {
            let names: Vec<String> = packages
                .iter()
                .map(|package| package.name.clone())
                .collect();
            versions(&names, reads)
        }
        Effect::RemovePackages { names, .. } => versions(names, reads),
        Effect::ChangeUnit {
            unit: name, scope, ..
        } => unit(name, scope, reads),
        Effect::AddUser { name, .. }
        | Effect::ChangeUser { name, .. }
        | Effect::RemoveUser { name, .. } => account(name, reads),
        Effect::AddGroup { name, .. }
        | Effect::ChangeGroup { name, .. }
        | Effect::RemoveGroup { name, .. } => group(name, reads),
        Effect::WriteCrontab { user, .. } => crontab(user, reads),
        Effect::UpdatePackageLists { .. } => {
            Ok(Before::Unknown("Older package lists are not kept.".into()))
        }
        Effect::ReloadUnitFiles { .. } => Ok(Before::Absent),
        Effect::ChangeResource(change) => Ok(match &change.before {
            Some(properties) => Before::Resource(properties.clone()),
            None => Before::Absent,
        }),
        Effect::SetKernelParameter { name, .. } => kernel_parameter(name, reads),
        Effect::SetHostname { .. } => hostname(reads),
        Effect::SendRequest { .. } => Ok(Before::Unknown(
            "What a request changes is not known.".into(),
        )),
        Effect::RunCommand { .. } => Ok(Before::Unknown(
            "What a command changes is not known.".into(),
        )),
    }
}

fn file(path: &Path, reads: &dyn Reads) -> Result<Before> {
    let stat = match reads.stat(path)? {
        Found::Absent => return Ok(Before::Absent),
        Found::Unknown(origin) => return Ok(Before::Unknown(origin)),
        Found::Present(stat) => stat,
    };
    let sha256 = match stat.kind {
        FileKind::File => match reads.content(path)? {
            Found::Unknown(origin) => return Ok(Before::Unknown(origin)),
            content => content.present().map(|content| content.sha256),
        },
        _ => None,
    };
    Ok(Before::File {
        kind: stat.kind.name().to_owned(),
        attributes: stat.attributes(),
        sha256,
        target: stat.target,
    })
}

fn versions(names: &[String], reads: &dyn Reads) -> Result<Before> {
    let mut installed = reads.installed(names)?;
    let versions: BTreeMap<_, _> = names
        .iter()
        .map(|name| (name.clone(), installed.remove(name)))
        .collect();
    Ok(Before::Packages(versions))
}

fn unit(name: &str, scope: &Scope, reads: &dyn Reads) -> Result<Before> {
    Ok(match reads.unit(name, scope)? {
        Found::Absent => Before::Absent,
        Found::Unknown(origin) => Before::Unknown(origin),
        Found::Present(unit) => Before::Unit {
            active: unit.active,
            enabled: unit.enabled(),
            masked: unit.masked(),
        },
    })
}

fn account(name: &str, reads: &dyn Reads) -> Result<Before> {
    let Some(user) = reads.users()?.into_iter().find(|user| user.name == name) else {
        return Ok(Before::Absent);
    };
    let groups = supplementary_groups(name, &reads.groups()?);
    Ok(Before::User(account_of(user, groups)))
}

fn account_of(user: User, groups: Vec<String>) -> Account {
    Account {
        uid: user.uid,
        group: Some(user.group),
        groups: Some(groups),
        comment: Some(user.comment),
        home: Some(user.home),
        create_home: false,
        shell: Some(user.shell),
        // The hash stays on the host: a plan or journal must not carry it.
        password: None,
        locked: user.password.as_ref().and_then(PasswordHash::locked),
        system: false,
        expires: user.expires.or(Some(-1)),
        non_unique: true,
    }
}

/// The groups that list `user` as a member.
pub fn supplementary_groups(user: &str, groups: &[Group]) -> Vec<String> {
    let lists_user = |group: &&Group| group.members.iter().any(|member| member == user);
    groups
        .iter()
        .filter(lists_user)
        .map(|group| group.name.clone())
        .collect()
}

fn group(name: &str, reads: &dyn Reads) -> Result<Before> {
    let group = reads.groups()?.into_iter().find(|group| group.name == name);
    Ok(match group.map(|group| group.gid) {
        None => Before::Absent,
        Some(None) => Before::Unknown(format!("The number of group {name} is not known yet.")),
        Some(Some(gid)) => Before::Group(gid),
    })
}

fn crontab(user: &str, reads: &dyn Reads) -> Result<Before> {
    Ok(match reads.crontab(user)? {
        Found::Absent => Before::Absent,
        Found::Unknown(origin) => Before::Unknown(origin),
        Found::Present(table) => Before::Crontab(table),
    })
}

fn kernel_parameter(name: &str, reads: &dyn Reads) -> Result<Before> {
    Ok(match reads.kernel_parameter(name)? {
        Found::Absent => Before::Absent,
        Found::Unknown(origin) => Before::Unknown(origin),
        Found::Present(parameter) => Before::KernelParameter(parameter.value),
    })
}

fn hostname(reads: &dyn Reads) -> Result<Before> {
    Ok(match reads.hostname()? {
        Found::Absent => Before::Absent,
        Found::Unknown(origin) => Before::Unknown(origin),
        Found::Present(name) => Before::Hostname(name),
    })
}

fn inverse(effect: &Effect, before: &Before, reads: &dyn Reads) -> Result<Inverse> {
    Ok(match effect {
        Effect::Remove { .. } if *before == Before::Absent => Inverse::Nothing,
        Effect::WriteFile {
            path,
            backup: Some(backup),
            ..
        }
        | Effect::Download {
            path,
            backup: Some(backup),
            ..
        } if *before != Before::Absent => {
            let kept = restore_file(backup, &file(backup, reads)?, reads)?;
            both(restore_file(path, before, reads)?, kept)
        }
        Effect::WriteFile { path, .. }
        | Effect::Download { path, .. }
        | Effect::Remove { path }
        | Effect::Link { path, .. }
        | Effect::HardLink { path, .. } => restore_file(path, before, reads)?,
        // What is there already is not replaced: the effect fails.
        Effect::MakeDirectory { path, .. } => match before {
            Before::Absent => Inverse::Effects(vec![Effect::Remove { path: path.clone() }]),
            _ => Inverse::Nothing,
        },
        Effect::SetAttributes { path, .. } => match before {
            Before::File { attributes, .. } => Inverse::Effects(vec![Effect::SetAttributes {
                path: path.clone(),
                attributes: attributes.clone(),
            }]),
            _ => Inverse::Nothing,
        },
        Effect::Touch { path } => match before {
            Before::Absent => Inverse::Effects(vec![Effect::Remove { path: path.clone() }]),
            _ => Inverse::Nothing,
        },
        Effect::InstallPackages { .. } | Effect::RemovePackages { .. } => restore_packages(before),
        Effect::ChangeUnit {
            unit,
            action,
            scope,
            ..
        } => restore_unit(unit, *action, scope, before),
        Effect::ReloadUnitFiles { .. } | Effect::UpdatePackageLists { .. } => Inverse::Nothing,
        Effect::AddUser { name, account } => Inverse::Effects(vec![Effect::RemoveUser {
            name: name.clone(),
            remove_home: account.create_home,
            force: false,
        }]),
        Effect::ChangeUser { name, account } if account.password.is_some() => {
            Inverse::None(format!("The old password of {name} is not kept."))
        }
        Effect::ChangeUser { name, account } => match before {
            Before::User(before) => Inverse::Effects(vec![Effect::ChangeUser {
                name: name.clone(),
                account: Account {
                    create_home: account.create_home,
                    ..before.clone()
                },
            }]),
            _ => Inverse::Nothing,
        },
        Effect::RemoveUser {
            name, remove_home, ..
        } => restore_user(name, *remove_home, before),
        Effect::AddGroup { name, .. } => Inverse::Effects(vec![Effect::RemoveGroup {
            name: name.clone(),
            force: false,
        }]),
        Effect::ChangeGroup { name, .. } | Effect::RemoveGroup { name, .. } => match before {
            Before::Group(gid) => Inverse::Effects(vec![restore_group(effect, name, *gid)]),
            _ => Inverse::Nothing,
        },
        Effect::WriteCrontab { user, .. } => Inverse::Effects(vec![Effect::WriteCrontab {
            user: user.clone(),
            content: match before {
                Before::Crontab(table) => Some(table.clone()),
                _ => None,
            },
        }]),
        Effect::ChangeResource(change) => match change.inverse() {
            Some(inverse) => Inverse::Effects(vec![Effect::ChangeResource(inverse)]),
            None => Inverse::None(format!("What {} was like is not kept.", change.resource)),
        },
        Effect::SetKernelParameter { name, .. } => match before {
            Before::KernelParameter(value) => Inverse::Effects(vec![Effect::SetKernelParameter {
                name: name.clone(),
                value: value.clone(),
            }]),
            _ => Inverse::Nothing,
        },
        Effect::SetHostname { .. } => match before {
            Before::Hostname(name) => {
                Inverse::Effects(vec![Effect::SetHostname { name: name.clone() }])
            }
            _ => Inverse::Nothing,
        },
        Effect::SendRequest { .. } => {
            Inverse::None("What a request changes is not known.".to_owned())
        }
        Effect::RunCommand { .. } => {
            Inverse::None("What a command changes is not known.".to_owned())
        }
    })
}

/// One after the other; there is a way back only if both have one.
fn both(first: Inverse, second: Inverse) -> Inverse {
    match (first, second) {
        (Inverse::Effects(mut effects), Inverse::Effects(more)) => {
            effects.extend(more);
            Inverse::Effects(effects)
        }
        (Inverse::None(reason), _) | (_, Inverse::None(reason)) => Inverse::None(reason),
        (Inverse::Nothing, other) | (other, Inverse::Nothing) => other,
    }
}

fn restore_group(effect: &Effect, name: &str, gid: u32) -> Effect {
    match effect {
        Effect::RemoveGroup { .. } => Effect::AddGroup {
            name: name.to_owned(),
            gid: Some(gid),
            system: false,
            non_unique: true,
        },
        _ => Effect::ChangeGroup {
            name: name.to_owned(),
            gid,
            non_unique: true,
        },
    }
}

fn restore_file(path: &Path, before: &Before, reads: &dyn Reads) -> Result<Inverse> {
    let Before::File {
        kind,
        attributes,
        target,
        ..
    } = before
    else {
        return Ok(Inverse::Effects(vec![Effect::Remove {
            path: path.to_owned(),
        }]));
    };
    Ok(match (kind.as_str(), target) {
        ("file", _) => match reads.content(path)?.present() {
            Some(content) => Inverse::Effects(vec![Effect::WriteFile {
                path: path.to_owned(),
                content,
                attributes: attributes.clone(),
                backup: None,
                validate: None,
            }]),
            None => Inverse::None(format!(
                "The content of {} could not be read.",
                path.display()
            )),
        },
        ("link", Some(target)) => Inverse::Effects(vec![
            Effect::Link {
                path: path.to_owned(),
                target: target.clone(),
            },
            Effect::SetAttributes {
                path: path.to_owned(),
                attributes: Attributes {
                    mode: None,
                    ..attributes.clone()
                },
            },
        ]),
        ("directory", _) => restore_directory(path, &reads.list(path)?, attributes),
        _ => Inverse::None(format!(
            "{} is neither a file, a link nor a directory.",
            path.display()
        )),
    })
}

fn restore_directory(path: &Path, names: &[String], attributes: &Attributes) -> Inverse {
    if !names.is_empty() {
        return Inverse::None(format!("What is in {} is not kept.", path.display()));
    }
    Inverse::Effects(vec![Effect::MakeDirectory {
        path: path.to_owned(),
        attributes: attributes.clone(),
    }])
}

fn restore_packages(before: &Before) -> Inverse {
    let Before::Packages(versions) = before else {
        return Inverse::Nothing;
    };
    let absent: Vec<String> = versions
        .iter()
        .filter(|(_, version)| version.is_none())
        .map(|(name, _)| name.clone())
        .collect();
    let present: Vec<PackageRequest> = versions
        .iter()
        .filter_map(|(name, version)| {
            let version = Some(version.clone()?);
            Some(PackageRequest {
                name: name.clone(),
                version,
            })
        })
        .collect();
    let mut effects = Vec::new();
    if !absent.is_empty() {
        effects.push(Effect::RemovePackages {
            names: absent,
            options: RemoveOptions {
                purge: true,
                autoremove: true,
                lock_timeout: LOCK_TIMEOUT,
                ..RemoveOptions::default()
            },
        });
    }
    if !present.is_empty() {
        let options = InstallOptions {
            allow_downgrade: true,
            lock_timeout: LOCK_TIMEOUT,
            ..InstallOptions::default()
        };
        effects.push(Effect::InstallPackages {
            packages: present,
            options,
        });
    }
    Inverse::Effects(effects)
}

fn restore_unit(unit: &str, action: UnitAction, scope: &Scope, before: &Before) -> Inverse {
    let Before::Unit {
        active,
        enabled,
        masked,
    } = before
    else {
        return Inverse::Nothing;
    };
    let back = match action {
        UnitAction::Start if !active => UnitAction::Stop,
        UnitAction::Stop if *active => UnitAction::Start,
        UnitAction::Restart if !active => UnitAction::Stop,
        UnitAction::Enable if !enabled => UnitAction::Disable,
        UnitAction::Disable if *enabled => UnitAction::Enable,
        UnitAction::Mask if !masked => UnitAction::Unmask,
        UnitAction::Unmask if *masked => UnitAction::Mask,
        _ => return Inverse::Nothing,
    };
    Inverse::Effects(vec![Effect::ChangeUnit {
        unit: unit.to_owned(),
        action: back,
        scope: scope.clone(),
        no_block: false,
    }])
}

fn restore_user(name: &str, home_removed: bool, before: &Before) -> Inverse {
    if home_removed {
        return Inverse::None(format!("The home directory of {name} is not kept."));
    }
    match before {
        // It has a password that could be locked.
        Before::User(account) if account.locked.is_some() => {
            Inverse::None(format!("The password of {name} is not kept."))
        }
        Before::User(account) => Inverse::Effects(vec![Effect::AddUser {
            name: name.to_owned(),
            account: account.clone(),
        }]),
        _ => Inverse::Nothing,
    }
}
