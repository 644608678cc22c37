//! What an instance is like, as Incus tells it.

use serde_json::{Map, Value, json};

use super::IncusInstance;
use crate::effect::Command;
use crate::module::Result;
use crate::outcome::Failure;
use crate::resource::Properties;
use crate::system::{Found, System};

/// Says that this run makes the instance: what its profiles and its image
/// bring is not known yet.
pub const CREATED: &str = "created";

/// Says that this run starts the instance: it cannot be looked into yet.
pub const STARTED: &str = "started";

impl IncusInstance {
    /// A command of the client about this instance.
    pub(super) fn incus<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut all = vec!["incus".to_owned()];
        all.extend(words.into_iter().map(str::to_owned));
        if let Some(project) = &self.project {
            let project = ["--project".to_owned(), project.clone()];
            // What follows two dashes belongs to somebody else.
            let end = all
                .iter()
                .position(|word| word == "--")
                .unwrap_or(all.len());
            all.splice(end..end, project);
        }
        Command::new(all)
    }

    /// What is known of the instance.
    pub(super) fn read(&self, system: &dyn System) -> Result<Found<Properties>> {
        match system.resource(&self.resource()) {
            Some(known) => Ok(known.map(|known| known.properties)),
            None => self.ask(system),
        }
    }

    /// What Incus says of the instance.
    pub(super) fn ask(&self, system: &dyn System) -> Result<Found<Properties>> {
        let remote = self.remote.as_ref().map(|remote| format!("{remote}:"));
        let name = format!("^{}$", self.name);
        let words = ["list"].into_iter().chain(remote.as_deref());
        let command = self.incus(words.chain([name.as_str(), "--format", "json"]));
        let output = match system.answer(&command).map_err(clearer)? {
            Found::Present(output) => output,
            Found::Absent => return Ok(Found::Absent),
            Found::Unknown(origin) => return Ok(Found::Unknown(origin)),
        };
        let list: Vec<Value> = serde_json::from_str(&output.stdout).map_err(|error| {
            Failure::new(format!(
                "incus answered what is no list of instances: {error}"
            ))
        })?;
        let instance = list.iter().find(|it| it["name"] == self.name.as_str());
        Ok(Found::from(instance.map(understand)))
    }

    /// The public SSH host keys in the instance. They come through Incus, not
    /// over the network that they vouch for.
    pub(super) fn host_keys(&self, system: &dyn System) -> Result<Vec<String>> {
        let name = self.full_name();
        let script = "cat /etc/ssh/ssh_host_*_key.pub";
        let command = self.incus(["exec", &name, "-T", "--", "sh", "-c", script]);
        let output = match system.query(&command)? {
            Found::Present(output) if output.code == 0 => output,
            // It has no sshd: whoever needs one will be told.
            _ => return Ok(Vec::new()),
        };
        let key = |line: &str| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?))
        };
        Ok(output.stdout.lines().filter_map(key).collect())
    }
}

/// The failure of an incus, told by what it said.
pub fn clearer(failure: Failure) -> Failure {
    let said = failure.values.get("stderr").and_then(Value::as_str);
    let complaint = said.and_then(|said| {
        let mut lines = said.lines().rev();
        lines.find_map(|line| line.strip_prefix("Error: "))
    });
    match complaint {
        Some(complaint) => Failure {
            message: format!("incus refused: {complaint}"),
            ..failure
        },
        None => failure,
    }
}

fn understand(instance: &Value) -> Properties {
    let own = |key: &&String| !key.starts_with("volatile.") && !key.starts_with("image.");
    let config: Map<String, Value> = object(&instance["config"])
        .into_iter()
        .filter(|(key, _)| own(&key))
        .collect();
    let names = |list: &Value| -> Vec<Value> {
        let items = list.as_array().into_iter().flatten();
        items.map(|item| item["name"].clone()).collect()
    };
    let local: Vec<String> = object(&instance["devices"])
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let network = &instance["state"]["network"];
    let mut properties = Properties::new();
    let mut set = |name: &str, value: Value| drop(properties.insert(name.to_owned(), value));
    set("status", instance["status"].clone());
    for name in ["type", "description", "ephemeral", "profiles"] {
        set(name, instance[name].clone());
    }
    set("config", config.into());
    // One of no kind hides one of a profile.
    let real = |(_, device): &(String, Value)| device["type"] != "none";
    let devices = object(&instance["expanded_devices"]);
    let devices: Map<String, Value> = devices.into_iter().filter(real).collect();
    set("devices", devices.into());
    set("local_devices", local.into());
    set("snapshots", names(&instance["snapshots"]).into());
    set("ipv4", address(network, "inet"));
    set("ipv6", address(network, "inet6"));
    properties
}

/// The first address that is seen from outside.
fn address(network: &Value, family: &str) -> Value {
    let cards = object(network);
    let mut addresses = cards.iter().flat_map(|(_, card)| {
        let addresses = card["addresses"].as_array().cloned();
        addresses.unwrap_or_default()
    });
    let outside = |it: &Value| it["family"] == family && it["scope"] == "global";
    let found = addresses.find(outside);
    found.map_or(Value::Null, |it| it["address"].clone())
}

/// The fields of an object; none of anything else.
pub fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Whether an instance runs, as the argument `state` has it.
pub fn status(properties: &Properties) -> &'static str {
    match properties.get("status").and_then(Value::as_str) {
        Some("Running") => "started",
        Some("Frozen") => "frozen",
        _ => "stopped",
    }
}

/// The value of an attribute, if it is known; null for one that is not set.
pub fn get(properties: &Properties, name: &str) -> Option<Value> {
    let created = properties.get(CREATED) == Some(&json!(true));
    let part = |of: &str, key: &str| properties.get(of).map(|it| it[key].clone());
    if let Some(key) = name.strip_prefix("config.") {
        return part("config", key);
    }
    if let Some(snapshot) = name.strip_prefix("snapshots.") {
        let snapshots = properties.get("snapshots")?.as_array()?;
        let there = snapshots.iter().any(|it| it == snapshot);
        return Some(if there { "there".into() } else { Value::Null });
    }
    if let Some(device) = name.strip_prefix("devices.") {
        let devices = object(properties.get("devices")?);
        let value = match devices.get(device) {
            Some(whole) => Some(whole.clone()),
            None => device.split_once('.').and_then(|(device, key)| {
                let value = devices.get(device)?.get(key)?;
                Some(value.clone())
            }),
        };
        // A profile may bring what nobody asked for.
        return value.or((!created).then_some(Value::Null));
    }
    properties.get(name).cloned()
}
