//! The devices of an instance that is there.

use serde_json::{Map, Value, json};

use super::read::{self, object};
use super::steps::Steps;
use crate::module::Result;
use crate::resource::Properties;

/// Keys of a device with their values; null takes one away.
type Keys<'a> = Vec<(&'a str, &'a Value)>;

impl Steps<'_> {
    /// A device of the instance's own is changed, one of a profile overridden,
    /// and a missing one added.
    pub(super) fn set_device(&mut self, device: &str) -> Result<()> {
        let asked = self.instance.asked()?;
        let changed = self.changed_keys(device, &asked);
        if changed.is_empty() {
            return Ok(());
        }
        let old = object(&self.property("devices")[device]);
        let name = self.name.as_str();
        let set = ["config", "device", "set", name, device];
        let remove = ["config", "device", "remove", name, device];
        let (command, undo) = if self.is_local(device) {
            let value = |key: &str| old.get(key).unwrap_or(&Value::Null);
            let before = changed.iter().map(|(key, _)| (*key, value(key))).collect();
            (
                self.with_pairs(&set, &changed),
                self.with_pairs(&set, &before),
            )
        } else if old.is_empty() {
            let kind = changed.iter().find(|(key, _)| *key == "type");
            let kind = kind.and_then(|(_, kind)| kind.as_str()).unwrap_or("none");
            let others: Keys = changed
                .iter()
                .filter(|it| it.0 != "type")
                .copied()
                .collect();
            let add = ["config", "device", "add", name, device, kind];
            (self.with_pairs(&add, &others), self.command(&remove))
        } else {
            let words = ["config", "device", "override", name, device];
            (self.with_pairs(&words, &changed), self.command(&remove))
        };
        let mut new = old;
        for (key, value) in changed {
            new.insert(key.to_owned(), value.clone());
        }
        let after = self.with(|now| put(now, device, Some(new)));
        self.step(command, Some(undo), after).map(drop)
    }

    pub(super) fn remove_devices(&mut self) -> Result<()> {
        let mut devices = self.instance.absent_devices.iter();
        devices.try_for_each(|device| self.remove_device(device))
    }

    /// A device of the instance's own goes; one of a profile is hidden by one
    /// of no kind.
    fn remove_device(&mut self, device: &str) -> Result<()> {
        let now = self.now.clone().unwrap_or_default();
        if read::get(&now, &format!("devices.{device}")) == Some(Value::Null) {
            return Ok(());
        }
        let command = match self.is_local(device) {
            true => self.command(&["config", "device", "remove", &self.name, device]),
            false => self.command(&["config", "device", "add", &self.name, device, "none"]),
        };
        let after = self.with(|now| put(now, device, None));
        self.step(command, None, after).map(drop)
    }

    fn changed_keys<'a>(&self, device: &str, asked: &'a Properties) -> Keys<'a> {
        let prefix = format!("devices.{device}.");
        let now = self.now.clone().unwrap_or_default();
        let changed = asked.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(&prefix)?;
            (read::get(&now, name).as_ref() != Some(value)).then_some((key, value))
        });
        changed.collect()
    }

    fn is_local(&self, device: &str) -> bool {
        let local = self.property("local_devices");
        let names = local.as_array();
        names.is_some_and(|names| names.contains(&json!(device)))
    }

    fn with_pairs(&self, words: &[&str], keys: &Keys) -> crate::effect::Command {
        let pair =
            |(key, value): &(&str, &Value)| format!("{key}={}", value.as_str().unwrap_or(""));
        let pairs: Vec<String> = keys.iter().map(pair).collect();
        let words = words.iter().copied();
        let words: Vec<&str> = words.chain(pairs.iter().map(String::as_str)).collect();
        self.command(&words)
    }
}

fn put(now: &mut Properties, device: &str, keys: Option<Map<String, Value>>) {
    let mut devices = now.get("devices").map(object).unwrap_or_default();
    devices.insert(
        device.to_owned(),
        keys.clone().map_or(Value::Null, Value::from),
    );
    now.insert("devices".into(), devices.into());
    let local = now
        .entry("local_devices".into())
        .or_insert_with(|| json!([]));
    if let Some(local) = local.as_array_mut() {
        local.retain(|it| it != device);
        local.extend(keys.map(|_| device.into()));
    }
}
