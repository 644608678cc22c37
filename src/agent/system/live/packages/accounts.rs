//! The users and groups that a package adds: by `adduser` and its kin in its
//! script, or by a sysusers.d(5) file.

use std::path::{Path, PathBuf};

use crate::password::PasswordHash;
use crate::system::{Group, User};

/// What a package adds.
#[derive(Debug, Default, PartialEq)]
pub struct Accounts {
    /// Users.
    pub users: Vec<User>,
    /// Groups.
    pub groups: Vec<Group>,
    /// Home directories that are made for the users.
    pub homes: Vec<(PathBuf, String, String)>,
    /// Users that join a group of another package.
    pub members: Vec<(String, String)>,
    /// Commands that name somebody only the running script knows.
    pub unknown: Vec<String>,
}

impl Accounts {
    /// Reads one command of a script.
    pub fn command(&mut self, words: &[String]) {
        let Some((program, given)) = words.split_first() else {
            return;
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        let options = Options::of(given);
        if !matches!(name, "adduser" | "addgroup" | "useradd" | "groupadd") {
            return;
        }
        if given.iter().any(|word| word.contains('$')) {
            self.unknown.push(words.join(" "));
            return;
        }
        match (name, &options.names[..]) {
            ("adduser", [user, group]) => self.join(user, group),
            ("adduser" | "useradd", [user]) => self.add_user(user, &options, name == "adduser"),
            ("addgroup" | "groupadd", [group]) => self.add_group(group),
            _ => {}
        }
    }

    fn add_user(&mut self, name: &str, options: &Options, adduser: bool) {
        let own_group = options.has("group") || options.has("user-group") || !adduser;
        let group = match options.value("ingroup").or(options.value("gid")) {
            Some(group) => group.to_owned(),
            None if own_group => name.to_owned(),
            None => "nogroup".to_owned(),
        };
        if group == name {
            self.add_group(name);
        }
        let given = options.value("home").or(options.value("home-dir"));
        let home = PathBuf::from(given.unwrap_or("/nonexistent"));
        let makes = match adduser {
            true => !options.has("no-create-home"),
            false => options.has("create-home") || options.has("m"),
        };
        if makes && home != Path::new("/nonexistent") {
            self.homes
                .push((home.clone(), name.to_owned(), group.clone()));
        }
        let comment = match (options.value("gecos"), options.value("comment")) {
            // adduser leaves it to chfn(1), which writes all four fields.
            (Some(gecos), _) if !gecos.is_empty() && !gecos.contains(',') => format!("{gecos},,,"),
            (gecos, comment) => gecos.or(comment).unwrap_or_default().to_owned(),
        };
        let shell = options.value("shell").unwrap_or("/usr/sbin/nologin");
        self.users.push(User {
            name: name.to_owned(),
            uid: options.value("uid").and_then(|uid| uid.parse().ok()),
            group,
            comment,
            home,
            shell: shell.to_owned(),
            password: Some(PasswordHash::new("!")),
            expires: None,
        });
    }

    fn add_group(&mut self, name: &str) {
        if !self.groups.iter().any(|group| group.name == name) {
            self.groups.push(Group {
                name: name.to_owned(),
                gid: None,
                members: Vec::new(),
            });
        }
    }

    fn join(&mut self, user: &str, group: &str) {
        let primary = |known: &User| known.name == user && known.group == group;
        if !self.users.iter().any(primary) {
            self.members.push((user.to_owned(), group.to_owned()));
        }
    }

    /// Reads a sysusers.d(5) file.
    pub fn sysusers(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Ok(words) = shell_words::split(line) else {
                continue;
            };
            let word = |index: usize| {
                let word = words.get(index).map(String::as_str);
                word.filter(|word| *word != "-")
            };
            match (word(0), word(1)) {
                (Some("u" | "u!"), Some(name)) => self.sysuser(name, word),
                (Some("g"), Some(name)) => self.add_group(name),
                (Some("m"), Some(user)) => self.join(user, word(2).unwrap_or_default()),
                _ => {}
            }
        }
    }

