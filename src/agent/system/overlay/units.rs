//! systemd units in a dry run.

use std::path::{Path, PathBuf};

use self::names::{DIRECTORIES, IN_HOME, brings, file_keys, inside_unit_directory, template};
use super::pending::Node;
use super::{Absence, Overlay};
use crate::content::Content;
use crate::effect::{Scope, UnitAction};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::live::unmet_condition;
use crate::system::{Found, Reads, Stat, Unit};

mod names;

pub(super) use self::names::key;

/// What starts another unit of the same name.
const TRIGGERS: [&str; 3] = ["timer", "socket", "path"];

/// The unit of the system whose file is at `path`, if one is.
pub(super) fn unit_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let is_file = |(prefix, inside): &(&str, PathBuf)| prefix.is_empty() && inside == name;
    inside_unit_directory(path)
        .iter()
        .any(is_file)
        .then_some(name)
}

/// Whether what is in the place of a unit's file masks the unit.
pub(super) fn is_mask(stat: &Stat) -> bool {
    stat.target.as_deref() == Some(Path::new("/dev/null"))
}

impl Overlay {
    pub(super) fn unit_pending(&self, name: &str, scope: &Scope) -> Result<Found<Unit>> {
        let known = match self.pending.units.get(&key(name, scope)) {
            Some(unit) => Some(unit.clone()),
            None if *scope == Scope::System && self.pending.gone_units.contains(name) => None,
            None => match self.unit_of_base(name, scope)? {
                Found::Present(unit) => Some(unit),
                Found::Unknown(origin) => return Ok(Found::Unknown(origin)),
                Found::Absent => None,
            },
        };
        let is_known = known.is_some();
        let from_file = self.unit_from_file(name, scope, is_known)?;
        let reloaded = &self.pending.reloaded_managers;
        let mut unit = match (known, from_file) {
            (None, None) => return Ok(self.unit_of_package(name)),
            (None, Some(unit)) => unit,
            (Some(unit), None) if !unit.active && self.file_removed(name, scope)? => {
                return Ok(Found::Absent);
            }
            (Some(unit), None) => unit,
            (Some(unit), Some(file)) => Unit {
                runs_once: file.runs_once,
                can_reload: file.can_reload,
                ..unit
            },
        };
        unit.needs_reload &= !reloaded.contains(&key("", scope));
        unit.needs_reload |=
            self.changed(name, scope) && (is_known && used(&unit) || self.triggered(name, scope));
        Ok(Found::Present(unit))
    }

    fn unit_of_package(&self, name: &str) -> Found<Unit> {
        let packages = &self.pending.opaque_packages;
        let Some(package) = packages.iter().find(|package| brings(package, name)) else {
            return Found::Absent;
        };
        match self.absence {
            // Nobody has started it on a virtual host.
            Absence::Certain => Found::Present(Unit {
                active_state: "inactive".to_owned(),
                file_state: "disabled".to_owned(),
                can_reload: None,
                ..Unit::default()
            }),
            Absence::Doubtful => Found::Unknown(format!("package {package}")),
        }
    }

    /// The base has no manager of a user who is not there yet, and that of one
    /// who is may be started by a change that is pending.
    fn unit_of_base(&self, name: &str, scope: &Scope) -> Result<Found<Unit>> {
        let Scope::User(user) = scope else {
            return self.base.unit(name, scope);
        };
        let there = self.base.users()?.iter().any(|known| known.name == *user);
        if there {
            match self.base.unit(name, scope) {
                Err(_) if !self.pending.is_empty() => {}
                found => return found,
            }
        }
        self.assume(&format!("The systemd manager of {user} runs by then."));
        Ok(Found::Absent)
    }

    /// A unit as its file has it, which nobody has used yet. What the base
    /// knows of a unit counts more than a file that was there before.
    fn unit_from_file(&self, name: &str, scope: &Scope, known: bool) -> Result<Option<Unit>> {
        for path in self.unit_paths(name, scope)? {
            if known && !self.pending.files.contains_key(&path) {
                continue;
            }
            let Some(content) = self.unit_file(&path)? else {
                continue;
            };
            let text = content.text.unwrap_or_default();
            let file_state = match has_line(&text, "[Install]") {
                true if self.linked(name, scope)? => "enabled",
                true => "disabled",
                false => "static",
            };
            return Ok(Some(Unit {
                active_state: "inactive".to_owned(),
                file_state: file_state.to_owned(),
                runs_once: runs_once(&text),
                can_reload: Some(text.lines().any(|line| line.starts_with("ExecReload="))),
                ..Unit::default()
            }));
        }
        Ok(None)
    }

    /// What a unit's file holds; nothing where a mask is.
    fn unit_file(&self, path: &Path) -> Result<Option<Content>> {
        match self.stat(path)?.present().as_ref().is_some_and(is_mask) {
            true => Ok(None),
            false => Ok(self.content(path)?.present()),
        }
    }

