//! Tasks about packages, accounts and the host itself.

use super::{Author, Task, quoted};
use crate::pools::{GROUPS, KEYS, MADE_GROUPS, MADE_USERS, PACKAGES};

impl Author<'_> {
    pub(super) fn user(&mut self) -> Task {
        let user = self.0.pick(&MADE_USERS);
        if self.0.once_in(3) {
            let given = [("state", quoted("absent"))];
            let optional = [("remove", "true".to_owned()), ("force", "true".to_owned())];
            return Task::settling(format!(
                "user({user:?}{});",
                self.options(&given, &optional)
            ));
        }
        let optional = [
            ("uid", self.0.pick(&["1234", "2001", "2002"]).to_owned()),
            ("group", quoted(self.0.pick(&GROUPS))),
            (
                "groups",
                self.0
                    .pick(&["[\"adm\"]", "[\"team\", \"staff\"]", "[]", "\"ops\""])
                    .to_owned(),
            ),
            ("append", "true".to_owned()),
            ("comment", quoted("Somebody")),
            (
                "home",
                quoted(self.0.pick(&["/home/ann", "/srv/app", "/srv/new/home"])),
            ),
            ("create_home", "false".to_owned()),
            ("move_home", "true".to_owned()),
            (
                "shell",
                quoted(self.0.pick(&["/bin/bash", "/bin/sh", "/usr/games/cowsay"])),
            ),
            ("system", "true".to_owned()),
            ("password_lock", self.0.pick(&["true", "false"]).to_owned()),
            ("expires", quoted(self.0.pick(&["2030-12-31", "never"]))),
        ];
        Task::settling(format!("user({user:?}{});", self.options(&[], &optional)))
    }

    pub(super) fn group(&mut self) -> Task {
        let group = self.0.pick(&MADE_GROUPS);
        if self.0.once_in(3) {
            let given = [("state", quoted("absent"))];
            let optional = [("force", "true".to_owned())];
            return Task::settling(format!(
                "group({group:?}{});",
                self.options(&given, &optional)
            ));
        }
        let optional = [
            ("gid", self.0.pick(&["3001", "3002", "4"]).to_owned()),
            ("system", "true".to_owned()),
        ];
        Task::settling(format!("group({group:?}{});", self.options(&[], &optional)))
    }

    pub(super) fn authorized_key(&mut self) -> Task {
        let user = self.0.pick(&["ann", "bob", "cid", "root", "deploy"]);
        // The deploy user and root keep the lab's key: they are how tests come in.
        let key = self.0.pick(&KEYS);
        let optional = [
            ("state", quoted(self.0.pick(&["absent", "present"]))),
            ("exclusive", self.0.pick(&["true", "false"]).to_owned()),
            ("comment", quoted("new comment")),
            (
                "path",
                quoted(self.0.pick(&["/srv/app/conf/keys", "/etc/keys"])),
            ),
        ];
        Task::settling(format!(
            "authorized_key({user:?}, {key:?}{});",
            self.options(&[], &optional)
        ))
    }

    pub(super) fn sysctl(&mut self) -> Task {
        let (name, value) = self.0.pick(&[
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.ip_forward", "0"),
            ("net.core.somaxconn", "1024"),
            ("net.ipv4.ip_local_port_range", "\"20000 60000\""),
            ("kernel.no_such_thing", "1"),
        ]);
        if self.0.once_in(4) {
            return Task::settling(format!(
                "sysctl({name:?}{});",
                self.options(&[("state", quoted("absent"))], &[])
            ));
        }
        let optional = [
            ("live", "false".to_owned()),
            ("ignore", "true".to_owned()),
            ("sysctl_file", quoted("/etc/sysctl.d/10-own.conf")),
        ];
        Task::settling(format!(
            "sysctl({name:?}, {value}{});",
            self.options(&[], &optional)
        ))
    }

    pub(super) fn named(&mut self) -> Task {
        Task::settling(match self.0.once_in(2) {
            true => {
                let name = self.0.pick(&["web-1", "web-1.example.org", "db"]);
                let optional = [("hosts", "true".to_owned())];
                format!("hostname({name:?}{});", self.options(&[], &optional))
            }
            false => {
                let zone = self.0.pick(&["Europe/Berlin", "Etc/UTC", "Nowhere/Land"]);
                format!("timezone({zone:?}{});", self.options(&[], &[]))
            }
        })
    }

    pub(super) fn package(&mut self) -> Task {
        let one = self.0.pick(&PACKAGES);
        let names = match self.0.once_in(5) {
            true => format!("[{one:?}, {:?}]", self.0.pick(&PACKAGES)),
            false => quoted(one),
        };
        let (given, optional) = match self.0.once_in(3) {
            true => (
                vec![("state", quoted("absent"))],
                vec![
                    ("purge", "true".to_owned()),
                    ("autoremove", "true".to_owned()),
                ],
            ),
            false => (
                Vec::new(),
                vec![
                    ("state", quoted("latest")),
                    ("install_recommends", "false".to_owned()),
                ],
            ),
        };
        Task::settling(format!(
            "package({names}{});",
            self.options(&given, &optional)
        ))
    }
}
