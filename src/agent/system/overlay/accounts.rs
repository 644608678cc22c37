//! Users and groups in a dry run.

use std::path::Path;

use super::Overlay;
use super::pending::Entry;
use crate::effect::{Account, Attributes};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{FileKind, Group, Reads, User};

impl Overlay {
    pub(super) fn add_user(&mut self, name: &str, account: &Account) -> Result<()> {
        let mut users = self.users()?;
        if users.iter().any(|user| user.name == name) {
            return Err(Failure::new(format!("the user {name} exists already")));
        }
        let group = match &account.group {
            Some(group) => self.existing_group(group)?,
            None => self.own_group(name)?,
        };
        let home = account
            .home
            .clone()
            .unwrap_or_else(|| Path::new("/home").join(name));
        users.push(User {
            name: name.to_owned(),
            uid: account.uid,
            group: group.clone(),
            comment: account.comment.clone().unwrap_or_default(),
            home: home.clone(),
            shell: account
                .shell
                .clone()
                .unwrap_or_else(|| "/bin/sh".to_owned()),
            password: Some(password(account, "!")),
            expires: account.expires.filter(|day| *day >= 0),
        });
        self.pending.users = Some(users);
        self.join_groups(name, account)?;
        if account.create_home {
            let attributes = Attributes {
                owner: Some(name.to_owned()),
                group: Some(group),
                mode: Some(0o755),
            };
            let entry = Entry::new(FileKind::Directory, attributes, self.now());
            self.put(
                home,
                Entry {
                    fresh: true,
                    ..entry
                },
            );
        }
        Ok(())
    }

    pub(super) fn change_user(&mut self, name: &str, account: &Account) -> Result<()> {
        let group = account
            .group
            .as_deref()
            .map(|group| self.existing_group(group))
            .transpose()?;
        let mut users = self.users()?;
        let Some(user) = users.iter_mut().find(|user| user.name == name) else {
            return Err(Failure::new(format!("the user {name} does not exist")));
        };
        user.uid = account.uid.or(user.uid);
        user.group = group.unwrap_or_else(|| user.group.clone());
        user.comment = account
            .comment
            .clone()
            .unwrap_or_else(|| user.comment.clone());
        user.home = account.home.clone().unwrap_or_else(|| user.home.clone());
        user.shell = account.shell.clone().unwrap_or_else(|| user.shell.clone());
        let known = user.password.clone().unwrap_or_default();
        user.password = Some(password(account, &known));
        if let Some(day) = account.expires {
            user.expires = (day >= 0).then_some(day);
        }
        self.pending.users = Some(users);
        self.join_groups(name, account)
    }

    pub(super) fn remove_user(&mut self, name: &str, remove_home: bool) -> Result<()> {
        let mut users = self.users()?;
        let Some(index) = users.iter().position(|user| user.name == name) else {
            return Err(Failure::new(format!("the user {name} does not exist")));
        };
        let user = users.remove(index);
        let mut groups = self.groups()?;
        for group in &mut groups {
            group.members.retain(|member| member != name);
        }
        // userdel removes a group named like the user when nobody is left in it.
        let shared = users.iter().any(|other| other.group == name);
        groups.retain(|group| group.name != name || shared || !group.members.is_empty());
        self.pending.users = Some(users);
        self.pending.groups = Some(groups);
        if remove_home {
            self.remove(&user.home);
        }
        Ok(())
    }

    pub(super) fn add_group(&mut self, name: &str, gid: Option<u32>) -> Result<()> {
        let mut groups = self.groups()?;
        if groups.iter().any(|group| group.name == name) {
            return Err(Failure::new(format!("the group {name} exists already")));
        }
        groups.push(Group {
            name: name.to_owned(),
            gid,
            members: Vec::new(),
        });
        self.pending.groups = Some(groups);
        Ok(())
    }

    pub(super) fn change_group(&mut self, name: &str, gid: u32) -> Result<()> {
        let mut groups = self.groups()?;
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.gid = Some(gid),
            None => return Err(Failure::new(format!("the group {name} does not exist"))),
        }
        self.pending.groups = Some(groups);
        Ok(())
    }

    pub(super) fn remove_group(&mut self, name: &str) -> Result<()> {
        if let Some(user) = self.users()?.into_iter().find(|user| user.group == name) {
            return Err(Failure::new(format!(
                "the group {name} is the primary group of {}",
                user.name
            )));
        }
        let mut groups = self.groups()?;
        groups.retain(|group| group.name != name);
        self.pending.groups = Some(groups);
        Ok(())
    }

    /// Refuses an owner or group that the host would refuse.
    pub(super) fn need_accounts(&self, attributes: &Attributes) -> Result<()> {
        if let Some(owner) = &attributes.owner
            && owner.parse::<u32>().is_err()
        {
            self.need_user(owner)?;
        }
        if let Some(group) = &attributes.group {
            self.existing_group(group)?;
        }
        Ok(())
    }

    pub(super) fn need_user(&self, name: &str) -> Result<()> {
        match self.users()?.iter().any(|user| user.name == name) {
            true => Ok(()),
            false => self.expect_account("user", name),
        }
    }

    /// A group's name, given by name or number.
    fn existing_group(&self, group: &str) -> Result<String> {
        let groups = self.groups()?;
        if let Ok(number) = group.parse::<u32>() {
            let known = groups.into_iter().find(|known| known.gid == Some(number));
            return Ok(known.map_or_else(|| group.to_owned(), |known| known.name));
        }
        if !groups.iter().any(|known| known.name == group) {
            self.expect_account("group", group)?;
        }
        Ok(group.to_owned())
    }

    /// An account nobody has yet is what a pending package will bring, or an
    /// error, as it would be on the host.
    fn expect_account(&self, what: &str, name: &str) -> Result<()> {
        let opaque = &self.pending.opaque_packages;
        let named = opaque
            .iter()
            .find(|package| package.contains(name) || name.contains(*package));
        if let Some(package) = named.or_else(|| opaque.first()) {
            self.assume(&format!("The {what} {name} comes with package {package}."));
            return Ok(());
        }
        Err(Failure::new(format!("the {what} {name} does not exist"))
            .hint(format!("Add it first, with `{what}(\"{name}\")`.")))
    }

    /// useradd gives each user a group of the same name (USERGROUPS_ENAB).
    fn own_group(&mut self, name: &str) -> Result<String> {
        if self.groups()?.iter().any(|group| group.name == name) {
            return Err(Failure::new(format!(
                "the group {name} exists; to add the user to it, give `group: \"{name}\"`"
            )));
        }
        self.add_group(name, None)?;
        Ok(name.to_owned())
    }

    fn join_groups(&mut self, name: &str, account: &Account) -> Result<()> {
        let Some(wanted) = &account.groups else {
            return Ok(());
        };
        for group in wanted {
            self.existing_group(group)?;
        }
        let mut groups = self.groups()?;
        for group in &mut groups {
            let member = group.members.iter().position(|member| member == name);
            match (wanted.contains(&group.name), member) {
                (true, None) => group.members.push(name.to_owned()),
                (false, Some(index)) => drop(group.members.remove(index)),
                _ => {}
            }
        }
        self.pending.groups = Some(groups);
        Ok(())
    }
}

/// The shadow field afterwards: a locked password starts with `!`.
fn password(account: &Account, known: &str) -> String {
    let hash = account.password.as_deref().unwrap_or(known);
    match account.locked {
        Some(true) if !hash.starts_with('!') => format!("!{hash}"),
        Some(false) => hash.trim_start_matches('!').to_owned(),
        _ => hash.to_owned(),
    }
}
