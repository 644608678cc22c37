//! What only root may do, refused before it is tried, and in a dry run too:
//! the tools behind these effects fail half-way or in words of their own.

use std::path::Path;

use super::{Found, Reads};
use crate::effect::{Effect, Scope};
use crate::module::Result;
use crate::outcome::Failure;

const UNITS: &str = "units of the system";

/// What lets users who are not root change units of the system, where it is
/// installed and told to.
const POLKIT: &str = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service";

/// Refuses an effect that needs root where the agent runs as another user.
pub fn check(effect: &Effect, reads: &dyn Reads) -> Result<()> {
    let Some(what) = needs_root(effect) else {
        return Ok(());
    };
    let me = reads.me()?;
    if me.uid == Some(0) {
        return Ok(());
    }
    if what == UNITS && reads.exists(Path::new(POLKIT))? != Found::Absent {
        reads.assume(&format!("polkit lets {} change {what}.", me.name));
        return Ok(());
    }
    Err(Failure::new(format!(
        "{what} can be changed by root only, and the agent runs as {}",
        me.name
    ))
    .hint("Add `become: true` to the play or the task."))
}

fn needs_root(effect: &Effect) -> Option<&'static str> {
    match effect {
        Effect::UpdatePackageLists { .. }
        | Effect::InstallPackages { .. }
        | Effect::RemovePackages { .. } => Some("packages"),
        Effect::AddUser { .. } | Effect::ChangeUser { .. } | Effect::RemoveUser { .. } => {
            Some("users")
        }
        Effect::AddGroup { .. } | Effect::ChangeGroup { .. } | Effect::RemoveGroup { .. } => {
            Some("groups")
        }
        Effect::SetKernelParameter { .. } => Some("parameters of the kernel"),
        Effect::SetHostname { .. } => Some("the host's name"),
        Effect::ChangeUnit { scope, .. } | Effect::ReloadUnitFiles { scope } => {
            (*scope == Scope::System).then_some(UNITS)
        }
        // Files have owners, and what a command needs is not known.
        Effect::WriteFile { .. }
        | Effect::SetAttributes { .. }
        | Effect::MakeDirectory { .. }
        | Effect::Remove { .. }
        | Effect::Link { .. }
        | Effect::HardLink { .. }
        | Effect::Touch { .. }
        | Effect::WriteCrontab { .. }
        | Effect::Download { .. }
        | Effect::SendRequest { .. }
        | Effect::ChangeResource(_)
        | Effect::RunCommand { .. } => None,
    }
}
