//! Crontabs in a dry run.

use super::{Absence, Overlay};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{Found, Reads};

impl Overlay {
    pub(super) fn write_crontab(&mut self, user: &str, content: Option<&str>) -> Result<()> {
        self.need_user(user)?;
        if self.absence == Absence::Doubtful && !self.has_program("crontab") {
            return Err(Failure::new("the program crontab was not found")
                .hint("Install it first, with `package(\"cron\")`."));
        }
        let table = content.map(str::to_owned);
        self.pending.crontabs.insert(user.to_owned(), table);
        Ok(())
    }

    /// Whether a program is there, or a pending package will bring it.
    fn has_program(&self, program: &str) -> bool {
        let directories = ["/usr/local/bin", "/usr/bin", "/bin"];
        let there = |directory: &&str| {
            let path = std::path::Path::new(directory).join(program);
            !matches!(self.stat(&path), Ok(Found::Absent))
        };
        directories.iter().any(there) || self.expected_program(program).is_some()
    }
}
