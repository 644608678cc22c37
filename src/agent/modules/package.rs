//! Packages of Debian and its kin, all those of a call in one transaction.
//!
//! It refuses wildcards in names, and never upgrades unless it is asked to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::arguments::{OneOrMany, seconds};
use super::version;
use crate::effect::{Command, Effect, InstallOptions, PackageRequest, RemoveOptions};
use crate::mark;
use crate::module::{Module, Result};
use crate::outcome::{Change, Failure, Side};
use crate::state::{Diff, State};
use crate::system::{Available, Found, Package, PackageState, System};

mod request;

use request::{Release, Request};

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

/// What shall be there in the end.
enum Target {
    Absent,
    Version(String),
    /// The text says where the version will come from.
    Unknown(String),
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
        let Some(Package { version, state, .. }) = package else {
            return Value::Null;
        };
        match state {
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

    /// What the package lists offer, of the packages for which it matters.
    fn offered(
        &self,
        requests: &[Request],
        known: &BTreeMap<String, Package>,
        system: &dyn System,
    ) -> Result<BTreeMap<String, Found<Available>>> {
        let matters = |request: &&Request| self.needs_lists(request, known.get(&request.name));
        let names: Vec<String> = requests
            .iter()
            .filter(matters)
            .map(|request| request.name.clone())
            .collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let offered = system.available(&names, self.default_release.as_deref())?;
        let missing: Vec<&str> = offered
            .iter()
            .filter(|(_, offer)| **offer == Found::Absent)
            .map(|(name, _)| name.as_str())
            .collect();
        match missing.is_empty() {
            true => Ok(offered),
            false => Err(not_offered(&missing, system)),
        }
    }

    fn needs_lists(&self, request: &Request, package: Option<&Package>) -> bool {
        let there = package.filter(|package| package.state != PackageState::Configuration);
        match (self.state, there) {
            (PackageGoal::Absent, _) => false,
            (_, None) => !self.only_upgrade,
            (PackageGoal::Latest, Some(_)) => true,
            (PackageGoal::Present, Some(package)) => !request.release.accepts(&package.version),
        }
    }

    fn target(
        &self,
        request: &Request,
        package: Option<&Package>,
        offer: Option<&Found<Available>>,
    ) -> Result<Target> {
        if self.state == PackageGoal::Absent {
            return self.may_change(request, package).map(|()| Target::Absent);
        }
        let there = package.filter(|package| package.state != PackageState::Configuration);
        let available = match (offer, there) {
            (None, Some(package)) => return Ok(self.kept(package)),
            (None, None) => return Ok(Target::Absent),
            (Some(Found::Unknown(origin)), _) => {
                return Ok(match &request.release {
                    Release::Version(exact) if !version::is_pattern(exact) => {
                        Target::Version(exact.clone())
                    }
                    _ => Target::Unknown(origin.clone()),
                });
            }
            (Some(Found::Absent), _) => {
                return Err(Failure::new(format!("{} is not offered", request.name)));
            }
            (Some(Found::Present(available)), _) => available,
        };
        let Some(version) = request.choose(available)? else {
            return Ok(match there {
                Some(package) => self.kept(package),
                None => Target::Unknown(format!("the package that provides {}", request.name)),
            });
        };
        match there {
            Some(package) => self.change_to(version, request, package),
            None => Ok(Target::Version(version)),
        }
    }

    fn kept(&self, package: &Package) -> Target {
        Target::Version(match &package.state {
            PackageState::Provided(provider) => format!("provided by {provider}"),
            _ => package.version.clone(),
        })
    }

    fn change_to(&self, version: String, request: &Request, package: &Package) -> Result<Target> {
        if version == package.version || mark::unknown_origin(&package.version).is_some() {
            return Ok(self.kept(package));
        }
        let lower = version::compare(&version, &package.version).is_lt();
        if lower && !self.allow_downgrade {
            // The candidate is lower where somebody installed a version that
            // the lists do not have; that is as new as can be.
            if request.release == Release::Candidate {
                return Ok(self.kept(package));
            }
            return Err(Failure::new(format!(
                "{} {} is installed, and {version} is lower",
                request.name, package.version
            ))
            .hint("Give `allow_downgrade: true` to replace it."));
        }
        self.may_change(request, Some(package))?;
        Ok(Target::Version(version))
    }

    fn may_change(&self, request: &Request, package: Option<&Package>) -> Result<()> {
        match package {
            Some(package) if package.held && !self.allow_change_held_packages => Err(Failure::new(
                format!("{} is on hold", request.name),
            )
            .hint(
                "Give `allow_change_held_packages: true`, or run `apt-mark unhold` on the host.",
            )),
            _ => Ok(()),
        }
    }
}

fn not_offered(names: &[&str], system: &dyn System) -> Failure {
    let close = names.iter().filter_map(|name| similar(name, system));
    let mut hints: Vec<String> = close.collect();
    hints.push("Give `update_cache: true` to fetch the package lists first.".to_owned());
    let message = match names {
        [name] => format!("the package {name} is not in the package lists"),
        names => format!(
            "the packages {} are not in the package lists",
            names.join(", ")
        ),
    };
    let mut failure = Failure::new(message).hint(hints.join(" "));
    failure.argument = Some("name".to_owned());
    failure
}

/// A package that somebody may have meant, by the names that begin alike.
fn similar(name: &str, system: &dyn System) -> Option<String> {
    let start: String = name.chars().take(2).collect();
    let listing = Command::new(["apt-cache", "pkgnames", start.as_str()]);
    let names = system.query(&listing).ok()?.present()?.stdout;
    let (likeness, close) = names
        .lines()
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    (likeness > 0.7).then(|| format!("Did you mean `{close}`?"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::effect::{Effect, PackageRequest};
    use crate::outcome::{Outcome, Verdict};
    use crate::system::System;
    use crate::system::overlay::fake::{self, Fake};
    use crate::system::overlay::{Absence, Overlay, Pending};
    use crate::system::sandbox::Pristine;

    fn call(host: &mut dyn System, arguments: serde_json::Value) -> Outcome {
        let module = crate::modules::find("package").expect("it is listed");
        (module.call)(arguments, host)
    }

    /// One package that is installed, and two versions of two that are offered.
    fn host() -> Fake {
        Fake {
            packages: fake::installed(&[("here", "1.0-1")]),
            offers: [
                ("here".to_owned(), vec!["2.0-1", "1.0-1", "0.9-1"]),
                ("there".to_owned(), vec!["2.0-1", "1.5-1"]),
            ]
            .into(),
            age: Some(3600),
            ..Fake::default()
        }
    }

    fn installs(outcome: &Outcome) -> Vec<(String, Option<String>)> {
        let [record] = &outcome.effects[..] else {
            return Vec::new();
        };
        let Effect::InstallPackages { packages, .. } = &record.effect else {
            return Vec::new();
        };
        let pair =
            |PackageRequest { name, version }: &PackageRequest| (name.clone(), version.clone());
        packages.iter().map(pair).collect()
    }

    #[test]
    fn several_packages_change_in_one_transaction_and_then_no_more() {
        let mut host = fake::overlay(host());
        let arguments = json!({ "name": ["here=2*", "there=1.5*"] });
        let outcome = call(&mut host, arguments.clone());
        assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
        assert_eq!(
            installs(&outcome),
            [
                ("here".to_owned(), Some("2.0-1".to_owned())),
                ("there".to_owned(), Some("1.5-1".to_owned())),
            ]
        );
        assert_eq!(outcome.values["versions"]["there"], "1.5-1");
        let again = call(&mut host, arguments);
        assert_eq!(again.verdict, Verdict::Ok);
        assert!(again.effects.is_empty());
    }

    #[test]
    fn present_never_upgrades_and_latest_does() {
        let mut host = fake::overlay(host());
        assert_eq!(
            call(&mut host, json!({ "name": "here" })).verdict,
            Verdict::Ok
        );
        let outcome = call(&mut host, json!({ "name": "here", "state": "latest" }));
        assert_eq!(
            installs(&outcome),
            [("here".to_owned(), Some("2.0-1".to_owned()))]
        );
    }

    #[test]
    fn a_lower_version_needs_leave() {
        let mut host = fake::overlay(host());
        let refused = call(&mut host, json!({ "name": "here=0.9*" }));
        assert!(refused.failure.is_some_and(|failure| {
            failure
                .hint
                .is_some_and(|hint| hint.contains("allow_downgrade"))
        }));
        let arguments = json!({ "name": "here=0.9*", "allow_downgrade": true });
        assert_eq!(call(&mut host, arguments).verdict, Verdict::Changed);
    }

    #[test]
    fn a_package_on_hold_stays() {
        let mut fake = host();
        if let Some(package) = fake.packages.get_mut("here") {
            package.held = true;
        }
        let mut host = fake::overlay(fake);
        for arguments in [
            json!({ "name": "here", "state": "latest" }),
            json!({ "name": "here", "state": "absent" }),
        ] {
            let failure = call(&mut host, arguments).failure.expect("it is on hold");
            assert!(failure.message.contains("on hold"), "{failure}");
        }
        assert_eq!(
            call(&mut host, json!({ "name": "here" })).verdict,
            Verdict::Ok
        );
    }

    #[test]
    fn all_missing_packages_are_named_at_once() {
        let mut host = fake::overlay(host());
        let failure = call(&mut host, json!({ "name": ["no", "here", "nor-this"] }))
            .failure
            .expect("they are missing");
        assert!(failure.message.contains("no, nor-this"), "{failure}");
        assert_eq!(failure.argument.as_deref(), Some("name"));
    }

    #[test]
    fn an_update_is_a_change_only_when_nothing_else_is_asked_for() {
        let mut host = fake::overlay(host());
        let beside = call(&mut host, json!({ "name": "here", "update_cache": true }));
        assert_eq!((beside.verdict, beside.effects.len()), (Verdict::Ok, 1));
        let alone = call(&mut host, json!({ "update_cache": true }));
        assert_eq!((alone.verdict, alone.effects.len()), (Verdict::Changed, 1));
    }

    #[test]
    fn lists_that_are_young_enough_are_not_fetched() {
        for (valid, effects) in [("2h", 0), ("30m", 1)] {
            let mut host = fake::overlay(host());
            let arguments = json!({ "name": "here", "cache_valid_time": valid });
            assert_eq!(call(&mut host, arguments).effects.len(), effects, "{valid}");
        }
    }

    #[test]
    fn only_upgrade_installs_nothing_new() {
        let mut host = fake::overlay(host());
        let arguments =
            json!({ "name": ["here", "there"], "state": "latest", "only_upgrade": true });
        let outcome = call(&mut host, arguments);
        assert_eq!(installs(&outcome).len(), 1);
    }

    #[test]
    fn a_sandbox_converges_whatever_is_asked_for() {
        let mut host = Overlay::new(Box::new(Pristine), Absence::Certain, Pending::default());
        for arguments in [
            json!({ "name": "haproxy=2.6*" }),
            json!({ "name": ["curl", "jq"], "state": "latest", "update_cache": true }),
            json!({ "name": "nginx/bookworm-backports" }),
            json!({ "name": "curl", "state": "absent", "purge": true }),
        ] {
            let first = call(&mut host, arguments.clone());
            assert_eq!(
                first.verdict,
                Verdict::Changed,
                "{arguments} {:?}",
                first.failure
            );
            let second = call(&mut host, arguments.clone());
            assert_eq!(
                second.verdict,
                Verdict::Ok,
                "{arguments} {:?}",
                second.changes
            );
        }
    }

    #[test]
    fn a_call_without_a_name_is_refused() {
        let mut host = fake::overlay(host());
        assert!(call(&mut host, json!({})).failure.is_some());
        assert!(call(&mut host, json!({ "name": [] })).failure.is_some());
    }
}
