//! Packages of Debian and its kin, all those of a call in one transaction.
//!
//! It refuses wildcards in names, and never upgrades unless it is asked to.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::arguments::{OneOrMany, seconds};
use crate::effect::{Effect, InstallOptions, PackageRequest, RemoveOptions};
use crate::module::{Module, Result};
use crate::outcome::{Change, Failure, Side};
use crate::state::{Diff, State};
use crate::system::{Found, Package, PackageState, System};

mod request;

mod target;

use request::Request;
use target::Target;

/// Keeps packages installed, at a version, up to date, or absent. All packages
/// of a call change in one transaction.
///
/// The result has `versions`, a map from each name to the installed version.
///
/// ```rhai
/// package("haproxy");
/// package(["curl", "postgresql-client=15*"], #{ cache_valid_time: "1h" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct PackageSet {
    /// The packages: `name`, `name=version` where the version may be a pattern
    /// such as `1.2*`, `name/release` for the version of a release such as
    /// `bookworm-backports`, and `name:arch` for a foreign architecture.
    #[serde(default)]
    #[schemars(extend("x-alias" = ["pkg", "package"]))]
    name: OneOrMany<String>,
    /// What shall be there; nothing is upgraded unless it is `latest`.
    #[serde(default)]
    state: PackageGoal,
    /// Whether the package lists are fetched first. That alone counts as a
    /// change only when the call names no packages.
    #[serde(default)]
    update_cache: bool,
    /// How old the package lists may be before they are fetched anew, such as
    /// `"1h"`; implies `update_cache`.
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    cache_valid_time: Option<u64>,
    /// Whether the configuration of absent packages goes too.
    #[serde(default)]
    purge: bool,
    /// Whether packages go that came as dependencies and that nothing needs
    /// any more.
    #[serde(default)]
    autoremove: bool,
    /// Whether recommended packages come too; the host's own setting if not
    /// given.
    #[schemars(extend("x-alias" = ["install-recommends"]))]
    install_recommends: Option<bool>,
    /// The release to prefer, such as `bookworm-backports`.
    #[schemars(extend("x-alias" = ["default-release"]))]
    default_release: Option<String>,
    /// Whether a lower version may replace a higher one.
    #[serde(default)]
    #[schemars(extend("x-alias" = ["allow_downgrades"]))]
    allow_downgrade: bool,
    /// Whether packages that are on hold may change.
    #[serde(default)]
    allow_change_held_packages: bool,
    /// Whether packages that are not installed stay so.
    #[serde(default)]
    only_upgrade: bool,
    /// How long to wait for another package manager to end; a minute if not
    /// given.
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    lock_timeout: Option<u64>,
}

/// Seconds to wait for another package manager, if nothing is said.
const LOCK_TIMEOUT: u32 = 60;

/// What shall be there of a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PackageGoal {
    /// It is installed.
    #[default]
    Present,
    /// It is installed in the newest version that the package lists offer.
    Latest,
    /// It is not installed.
    Absent,
}

/// The part of an attribute's name that marks what shall be there, which
/// depends on what the package lists offer.
const WANTED: &str = "wanted ";

const UNNEEDED: &str = "unneeded packages";

impl Module for PackageSet {
    const NAME: &'static str = "package";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn title(&self) -> String {
        match (self.name.0.is_empty(), self.autoremove) {
            (false, _) => self.name.0.join(", "),
            (true, true) => UNNEEDED.to_owned(),
            (true, false) => "package lists".to_owned(),
        }
    }

    fn prepare(&self, system: &mut dyn System) -> Result<()> {
        match !self.only_updates() && self.update_is_due(system)? {
            true => self.update(system),
            false => Ok(()),
        }
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        let mut state = State::new();
        if self.only_updates() {
            state.set("update", self.update_is_due(system)?);
            return Ok(state);
        }
        let requests = self.requests()?;
        let names: Vec<String> = requests
            .iter()
            .map(|request| request.name.clone())
            .collect();
        let known = system.packages(&names)?;
        let offered = self.offered(&requests, &known, system)?;
        for request in &requests {
            let package = known.get(&request.name);
            state.set(&request.name, self.shown(package));
            let attribute = format!("{WANTED}{}", request.name);
            match self.target(request, package, offered.get(&request.name))? {
                Target::Absent => state.set(&attribute, Value::Null),
                Target::Version(version) => state.set(&attribute, version),
                Target::Unknown(origin) => state.set_unknown(&attribute, origin),
            }
        }
        if self.looks_for_unneeded() {
            state.set(UNNEEDED, self.unneeded(system)?);
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut state = found.part(WANTED);
        if found.value("update") == Some(&Value::Bool(true)) {
            state.request("update");
        }
        // What is not there changes for certain, even if it is not known to
        // what version.
        for request in self.requests()? {
            let unknown = state.value(&request.name).is_none();
            if unknown && found.value(&request.name) == Some(&Value::Null) {
                state.request("install");
            }
        }
        if self.looks_for_unneeded() {
            state.set(UNNEEDED, json!([]));
        }
        Ok(state)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        if diff.requests("update") {
            self.update(system)?;
        }
        let packages = diff
            .changes
            .iter()
            .filter(|change| change.attribute != UNNEEDED);
        let (gone, come): (Vec<_>, Vec<_>) =
            packages.partition(|change| change.after == Side::Absent);
        if !gone.is_empty() {
            let names = gone.iter().map(|change| change.attribute.clone()).collect();
            self.remove(names, system)?;
        }
        if !come.is_empty() {
            let effect = Effect::InstallPackages {
                packages: come.into_iter().map(request_of).collect(),
                options: self.install_options(),
            };
            system.perform(effect)?;
        }
        match diff.has(UNNEEDED) {
            true => self.remove(Vec::new(), system),
            false => Ok(()),
        }
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let requests = self.requests().unwrap_or_default();
        let version = |request: Request| {
            let version = state.value(&request.name).cloned().unwrap_or_default();
            (request.name, version)
        };
        let versions: Map<String, Value> = requests.into_iter().map(version).collect();
        Map::from_iter([("versions".to_owned(), Value::Object(versions))])
    }
}

