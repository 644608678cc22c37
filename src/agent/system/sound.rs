//! What no host takes, or takes for something else than it is: refused before
//! it is tried, in every world. The words of the passwd tools and the lines
//! that they read are made of these texts.

use std::path::Path;

use super::Reads;
use crate::effect::{Account, Effect};
use crate::mark;
use crate::module::Result;
use crate::outcome::Failure;

/// Refuses an effect that could not be what it says.
pub fn check(effect: &Effect, reads: &dyn Reads) -> Result<()> {
    match effect {
        Effect::AddUser { name, account } => {
            new_name("user", name)?;
            check_account(account, reads)
        }
        Effect::ChangeUser { name, account } => {
            known_name("user", name)?;
            check_account(account, reads)
        }
        Effect::RemoveUser { name, .. } | Effect::WriteCrontab { user: name, .. } => {
            known_name("user", name)
        }
        Effect::AddGroup { name, .. } => new_name("group", name),
        Effect::ChangeGroup { name, .. } | Effect::RemoveGroup { name, .. } => {
            known_name("group", name)
        }
        Effect::Remove { path } => removable(path),
        _ => Ok(()),
    }
}

/// Refuses what useradd or groupadd would refuse as a name (Debian's rules).
pub fn new_name(what: &str, name: &str) -> Result<()> {
    let odd = |letter: char| letter.is_whitespace() || ",/".contains(letter);
    match name.len() <= 32 && !name.starts_with(['+', '~']) && !name.contains(odd) {
        true => known_name(what, name),
        false => Err(no_name(what, name)),
    }
}

/// Refuses what is an option, or more than one field of a line. Other services
/// than the files of this host have names of their own kinds.
fn known_name(what: &str, name: &str) -> Result<()> {
    let odd = |letter: char| letter.is_control() || letter == ':';
    match name.is_empty() || name.starts_with('-') || name.contains(odd) {
        true => Err(no_name(what, name)),
        false => Ok(()),
    }
}

fn no_name(what: &str, name: &str) -> Failure {
    let shown = name.escape_debug();
    Failure::new(format!("`{shown}` is not a {what}'s name"))
}

fn check_account(account: &Account, reads: &dyn Reads) -> Result<()> {
    let home = account.home.as_deref().and_then(Path::to_str);
    let fields = [account.comment.as_deref(), account.shell.as_deref(), home];
    fields.into_iter().flatten().try_for_each(field)?;
    match &account.password {
        Some(hash) => password_hash(&reads.secrets().resolve(hash.reveal())),
        None => Ok(()),
    }
}

/// Refuses what would be more than one field of an account.
pub fn field(text: &str) -> Result<()> {
    match text.contains([':', '\n']) {
        false => Ok(()),
        true => Err(Failure::new(format!(
            "`{text}` cannot be in an account: colons and line ends separate its fields"
        ))),
    }
}

/// Refuses what is neither the hash of a password nor says that there is none.
/// Of a secret whose value is not here nobody can tell.
pub fn password_hash(text: &str) -> Result<()> {
    let hash = text.trim_start_matches('!');
    let safe = !hash.contains([':', '\n', '\r']);
    // A hash of traditional crypt has 13 letters.
    let is_hash = matches!(hash, "" | "*" | "x") || hash.starts_with('$') || hash.len() == 13;
    if mark::is_marked(text) || (safe && is_hash) {
        return Ok(());
    }
    let mut failure = Failure::new("`password` is not the hash of a password")
        .hint("Make one with `openssl passwd -6`; a password in clear would lock the user out.");
    failure.argument = Some("password".to_owned());
    Err(failure)
}

/// Refuses a path that ends in no name: `/` is no mistake that one survives.
fn removable(path: &Path) -> Result<()> {
    match path.file_name() {
        Some(_) => Ok(()),
        None => Err(
            Failure::new(format!("{} cannot be removed", path.display()))
                .hint("Name what shall go."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::testing::host;
    use crate::password::PasswordHash;
    use crate::system::System;
    use crate::system::overlay::Pending;

    #[test]
    fn what_would_be_another_line_or_an_option_is_refused() {
        let mut host = host(Pending::default());
        let account = |password: &str| Account {
            password: Some(PasswordHash::new(password)),
            ..Account::default()
        };
        let add = |name: &str, account| Effect::AddUser {
            name: name.to_owned(),
            account,
        };
        let change = |name: &str, account| Effect::ChangeUser {
            name: name.to_owned(),
            account,
        };
        for effect in [
            add("app", account("a password in clear")),
            add("app", account("$6$x\nroot:$6$y")),
            add("x\nroot:$6$y", account("$6$x")),
            add("-x", Account::default()),
            change("root", account("a password in clear")),
            change("x\nroot:$6$y", account("$6$x")),
            change("-x", Account::default()),
            Effect::RemoveUser {
                name: "-x".into(),
                remove_home: false,
                force: false,
            },
            Effect::RemoveGroup {
                name: "-x".into(),
                force: false,
            },
            Effect::Remove { path: "/".into() },
            Effect::Remove {
                path: "/srv/..".into(),
            },
        ] {
            assert!(host.perform(effect.clone()).is_err(), "{effect:?}");
        }
        assert!(host.perform(add("app", account("$6$x$y"))).is_ok());
    }
}
