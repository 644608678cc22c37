//! Users and groups of the live host: read from the files in /etc, changed
//! with the tools of the passwd package.
//!
//! Names that the files do not know (LDAP, systemd) are asked of `getent`:
//! the agent is static and has no name service of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files::failed;
use super::processes;
use crate::effect::{Account, Attributes, Command};
use crate::module::Result;
use crate::outcome::Failure;
use crate::password::PasswordHash;
use crate::system::{AccountKind, Group, User};

/// The accounts, with what was asked of the name service so far.
#[derive(Default)]
pub struct Accounts {
    names: RefCell<HashMap<(Database, u32), String>>,
    files: RefCell<HashMap<Database, Read<Stamp, Entry>>>,
    users: RefCell<Option<Read<[Option<Stamp>; 3], User>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Database {
    Passwd,
    Group,
}

/// Tells whether a file was replaced or written since it was read.
type Stamp = (u64, i64, i64, u64);

/// What was read, and of which files.
type Read<S, T> = (S, Rc<[T]>);

type Entry = (String, u32);

impl Database {
    fn name(self) -> &'static str {
        match self {
            Self::Passwd => "passwd",
            Self::Group => "group",
        }
    }

    fn path(self) -> PathBuf {
        Path::new("/etc").join(self.name())
    }
}

impl Accounts {
    /// All users of /etc/passwd. They are asked for with each file, so they are
    /// read again only when one of the files that tell of them has changed.
    pub fn users(&self) -> Result<Rc<[User]>> {
        let stamps = ["/etc/passwd", "/etc/shadow", "/etc/group"]
            .map(|path| fs::metadata(path).ok().as_ref().map(stamp));
        if let Some((read, users)) = &*self.users.borrow()
            && *read == stamps
        {
            return Ok(users.clone());
        }
        let shadow = shadow();
        let lines = lines(&Database::Passwd.path())?;
        let users: Result<Rc<[User]>> = lines
            .iter()
            .filter_map(|line| self.user(line, &shadow).transpose())
            .collect();
        let users = users?;
        self.users.replace(Some((stamps, users.clone())));
        Ok(users)
    }

