//! What a call puts into the table: a job's line, or a variable.

use super::Cron;
use super::schedule::{self, TimeField};
use super::table::Position;
use crate::module::Result;
use crate::outcome::Failure;

impl Cron {
    pub(super) fn job_name(&self) -> Result<&str> {
        if self.insertafter.is_some() || self.insertbefore.is_some() {
            return Err(Failure::new(
                "`insertafter` and `insertbefore` are for variables, with `env: true`",
            ));
        }
        match self.name.trim().is_empty() || self.name.contains(['\n', '\r']) {
            true => Err(Failure::new("a job's name is one line that is not empty")),
            false => Ok(&self.name),
        }
    }

    pub(super) fn variable(&self) -> Result<&str> {
        let odd = |letter: char| letter.is_whitespace() || "=\"'#".contains(letter);
        match self.name.is_empty() || self.name.contains(odd) {
            true => Err(Failure::new(format!(
                "`{}` is not a variable's name",
                self.name
            ))),
            false => Ok(&self.name),
        }
    }

    pub(super) fn position(&self) -> Result<Position<'_>> {
        match (self.insertafter.as_deref(), self.insertbefore.as_deref()) {
            (None, None) => Ok(Position::Top),
            (Some(other), None) => Ok(Position::After(other)),
            (None, Some(other)) => Ok(Position::Before(other)),
            (Some(_), Some(_)) => Err(Failure::new(
                "`insertafter` and `insertbefore` exclude each other",
            )),
        }
    }

    pub(super) fn command(&self) -> Result<&str> {
        let Some(job) = &self.job else {
            return Err(
                Failure::new("`job` is missing: what is to be run, or the value")
                    .hint("Give `state: \"absent\"` to remove it."),
            );
        };
        let job = job.trim_matches(['\n', '\r']);
        match job.contains(['\n', '\r']) {
            true => Err(
                Failure::new("`job` has a line break, and a crontab's line ends there")
                    .hint("Put the commands in a script of their own, or join them with `;`."),
            ),
            false => Ok(job),
        }
    }

    /// The job's line.
    pub(super) fn line(&self) -> Result<String> {
        let prefix = if self.disabled { "#" } else { "" };
        let schedule = self.schedule()?;
        let command = self.command()?;
        match (&self.cron_file, &self.user) {
            (None, _) => Ok(format!("{prefix}{schedule} {command}")),
            (Some(_), Some(user)) => Ok(format!("{prefix}{schedule} {user} {command}")),
            (Some(_), None) => Err(Failure::new(
                "`user` is missing: a job in a `cron_file` says who runs it",
            )),
        }
    }

    fn schedule(&self) -> Result<String> {
        let fields = [
            &self.minute,
            &self.hour,
            &self.day,
            &self.month,
            &self.weekday,
        ];
        let given = fields.iter().any(|field| field.is_some());
        match (&self.at, self.special_time) {
            (None, None) => {
                schedule::of_fields(fields.map(|field| field.as_ref().map_or("*", TimeField::text)))
            }
            (Some(line), None) if !given => schedule::of_line(line),
            (None, Some(special)) if !given => Ok(special.word().to_owned()),
            _ => Err(Failure::new(
                "`at`, `special_time` and the fields of the time exclude each other",
            )),
        }
    }
}
