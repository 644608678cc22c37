//! Instances of Incus: containers and virtual machines.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::mark;
use crate::module::{Module, Result};
use crate::outcome::{Failure, ProvidedHost};
use crate::resource::Resource;
use crate::state::{Diff, State};
use crate::system::{Found, System};

mod asked;

mod checks;

mod create;

mod devices;

mod power;

mod provided;

mod read;

mod steps;

mod waiting;

/// Keeps a container or virtual machine of Incus, through the host's `incus`.
///
/// What is not given is left to Incus, or as it is; of `config` and `devices`
/// only the keys that are named count. With `hosts`, later plays of the same
/// run find the instance ready to be configured, and its SSH host keys known,
/// since they are read through Incus. A dry run plans those plays against a
/// fresh Debian where the instance is not there yet.
///
/// ```rhai
/// incus_instance("api-1", #{
///     image: "debian/12",
///     config: #{ "limits.cpu": 2, "limits.memory": "1GiB" },
///     devices: #{ eth0: #{ "ipv4.address": "10.0.0.11" } },
/// });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct IncusInstance {
    /// The instance's name.
    name: String,
    /// Whether it is there, and runs.
    #[serde(default)]
    state: InstanceState,
    /// The image a new one is made from, such as `images:debian/12`.
    image: Option<String>,
    /// The remote it lives on; the client's own if not given.
    remote: Option<String>,
    /// Its project; the client's own if not given.
    project: Option<String>,
    /// What it is; the image's own kind if not given.
    #[serde(rename = "type")]
    kind: Option<InstanceKind>,
    /// The member of a cluster that a new one is made on.
    target: Option<String>,
    /// All its profiles, in order.
    profiles: Option<Vec<String>>,
    /// Settings such as `limits.cpu`; `()` takes one away.
    #[serde(default)]
    config: BTreeMap<String, Value>,
    /// Devices by name, each with keys of its own; `()` takes one away. Without
    /// its `type` a device is one of a profile, of which some keys differ.
    #[serde(default)]
    devices: BTreeMap<String, BTreeMap<String, Value>>,
    /// Devices that shall not be there; one of a profile is hidden.
    #[serde(default)]
    absent_devices: Vec<String>,
    /// The description.
    description: Option<String>,
    /// Whether it goes when it stops.
    ephemeral: Option<bool>,
    /// Snapshots that shall be there. A missing one is made at the end.
    #[serde(default)]
    snapshots: Vec<String>,
    /// Snapshots that shall not be there.
    #[serde(default)]
    absent_snapshots: Vec<String>,
    /// Whether a started instance is waited for: until its system is up, and
    /// it has an address if it has a network card.
    #[serde(default = "super::arguments::yes")]
    wait: bool,
    /// How long it is waited for; two minutes if not given.
    #[serde(default, deserialize_with = "super::arguments::seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    wait_timeout: Option<u64>,
    /// Whether it is stopped at once, without asking it.
    #[serde(default)]
    force_stop: bool,
    /// Hosts of the inventory that this instance is.
    #[serde(default)]
    #[schemars(extend("x-hosts" = true))]
    hosts: Vec<String>,
}

/// Whether an instance is there, and runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum InstanceState {
    /// It runs.
    #[default]
    Started,
    /// It is there and does not run.
    Stopped,
    /// It runs, and is restarted each time.
    Restarted,
    /// It is there, and its processes are paused.
    Frozen,
    /// It is not there.
    Absent,
}

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum InstanceKind {
    /// A container.
    Container,
    /// A virtual machine.
    VirtualMachine,
}

impl InstanceKind {
    fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::VirtualMachine => "virtual-machine",
        }
    }
}

impl InstanceState {
    /// What it comes to.
    fn name(self) -> &'static str {
        match self {
            Self::Started | Self::Restarted => "started",
            Self::Stopped => "stopped",
            Self::Frozen => "frozen",
            Self::Absent => "absent",
        }
    }
}

const RESTART: &str = "restart";

impl Module for IncusInstance {
    const NAME: &'static str = "incus_instance";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn title(&self) -> String {
        self.full_name()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        self.refuse_nonsense()?;
        let mut state = State::new();
        match self.read(system)? {
            Found::Absent => state.set("state", "absent"),
            Found::Present(properties) => {
                state.set("state", read::status(&properties));
                for name in self.asked()?.keys() {
                    match read::get(&properties, name) {
                        Some(value) => state.set(name, value),
                        None => state.set_unknown(name, format!("the new instance {}", self.name)),
                    }
                }
                for name in ["ipv4", "ipv6"] {
                    match properties.get(name) {
                        Some(address) => state.set(name, address.clone()),
                        None => state.set_unknown(name, format!("the instance {}", self.name)),
                    }
                }
            }
            Found::Unknown(origin) => {
                for name in self.asked()?.keys() {
                    state.set_unknown(name, origin.clone());
                }
                state.set_unknown("state", origin);
            }
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut wanted = State::new().with("state", self.state.name());
        if self.state == InstanceState::Absent {
            return Ok(wanted);
        }
        let new = found.text("state").is_none_or(|state| state == "absent");
        if new && self.image.is_none() {
            return Err(Failure::new(format!(
                "the instance {} is not there, and no `image` says what to make it from",
                self.full_name()
            )));
        }
        for (name, value) in self.asked()? {
            if name == "type" && found.value("type").is_some_and(|found| *found != value) {
                return Err(Failure::new(format!(
                    "the instance {} is no {value}",
                    self.full_name()
                ))
                .hint("What an instance is cannot be changed: remove it first."));
            }
            wanted.set(&name, value);
        }
        if self.state == InstanceState::Restarted && !new {
            wanted.request(RESTART);
        }
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let before = match self.read(system)? {
            Found::Present(properties) => Some(properties),
            Found::Absent => None,
            Found::Unknown(origin) => {
                let name = self.full_name();
                system.assume(&format!("The instance {name} is not there yet: {origin}."));
                None
            }
        };
        steps::take(self, before, diff.requests(RESTART), system)
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let value = |name: &&str| {
            let value = match state.get(name)? {
                crate::state::Attribute::Value(value) => value.clone(),
                crate::state::Attribute::Unknown(origin) => mark::unknown(origin).into(),
                crate::state::Attribute::Content(_) => return None,
            };
            Some(((*name).to_owned(), value))
        };
        ["state", "ipv4", "ipv6"].iter().filter_map(value).collect()
    }

    fn provides(&self, system: &dyn System) -> Result<Vec<ProvidedHost>> {
        self.provided(system)
    }
}

impl IncusInstance {
    fn full_name(&self) -> String {
        match &self.remote {
            Some(remote) => format!("{remote}:{}", self.name),
            None => self.name.clone(),
        }
    }

    fn resource(&self) -> Resource {
        let name = match &self.project {
            Some(project) => format!("{} in project {project}", self.full_name()),
            None => self.full_name(),
        };
        Resource::new("instance", name)
    }
}

#[cfg(test)]
mod tests;