    fn sysuser<'a>(&mut self, name: &str, word: impl Fn(usize) -> Option<&'a str>) {
        let (uid, group) = match word(2).and_then(|id| id.split_once(':')) {
            Some((uid, group)) => (uid.parse().ok(), group),
            None => (word(2).and_then(|id| id.parse().ok()), name),
        };
        if group == name {
            self.add_group(name);
        }
        self.users.push(User {
            name: name.to_owned(),
            uid,
            group: group.to_owned(),
            comment: word(3).unwrap_or_default().to_owned(),
            home: PathBuf::from(word(4).unwrap_or("/")),
            shell: word(5).unwrap_or("/usr/sbin/nologin").to_owned(),
            password: Some(PasswordHash::new("!*")),
            expires: None,
        });
    }
}

/// The options of adduser(8) and useradd(8) that take a value.
const WITH_VALUE: [&str; 16] = [
    "home",
    "home-dir",
    "shell",
    "gecos",
    "comment",
    "uid",
    "gid",
    "ingroup",
    "firstuid",
    "lastuid",
    "conf",
    "firstgid",
    "lastgid",
    "groups",
    "add_extra_groups",
    "password",
];

struct Options {
    given: Vec<(String, Option<String>)>,
    names: Vec<String>,
}

impl Options {
    fn of(words: &[String]) -> Self {
        let mut options = Self {
            given: Vec::new(),
            names: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(option) = word.strip_prefix('-') else {
                options.names.push(word.clone());
                continue;
            };
            let option = long(option.trim_start_matches('-'));
            let (option, value) = match option.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None if WITH_VALUE.contains(&option) => (option, words.next().cloned()),
                None => (option, None),
            };
            options.given.push((option.to_owned(), value));
        }
        options
    }

    fn has(&self, option: &str) -> bool {
        self.given.iter().any(|(given, _)| given == option)
    }

    fn value(&self, option: &str) -> Option<&str> {
        let given = self.given.iter().find(|(given, _)| given == option)?;
        given.1.as_deref()
    }
}

/// useradd's letters.
fn long(option: &str) -> &str {
    match option {
        "d" => "home-dir",
        "s" => "shell",
        "c" => "comment",
        "u" => "uid",
        "g" => "gid",
        "G" => "groups",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(command: &str) -> Accounts {
        let mut accounts = Accounts::default();
        accounts.command(&shell_words::split(command).expect("words"));
        accounts
    }

    #[test]
    fn a_system_user_with_its_group_is_read() {
        let accounts = accounts(
            "adduser --system --disabled-login --home /var/lib/haproxy --no-create-home --group haproxy",
        );
        let user = &accounts.users[0];
        assert_eq!(
            (user.name.as_str(), user.group.as_str()),
            ("haproxy", "haproxy")
        );
        assert_eq!(user.home, Path::new("/var/lib/haproxy"));
        assert_eq!(user.shell, "/usr/sbin/nologin");
        assert_eq!(accounts.groups[0].name, "haproxy");
        assert!(accounts.homes.is_empty());
    }

    #[test]
    fn a_system_user_without_a_group_of_its_own_is_in_nogroup() {
        let accounts = accounts("/usr/sbin/adduser --system --gecos 'a b' --home=/var/lib/x x");
        assert_eq!(accounts.users[0].group, "nogroup");
        assert_eq!(accounts.users[0].comment, "a b,,,");
        assert_eq!(accounts.homes[0].0, Path::new("/var/lib/x"));
    }

    #[test]
    fn what_only_the_script_knows_is_not_guessed() {
        let accounts = accounts("adduser --system '${SERVER_USER}'");
        assert!(accounts.users.is_empty());
        assert_eq!(accounts.unknown.len(), 1);
    }

    #[test]
    fn sysusers_files_are_read() {
        let mut accounts = Accounts::default();
        accounts.sysusers("# x\nu app 900 \"An app\" /var/lib/app\ng extra -\nm app extra\n");
        assert_eq!(accounts.users[0].uid, Some(900));
        assert_eq!(accounts.users[0].comment, "An app");
        assert_eq!(accounts.groups.len(), 2);
        assert_eq!(accounts.members, [("app".to_owned(), "extra".to_owned())]);
    }
}
