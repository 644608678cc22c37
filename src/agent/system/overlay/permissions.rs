//! What the agent's user may not do to files, foretold in the words in which
//! the host would refuse it.

use std::io;
use std::path::Path;

use super::Overlay;
use super::pending::Node;
use crate::effect::Attributes;
use crate::module::Result;
use crate::system::live::failed;
use crate::system::{Found, Group, Reads, Stat, User};

const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;
const STICKY: u32 = 0o1000;

impl Overlay {
    /// Refuses to add or remove `path` where the agent's user may not change the
    /// directory it is in.
    pub(super) fn need_writable(&self, directory: &Path, path: &Path, action: &str) -> Result<()> {
        let error = match self.pending.files.get(directory) {
            Some(Node::Present(_)) => self.refusal_by_mode(directory)?,
            // The base would ask for its own user.
            _ if self.acting.is_some() => self.refusal_by_mode(directory)?,
            _ => self.base.refusal(directory),
        };
        match error {
            Some(error) => Err(failed(action, path)(error)),
            None => Ok(()),
        }
    }

    /// A directory that this run makes or changes: its mode decides.
    fn refusal_by_mode(&self, directory: &Path) -> Result<Option<io::Error>> {
        let Found::Present(stat) = self.stat(directory)? else {
            return Ok(None);
        };
        let me = self.me()?;
        let allowed = is_root(&me) || self.bits(&stat, &me)? & (WRITE | SEARCH) == WRITE | SEARCH;
        Ok((!allowed).then(|| io::ErrorKind::PermissionDenied.into()))
    }

    /// The permission bits that count for a user (path_resolution(7)).
    fn bits(&self, stat: &Stat, user: &User) -> Result<u32> {
        if self.owns(user, &stat.owner) {
            return Ok(stat.mode >> 6 & 0o7);
        }
        Ok(match self.is_member(user, &stat.group)? {
            true => stat.mode >> 3 & 0o7,
            false => stat.mode & 0o7,
        })
    }

    /// Whether a user owns what has this owner. A new user may get the number
    /// of one who has gone, and with it what he left.
    fn owns(&self, user: &User, owner: &str) -> bool {
        let is_left = user.uid.is_none() && owner.parse::<u32>().is_ok();
        if is_left {
            self.assume(&format!(
                "The new user {} gets the number {owner}.",
                user.name
            ));
        }
        is_left || owner == user.name
    }

    /// In a sticky directory one may only replace or remove what is one's own.
    pub(super) fn need_own_entry(&self, path: &Path, action: &str) -> Result<()> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let (Found::Present(parent), Found::Present(entry)) =
            (self.look(&self.real(parent)?)?, self.stat(path)?)
        else {
            return Ok(());
        };
        let me = self.me()?;
        let own = is_root(&me) || self.owns(&me, &parent.owner) || self.owns(&me, &entry.owner);
        match own || parent.mode & STICKY == 0 {
            true => Ok(()),
            false => Err(failed(action, path)(rustix::io::Errno::PERM.into())),
        }
    }

    /// Its owner sets the times of a file to now, and whoever may write it
    /// (utimensat(2)).
    pub(super) fn need_touchable(&self, real: &Path, path: &Path) -> Result<()> {
        let Found::Present(stat) = self.look(real)? else {
            return Ok(());
        };
        let me = self.me()?;
        let own = is_root(&me) || self.owns(&me, &stat.owner);
        match own || self.bits(&stat, &me)? & WRITE != 0 {
            true => Ok(()),
            false => Err(failed("touch", path)(
                io::ErrorKind::PermissionDenied.into(),
            )),
        }
    }

    /// Only its owner changes the mode of what is there, and only root gives it
    /// away, or to a group that the owner is not in.
    pub(super) fn need_ownership(
        &self,
        owner: &str,
        wanted: &Attributes,
        path: &Path,
    ) -> Result<()> {
        let me = self.me()?;
        if is_root(&me) {
            return Ok(());
        }
        let moves =
            |name: &Option<String>, now: &str| name.as_deref().is_some_and(|new| new != now);
        let foreign_group = match &wanted.group {
            Some(group) => !self.is_member(&me, group)?,
            None => false,
        };
        let asks_owner = wanted.owner.is_some() || wanted.group.is_some();
        let action = match !self.owns(&me, owner) {
            true if asks_owner => "set the owner of",
            true => "set the mode of",
            false if moves(&wanted.owner, owner) || foreign_group => "set the owner of",
            false => return Ok(()),
        };
        Err(failed(action, path)(rustix::io::Errno::PERM.into()))
    }

    fn is_member(&self, user: &User, group: &str) -> Result<bool> {
        let member = |known: Group| known.name == group && known.members.contains(&user.name);
        Ok(user.group == group || self.groups()?.into_iter().any(member))
    }
}

fn is_root(user: &User) -> bool {
    user.uid == Some(0)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{self, Fake};
    use super::*;
    use crate::effect::{Account, Effect, Scope};
    use crate::modules::testing::write;
    use crate::system::System;

    const POLKIT: &str = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service";

    #[test]
    fn only_polkit_lets_others_than_root_change_units_of_the_system() {
        let reload = |scope| Effect::ReloadUnitFiles { scope };
        let mut host = fake::overlay(Fake::default());
        host.act_as(Some("daemon".to_owned()));
        let refused = host.perform(reload(Scope::System));
        assert_eq!(
            refused.expect_err("systemd refuses it").message,
            "units of the system can be changed by root only, and the agent runs as daemon"
        );
        host.perform(reload(Scope::User("daemon".to_owned())))
            .expect("it is his own");
        host.take_records();
        host.act_as(None);
        write(&mut host, POLKIT, "[D-BUS Service]\n");
        host.take_records();
        host.act_as(Some("daemon".to_owned()));
        host.perform(reload(Scope::System))
            .expect("polkit may allow it");
        let (_, assumptions) = host.take_records();
        assert_eq!(
            assumptions[0],
            "polkit lets daemon change units of the system."
        );
    }

    #[test]
    fn a_new_user_may_own_what_one_who_has_gone_left() {
        let mut host = fake::overlay(Fake::default());
        let left = "/srv/left";
        let owned = Attributes {
            owner: Some("1001".to_owned()),
            ..Attributes::default()
        };
        host.perform(Effect::MakeDirectory {
            path: left.into(),
            attributes: owned,
        })
        .expect("root may");
        for (uid, may) in [(Some(1500), false), (None, true)] {
            let name = format!("ann{}", u32::from(may));
            let account = Account {
                uid,
                ..Account::default()
            };
            host.perform(Effect::AddUser {
                name: name.clone(),
                account,
            })
            .expect("root may");
            host.take_records();
            host.act_as(Some(name));
            let path = Path::new(left).join("new");
            let attributes = Attributes::default();
            let made = host.perform(Effect::MakeDirectory { path, attributes });
            assert_eq!(made.is_ok(), may, "{made:?}");
            host.act_as(None);
        }
        let (_, assumptions) = host.take_records();
        assert_eq!(assumptions, ["The new user ann1 gets the number 1001."]);
    }
}
