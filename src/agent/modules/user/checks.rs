//! What no account can have.

use std::path::Path;

use super::{User, place};
use crate::mark;
use crate::module::Result;
use crate::outcome::Failure;
use crate::secrets::Table;

impl User {
    /// Refuses what no host would take, before anything is done.
    pub(super) fn refuse_nonsense(&self, secrets: &Table) -> Result<()> {
        valid_name("user", &self.name)?;
        let lines = [self.comment.as_deref(), self.shell.as_deref()];
        let home = self.home.as_deref().and_then(Path::to_str);
        if let Some(text) = lines
            .into_iter()
            .chain([home])
            .flatten()
            .find(|text| text.contains([':', '\n']))
        {
            return Err(Failure::new(format!(
                "`{text}` cannot be in an account: colons and line ends separate its fields"
            )));
        }
        if let Some(home) = &self.home {
            place::absolute(home)?;
        }
        if self.move_home && self.home.is_none() {
            return Err(Failure::new("`move_home` needs `home`, where it moves to"));
        }
        match &self.password {
            Some(password) if !is_hash(&secrets.resolve(password)) => {
                let mut failure = Failure::new("`password` is not the hash of a password")
                    .hint("Make one with `openssl passwd -6`; a password in clear would lock the user out.");
                failure.argument = Some("password".to_owned());
                Err(failure)
            }
            _ => Ok(()),
        }
    }
}

/// Refuses what useradd or groupadd would refuse as a name (Debian's rules).
pub fn valid_name(what: &str, name: &str) -> Result<()> {
    let odd =
        |letter: char| letter.is_whitespace() || letter.is_control() || ":,/".contains(letter);
    let fine = !name.is_empty() && name.len() <= 32 && !name.starts_with(['-', '+', '~']);
    match fine && !name.contains(odd) {
        true => Ok(()),
        false => Err(Failure::new(format!("`{name}` is not a {what}'s name"))),
    }
}

/// Whether a text can be the hash of a password, or says that there is none.
/// Of a secret whose value is not here nobody can tell.
fn is_hash(text: &str) -> bool {
    if mark::has_secret(text) {
        return true;
    }
    let hash = text.trim_start_matches('!');
    let safe = !hash.contains([':', '\n', '\r']);
    // A hash of traditional crypt has 13 letters.
    safe && (matches!(hash, "" | "*" | "x") || hash.starts_with('$') || hash.len() == 13)
}