    fn user(&self, line: &str, shadow: &HashMap<String, Shadow>) -> Result<Option<User>> {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, comment, home, shell] = fields[..] else {
            return Ok(None);
        };
        let Ok(gid) = gid.parse() else {
            return Ok(None);
        };
        let secret = shadow.get(name);
        Ok(Some(User {
            name: name.to_owned(),
            uid: uid.parse().ok(),
            group: self.group_name(gid)?,
            comment: comment.to_owned(),
            home: PathBuf::from(home),
            shell: shell.to_owned(),
            password: secret.map(|secret| PasswordHash::new(&secret.password)),
            expires: secret.and_then(|secret| secret.expires),
        }))
    }

    /// All groups of /etc/group.
    pub fn groups(&self) -> Result<Vec<Group>> {
        let parse = |line: String| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else {
                return None;
            };
            Some(Group {
                name: name.to_owned(),
                gid: gid.parse().ok(),
                members: members
                    .split(',')
                    .filter(|member| !member.is_empty())
                    .map(str::to_owned)
                    .collect(),
            })
        };
        Ok(lines(&Database::Group.path())?
            .into_iter()
            .filter_map(parse)
            .collect())
    }

    /// The user this agent runs as.
    pub fn me(&self) -> Result<User> {
        let name = self.user_name(rustix::process::getuid().as_raw())?;
        let users = self.users()?;
        if let Some(user) = users.iter().find(|user| user.name == name) {
            return Ok(user.clone());
        }
        let user = self.unlisted(&name)?;
        user.ok_or_else(|| Failure::new(format!("the host does not know the user {name}")))
    }

    /// A user whom only the name service knows.
    pub fn unlisted(&self, name: &str) -> Result<Option<User>> {
        // getent takes a number for one.
        let line = ask(Database::Passwd, name).unwrap_or_default();
        let user = self.user(&line, &HashMap::new())?;
        Ok(user.filter(|user| user.name == name))
    }

    /// Whether only the name service knows an account: the files do not.
    pub fn name_service_knows(&self, name: &str, kind: AccountKind) -> Result<bool> {
        let database = match kind {
            AccountKind::User => Database::Passwd,
            AccountKind::Group => Database::Group,
        };
        let listed = self
            .entries(database)?
            .iter()
            .any(|(known, _)| known == name);
        Ok(!listed && getent(database, name).is_some())
    }

    /// A user's name, or the number where there is none.
    pub fn user_name(&self, uid: u32) -> Result<String> {
        self.name(Database::Passwd, uid)
    }

    /// A group's name, or the number where there is none.
    pub fn group_name(&self, gid: u32) -> Result<String> {
        self.name(Database::Group, gid)
    }

    fn name(&self, database: Database, id: u32) -> Result<String> {
        let entries = self.entries(database)?;
        if let Some((name, _)) = entries.iter().find(|(_, entry)| *entry == id) {
            return Ok(name.clone());
        }
        if let Some(name) = self.names.borrow().get(&(database, id)) {
            return Ok(name.clone());
        }
        let name = getent(database, &id.to_string()).map_or(id.to_string(), |(name, _)| name);
        self.names.borrow_mut().insert((database, id), name.clone());
        Ok(name)
    }

    fn id(&self, database: Database, name: &str) -> Result<Option<u32>> {
        let entries = self.entries(database)?;
        let known = entries.iter().find(|(entry, _)| entry == name).cloned();
        Ok(known.or_else(|| getent(database, name)).map(|(_, id)| id))
    }

    fn entries(&self, database: Database) -> Result<Rc<[Entry]>> {
        let path = database.path();
        let metadata = fs::metadata(&path).map_err(failed("read", &path))?;
        let stamp = stamp(&metadata);
        if let Some((read, entries)) = self.files.borrow().get(&database)
            && *read == stamp
        {
            return Ok(entries.clone());
        }
        let entries: Rc<[Entry]> = lines(&path)?
            .iter()
            .filter_map(|line| entry(line))
            .collect();
        self.files
            .borrow_mut()
            .insert(database, (stamp, entries.clone()));
        Ok(entries)
    }

    /// The numbers of an owner and a group, given by name or number.
    pub fn ids(&self, attributes: &Attributes) -> Result<(Option<u32>, Option<u32>)> {
        let owner = self.resolve(Database::Passwd, "user", attributes.owner.as_deref())?;
        let group = self.resolve(Database::Group, "group", attributes.group.as_deref())?;
        Ok((owner, group))
    }

    fn resolve(&self, database: Database, what: &str, name: Option<&str>) -> Result<Option<u32>> {
        let Some(name) = name else {
            return Ok(None);
        };
        if let Ok(number) = name.parse() {
            return Ok(Some(number));
        }
        match self.id(database, name)? {
            Some(id) => Ok(Some(id)),
            None => Err(Failure::new(format!("the {what} {name} does not exist"))
                .hint(format!("Add it first, with `{what}(\"{name}\")`."))),
        }
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    (
        metadata.ino(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.size(),
    )
}

/// Name and number of a line in the format that passwd and group share.
fn entry(line: &str) -> Option<Entry> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let id = fields.nth(1)?.parse().ok()?;
    Some((name.to_owned(), id))
}

fn lines(path: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::to_owned)
        .collect())
}

struct Shadow {
    password: String,
    expires: Option<i64>,
}

/// The password hashes; none where the agent's user may not read them.
fn shadow() -> HashMap<String, Shadow> {
    let Ok(lines) = lines(Path::new("/etc/shadow")) else {
        return HashMap::new();
    };
    let parse = |line: String| {
        let fields: Vec<&str> = line.split(':').collect();
        let shadow = Shadow {
            password: (*fields.get(1)?).to_owned(),
            expires: fields.get(7).and_then(|day| day.parse().ok()),
        };
        Some((fields[0].to_owned(), shadow))
    };
    lines.into_iter().filter_map(parse).collect()
}

fn getent(database: Database, key: &str) -> Option<Entry> {
    entry(&ask(database, key)?)
}

/// What the name service says of an account, as a line of the file.
fn ask(database: Database, key: &str) -> Option<String> {
    if key.is_empty() || key.starts_with('-') {
        return None;
    }
    let output = processes::output(&Command::new(["getent", database.name(), key])).ok()?;
    let line = output.stdout.lines().next()?.to_owned();
    (output.code == 0).then_some(line)
}

