//! The host's own name.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::edited::{Edited, insert, lines};
use crate::effect::Effect;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{Found, System};

/// Keeps the host's name: in /etc/hostname, and of the running host.
///
/// ```rhai
/// hostname("web-1.example.org", #{ hosts: true });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Hostname {
    /// The name, with or without its domain.
    name: String,
    /// Whether /etc/hosts has the name too, with the address 127.0.1.1, as
    /// Debian writes it.
    #[serde(default)]
    hosts: bool,
}

const NAME: &str = "/etc/hostname";
const HOSTS: &str = "/etc/hosts";
const OWN: &str = "127.0.1.1";

/// The name that the running host has.
const RUNNING: &str = "running";

const PREFIX: &str = "hosts ";

impl Module for Hostname {
    const NAME: &'static str = "hostname";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        let mut state = file(NAME).found(system)?;
        match system.hostname()? {
            Found::Present(name) => state.set(RUNNING, name),
            Found::Unknown(origin) => state.set_unknown(RUNNING, origin),
            Found::Absent => {}
        }
        if self.hosts {
            state.merge(PREFIX, file(HOSTS).found(system)?);
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        self.check()?;
        let mut wanted = self.wanted_name(found)?.with(RUNNING, self.name.clone());
        if self.hosts {
            wanted.merge(PREFIX, self.wanted_hosts(&found.part(PREFIX))?);
        }
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        // Resolving the new name should work from its first moment.
        if self.hosts {
            let found = file(HOSTS).found(system)?;
            let wanted = self.wanted_hosts(&found)?;
            let diff = Diff::between(&found, &wanted);
            if !diff.is_empty() {
                file(HOSTS).fix(&diff, &wanted, system)?;
            }
        }
        if diff.has("content") || diff.has("state") {
            let found = file(NAME).found(system)?;
            file(NAME).fix(diff, &self.wanted_name(&found)?, system)?;
        }
        if diff.has(RUNNING) {
            let name = self.name.clone();
            system.perform(Effect::SetHostname { name })?;
        }
        Ok(())
    }
}

impl Hostname {
    /// A name as hostname(7) allows it.
    fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.chars().all(plain)
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        match self.name.len() <= 64 && self.name.split('.').all(label) {
            true => Ok(()),
            false => Err(Failure::new(format!("`{}` is no host name", self.name))
                .hint("It has up to 64 letters, digits and `-`, and dots between its parts.")),
        }
    }

    fn wanted_name(&self, found: &State) -> Result<State> {
        file(NAME).wanted(found, |_| Ok(Some(format!("{}\n", self.name))))
    }

    fn wanted_hosts(&self, found: &State) -> Result<State> {
        file(HOSTS).wanted(found, |text| {
            Ok(Some(self.in_hosts(text.unwrap_or_default())))
        })
    }

    fn in_hosts(&self, text: &str) -> String {
        let short = self.name.split('.').next().unwrap_or_default();
        let line = match short == self.name {
            true => format!("{OWN}\t{}\n", self.name),
            false => format!("{OWN}\t{} {short}\n", self.name),
        };
        let words = |line: &str| -> Vec<String> {
            let line = line.split('#').next().unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect()
        };
        let starts_with = |known: &String, address: &str| {
            words(known).first().is_some_and(|word| word == address)
        };
        let mut lines = lines(text);
        match lines.iter().position(|known| starts_with(known, OWN)) {
            Some(index) if words(&lines[index]) == words(&line) => {}
            Some(index) => lines[index] = line,
            None => {
                let localhost = lines
                    .iter()
                    .rposition(|known| starts_with(known, "127.0.0.1"));
                let at = localhost.map_or(0, |index| index + 1);
                insert(&mut lines, at, vec![line], "\n");
            }
        }
        lines.concat()
    }
}

fn file(path: &str) -> Edited {
    Edited::at(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::modules::testing::{changes_once, effects, host, refusal, text, write};
    use crate::system::overlay::Pending;

    #[test]
    fn the_file_and_the_running_host_get_the_name() {
        let mut host = host(Pending::default());
        let outcome = changes_once(&mut host, "hostname", json!({ "name": "web-1" }));
        assert_eq!(effects(&outcome), ["write_file", "set_hostname"]);
        assert_eq!(text(&host, "/etc/hostname").as_deref(), Some("web-1\n"));
        assert_eq!(text(&host, "/etc/hosts"), None);
    }

    #[test]
    fn one_line_of_the_hosts_is_the_hosts_own() {
        let mut host = host(Pending::default());
        write(
            &mut host,
            "/etc/hosts",
            "127.0.0.1 localhost\n::1 localhost\n",
        );
        let name = json!({ "name": "web.example.org", "hosts": true });
        changes_once(&mut host, "hostname", name);
        assert_eq!(
            text(&host, "/etc/hosts").as_deref(),
            Some("127.0.0.1 localhost\n127.0.1.1\tweb.example.org web\n::1 localhost\n")
        );
        let outcome = changes_once(
            &mut host,
            "hostname",
            json!({ "name": "db", "hosts": true }),
        );
        assert_eq!(outcome.effects.len(), 3);
        assert_eq!(
            text(&host, "/etc/hosts").as_deref(),
            Some("127.0.0.1 localhost\n127.0.1.1\tdb\n::1 localhost\n")
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let mut host = host(Pending::default());
        for name in ["", "a_b", "-a", "a..b", "a b", &"x".repeat(65)] {
            let why = refusal(&mut host, "hostname", json!({ "name": name }));
            assert!(why.contains("is no host name"), "{why}");
        }
    }
}
