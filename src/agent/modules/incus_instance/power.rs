//! Starting, stopping and removing an instance.

use serde_json::json;

use super::read;
use super::steps::Steps;
use crate::effect::Command;
use crate::module::Result;

impl Steps<'_> {
    pub(super) fn run(&mut self, restart: bool) -> Result<()> {
        let is = read::status(&self.now.clone().unwrap_or_default());
        let wanted = self.instance.state.name();
        if is == wanted {
            return match restart {
                true => self.restart(),
                false => Ok(()),
            };
        }
        if is == "frozen" {
            self.become_("resume", "pause", "Running")?;
        }
        match (is, wanted) {
            ("frozen", "started") => Ok(()),
            ("stopped", "frozen") => {
                self.start()?;
                // What is frozen never gets ready: nobody waits for it.
                self.started = false;
                self.become_("pause", "resume", "Frozen")
            }
            (_, "started") => self.start(),
            (_, "frozen") => self.become_("pause", "resume", "Frozen"),
            _ => self.become_("stop", "start", "Stopped"),
        }
    }

    fn start(&mut self) -> Result<()> {
        let undo = self.stopping("stop");
        let after = self.with(|now| {
            now.insert("status".into(), "Running".into());
            now.insert(read::STARTED.into(), true.into());
            now.remove("ipv4");
            now.remove("ipv6");
        });
        let command = self.command(&["start", &self.name]);
        self.started |= self.step(command, Some(undo), after)?;
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        let command = self.stopping("restart");
        let after = self.now.clone();
        self.started |= self.step(command, None, after)?;
        Ok(())
    }

    fn become_(&mut self, verb: &str, back: &str, status: &str) -> Result<()> {
        let after = self.with(|now| drop(now.insert("status".into(), status.into())));
        let undo = self.command(&[back, &self.name]);
        let command = match verb {
            "stop" => self.stopping(verb),
            verb => self.command(&[verb, &self.name]),
        };
        self.step(command, Some(undo), after).map(drop)
    }

    fn stopping(&self, verb: &str) -> Command {
        match self.instance.force_stop {
            true => self.command(&[verb, "--force", &self.name]),
            false => self.command(&[verb, &self.name]),
        }
    }

    pub(super) fn remove(&mut self) -> Result<()> {
        let Some(now) = self.now.clone() else {
            return Ok(());
        };
        if read::status(&now) == "stopped" || self.instance.force_stop {
            let command = self.command(&["delete", "--force", &self.name]);
            return self.step(command, None, None).map(drop);
        }
        if read::status(&now) == "frozen" {
            self.become_("resume", "pause", "Running")?;
        }
        if now.get("ephemeral") == Some(&json!(true)) {
            let command = self.stopping("stop");
            return self.step(command, None, None).map(drop);
        }
        self.become_("stop", "start", "Stopped")?;
        let command = self.command(&["delete", &self.name]);
        self.step(command, None, None).map(drop)
    }
}
