//! What would take an effect back.

use std::path::Path;

use super::before::file;
use crate::effect::{
    Account, Attributes, Before, Effect, InstallOptions, Inverse, PackageRequest, RemoveOptions,
    Scope, UnitAction,
};
use crate::module::Result;
use crate::system::Reads;

/// How long an inverse waits for another package manager, in seconds.
const LOCK_TIMEOUT: u32 = 60;

/// What would take an effect back, where `before` is known.
pub fn inverse(effect: &Effect, before: &Before, reads: &dyn Reads) -> Result<Inverse> {
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
        // What is there already stays: a directory is then a failure, and a
        // touch only moves its time.
        Effect::MakeDirectory { path, .. } | Effect::Touch { path } => match before {
            Before::Absent => one(Effect::Remove { path: path.clone() }),
            _ => Inverse::Nothing,
        },
        Effect::SetAttributes { path, .. } => match before {
            Before::File { attributes, .. } => one(Effect::SetAttributes {
                path: path.clone(),
                attributes: attributes.clone(),
            }),
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
        Effect::AddUser { name, account } => one(Effect::RemoveUser {
            name: name.clone(),
            remove_home: account.create_home,
            force: false,
        }),
        Effect::ChangeUser { name, account } if account.password.is_some() => {
            Inverse::None(format!("The old password of {name} is not kept."))
        }
        Effect::ChangeUser { name, account } => match before {
            Before::User(before) => one(Effect::ChangeUser {
                name: name.clone(),
                account: Account {
                    create_home: account.create_home,
                    ..before.clone()
                },
            }),
            _ => Inverse::Nothing,
        },
        Effect::RemoveUser {
            name, remove_home, ..
        } => restore_user(name, *remove_home, before),
        Effect::AddGroup { name, .. } => one(Effect::RemoveGroup {
            name: name.clone(),
            force: false,
        }),
        Effect::ChangeGroup { name, .. } | Effect::RemoveGroup { name, .. } => match before {
            Before::Group(gid) => one(restore_group(effect, name, *gid)),
            _ => Inverse::Nothing,
        },
        Effect::WriteCrontab { user, .. } => one(Effect::WriteCrontab {
            user: user.clone(),
            content: match before {
                Before::Crontab(table) => Some(table.clone()),
                _ => None,
            },
        }),
        Effect::ChangeResource(change) => match change.inverse() {
            Some(inverse) => one(Effect::ChangeResource(inverse)),
            None => Inverse::None(format!("What {} was like is not kept.", change.resource)),
        },
        Effect::SetKernelParameter { name, .. } => match before {
            Before::KernelParameter(value) => one(Effect::SetKernelParameter {
                name: name.clone(),
                value: value.clone(),
            }),
            _ => Inverse::Nothing,
        },
        Effect::SetHostname { .. } => match before {
            Before::Hostname(name) => one(Effect::SetHostname { name: name.clone() }),
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
        return Ok(one(Effect::Remove {
            path: path.to_owned(),
        }));
    };
    Ok(match (kind.as_str(), target) {
        ("file", _) => match reads.content_at(path)?.present() {
            Some(content) => one(Effect::WriteFile {
                path: path.to_owned(),
                content,
                attributes: attributes.clone(),
                backup: None,
                validate: None,
            }),
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
    one(Effect::MakeDirectory {
        path: path.to_owned(),
        attributes: attributes.clone(),
    })
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
    one(Effect::ChangeUnit {
        unit: unit.to_owned(),
        action: back,
        scope: scope.clone(),
        no_block: false,
    })
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
        Before::User(account) => one(Effect::AddUser {
            name: name.to_owned(),
            account: account.clone(),
        }),
        _ => Inverse::Nothing,
    }
}

fn one(effect: Effect) -> Inverse {
    Inverse::Effects(vec![effect])
}
