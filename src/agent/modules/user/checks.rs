//! What no account can have.

use std::path::Path;

use super::{User, place};
use crate::module::Result;
use crate::outcome::Failure;
use crate::secrets::Table;
use crate::system::sound;

impl User {
    /// Refuses what no host would take, before anything is done.
    pub(super) fn refuse_nonsense(&self, secrets: &Table) -> Result<()> {
        sound::new_name("user", &self.name)?;
        let lines = [self.comment.as_deref(), self.shell.as_deref()];
        let home = self.home.as_deref().and_then(Path::to_str);
        let mut fields = lines.into_iter().chain([home]).flatten();
        fields.try_for_each(sound::field)?;
        if let Some(home) = &self.home {
            place::absolute(home)?;
        }
        if self.move_home && self.home.is_none() {
            return Err(Failure::new("`move_home` needs `home`, where it moves to"));
        }
        match &self.password {
            Some(password) => sound::password_hash(&secrets.resolve(password)),
            None => Ok(()),
        }
    }
}
