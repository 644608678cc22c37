//! Users and groups in a dry run, as the tools of the passwd package change
//! them.

use std::path::{Path, PathBuf};

use super::Overlay;
use super::pending::Entry;
use crate::content::INLINE_LIMIT;
use crate::effect::{Account, Attributes};
use crate::module::Result;
use crate::outcome::Failure;
use crate::password::PasswordHash;
use crate::system::skeleton::{self, Defaults};
use crate::system::{AccountKind, FileKind, Found, Group, Reads, User};

impl Overlay {
    pub(super) fn add_user(&mut self, name: &str, account: &Account) -> Result<()> {
        let users = self.users()?;
        if users.iter().any(|user| user.name == name) {
            return Err(Failure::new(format!("the user {name} exists already")));
        }
        need_free_uid(&users, name, account)?;
        self.need_groups(account)?;
        let defaults = Defaults::read(self)?;
        let group = match &account.group {
            Some(group) => self.existing_group(group)?,
            None => self.default_group(name, &defaults)?,
        };
        let home = account.home.clone();
        let user = User {
            name: name.to_owned(),
            uid: account.uid,
            group,
            comment: account.comment.clone().unwrap_or_default(),
            home: home.unwrap_or_else(|| defaults.home.join(name)),
            shell: account.shell.clone().unwrap_or(defaults.shell),
            password: Some(password(account, &PasswordHash::new("!"))),
            expires: account.expires.filter(|day| *day >= 0),
        };
        // Adding a group may have changed nothing else.
        let mut users = self.users()?;
        users.push(user.clone());
        self.pending.gone_users.remove(name);
        self.pending.users = Some(users);
        self.join_groups(name, account)?;
        match account.create_home {
            true => self.create_home(&user),
            false => Ok(()),
        }
    }

    /// useradd leaves a home directory that is there as it is.
    fn create_home(&mut self, user: &User) -> Result<()> {
        if self.stat(&user.home)? != Found::Absent {
            return Ok(());
        }
        for effect in skeleton::home(user, self)? {
            self.predict(&effect)?;
        }
        Ok(())
    }

    pub(super) fn change_user(&mut self, name: &str, account: &Account) -> Result<()> {
        self.need_groups(account)?;
        let group = account
            .group
            .as_deref()
            .map(|group| self.existing_group(group))
            .transpose()?;
        let mut users = self.users()?;
        need_free_uid(&users, name, account)?;
        let Some(user) = users.iter_mut().find(|user| user.name == name) else {
            return Err(Failure::new(format!("the user {name} does not exist")));
        };
        let old_home = user.home.clone();
        user.uid = account.uid.or(user.uid);
        user.group = group.unwrap_or_else(|| user.group.clone());
        user.comment = account
            .comment
            .clone()
            .unwrap_or_else(|| user.comment.clone());
        user.home = account.home.clone().unwrap_or_else(|| user.home.clone());
        user.shell = account.shell.clone().unwrap_or_else(|| user.shell.clone());
        let known = user.password.clone();
        let known = known.unwrap_or_else(|| PasswordHash::new("!"));
        user.password = Some(password(account, &known));
        if let Some(day) = account.expires {
            user.expires = (day >= 0).then_some(day);
        }
        let new_home = user.home.clone();
        self.pending.users = Some(users);
        self.join_groups(name, account)?;
        match account.create_home && new_home != old_home {
            true => self.move_home(&old_home, &new_home),
            false => Ok(()),
        }
    }

    /// What large files hold is not read only to know it at another place.
    fn move_home(&mut self, old: &Path, new: &Path) -> Result<()> {
        if self.stat(new)? != Found::Absent {
            return Ok(());
        }
        let mut left = vec![PathBuf::new()];
        while let Some(inside) = left.pop() {
            let (from, to) = match inside.as_os_str().is_empty() {
                true => (old.to_owned(), new.to_owned()),
                false => (old.join(&inside), new.join(&inside)),
            };
            let Found::Present(stat) = self.stat(&from)? else {
                continue;
            };
            let mut entry = Entry::of(&stat);
            match stat.kind {
                FileKind::Directory => {
                    entry.fresh = true;
                    let names = self.list(&from)?;
                    left.extend(names.into_iter().map(|name| inside.join(name)));
                }
                FileKind::File if stat.size <= INLINE_LIMIT => {
                    entry.content = self.content(&from)?.present();
                }
                FileKind::File => entry.expected = Some(from.display().to_string()),
                FileKind::Link | FileKind::Other => {}
            }
            self.put(to, entry);
        }
        self.remove(old);
        Ok(())
    }

