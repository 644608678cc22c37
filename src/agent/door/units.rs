//! systemd.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Change;
use super::arguments::done;
use crate::effect::{Effect, Scope, UnitAction};
use crate::module::Result;
use crate::modules::systemd::full_name;
use crate::system::System;

/// Starts, stops, restarts, reloads, enables, disables, masks or unmasks a
/// unit of the system.
#[derive(Deserialize, JsonSchema)]
pub struct Act {
    /// Its name; a service if it has no suffix.
    name: String,
    /// What is done to it.
    action: UnitAction,
    /// Whether to return before the job has ended.
    #[serde(default)]
    no_block: bool,
}

impl Change for Act {
    const NAME: &'static str = "unit_action";
    const POSITIONAL: &'static [&'static str] = &["name", "action"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::ChangeUnit {
            unit: full_name(&self.name),
            action: self.action,
            scope: Scope::System,
            no_block: self.no_block,
        };
        system.perform(effect).map(done)
    }
}

/// Makes systemd read its unit files again.
#[derive(Deserialize, JsonSchema)]
pub struct ReloadFiles {}

impl Change for ReloadFiles {
    const NAME: &'static str = "reload_unit_files";
    const POSITIONAL: &'static [&'static str] = &[];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let scope = Scope::System;
        system.perform(Effect::ReloadUnitFiles { scope }).map(done)
    }
}
