//! Waiting for an instance that was started.

use super::{IncusInstance, read};
use crate::effect::Command;
use crate::module::Result;
use crate::outcome::Failure;
use crate::resource::Properties;
use crate::system::{Found, System};

/// How long an instance is waited for, in seconds.
const PATIENCE: u64 = 120;

impl IncusInstance {
    /// Waits until the instance can be worked with.
    pub(super) fn wait_for_it(&self, system: &dyn System) -> Result<()> {
        let patience = self.wait_timeout.unwrap_or(PATIENCE);
        let deadline = system.now() + patience;
        loop {
            let missing = self.missing(system)?;
            let Some(missing) = missing else {
                return Ok(());
            };
            if system.now() >= deadline {
                let name = self.full_name();
                return Err(Failure::new(format!(
                    "the instance {name} was started, but after {patience} seconds {missing}"
                ))
                .hint("`wait_timeout` gives it more time; `wait: false` does not wait."));
            }
            // A command, since a cancelled run ends it.
            let pause = Command::new(["sleep", "0.3"]);
            system.answer(&pause)?;
        }
    }

    /// What the instance lacks still.
    fn missing(&self, system: &dyn System) -> Result<Option<String>> {
        let Found::Present(properties) = self.ask(system)? else {
            return Ok(Some("it is gone".to_owned()));
        };
        if read::status(&properties) != "started" {
            return Ok(Some("it does not run".to_owned()));
        }
        if has_card(&properties) && ["ipv4", "ipv6"].iter().all(|it| properties[*it].is_null()) {
            return Ok(Some("it has no address".to_owned()));
        }
        let name = self.full_name();
        let words = ["exec", &name, "-T", "--", "systemctl", "is-system-running"];
        let Found::Present(output) = system.query(&self.incus(words))? else {
            return Ok(None);
        };
        let said = output.stdout.trim();
        Ok(match (said, output.code) {
            // Units that failed are not what is waited for.
            ("running" | "degraded" | "maintenance", _) => None,
            // It has no systemd, but it answers.
            ("" | "offline", 126 | 127 | 1) if !output.stderr.contains("bus") => None,
            ("", _) => Some("its system does not answer".to_owned()),
            (said, _) => Some(format!("its system is {said}")),
        })
    }
}

fn has_card(properties: &Properties) -> bool {
    let devices = properties.get("devices").map(read::object);
    devices
        .unwrap_or_default()
        .values()
        .any(|device| device["type"] == "nic")
}
