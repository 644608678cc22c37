//! Exit codes. They are part of the interface: CI decides by them.

use std::process::ExitCode;

use crate::report::summary::{Ending, Summary};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done; nothing is pending where that was asked.
    Done = 0,
    /// The script or the command line is wrong.
    Script = 1,
    /// A dry run found changes, and was asked to say so.
    Pending = 2,
    /// A task failed.
    Task = 3,
    /// A host could not be reached, or was lost.
    Unreachable = 4,
    /// A bug of veza-play, after sysexits.h.
    Bug = 70,
    /// The user interrupted the run: 128 and SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// The code of a run.
    pub fn of(summary: &Summary, tell_pending: bool) -> Self {
        match summary.ending() {
            Ending::Done => Self::Done,
            Ending::Pending if tell_pending => Self::Pending,
            Ending::Pending => Self::Done,
            Ending::ScriptFailed => Self::Script,
            Ending::TaskFailed => Self::Task,
            Ending::HostLost => Self::Unreachable,
            Ending::Interrupted => Self::Interrupted,
            Ending::Broken => Self::Bug,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
