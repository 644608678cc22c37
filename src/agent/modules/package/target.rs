//! What shall be there of each package, which depends on what is there and on
//! what the package lists offer.

use std::collections::BTreeMap;

use super::request::{Release, Request};
use super::{PackageGoal, PackageSet};
use crate::effect::Command;
use crate::mark;
use crate::module::Result;
use crate::modules::{glob, version};
use crate::outcome::Failure;
use crate::system::{Available, Found, Package, PackageState, System};

/// What shall be there in the end.
pub enum Target {
    /// It is not there.
    Absent,
    /// It is there in this version.
    Version(String),
    /// It is there; the text says where the version will come from.
    Unknown(String),
}

impl PackageSet {
    /// What the package lists offer, of the packages for which it matters.
    pub(super) fn offered(
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

    pub(super) fn target(
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
                    Release::Version(exact) if !glob::is_pattern(exact) => {
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
