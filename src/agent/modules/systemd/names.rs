//! Units' names: what kind they are, and what a misspelt one meant.

use std::path::Path;

use crate::effect::Scope;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::System;

/// The kinds of units there are (systemd.unit(5)).
const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
];

/// How many letters a name may be away from the one that is suggested.
const CLOSE: usize = 3;

/// The name with its kind; a unit of no kind is a service.
pub fn full_name(name: &str) -> String {
    match SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        true => name.to_owned(),
        false => format!("{name}.service"),
    }
}

/// The failure of a call for a unit that is not there.
pub fn missing(name: &str, scope: &Scope, system: &dyn System) -> Result<Failure> {
    let manager = match scope {
        Scope::System => "system",
        Scope::User(_) | Scope::Global => "user",
    };
    let mut names = Vec::new();
    for directory in ["/etc/systemd", "/usr/lib/systemd", "/lib/systemd"] {
        names.extend(system.list(&Path::new(directory).join(manager))?);
    }
    names.retain(|known| full_name(known) == *known);
    let close = names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, _)| *distance <= CLOSE)
        .min();
    let failure = Failure::new(format!("the unit {name} does not exist"));
    Ok(match close {
        Some((_, close)) => failure.hint(format!("Did you mean {close}?")),
        None => failure.hint(
            "Install the package that brings it, or write its unit file, in a task before this one.",
        ),
    })
}
