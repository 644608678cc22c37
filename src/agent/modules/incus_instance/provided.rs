//! The hosts of the inventory that an instance is.

use serde_json::Value;

use super::{IncusInstance, read};
use crate::module::Result;
use crate::outcome::{HostState, ProvidedHost};
use crate::resource::Properties;
use crate::system::System;

impl IncusInstance {
    /// How far each of them is there.
    pub(super) fn provided(&self, system: &dyn System) -> Result<Vec<ProvidedHost>> {
        if self.hosts.is_empty() {
            return Ok(Vec::new());
        }
        let state = match self.read(system)?.present() {
            Some(properties) => self.host_state(&properties, system)?,
            None => HostState::Down,
        };
        let provided = |name: &String| ProvidedHost {
            name: name.clone(),
            state: state.clone(),
        };
        Ok(self.hosts.iter().map(provided).collect())
    }

    fn host_state(&self, properties: &Properties, system: &dyn System) -> Result<HostState> {
        let is = |name: &str| properties.get(name) == Some(&Value::Bool(true));
        if is(read::CREATED) {
            return Ok(HostState::Planned);
        }
        if is(read::STARTED) || read::status(properties) != "started" {
            return Ok(HostState::Down);
        }
        let host_keys = self.host_keys(system)?;
        Ok(HostState::Up { host_keys })
    }
}
