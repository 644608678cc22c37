//! A play: which hosts, and what happens on each of them.

use serde_json::{Map, Value};

use crate::inventory::Escalation;
use crate::report::event::Site;
use crate::script::Closure;
use crate::script::tasks::Call;

/// A piece of script and the hosts it runs on.
#[derive(Clone, Debug)]
pub struct Play {
    /// What the report calls it.
    pub name: String,
    /// Which hosts; the inventory resolves it.
    pub pattern: String,
    /// Words that `--tags` and `--skip-tags` select by; its tasks inherit them.
    pub tags: Vec<String>,
    /// Who its tasks run as.
    pub escalation: Escalation,
    /// Variables for its hosts.
    pub vars: Map<String, Value>,
    /// What happens on each host.
    pub body: Body,
    /// Where it is declared.
    pub site: Site,
}

/// What happens in a play.
#[derive(Clone, Debug)]
pub enum Body {
    /// A closure of the env file.
    Script(Box<Closure>),
    /// One call, given on the command line.
    Call(Box<Call>),
}
