//! Everything a run says, as data. `run/` sends, `report/` alone prints.

use serde::Serialize;
use veza_agent::outcome::{Failure, Outcome};

/// Where in a script something stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Site {
    /// The file, relative to the project; embedded ones as `stdlib/…`.
    pub file: String,
    /// Line, from 1; 0 when unknown.
    pub line: usize,
    /// Column in characters, from 1; 0 when unknown.
    pub column: usize,
}

/// How a run treats the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Hosts are converged.
    Apply,
    /// Effects are predicted only.
    Check,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
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
    /// A task ended. `ignored` when the script caught its failure.
    TaskFinished {
        host: String,
        module: String,
        site: Site,
        /// The handler this task ran in, if in one.
        handler: Option<String>,
        /// Wall time in milliseconds, on the host.
        milliseconds: u64,
        outcome: Box<Outcome>,
    },
    /// A failure was caught by the script.
    FailureCaught {
        host: String,
        module: String,
        site: Site,
    },
    /// The script called `log`.
    Logged {
        host: String,
        text: String,
        site: Site,
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
    /// A task failed and its host left the play.
    HostFailed {
        host: String,
        failure: Failure,
        module: String,
        site: Site,
    },
    /// A host came to the end of a play.
    HostFinished { host: String },
    /// The play's last host came to its end.
    PlayFinished { play: String },
    /// The run ended.
    RunFinished { milliseconds: u64 },
}
