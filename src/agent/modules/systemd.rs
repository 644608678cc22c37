//! systemd units: whether they run, start at boot, or may be started at all.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use self::names::full_name;
use self::names::missing;
use crate::effect::{Effect, Scope, UnitAction};
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{Found, System, Unit};

mod names;

/// Starts, stops, restarts, enables or masks a systemd unit.
///
/// A unit whose file changed is read again first, without being asked to. A
/// start waits until the unit is up, and fails with its last journal lines if
/// it does not stay up.
///
/// ```rhai
/// systemd("cron", #{ enabled: true, state: "started" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Systemd {
    /// The unit; `.service` is added to a name without a suffix.
    #[schemars(extend("x-alias" = ["service", "unit"]))]
    name: Option<String>,
    /// Whether it runs. `restarted` and `reloaded` are done each time, and
    /// start a unit that is stopped.
    state: Option<UnitState>,
    /// Whether it starts at boot.
    enabled: Option<bool>,
    /// Whether starting it is made impossible.
    masked: Option<bool>,
    /// Whether systemd reads all unit files again, even if it does not say
    /// that they changed. This alone does not count as a change.
    #[serde(default)]
    daemon_reload: bool,
    /// Whose unit it is: the system's, a user's, or (for enabling and masking
    /// only) that of all users.
    scope: Option<ScopeName>,
    /// The user of `scope: "user"`; the one the agent runs as if not given.
    user: Option<String>,
    /// Whether not to wait until it is started or stopped.
    #[serde(default)]
    no_block: bool,
}

/// What a unit shall do.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum UnitState {
    /// It runs.
    Started,
    /// It does not run.
    Stopped,
    /// It is stopped and started, each time.
    Restarted,
    /// It reads its configuration again, each time.
    Reloaded,
}

/// Whose units are meant.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ScopeName {
    /// Those of the system.
    System,
    /// Those of one user.
    User,
    /// The defaults of all users.
    Global,
}

const FILES: &str = "unit files";
const RELOAD: &str = "reload unit files";

impl Module for Systemd {
    const NAME: &'static str = "systemd";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn title(&self) -> String {
        match &self.name {
            Some(name) => full_name(name),
            None => FILES.to_owned(),
        }
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        let scope = self.scope(system)?;
        self.refuse_nonsense(&scope)?;
        let Some(name) = self.unit_name()? else {
            return Ok(State::new());
        };
        match system.unit(&name, &scope)? {
            Found::Present(unit) => self.found_unit(&name, &unit, &scope, system),
            Found::Unknown(origin) => {
                let mut state = State::new().with(FILES, "read");
                for attribute in ["state", "enabled", "masked"] {
                    state.set_unknown(attribute, origin.clone());
                }
                Ok(state)
            }
            Found::Absent if self.needs_unit() => Err(missing(&name, &scope, system)?),
            Found::Absent => Ok(State::new().with("masked", false).with(FILES, "read")),
        }
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut wanted = State::new();
        if self.daemon_reload {
            wanted.routine(RELOAD);
        }
        if self.name.is_none() {
            return Ok(wanted);
        }
        wanted.set(FILES, "read");
        wanted.set_some("masked", self.masked);
        wanted.set_some("enabled", self.enabled);
        self.want_state(found, &mut wanted);
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let scope = self.scope(system)?;
        if diff.has(FILES) || diff.requests(RELOAD) {
            let scope = scope.clone();
            system.perform(Effect::ReloadUnitFiles { scope })?;
        }
        let Some(unit) = self.unit_name()? else {
            return Ok(());
        };
        let mut change = |action| self.change(&unit, action, &scope, system);
        if diff.has("masked") {
            change(match self.masked {
                Some(true) => UnitAction::Mask,
                _ => UnitAction::Unmask,
            })?;
        }
        // Unmasking may have brought back what was enabled before.
        if diff.has("enabled") {
            change(match self.enabled {
                Some(true) => UnitAction::Enable,
                _ => UnitAction::Disable,
            })?;
        }
        if diff.has("state") {
            change(match self.state {
                Some(UnitState::Stopped) => UnitAction::Stop,
                _ => UnitAction::Start,
            })?;
        }
        for (request, action) in [
            ("start", UnitAction::Start),
            ("stop", UnitAction::Stop),
            ("restart", UnitAction::Restart),
            ("reload", UnitAction::Reload),
        ] {
            if diff.requests(request) {
                change(action)?;
            }
        }
        Ok(())
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let known = |name: &&str| Some(((*name).to_owned(), state.value(name)?.clone()));
        ["state", "enabled", "masked"]
            .iter()
            .filter_map(known)
            .collect()
    }
}

