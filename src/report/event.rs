//! Everything a run says, as data. `run/` sends, `report/` alone prints.

use serde::{Deserialize, Serialize};
use veza_agent::outcome::{Failure, Outcome};

/// Where in a script something stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Site {
    /// The file, relative to the project; embedded ones as `stdlib/…`.
    pub file: String,
    /// Line, from 1; 0 when unknown.
    pub line: usize,
    /// Column in characters, from 1; 0 when unknown.
    pub column: usize,
}

impl std::fmt::Display for Site {
    /// `file:line`, as far as known; the column is for editors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// How a run treats the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Hosts are converged.
    Apply,
    /// Effects are predicted only.
    Check,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the fields are named by the words of the sentence above them"
)]
pub enum Event {
    /// The run began; `sandbox` names the directory of the virtual hosts.
    RunStarted {
        file: String,
        mode: Mode,
        sandbox: Option<String>,
    },
    /// A play began on these hosts.
    PlayStarted { play: String, hosts: Vec<String> },
    /// A batch of a play with `serial` began; `batch` counts from 1.
    BatchStarted {
        play: String,
        batch: usize,
        batches: usize,
        hosts: Vec<String>,
    },
    /// The agent of a host answered.
    HostConnected { host: String },
    /// A task was handed to a host's agent.
    TaskStarted {
        host: String,
        module: String,
        title: String,
        site: Site,
    },
    /// Output of a running task; `stream` is `stdout` or `stderr`.
    TaskOutput {
        host: String,
        stream: String,
        text: String,
    },
    /// A task ended, well or not. A failure is followed by `FailureCaught`
    /// or `HostFailed` of the same module and site.
    TaskFinished {
        host: String,
        module: String,
        site: Site,
        /// The handler this task ran in, if in one.
        handler: Option<String>,
        /// The host whose script asked for it, with `on`, where that is
        /// another one. A failure is that host's.
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<String>,
        /// Wall time in milliseconds, on the host.
        milliseconds: u64,
        outcome: Box<Outcome>,
    },
    /// The failure of the host's last task was caught by the script.
    FailureCaught {
        host: String,
        module: String,
        site: Site,
    },
    /// The script called `log`; `caller` as in `TaskFinished`.
    Logged {
        host: String,
        text: String,
        site: Site,
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<String>,
    },
    /// The script went wrong on this host (not a task's failure).
    /// `rendered` is the diagnostic with the source underlined.
    ScriptFailed {
        host: String,
        message: String,
        site: Option<Site>,
        rendered: String,
    },
    /// A dry run could not follow the script past this point.
    PlanIncomplete {
        host: String,
        reason: String,
        site: Option<Site>,
    },
    /// A host left the run: not reachable, or lost on the way.
    HostLost {
        host: String,
        reason: String,
        hint: Option<String>,
    },
    /// A task failed and its host left the run. Comes again if handlers fail,
    /// which run at the end of a play whatever became of it.
    HostFailed {
        host: String,
        failure: Failure,
        module: String,
        site: Site,
    },
    /// The run was interrupted before a host came to the end of a play.
    HostInterrupted { host: String },
    /// veza-play itself broke down on a host: a bug.
    HostBroken { host: String, message: String },
    /// A host came to the end of a play.
    HostFinished { host: String },
    /// The play's last host came to its end.
    PlayFinished { play: String },
    /// Too many hosts of a play failed: the run ends after it, and these hosts
    /// have not begun it. `reason` is a sentence without a full stop.
    PlayStopped {
        play: String,
        hosts: Vec<String>,
        reason: String,
    },
    /// A play was not run on these hosts, which it asked for: they left the
    /// run before, for instance. `reason` is a sentence without a full stop.
    PlaySkipped {
        play: String,
        hosts: Vec<String>,
        reason: String,
    },
    /// The user ended the run: nothing more begins.
    RunInterrupted,
    /// The run ended.
    RunFinished { milliseconds: u64 },
}
