//! Crontabs of the live host: read from cron's spool, written by `crontab`,
//! which checks them and tells cron.

use std::fs;
use std::io;
use std::path::Path;

use super::files::failed;
use super::processes;
use crate::effect::Command;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::Found;

const SPOOL: &str = "/var/spool/cron/crontabs";

/// A user's crontab.
pub fn read(user: &str) -> Result<Found<String>> {
    if user.is_empty() || user.contains('/') {
        return Err(Failure::new(format!("`{user}` is not a user's name")));
    }
    let path = Path::new(SPOOL).join(user);
    match fs::read_to_string(&path) {
        Ok(table) => Ok(Found::Present(table)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Absent),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => list(user),
        Err(error) => Err(failed("read", &path)(error)),
    }
}

/// Only root may read the spool; others ask `crontab`, which says "no crontab"
/// with exit code 1.
fn list(user: &str) -> Result<Found<String>> {
    let output = processes::output(&Command::new(["crontab", "-u", user, "-l"]))?;
    match output.code {
        0 => Ok(Found::Present(output.stdout)),
        1 if output.stderr.starts_with("no crontab") => Ok(Found::Absent),
        code => Err(processes::ended_badly("crontab", code, &output)),
    }
}

/// Replaces a user's crontab; without content it is removed.
pub fn write(user: &str, content: Option<&str>) -> Result<()> {
    let Some(content) = content else {
        return processes::succeed(&Command::new(["crontab", "-u", user, "-r"]));
    };
    let mut command = Command::new(["crontab", "-u", user, "-"]);
    command.input = Some(content.to_owned());
    processes::succeed(&command)
}