    /// Where a unit's file may be, the first that is there counts.
    fn unit_paths(&self, name: &str, scope: &Scope) -> Result<Vec<PathBuf>> {
        let file = template(name);
        let mut paths = Vec::new();
        for directory in self.unit_directories(scope)? {
            paths.push(directory.join(name));
            if let Some(file) = &file {
                paths.push(directory.join(file));
            }
        }
        Ok(paths)
    }

    fn unit_directories(&self, scope: &Scope) -> Result<Vec<PathBuf>> {
        let mut directories = Vec::new();
        if let Scope::User(user) = scope {
            let users = self.users()?;
            let home = users.iter().find(|known| known.name == *user);
            directories.extend(home.map(|user| user.home.join(IN_HOME)));
        }
        let manager = match scope {
            Scope::System => "system",
            Scope::User(_) | Scope::Global => "user",
        };
        directories.extend(DIRECTORIES.map(|directory| Path::new(directory).join(manager)));
        Ok(directories)
    }

    fn file_removed(&self, name: &str, scope: &Scope) -> Result<bool> {
        let mut paths = self.unit_paths(name, scope)?.into_iter();
        let removed = |path| matches!(self.pending.files.get(&path), Some(Node::Removed));
        Ok(paths.any(removed))
    }

    /// Whether a link in a `.wants` or `.requires` directory starts a unit.
    fn linked(&self, name: &str, scope: &Scope) -> Result<bool> {
        for directory in self.unit_directories(scope)? {
            for inside in self.list(&directory)? {
                let links = inside.ends_with(".wants") || inside.ends_with(".requires");
                if links
                    && self
                        .list(&directory.join(inside))?
                        .iter()
                        .any(|link| link == name)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn changed(&self, name: &str, scope: &Scope) -> bool {
        file_keys(name, scope)
            .iter()
            .any(|key| self.pending.changed_units.contains(key))
    }

    /// A unit that is used for the first time is read as it is now, and with
    /// it what it triggers.
    fn forget_change(&mut self, name: &str, scope: &Scope) {
        let mut keys = file_keys(name, scope);
        if let Some((stem, kind)) = name.rsplit_once('.')
            && TRIGGERS.contains(&kind)
        {
            keys.extend(file_keys(&format!("{stem}.service"), scope));
        }
        for key in keys {
            self.pending.changed_units.remove(&key);
        }
    }

    /// Whether a timer or the like is used that starts the unit.
    fn triggered(&self, name: &str, scope: &Scope) -> bool {
        let Some(stem) = name.strip_suffix(".service") else {
            return false;
        };
        // A trigger that only a file speaks of was never read by systemd.
        let is_read = |trigger: &str| {
            self.pending.units.contains_key(&key(trigger, scope))
                || matches!(self.unit_of_base(trigger, scope), Ok(Found::Present(_)))
        };
        TRIGGERS.iter().any(|kind| {
            let trigger = format!("{stem}.{kind}");
            is_read(&trigger)
                && matches!(self.unit(&trigger, scope), Ok(Found::Present(unit)) if used(&unit))
        })
    }

    pub(super) fn change_unit(
        &mut self,
        name: &str,
        action: UnitAction,
        scope: &Scope,
    ) -> Result<()> {
        let mut unit = self.changeable(name, action, scope)?;
        refuse(name, action, &unit)?;
        if matches!(action, UnitAction::Start | UnitAction::Restart) && !unit.runs_once {
            self.refuse_unmet(name, scope)?;
        }
        if !unit.needs_reload {
            self.forget_change(name, scope);
        }
        match action {
            UnitAction::Start | UnitAction::Restart | UnitAction::Reload => {
                let active = !unit.runs_once;
                set_active(&mut unit, active);
            }
            UnitAction::Stop => set_active(&mut unit, false),
            UnitAction::Enable => unit.file_state = "enabled".to_owned(),
            UnitAction::Disable => unit.file_state = "disabled".to_owned(),
            UnitAction::Unmask => {
                unit.file_state = match self.pending.masked_units.remove(&key(name, scope)) {
                    Some(state) => state,
                    None if self.linked(name, scope)? => "enabled".to_owned(),
                    None => "disabled".to_owned(),
                };
            }
            UnitAction::Mask => {
                self.refuse_mask(name, scope)?;
                let before = std::mem::replace(&mut unit.file_state, "masked".to_owned());
                self.pending.masked_units.insert(key(name, scope), before);
            }
        }
        // These make systemd read all unit files again (systemctl(1)).
        if !matches!(
            action,
            UnitAction::Start | UnitAction::Stop | UnitAction::Restart | UnitAction::Reload
        ) {
            self.reload_unit_files(scope);
        }
        unit.needs_reload = false;
        self.pending.units.insert(key(name, scope), unit);
        Ok(())
    }

    fn changeable(&self, name: &str, action: UnitAction, scope: &Scope) -> Result<Unit> {
        let missing = Unit {
            file_state: "disabled".to_owned(),
            active_state: "inactive".to_owned(),
            ..Unit::default()
        };
        match self.unit(name, scope)? {
            Found::Present(unit) => Ok(unit),
            Found::Unknown(origin) => {
                self.assume(&format!("The unit {name} comes with {origin}."));
                Ok(missing)
            }
            // A name may be masked before anything bears it.
            Found::Absent if matches!(action, UnitAction::Mask | UnitAction::Unmask) => Ok(missing),
            Found::Absent => Err(Failure::new(format!("the unit {name} does not exist"))),
        }
    }

    /// Refuses to start what systemd leaves alone, as far as that depends on
    /// paths. A drop-in may say otherwise.
    fn refuse_unmet(&self, name: &str, scope: &Scope) -> Result<()> {
        for directory in self.unit_directories(scope)? {
            if !self.list(&directory.join(format!("{name}.d")))?.is_empty() {
                return Ok(());
            }
        }
        for path in self.unit_paths(name, scope)? {
            let Some(content) = self.unit_file(&path)? else {
                continue;
            };
            for line in content.text.unwrap_or_default().lines() {
                if self.is_unmet(line)? {
                    let line = line.trim();
                    return Err(unmet_condition(name)
                        .hint(format!("The unit's file has `{line}`, which is not so.")));
                }
            }
            return Ok(());
        }
        Ok(())
    }

    fn is_unmet(&self, line: &str) -> Result<bool> {
        let Some(condition) = line.trim().strip_prefix("ConditionPathExists=") else {
            return Ok(false);
        };
        let (wanted, path) = match condition.strip_prefix('!') {
            Some(path) => (false, path.trim()),
            None => (true, condition),
        };
        // `|` is for one of several conditions, `%` for what systemd fills in.
        if !path.starts_with('/') || path.contains('%') {
            return Ok(false);
        }
        Ok(match self.exists(Path::new(path))? {
            Found::Present(()) => !wanted,
            Found::Absent => wanted,
            Found::Unknown(_) => false,
        })
    }

    /// Masking is a link in /etc, which would replace a file that is there.
    fn refuse_mask(&self, name: &str, scope: &Scope) -> Result<()> {
        let Some(directory) = self.unit_directories(scope)?.into_iter().next() else {
            return Ok(());
        };
        let path = directory.join(name);
        match self.unit_file(&path)? {
            Some(content) if content.size > 0 => Err(Failure::new(format!(
                "cannot mask {name}: the file {} is in the way",
                path.display()
            ))),
            _ => Ok(()),
        }
    }

    /// The manager reads its unit files: nothing is out of date any more.
    pub(super) fn reload_unit_files(&mut self, scope: &Scope) {
        let users = matches!(scope, Scope::User(_) | Scope::Global);
        let others = |unit: &String| unit.starts_with("user/") != users;
        self.pending.changed_units.retain(others);
        self.pending.reloaded_managers.insert(key("", scope));
    }

    /// Notes that a unit's file, or a drop-in of it, changed.
    pub(super) fn note_unit_file(&mut self, path: &Path) {
        for (prefix, inside) in inside_unit_directory(path) {
            let mut parts = inside.iter().map(|part| part.to_string_lossy());
            let (Some(first), second) = (parts.next(), parts.next()) else {
                continue;
            };
            let unit = match (first.strip_suffix(".d"), second) {
                (Some(unit), Some(file)) if file.ends_with(".conf") => unit,
                // An empty directory of drop-ins says nothing.
                (Some(unit), None) if self.list(path).is_ok_and(|names| !names.is_empty()) => unit,
                (None, None) => &*first,
                _ => continue,
            };
            self.pending.changed_units.insert(format!("{prefix}{unit}"));
        }
    }
}

/// Refuses what systemd would refuse.
fn refuse(name: &str, action: UnitAction, unit: &Unit) -> Result<()> {
    let starts = matches!(
        action,
        UnitAction::Start | UnitAction::Restart | UnitAction::Reload | UnitAction::Enable
    );
    if starts && unit.masked() {
        return Err(Failure::new(format!("the unit {name} is masked")));
    }
    if action != UnitAction::Reload {
        return Ok(());
    }
    match (unit.active, unit.can_reload) {
        (false, _) => Err(Failure::new(format!(
            "the unit {name} is not active, cannot reload"
        ))),
        (true, Some(false)) => Err(Failure::new(format!("the unit {name} cannot reload"))
            .hint("It has no ExecReload; `state: \"restarted\"` works for every unit.")),
        (true, _) => Ok(()),
    }
}

/// systemd reads the files of a unit nobody uses each time anew, so only one
/// that runs, starts at boot, failed, or is triggered can be out of date.
fn used(unit: &Unit) -> bool {
    unit.active || unit.file_state == "enabled" || unit.active_state == "failed"
}

fn set_active(unit: &mut Unit, active: bool) {
    unit.active = active;
    unit.active_state = if active { "active" } else { "inactive" }.to_owned();
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|known| known.trim() == line)
}

fn runs_once(text: &str) -> bool {
    let stays = ["yes", "true", "on", "1"]
        .iter()
        .any(|yes| has_line(text, &format!("RemainAfterExit={yes}")));
    has_line(text, "Type=oneshot") && !stays
}