    pub(super) fn remove_user(&mut self, name: &str, remove_home: bool) -> Result<()> {
        let mut users = self.users()?;
        let Some(index) = users.iter().position(|user| user.name == name) else {
            return Err(Failure::new(format!("the user {name} does not exist")));
        };
        let user = users.remove(index);
        self.pending.gone_users.insert(name.to_owned());
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

    pub(super) fn add_group(
        &mut self,
        name: &str,
        gid: Option<u32>,
        non_unique: bool,
    ) -> Result<()> {
        let mut groups = self.groups()?;
        if groups.iter().any(|group| group.name == name) {
            return Err(Failure::new(format!("the group {name} exists already")));
        }
        need_free_gid(&groups, name, gid, non_unique)?;
        groups.push(Group {
            name: name.to_owned(),
            gid,
            members: Vec::new(),
        });
        self.pending.groups = Some(groups);
        Ok(())
    }

    pub(super) fn change_group(&mut self, name: &str, gid: u32, non_unique: bool) -> Result<()> {
        let mut groups = self.groups()?;
        need_free_gid(&groups, name, Some(gid), non_unique)?;
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.gid = Some(gid),
            None => return Err(Failure::new(format!("the group {name} does not exist"))),
        }
        self.pending.groups = Some(groups);
        Ok(())
    }