fn request_of(change: &Change) -> PackageRequest {
    let version = match &change.after {
        Side::Value(Value::String(version)) => Some(version.clone()),
        _ => None,
    };
    PackageRequest {
        name: change.attribute.clone(),
        version,
    }
}

impl PackageSet {
    fn only_updates(&self) -> bool {
        self.name.0.is_empty() && !self.autoremove
    }

    /// A removal takes what it makes superfluous along by itself.
    fn looks_for_unneeded(&self) -> bool {
        self.autoremove && (self.name.0.is_empty() || self.state != PackageGoal::Absent)
    }

    fn requests(&self) -> Result<Vec<Request>> {
        if self.name.0.is_empty()
            && !self.autoremove
            && !self.update_cache
            && self.cache_valid_time.is_none()
        {
            return Err(Failure::new("no package is named")
                .hint("Name at least one, or give `update_cache` or `autoremove`."));
        }
        let mut requests: Vec<Request> = Vec::new();
        for text in &self.name.0 {
            let request = Request::parse(text)?;
            match requests.iter().find(|known| known.name == request.name) {
                Some(known) if known.release == request.release => {}
                Some(_) => {
                    return Err(Failure::new(format!("{} is asked for twice", request.name)));
                }
                None => requests.push(request),
            }
        }
        Ok(requests)
    }

    fn update_is_due(&self, system: &dyn System) -> Result<bool> {
        let Some(valid) = self.cache_valid_time else {
            return Ok(self.update_cache);
        };
        let age = system.package_lists_age()?;
        Ok(age.is_none_or(|age| age >= valid))
    }

    fn lock_timeout(&self) -> u32 {
        let given = self
            .lock_timeout
            .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        given.unwrap_or(LOCK_TIMEOUT)
    }

    fn update(&self, system: &mut dyn System) -> Result<()> {
        let lock_timeout = self.lock_timeout();
        system
            .perform(Effect::UpdatePackageLists { lock_timeout })
            .map(drop)
    }

    fn remove(&self, names: Vec<String>, system: &mut dyn System) -> Result<()> {
        let options = self.remove_options();
        system
            .perform(Effect::RemovePackages { names, options })
            .map(drop)
    }

    fn install_options(&self) -> InstallOptions {
        InstallOptions {
            recommends: self.install_recommends,
            allow_downgrade: self.allow_downgrade,
            allow_held: self.allow_change_held_packages,
            default_release: self.default_release.clone(),
            lock_timeout: self.lock_timeout(),
        }
    }

    fn remove_options(&self) -> RemoveOptions {
        RemoveOptions {
            purge: self.purge,
            autoremove: self.autoremove,
            allow_held: self.allow_change_held_packages,
            lock_timeout: self.lock_timeout(),
        }
    }

    fn unneeded(&self, system: &dyn System) -> Result<Value> {
        let transaction = match system.simulate_removal(&[], &self.remove_options())? {
            Found::Present(transaction) => transaction,
            Found::Absent | Found::Unknown(_) => return Ok(json!([])),
        };
        let mut names: Vec<_> = [transaction.removed, transaction.purged].concat();
        names.sort();
        Ok(json!(names))
    }

    /// A package as the diff shows it.
    fn shown(&self, package: Option<&Package>) -> Value {
        let Some(package) = package else {
            return Value::Null;
        };
        let Package { version, state, .. } = package;
        match state {
            PackageState::Installed if self.state != PackageGoal::Absent && package.automatic => {
                json!(format!("{version}, only as a dependency"))
            }
            PackageState::Installed => json!(version),
            PackageState::Unfinished => json!(format!("{version}, not wholly installed")),
            PackageState::Configuration if self.state == PackageGoal::Absent && self.purge => {
                json!("only its configuration")
            }
            PackageState::Configuration => Value::Null,
            PackageState::Provided(_) if self.state == PackageGoal::Absent => Value::Null,
            PackageState::Provided(provider) => json!(format!("provided by {provider}")),
        }
    }
}

#[cfg(test)]
mod tests;
