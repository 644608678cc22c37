//! Hosts that tasks of this run provide, such as containers: how later plays
//! reach them, and what a dry run does where they are not there yet.

use std::collections::{BTreeMap, BTreeSet};
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

/// The hosts that a call says it provides. What its task tells of any other is
/// the word of one host on another.
pub(super) fn promised(call: &Call) -> BTreeSet<String> {
    let fields = call.schema.fields.iter().filter(|field| field.hosts);
    fields
        .flat_map(|field| names(call, field))
        .map(str::to_owned)
        .collect()
}

fn names<'a>(call: &'a Call, field: &Field) -> impl Iterator<Item = &'a str> {
    let names = call.arguments.get(&field.name).and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

impl Shared {
    /// Refuses hosts that a call provides and nobody has declared.
    pub(super) fn check_provided(&self, call: &Call) -> Result<(), Failure> {
        let inventory = self.playbook.inventory();
        let known = || inventory.hosts().iter().map(|host| host.name.as_str());
        let provides = |field: &&Field| field.hosts;
        for field in call.schema.fields.iter().filter(provides) {
            let Some(name) = names(call, field).find(|name| known().all(|known| known != *name))
            else {
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

    /// Takes note of the hosts that a task of `by` provides: of those that it
    /// was to provide, and no others.
    pub(super) fn provide(
        &self,
        by: &str,
        promised: &BTreeSet<String>,
        provided: &[ProvidedHost],
        site: &Site,
    ) {
        let is_promised = |host: &&ProvidedHost| promised.contains(&host.name);
        for host in provided.iter().filter(is_promised) {
            self.provide_one(by, host, site);
        }
        if !provided.iter().all(|host| is_promised(&host)) {
            let text = "it spoke of hosts that this task does not provide: not heeded";
            self.tell(by, text.to_owned(), site);
        }
    }

    /// The keys of a provided host came on the way on which it is provided, so
    /// they are known from now on.
    fn provide_one(&self, by: &str, provided: &ProvidedHost, site: &Site) {
        let mut state = provided.state.clone();
        if let HostState::Up { host_keys } = &mut state {
            let count = host_keys.len();
            host_keys.retain(|key| known_hosts::is_key(key));
            if host_keys.len() < count {
                let text = format!(
                    "{} of the host keys of {} are none: not heeded",
                    count - host_keys.len(),
                    provided.name
                );
                self.tell(by, text, site);
            }
        }
        let mut states = self.provided.states();
        states.insert(provided.name.clone(), state.clone());
        let HostState::Up { host_keys } = &state else {
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
        self.tell(by, text, site);
    }

    fn tell(&self, by: &str, text: String, site: &Site) {
        self.send(Event::Logged {
            caller: None,
            host: by.to_owned(),
            text,
            site: site.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;

    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::run::{Options, Run};
    use crate::script::{Overrides, Playbook, catalog::Catalog};

    const SITE: &str = r#"
host("web1", #{ connection: local() });
host("db1", #{ connection: ssh("root@10.0.0.2", #{ known_hosts: "known_hosts" }) });
host("new", #{ connection: ssh("root@10.0.0.3", #{ known_hosts: "known_hosts" }) });
play("p", "web1", || {});
"#;

    fn up(name: &str, keys: &[String]) -> ProvidedHost {
        ProvidedHost {
            name: name.to_owned(),
            state: HostState::Up {
                host_keys: keys.to_vec(),
            },
        }
    }

    #[test]
    fn a_host_speaks_for_no_host_but_those_its_task_provides() {
        let project = tempfile::tempdir().expect("a directory");
        let file = project.path().join("site.rhai");
        fs::write(&file, SITE).expect("written");
        let catalog = std::sync::Arc::new(Catalog::new(Vec::new()));
        let playbook = Playbook::load(&file, &Overrides::default(), catalog);
        let playbook = playbook.unwrap_or_else(|problems| panic!("{problems:?}"));
        let options = Options {
            mode: Mode::Apply,
            sandbox: None,
            limit: None,
            tags: Vec::new(),
            skip_tags: Vec::new(),
            forks: 1,
        };
        let (events, told) = mpsc::channel();
        let run = Run::new(playbook.into(), Vec::new(), options, events).expect("a run");
        let shared = &run.shared;
        let kind = b"\0\0\0\x0bssh-ed25519";
        let key = format!("ssh-ed25519 {}", BASE64_STANDARD.encode(kind));
        let site = Site {
            file: "site.rhai".into(),
            line: 5,
            column: 1,
        };
        let two = format!("{key}\n10.0.0.2 {key}");
        let said = [
            up("db1", std::slice::from_ref(&key)),
            up("new", &[two, key.clone()]),
        ];
        shared.provide("web1", &BTreeSet::from(["new".to_owned()]), &said, &site);
        assert_eq!(shared.provided.state("db1"), None);
        let new = up("new", std::slice::from_ref(&key));
        assert_eq!(shared.provided.state("new"), Some(new.state));
        let known = fs::read_to_string(project.path().join("known_hosts"));
        assert_eq!(known.expect("written"), format!("10.0.0.3 {key}\n"));
        let texts: Vec<_> = told.try_iter().map(|event| format!("{event:?}")).collect();
        let says = |text: &str| texts.iter().any(|told| told.contains(text));
        assert!(says("hosts that this task does not provide"), "{texts:?}");
        assert!(says("1 of the host keys of new are none"), "{texts:?}");
    }
}
