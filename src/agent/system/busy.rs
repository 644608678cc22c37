//! Users whom the passwd tools leave alone, since processes run as them; refused
//! before it is tried, in every world.

use super::{Found, Reads};
use crate::effect::Effect;
use crate::module::Result;
use crate::outcome::Failure;

/// Refuses to remove, renumber or move a user as whom something runs.
pub fn check(effect: &Effect, reads: &dyn Reads) -> Result<()> {
    let name = match effect {
        Effect::RemoveUser {
            name, force: false, ..
        } => name,
        Effect::ChangeUser { name, account } if account.uid.is_some() || account.home.is_some() => {
            name
        }
        _ => return Ok(()),
    };
    match reads.process_of(name)? {
        Found::Absent => Ok(()),
        Found::Unknown(origin) => {
            reads.assume(&format!("No process runs as {name}, after {origin}."));
            Ok(())
        }
        Found::Present(process) => Err(Failure::new(format!(
            "the user {name} is in use by the process {process}"
        ))
        .hint("Stop what runs as this user first; `force: true` removes a user all the same.")),
    }
}