    pub(super) fn remove_group(&mut self, name: &str, force: bool) -> Result<()> {
        let primary = self.users()?.into_iter().find(|user| user.group == name);
        if let Some(user) = primary
            && !force
        {
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

    /// Refuses groups that useradd and usermod would refuse, before anything
    /// changes. A number will not do for them unless a group has it.
    fn need_groups(&self, account: &Account) -> Result<()> {
        let others = account.groups.iter().flatten();
        for group in account.group.iter().chain(others) {
            let name = self.existing_group(group)?;
            if name.parse::<u32>().is_ok() {
                self.expect_account(AccountKind::Group, &name)?;
            }
        }
        Ok(())
    }

    pub(super) fn need_user(&self, name: &str) -> Result<()> {
        match self.users()?.iter().any(|user| user.name == name) {
            true => Ok(()),
            false => self.expect_account(AccountKind::User, name),
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
            self.expect_account(AccountKind::Group, group)?;
        }
        Ok(group.to_owned())
    }

    /// An account that is in no file is known to a name service, is what a
    /// pending package will bring, or an error, as it would be on the host.
    fn expect_account(&self, kind: AccountKind, name: &str) -> Result<()> {
        if self.base.name_service_knows(name, kind)? {
            return Ok(());
        }
        let what = match kind {
            AccountKind::User => "user",
            AccountKind::Group => "group",
        };
        let opaque = self.opaque_packages();
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

    /// useradd gives each user a group of the same name (USERGROUPS_ENAB), but
    /// not one that is there already: it belongs to somebody else.
    fn default_group(&mut self, name: &str, defaults: &Defaults) -> Result<String> {
        let taken = self.groups()?.iter().any(|group| group.name == name);
        if taken || !defaults.own_groups {
            return self.existing_group(&defaults.group);
        }
        self.add_group(name, None, false)?;
        Ok(name.to_owned())
    }

    fn join_groups(&mut self, name: &str, account: &Account) -> Result<()> {
        let Some(wanted) = &account.groups else {
            return Ok(());
        };
        let mut groups = self.groups()?;
        for group in &mut groups {
            let member = group.members.iter().position(|member| member == name);
            match (wanted.contains(&group.name), member) {
                (true, None) => group.members.push(name.to_owned()),
                (false, Some(index)) => drop(group.members.remove(index)),
                _ => {}
            }
        }
        // One that is in no file yet comes with a package.
        for group in wanted {
            let is_number = group.parse::<u32>().is_ok();
            if !is_number && !groups.iter().any(|known| known.name == *group) {
                groups.push(Group {
                    name: group.clone(),
                    gid: None,
                    members: vec![name.to_owned()],
                });
            }
        }
        self.pending.groups = Some(groups);
        Ok(())
    }
}

fn need_free_uid(users: &[User], name: &str, account: &Account) -> Result<()> {
    let Some(uid) = account.uid else {
        return Ok(());
    };
    let other = |user: &&User| user.uid == Some(uid) && user.name != name;
    match users.iter().find(other) {
        Some(user) if !account.non_unique => Err(Failure::new(format!(
            "the user number {uid} belongs to {} already",
            user.name
        ))),
        _ => Ok(()),
    }
}

fn need_free_gid(groups: &[Group], name: &str, gid: Option<u32>, non_unique: bool) -> Result<()> {
    let other = |group: &&Group| gid.is_some() && group.gid == gid && group.name != name;
    match groups.iter().find(other) {
        Some(group) if !non_unique => Err(Failure::new(format!(
            "the group number {} belongs to {} already",
            gid.unwrap_or_default(),
            group.name
        ))),
        _ => Ok(()),
    }
}

/// The shadow field afterwards.
fn password(account: &Account, known: &PasswordHash) -> PasswordHash {
    let hash = account.password.as_ref().unwrap_or(known);
    match account.locked {
        Some(true) => hash.lock(),
        Some(false) => hash.unlock(),
        None => hash.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{self, Fake};
    use super::*;
    use crate::effect::Effect;
    use crate::system::System;

    fn add(name: &str, account: Account) -> Effect {
        let name = name.to_owned();
        Effect::AddUser { name, account }
    }

    #[test]
    fn a_user_who_is_refused_leaves_nothing_behind() {
        let mut host = fake::overlay(Fake::default());
        let account = Account {
            groups: Some(vec!["adm".to_owned(), "missing".to_owned()]),
            ..Account::default()
        };
        host.perform(add("ann", account.clone()))
            .expect_err("useradd refuses it");
        assert!(host.pending().is_empty(), "{:?}", host.pending());
        host.perform(add("ann", Account::default()))
            .expect("she can be added");
        let before = host.pending().clone();
        let name = "ann".to_owned();
        host.perform(Effect::ChangeUser { name, account })
            .expect_err("usermod refuses it");
        assert_eq!(*host.pending(), before);
    }

    #[test]
    fn a_number_that_no_group_has_is_nobodys_group() {
        let mut host = fake::overlay(Fake::default());
        let account = Account {
            group: Some("54321".to_owned()),
            ..Account::default()
        };
        let refused = host.perform(add("ann", account));
        let refused = refused.expect_err("useradd refuses it");
        assert_eq!(refused.message, "the group 54321 does not exist");
    }

    fn remove(name: &str, force: bool) -> Effect {
        Effect::RemoveUser {
            name: name.to_owned(),
            remove_home: false,
            force,
        }
    }

    #[test]
    fn a_user_as_whom_something_runs_does_not_go() {
        let busy = || {
            fake::overlay(Fake {
                busy: vec!["daemon"],
                ..Fake::default()
            })
        };
        let refused = busy().perform(remove("daemon", false));
        let refused = refused.expect_err("userdel refuses it");
        assert_eq!(
            refused.message,
            "the user daemon is in use by the process 77"
        );
        busy()
            .perform(remove("daemon", true))
            .expect("force is force");
        busy()
            .perform(remove("nobody", false))
            .expect("nothing runs");
        // What ran may have ended with what is pending, or something begun.
        for user in ["daemon", "nobody"] {
            let mut host = busy();
            host.pending.ran_commands = true;
            host.perform(remove(user, false)).expect("nobody can know");
            let (_, assumptions) = host.take_records();
            assert_eq!(assumptions.len(), 1, "{assumptions:?}");
        }
    }
}