/// Adds an account. A group of the user's own name that is there already
/// belongs to somebody else: it does not become the primary group by itself.
pub fn add_user(name: &str, account: &Account, accounts: &Accounts) -> Result<()> {
    let mut words = vec!["useradd".to_owned()];
    words.extend(account_options(account));
    if account.group.is_none() && accounts.id(Database::Group, name)?.is_some() {
        words.push("--no-user-group".to_owned());
    }
    words.push(
        if account.create_home {
            "--create-home"
        } else {
            "--no-create-home"
        }
        .to_owned(),
    );
    if account.system {
        words.push("--system".to_owned());
    }
    words.push(name.to_owned());
    processes::succeed(&Command::new(words))?;
    // useradd passes over this for the users of the system.
    if let (true, Some(day @ 0..)) = (account.system, account.expires) {
        let day = day.to_string();
        processes::succeed(&Command::new(["usermod", "--expiredate", &day, name]))?;
    }
    set_password(name, account)
}

/// Changes an account.
pub fn change_user(name: &str, account: &Account) -> Result<()> {
    let mut words = vec!["usermod".to_owned()];
    words.extend(account_options(account));
    if account.create_home && account.home.is_some() {
        words.push("--move-home".to_owned());
    }
    if words.len() > 1 {
        words.push(name.to_owned());
        processes::succeed(&Command::new(words))?;
    }
    set_password(name, account)
}

fn account_options(account: &Account) -> Vec<String> {
    let home = account.home.as_ref().map(|home| home.display().to_string());
    let expires = account.expires.map(|day| match day {
        0.. => day.to_string(),
        _ => String::new(),
    });
    let groups = account.groups.as_ref().map(|groups| groups.join(","));
    let options = [
        ("--uid", account.uid.map(|uid| uid.to_string())),
        ("--gid", account.group.clone()),
        ("--groups", groups),
        ("--comment", account.comment.clone()),
        // useradd and usermod have different long names for it.
        ("-d", home),
        ("--shell", account.shell.clone()),
        ("--expiredate", expires),
    ];
    let mut words: Vec<String> = options
        .into_iter()
        .filter_map(|(option, value)| Some([option.to_owned(), value?]))
        .flatten()
        .collect();
    if account.non_unique && account.uid.is_some() {
        words.push("--non-unique".to_owned());
    }
    words
}

/// The hash goes through standard input: arguments can be read by anybody.
fn set_password(name: &str, account: &Account) -> Result<()> {
    if let Some(hash) = &account.password {
        let hash = match account.locked {
            Some(true) => hash.lock(),
            _ => hash.clone(),
        };
        let mut command = Command::new(["chpasswd", "--encrypted"]);
        command.input = Some(format!("{name}:{}\n", hash.reveal()));
        return processes::succeed(&command);
    }
    match account.locked {
        Some(true) => processes::succeed(&Command::new(["usermod", "--lock", name])),
        Some(false) => processes::succeed(&Command::new(["usermod", "--unlock", name])),
        None => Ok(()),
    }
}

/// Removes an account.
pub fn remove_user(name: &str, remove_home: bool, force: bool) -> Result<()> {
    let mut words = vec!["userdel"];
    if remove_home {
        words.push("--remove");
    }
    if force {
        words.push("--force");
    }
    words.push(name);
    processes::succeed(&Command::new(words))
}

/// Adds a group.
pub fn add_group(name: &str, gid: Option<u32>, system: bool, non_unique: bool) -> Result<()> {
    let mut words = vec!["groupadd".to_owned()];
    if let Some(gid) = gid {
        words.extend(["--gid".to_owned(), gid.to_string()]);
    }
    if system {
        words.push("--system".to_owned());
    }
    if non_unique && gid.is_some() {
        words.push("--non-unique".to_owned());
    }
    words.push(name.to_owned());
    processes::succeed(&Command::new(words))
}

/// Changes a group's number.
pub fn change_group(name: &str, gid: u32, non_unique: bool) -> Result<()> {
    let gid = gid.to_string();
    let mut words = vec!["groupmod", "--gid", &gid];
    if non_unique {
        words.push("--non-unique");
    }
    words.push(name);
    processes::succeed(&Command::new(words))
}

/// Removes a group.
pub fn remove_group(name: &str, force: bool) -> Result<()> {
    let mut words = vec!["groupdel"];
    if force {
        words.push("--force");
    }
    words.push(name);
    processes::succeed(&Command::new(words))
}
