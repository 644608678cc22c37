//! What the command line asks of a run.

use std::path::PathBuf;

use crate::report::event::Mode;

/// How a playbook is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether hosts are changed.
    pub mode: Mode,
    /// The directory of virtual hosts, if those are meant.
    pub sandbox: Option<PathBuf>,
    /// Only these hosts: a pattern.
    pub limit: Option<String>,
    /// Only tasks with one of these tags; all if empty.
    pub tags: Vec<String>,
    /// No tasks with one of these tags.
    pub skip_tags: Vec<String>,
    /// How many hosts at once.
    pub forks: usize,
}

impl Options {
    /// Whether `--tags` and `--skip-tags` let a task run. A handler was
    /// notified by a task that they chose, so it need not be chosen again:
    /// a service would be left with a configuration that it has not read.
    pub(super) fn selects(&self, play: &[String], task: &[String], in_handler: bool) -> bool {
        let has = |tag: &String| play.contains(tag) || task.contains(tag);
        let always = || play.iter().chain(task).any(|tag| tag == "always");
        let wanted = in_handler || self.tags.is_empty() || self.tags.iter().any(has) || always();
        wanted && !self.skip_tags.iter().any(has)
    }
}
