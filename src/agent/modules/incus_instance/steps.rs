//! The commands that lead from what an instance is to what it shall be, each
//! with what it is then.

use serde_json::{Value, json};

use super::read::{self, clearer, object};
use super::{IncusInstance, InstanceState};
use crate::effect::{Command, Effect};
use crate::module::Result;
use crate::resource::{Properties, ResourceChange};
use crate::system::{Performed, System};

/// Takes all steps.
pub fn take(
    instance: &IncusInstance,
    before: Option<Properties>,
    restart: bool,
    system: &mut dyn System,
) -> Result<()> {
    let mut steps = Steps {
        name: instance.full_name(),
        instance,
        now: before,
        started: false,
        system,
    };
    if instance.state == InstanceState::Absent {
        return steps.remove();
    }
    match steps.now {
        None => steps.create()?,
        Some(_) => steps.configure()?,
    }
    steps.run(restart)?;
    if steps.started && instance.wait {
        instance.wait_for_it(steps.system)?;
    }
    steps.snapshots()
}

/// A way on which an instance is.
pub(super) struct Steps<'a> {
    pub(super) instance: &'a IncusInstance,
    pub(super) name: String,
    /// What the instance is like after the steps so far.
    pub(super) now: Option<Properties>,
    /// Whether it was really started: a dry run has nothing to wait for.
    pub(super) started: bool,
    system: &'a mut dyn System,
}

impl Steps<'_> {
    /// One step: the words of a command, what it reads, what takes it back,
    /// and what the instance is like then.
    pub(super) fn step(
        &mut self,
        command: Command,
        undo: Option<Command>,
        after: Option<Properties>,
    ) -> Result<bool> {
        let effect = Effect::ChangeResource(ResourceChange {
            before: self.now.clone(),
            after: after.clone(),
            command,
            undo,
            ..ResourceChange::of(self.instance.resource())
        });
        let performed = self.system.perform(effect).map_err(clearer)?;
        self.now = after;
        Ok(performed != Performed::Predicted)
    }

    pub(super) fn with(&self, change: impl FnOnce(&mut Properties)) -> Option<Properties> {
        let mut after = self.now.clone()?;
        change(&mut after);
        Some(after)
    }

    pub(super) fn command<'a>(&'a self, words: &[&'a str]) -> Command {
        self.instance.incus(words.iter().copied())
    }

    pub(super) fn property(&self, name: &str) -> Value {
        let now = self.now.as_ref().and_then(|now| now.get(name));
        now.cloned().unwrap_or_default()
    }

    fn configure(&mut self) -> Result<()> {
        let now = self.now.clone().unwrap_or_default();
        for (name, value) in self.instance.asked()? {
            if read::get(&now, &name).as_ref() == Some(&value) {
                continue;
            }
            if let Some(key) = name.strip_prefix("config.") {
                self.set_config(key, &value)?;
            } else if name == "profiles" {
                self.set_profiles(&value)?;
            } else if matches!(name.as_str(), "description" | "ephemeral") {
                self.set_property(&name, &value)?;
            }
        }
        for device in self.instance.devices.keys() {
            self.set_device(device)?;
        }
        self.remove_devices()
    }

    fn config_command(&self, key: &str, value: &Value) -> Command {
        match value.as_str() {
            None => self.command(&["config", "unset", &self.name, key]),
            Some(value) => Command {
                input: Some(value.to_owned()),
                ..self.command(&["config", "set", &self.name, &format!("{key}=-")])
            },
        }
    }

    fn set_config(&mut self, key: &str, value: &Value) -> Result<()> {
        let old = self.property("config")[key].clone();
        let undo = self.config_command(key, &old);
        let after = self.with(|now| {
            let mut config = now.get("config").map(object).unwrap_or_default();
            match value {
                Value::Null => drop(config.remove(key)),
                value => drop(config.insert(key.to_owned(), value.clone())),
            }
            now.insert("config".into(), config.into());
        });
        self.step(self.config_command(key, value), Some(undo), after)
            .map(drop)
    }

    fn set_property(&mut self, name: &str, value: &Value) -> Result<()> {
        let command = |value: &Value| Command {
            input: Some(
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            ),
            ..self.command(&[
                "config",
                "set",
                "--property",
                &self.name,
                &format!("{name}=-"),
            ])
        };
        let undo = command(&self.property(name));
        let command = command(value);
        let after = self.with(|now| drop(now.insert(name.to_owned(), value.clone())));
        self.step(command, Some(undo), after).map(drop)
    }

    fn set_profiles(&mut self, value: &Value) -> Result<()> {
        let command = |profiles: &Value| {
            let names = profiles.as_array().into_iter().flatten();
            let names: Vec<&str> = names.filter_map(Value::as_str).collect();
            self.command(&["profile", "assign", &self.name, &names.join(",")])
        };
        let undo = command(&self.property("profiles"));
        let command = command(value);
        let after = self.with(|now| drop(now.insert("profiles".into(), value.clone())));
        self.step(command, Some(undo), after).map(drop)
    }

    fn snapshots(&mut self) -> Result<()> {
        let instance = self.instance;
        let there = |snapshots: &Value, name: &str| {
            let names = snapshots.as_array();
            names.is_some_and(|names| names.contains(&json!(name)))
        };
        for name in &instance.absent_snapshots {
            if there(&self.property("snapshots"), name) {
                let command = self.command(&["snapshot", "delete", &self.name, name]);
                let after = self.with(|now| {
                    if let Some(Value::Array(names)) = now.get_mut("snapshots") {
                        names.retain(|it| it != name);
                    }
                });
                self.step(command, None, after)?;
            }
        }
        for name in &instance.snapshots {
            if !there(&self.property("snapshots"), name) {
                let command = self.command(&["snapshot", "create", &self.name, name]);
                let undo = self.command(&["snapshot", "delete", &self.name, name]);
                let after = self.with(|now| {
                    if let Some(Value::Array(names)) = now.get_mut("snapshots") {
                        names.push(name.as_str().into());
                    }
                });
                self.step(command, Some(undo), after)?;
            }
        }
        Ok(())
    }
}
