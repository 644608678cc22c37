//! systemd units in a dry run.

use std::path::{Path, PathBuf};

use super::Overlay;
use crate::effect::{Scope, UnitAction};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{Found, Reads, Unit};

/// Where units of the system's manager live (systemd.unit(5)).
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The name under which a unit's state is recorded.
pub(super) fn key(unit: &str, scope: &Scope) -> String {
    match scope {
        Scope::System => unit.to_owned(),
        Scope::Global => format!("global/{unit}"),
        Scope::User(user) => format!("user/{user}/{unit}"),
    }
}

/// The unit whose file is at `path`, if one is.
pub(super) fn unit_of(path: &Path) -> Option<&str> {
    let parent = path.parent()?.to_str()?;
    DIRECTORIES.iter().find(|directory| **directory == parent)?;
    path.file_name()?.to_str()
}

impl Overlay {
    pub(super) fn unit_pending(&self, name: &str, scope: &Scope) -> Result<Found<Unit>> {
        let known = match self.pending.units.get(&key(name, scope)) {
            Some(unit) => Some(unit.clone()),
            None if *scope == Scope::System && self.pending.gone_units.contains(name) => None,
            None => match self.base.unit(name, scope)? {
                Found::Present(unit) => Some(unit),
                Found::Unknown(origin) => return Ok(Found::Unknown(origin)),
                Found::Absent => None,
            },
        };
        // systemd reads the files of a unit nobody uses each time anew, so
        // only one that runs or starts at boot is out of date.
        if let Some(mut unit) = known {
            let changed = self.pending.changed_units.contains(name);
            unit.needs_reload |= changed && (unit.active || unit.file_state == "enabled");
            return Ok(Found::Present(unit));
        }
        if let Some(unit) = self.unit_from_file(name)? {
            return Ok(Found::Present(unit));
        }
        Ok(
            match self
                .pending
                .opaque_packages
                .iter()
                .find(|package| brings(package, name))
            {
                Some(package) => Found::Unknown(format!("package {package}")),
                None => Found::Absent,
            },
        )
    }

    /// A unit whose file is recorded, but which nobody has used yet.
    fn unit_from_file(&self, name: &str) -> Result<Option<Unit>> {
        for directory in DIRECTORIES {
            let path = Path::new(directory).join(file_name(name));
            let Found::Present(content) = self.content(&path)? else {
                continue;
            };
            let text = content.text.unwrap_or_default();
            let installable = text.lines().any(|line| line.trim() == "[Install]");
            return Ok(Some(Unit {
                active: false,
                active_state: "inactive".to_owned(),
                file_state: if installable { "disabled" } else { "static" }.to_owned(),
                needs_reload: false,
            }));
        }
        Ok(None)
    }

    pub(super) fn change_unit(
        &mut self,
        name: &str,
        action: UnitAction,
        scope: &Scope,
    ) -> Result<()> {
        let mut unit = match self.unit(name, scope)? {
            Found::Present(unit) => unit,
            Found::Unknown(origin) => {
                self.assume(&format!("The unit {name} comes with {origin}."));
                Unit {
                    file_state: "disabled".to_owned(),
                    ..Unit::default()
                }
            }
            Found::Absent => {
                return Err(Failure::new(format!("the unit {name} does not exist")));
            }
        };
        match action {
            UnitAction::Start | UnitAction::Restart | UnitAction::Reload if unit.masked() => {
                return Err(Failure::new(format!("the unit {name} is masked")));
            }
            UnitAction::Reload if !unit.active => {
                return Err(Failure::new(format!(
                    "the unit {name} is not active, cannot reload"
                )));
            }
            UnitAction::Start | UnitAction::Restart | UnitAction::Reload => {
                set_active(&mut unit, true)
            }
            UnitAction::Stop => set_active(&mut unit, false),
            UnitAction::Enable => unit.file_state = "enabled".to_owned(),
            UnitAction::Disable | UnitAction::Unmask => unit.file_state = "disabled".to_owned(),
            UnitAction::Mask => unit.file_state = "masked".to_owned(),
        }
        // These make systemd read all unit files again (systemctl(1)).
        if !matches!(
            action,
            UnitAction::Start | UnitAction::Stop | UnitAction::Restart | UnitAction::Reload
        ) {
            self.pending.changed_units.clear();
            unit.needs_reload = false;
        }
        self.pending.units.insert(key(name, scope), unit);
        Ok(())
    }

    /// Notes that a unit's file, or a drop-in of it, changed.
    pub(super) fn note_unit_file(&mut self, path: &Path) {
        for directory in DIRECTORIES {
            let Ok(inside) = path.strip_prefix(directory) else {
                continue;
            };
            let Some(first) = inside.iter().next() else {
                continue;
            };
            let first = first.to_string_lossy();
            let unit = first.strip_suffix(".d").unwrap_or(&first);
            self.pending.changed_units.insert(unit.to_owned());
        }
    }
}

fn set_active(unit: &mut Unit, active: bool) {
    unit.active = active;
    unit.active_state = if active { "active" } else { "inactive" }.to_owned();
}

/// An instance `a@b.service` has the file `a@.service`.
fn file_name(unit: &str) -> PathBuf {
    match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((template, _)), Some((_, suffix))) => PathBuf::from(format!("{template}@.{suffix}")),
        _ => PathBuf::from(unit),
    }
}

/// Whether a package of unknown contents may bring a unit: by its name, or as
/// the only guess left.
fn brings(package: &str, unit: &str) -> bool {
    let stem = unit.split(['.', '@']).next().unwrap_or(unit);
    package.contains(stem) || stem.contains(package)
}
