//! A play: which hosts, and what happens on each of them.

use std::fmt;

use serde_json::{Map, Value};

use crate::inventory::Escalation;
use crate::report::event::Site;
use crate::schema::percent;
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
    /// How many hosts at a time go through it, batch after batch; all at once
    /// if empty.
    pub serial: Vec<Amount>,
    /// How many of its hosts may fail before it goes no further.
    pub max_fail: Option<Amount>,
    /// What happens on each host.
    pub body: Body,
    /// Where it is declared.
    pub site: Site,
}

/// A number of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// This many.
    Hosts(usize),
    /// This part of them.
    Percent(usize),
}

impl Amount {
    /// Reads what [`crate::schema::Kind::Hosts`] accepts.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => percent(text).map(Self::Percent),
            number => Some(Self::Hosts(usize::try_from(number.as_u64()?).ok()?)),
        }
    }

    /// How many of `hosts` that is, rounded down.
    pub fn of(self, hosts: usize) -> usize {
        match self {
            Self::Hosts(number) => number,
            Self::Percent(part) => hosts * part / 100,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(number) => number.fmt(f),
            Self::Percent(part) => write!(f, "{part}%"),
        }
    }
}

/// What happens in a play.
#[derive(Clone, Debug)]
pub enum Body {
    /// A closure of the env file.
    Script(Box<Closure>),
    /// One call, given on the command line.
    Call(Box<Call>),
}
