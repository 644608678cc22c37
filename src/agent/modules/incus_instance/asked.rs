//! The attributes of an instance that a call asks for.

use serde_json::Value;

use super::IncusInstance;
use crate::module::Result;
use crate::outcome::Failure;
use crate::resource::Properties;

impl IncusInstance {
    /// The attributes that are asked for, but for whether it runs.
    pub(super) fn asked(&self) -> Result<Properties> {
        let mut asked = Properties::new();
        let mut set = |name: String, value: Value| drop(asked.insert(name, value));
        if let Some(kind) = self.kind {
            set("type".into(), kind.name().into());
        }
        if let Some(profiles) = &self.profiles {
            set("profiles".into(), profiles.clone().into());
        }
        if let Some(description) = &self.description {
            set("description".into(), description.as_str().into());
        }
        if let Some(ephemeral) = self.ephemeral {
            set("ephemeral".into(), ephemeral.into());
        }
        for (key, value) in &self.config {
            set(format!("config.{key}"), text(key, value)?);
        }
        for (device, keys) in &self.devices {
            for (key, value) in keys {
                let value = text(key, value)?;
                set(format!("devices.{device}.{key}"), value);
            }
        }
        for device in &self.absent_devices {
            set(format!("devices.{device}"), Value::Null);
        }
        for name in &self.snapshots {
            set(format!("snapshots.{name}"), "there".into());
        }
        for name in &self.absent_snapshots {
            set(format!("snapshots.{name}"), Value::Null);
        }
        Ok(asked)
    }
}

/// A value as Incus keeps it: a text, or nothing.
fn text(key: &str, value: &Value) -> Result<Value> {
    match value {
        Value::Null | Value::String(_) => Ok(value.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string().into()),
        Value::Array(_) | Value::Object(_) => Err(Failure::new(format!(
            "`{key}` takes a text, a number or a boolean, not {value}"
        ))),
    }
}
