//! Making an instance.

use serde_json::{Map, Value, json};

use super::read;
use super::steps::Steps;
use super::{IncusInstance, InstanceKind};
use crate::effect::Command;
use crate::module::Result;
use crate::resource::Properties;

impl Steps<'_> {
    /// Settings go in on standard input: the words of a command are seen by
    /// every user of the host.
    pub(super) fn create(&mut self) -> Result<()> {
        let instance = self.instance;
        let new = New::of(instance)?;
        let words = new.words(instance, &self.name);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let description = instance.description.clone().unwrap_or_default();
        let own: Map<String, Value> = new.own_devices().collect();
        let input = json!({ "config": new.config, "description": description, "devices": own });
        let command = Command {
            input: Some(input.to_string()),
            ..self.command(&words)
        };
        let undo = self.command(&["delete", "--force", &self.name]);
        self.step(command, Some(undo), Some(new.properties(instance)))?;
        self.remove_devices()
    }
}

/// What a new instance gets of its own.
struct New {
    config: Map<String, Value>,
    devices: Map<String, Value>,
}

impl New {
    fn of(instance: &IncusInstance) -> Result<Self> {
        let mut new = Self {
            config: Map::new(),
            devices: Map::new(),
        };
        for (name, value) in instance
            .asked()?
            .into_iter()
            .filter(|(_, value)| !value.is_null())
        {
            if let Some(key) = name.strip_prefix("config.") {
                new.config.insert(key.to_owned(), value);
            } else if let Some(key) = name.strip_prefix("devices.")
                && let Some((device, key)) = key.split_once('.')
            {
                let device = new.devices.entry(device).or_insert_with(|| json!({}));
                device[key] = value;
            }
        }
        Ok(new)
    }

    /// Those that no profile has to bring.
    fn own_devices(&self) -> impl Iterator<Item = (String, Value)> {
        let own = self.devices.iter().filter(|(_, keys)| is_whole(keys));
        own.map(|(name, keys)| (name.clone(), keys.clone()))
    }

    fn words(&self, instance: &IncusInstance, name: &str) -> Vec<String> {
        let mut words = vec!["init".to_owned()];
        words.extend(instance.image.clone());
        words.push(name.to_owned());
        if instance.kind == Some(InstanceKind::VirtualMachine) {
            words.push("--vm".to_owned());
        }
        if instance.ephemeral == Some(true) {
            words.push("--ephemeral".to_owned());
        }
        if instance.profiles.as_deref() == Some(&[]) {
            words.push("--no-profiles".to_owned());
        }
        for profile in instance.profiles.iter().flatten() {
            words.extend(["--profile".to_owned(), profile.clone()]);
        }
        let overridden = self.devices.iter().filter(|(_, keys)| !is_whole(keys));
        for (device, keys) in overridden {
            for (key, value) in read::object(keys) {
                let value = value.as_str().unwrap_or_default();
                words.extend(["--device".to_owned(), format!("{device},{key}={value}")]);
            }
        }
        if let Some(target) = &instance.target {
            words.extend(["--target".to_owned(), target.clone()]);
        }
        words
    }

    /// What is known of the instance then.
    fn properties(self, instance: &IncusInstance) -> Properties {
        let local: Vec<Value> = self
            .devices
            .keys()
            .map(|name| name.as_str().into())
            .collect();
        let description = instance.description.clone().unwrap_or_default();
        let known = [
            (read::CREATED, json!(true)),
            ("status", "Stopped".into()),
            ("ephemeral", (instance.ephemeral == Some(true)).into()),
            ("description", description.into()),
            ("config", self.config.into()),
            ("devices", self.devices.into()),
            ("local_devices", local.into()),
            ("snapshots", json!([])),
        ];
        let known = known.map(|(name, value)| (name.to_owned(), value));
        let mut properties = Properties::from_iter(known);
        if let Some(kind) = instance.kind {
            properties.insert("type".into(), kind.name().into());
        }
        if let Some(profiles) = &instance.profiles {
            properties.insert("profiles".into(), profiles.clone().into());
        }
        properties
    }
}

/// Whether a device is told whole: one without a type is a profile's, and only
/// some of its keys are others.
fn is_whole(keys: &Value) -> bool {
    keys.get("type").is_some()
}
