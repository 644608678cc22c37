//! Hosts that tasks of this run provide, such as containers: how later plays
//! reach them, and what a dry run does where they are not there yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use veza_agent::outcome::{Failure, HostState, ProvidedHost};

use super::shared::Shared;
use crate::report::event::{Event, Mode, Site};
use crate::schema::{Field, closest};
use crate::script::tasks::Call;
use crate::transport::{Connection, known_hosts};

/// What tasks said of the hosts they provide.
#[derive(Default)]
pub struct Provided(Mutex<BTreeMap<String, HostState>>);

impl Provided {
    /// How far a host is there, if a task of this run provides it.
    pub fn state(&self, host: &str) -> Option<HostState> {
        self.states().get(host).cloned()
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<String, HostState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Refuses hosts that a call provides and nobody has declared.
    pub(super) fn check_provided(&self, call: &Call) -> Result<(), Failure> {
        let inventory = self.playbook.inventory();
        let known = || inventory.hosts().iter().map(|host| host.name.as_str());
        let provides = |field: &&Field| field.hosts;
        for field in call.schema.fields.iter().filter(provides) {
            let names = call.arguments.get(&field.name).and_then(Value::as_array);
            let mut names = names.into_iter().flatten().filter_map(Value::as_str);
            let Some(name) = names.find(|name| known().all(|known| known != *name)) else {
                continue;
            };
            let mut failure = Failure::new(format!("there is no host \"{name}\""));
            failure.argument = Some(field.name.clone());
            return Err(failure.hint(match closest(name, known()) {
                Some(near) => format!("Did you mean \"{near}\"?"),
                None => format!("Declare it with `host(\"{name}\", …)`."),
            }));
        }
        Ok(())
    }

    /// Takes note of a host that a task of `by` provides. Its keys came on the
    /// way on which it is provided, so they are known from now on.
    pub(super) fn provide(&self, by: &str, provided: &ProvidedHost, site: &Site) {
        let mut states = self.provided.states();
        states.insert(provided.name.clone(), provided.state.clone());
        let HostState::Up { host_keys } = &provided.state else {
            return;
        };
        let inventory = self.playbook.inventory();
        let host = inventory
            .hosts()
            .iter()
            .find(|host| host.name == provided.name);
        let Some(Connection::Ssh(ssh)) = host.map(|host| &host.connection) else {
            return;
        };
        // The states stay locked: two hosts may share a file.
        let (Some(file), Mode::Apply) = (&ssh.known_hosts, self.options.mode) else {
            return;
        };
        let text = match known_hosts::record(file, &ssh.address, ssh.port, host_keys) {
            Ok(false) => return,
            Ok(true) => format!(
                "the host keys of {} are now in {}",
                provided.name,
                file.display()
            ),
            Err(error) => format!(
                "the host keys of {} could not be kept in {}: {error}",
                provided.name,
                file.display()
            ),
        };
        self.send(Event::Logged {
            caller: None,
            host: by.to_owned(),
            text,
            site: site.clone(),
        });
    }
}