impl Systemd {
    fn unit_name(&self) -> Result<Option<String>> {
        let Some(name) = &self.name else {
            return Ok(None);
        };
        let odd = |letter: char| letter.is_whitespace() || "*?[]/".contains(letter);
        if name.is_empty() || name.starts_with('-') || name.contains(odd) {
            return Err(Failure::new(format!("`{name}` is not a unit's name"))
                .hint("Name one unit; a pattern or a path does not work here."));
        }
        Ok(Some(full_name(name)))
    }

    fn scope(&self, system: &dyn System) -> Result<Scope> {
        match (self.scope, &self.user) {
            (None | Some(ScopeName::User), Some(user)) => Ok(Scope::User(user.clone())),
            (Some(ScopeName::User), None) => Ok(Scope::User(system.me()?.name)),
            (_, Some(_)) => Err(Failure::new("`user` goes with `scope: \"user\"` only")),
            (Some(ScopeName::Global), None) => Ok(Scope::Global),
            (None | Some(ScopeName::System), None) => Ok(Scope::System),
        }
    }

    fn refuse_nonsense(&self, scope: &Scope) -> Result<()> {
        let about_unit = self.needs_unit() || self.masked.is_some();
        match (&self.name, about_unit) {
            (None, true) => Err(Failure::new("`name` is missing: which unit is meant")),
            (_, false) if !self.daemon_reload => Err(Failure::new("nothing is asked for")
                .hint("Give `state`, `enabled`, `masked` or `daemon_reload`.")),
            _ if *scope == Scope::Global && self.state.is_some() => Err(Failure::new(
                "a unit of all users cannot be started or stopped, only enabled or masked",
            )),
            _ => Ok(()),
        }
    }

    /// What is done each time is a request, and so is what may still be going
    /// on when the task is done.
    fn want_state(&self, found: &State, wanted: &mut State) {
        let Some(state) = self.state else {
            return;
        };
        let runs = found.text("state") == Some("started");
        let stopped = found.text("state") == Some("stopped");
        let once = found.value("runs once") == Some(&Value::Bool(true));
        match state {
            UnitState::Stopped if self.no_block && !stopped => wanted.request("stop"),
            UnitState::Stopped => wanted.set("state", "stopped"),
            UnitState::Restarted if runs || once => wanted.request("restart"),
            UnitState::Reloaded if runs => wanted.request("reload"),
            _ if !runs && (once || self.no_block) => wanted.request("start"),
            _ => wanted.set("state", "started"),
        }
    }

    /// Masking alone works for a name that nothing bears yet.
    fn needs_unit(&self) -> bool {
        self.state.is_some() || self.enabled.is_some()
    }

    fn found_unit(
        &self,
        name: &str,
        unit: &Unit,
        scope: &Scope,
        system: &dyn System,
    ) -> Result<State> {
        let changed = unit.needs_reload || triggered_needs_reload(name, scope, system)?;
        let mut state = State::new()
            .with(FILES, if changed { "changed" } else { "read" })
            .with("masked", unit.masked())
            .with("runs once", unit.runs_once)
            .with("state", self.found_state(unit));
        match self.enabled {
            // Nothing can be done about it, so nothing is wrong with it.
            Some(wanted) if unit.not_installable() => state.set("enabled", wanted),
            _ => state.set("enabled", unit.enabled()),
        }
        Ok(state)
    }

    /// The unit's state in this module's words. A unit that failed counts as
    /// stopped for those who want it stopped.
    fn found_state<'a>(&self, unit: &'a Unit) -> &'a str {
        let stop = self.state == Some(UnitState::Stopped);
        match unit.active_state.as_str() {
            _ if unit.active => "started",
            "failed" if stop => "stopped",
            "inactive" | "" => "stopped",
            other => other,
        }
    }

    /// Each step looks again: one before it may have done it already.
    fn change(
        &self,
        name: &str,
        action: UnitAction,
        scope: &Scope,
        system: &mut dyn System,
    ) -> Result<()> {
        if let Found::Present(unit) = system.unit(name, scope)? {
            let done = match action {
                UnitAction::Start => unit.active,
                UnitAction::Enable => unit.enabled(),
                UnitAction::Disable => !unit.enabled(),
                _ => false,
            };
            if done {
                return Ok(());
            }
        }
        let effect = Effect::ChangeUnit {
            unit: name.to_owned(),
            action,
            scope: scope.clone(),
            no_block: self.no_block,
        };
        system.perform(effect).map(drop)
    }
}

/// What a timer or socket starts is loaded with it, so a change of that file
/// goes unnoticed too.
fn triggered_needs_reload(name: &str, scope: &Scope, system: &dyn System) -> Result<bool> {
    let stem = [".timer", ".socket", ".path"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    let Some(stem) = stem else {
        return Ok(false);
    };
    let triggered = system.unit(&format!("{stem}.service"), scope)?;
    Ok(triggered.present().is_some_and(|unit| unit.needs_reload))
}

#[cfg(test)]
mod tests;
