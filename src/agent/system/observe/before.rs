//! What is there before an effect.

use std::collections::BTreeMap;
use std::path::Path;

use crate::effect::{Account, Before, Effect, Scope};
use crate::module::Result;
use crate::password::PasswordHash;
use crate::system::{FileKind, Found, Group, Reads, User};

/// What is there before an effect.
pub fn before(effect: &Effect, reads: &dyn Reads) -> Result<Before> {
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

/// What is at a path.
pub fn file(path: &Path, reads: &dyn Reads) -> Result<Before> {
    let stat = match reads.stat(path)? {
        Found::Absent => return Ok(Before::Absent),
        Found::Unknown(origin) => return Ok(Before::Unknown(origin)),
        Found::Present(stat) => stat,
    };
    let sha256 = match stat.kind {
        FileKind::File => match reads.content_at(path)? {
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
fn supplementary_groups(user: &str, groups: &[Group]) -> Vec<String> {
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
