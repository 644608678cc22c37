//! `host`, `vars`, `facts` and `groups`: names that every script sees and that
//! stand for the host the script runs on, at the moment they are read.
//!
//! They are stand-ins without content. A closure captures them when it is
//! made, before any host is there; so what they mean is looked up behind the
//! engine's tag, each time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{Dynamic, Engine, ImmutableString, NativeCallContext};
use serde_json::{Map, Value, json};
use veza_agent::facts::FACTS;

use super::context::{Running, running, site};
use super::diagnostics::Problem;
use super::error::{Failed, fail_script};
use super::library::Library;
use super::tasks::View;
use super::value;
use crate::report::event::Site;
use crate::schema::closest;

/// One of the names every script sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// The host itself: name, address, groups.
    Host,
    /// Its variables.
    Vars,
    /// What its agent found out.
    Facts,
    /// The hosts of all groups.
    Groups,
}

/// The names every script sees.
pub(super) const NAMES: [&str; 4] = ["host", "vars", "facts", "groups"];

impl Lookup {
    /// What a name stands for.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "host" => Some(Self::Host),
            "vars" => Some(Self::Vars),
            "facts" => Some(Self::Facts),
            "groups" => Some(Self::Groups),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Vars => "vars",
            Self::Facts => "facts",
            Self::Groups => "groups",
        }
    }

    /// All it holds, as data.
    pub fn to_json(self, view: &View) -> Value {
        match self {
            Self::Host => {
                json!({ "name": view.name, "address": view.address, "groups": view.groups })
            }
            Self::Vars => Value::Object(view.vars.clone()),
            Self::Facts => Value::Object(view.facts.clone()),
            Self::Groups => json!(*view.hosts_by_group),
        }
    }

    fn keys(self, view: &View) -> Vec<String> {
        let of = |map: &Map<String, Value>| map.keys().cloned().collect();
        match self {
            Self::Host => ["name", "address", "groups"].map(Into::into).to_vec(),
            Self::Vars => of(&view.vars),
            Self::Facts => of(&view.facts),
            Self::Groups => view.hosts_by_group.keys().cloned().collect(),
        }
    }

    /// One thing it holds.
    pub fn get(self, view: &View, key: &str) -> Option<Dynamic> {
        let names = |names: &[String]| {
            names
                .iter()
                .map(|name| name.as_str().into())
                .collect::<rhai::Array>()
                .into()
        };
        match (self, key) {
            (Self::Host, "name") => Some(view.name.as_str().into()),
            (Self::Host, "address") => Some(view.address.as_str().into()),
            (Self::Host, "groups") => Some(names(&view.groups)),
            (Self::Host, _) => None,
            (Self::Vars, _) => view.vars.get(key).map(value::from_json),
            (Self::Facts, _) => view.facts.get(key).map(value::from_json),
            (Self::Groups, _) => view.hosts_by_group.get(key).map(|hosts| names(hosts)),
        }
    }

    fn missing(self, context: &NativeCallContext, running: &Running, key: &str) -> Failed {
        let view = running.tasks.view();
        let message = match self {
            Self::Vars => format!("the variable `{key}` is not defined for {}", view.name),
            Self::Groups => format!("there is no group `{key}`"),
            _ => format!("`{}` has no `{key}`", self.name()),
        };
        let known = self.keys(view);
        let help = match closest(key, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{}.{near}`?", self.name()),
            None if self == Self::Vars => {
                format!(
                    "Define it with `vars: #{{ {key}: … }}` on the host or a group, or read it with `vars.get(\"{key}\", default)`."
                )
            }
            None => format!("known: {}", known.join(", ")),
        };
        let at = site(context, &running.library);
        let problem =
            running
                .library
                .problem_at("undefined_variable", message, &at, "not defined".into());
        fail_script(problem.help(help), context.call_position())
    }
}

/// What is wrong with the name of a group, if something is.
pub(super) fn no_such_group(
    library: &Library,
    at: &Site,
    name: &str,
    groups: &BTreeMap<String, Vec<String>>,
) -> Option<Problem> {
    if groups.contains_key(name) {
        return None;
    }
    let near = closest(name, groups.keys().map(String::as_str));
    let label = match near {
        Some(near) => format!("did you mean `groups.{near}`?"),
        None => "not declared".into(),
    };
    let message = format!("there is no group `{name}`");
    let problem = library.problem_at("unknown_group", message, at, label);
    Some(problem.help(format!(
        "Declare it with `group(\"{name}\", […])`, or read it with `groups.get(\"{name}\", [])` where it may be missing."
    )))
}

/// A variable that no host has, if its name is like that of one: another may
/// be given with `--set`, or not be needed.
pub(super) fn misspelt_variable(
    library: &Library,
    at: &Site,
    name: &str,
    known: &BTreeSet<&str>,
) -> Option<Problem> {
    if known.contains(name) {
        return None;
    }
    let near = closest(name, known.iter().copied())?;
    let message = format!("no host has a variable `{name}`");
    let label = format!("did you mean `vars.{near}`?");
    let problem = library.problem_at("undefined_variable", message, at, label);
    Some(problem.help(format!(
        "Read it with `vars.get(\"{name}\", …)` where it may be missing."
    )))
}

/// What is wrong with the name of a fact, if something is.
pub(super) fn no_such_fact(library: &Library, at: &Site, name: &str) -> Option<Problem> {
    let known = || FACTS.iter().map(|(name, _)| *name);
    if known().any(|known| known == name) {
        return None;
    }
    let label = match closest(name, known()) {
        Some(near) => format!("did you mean `facts.{near}`?"),
        None => "not known".into(),
    };
    let message = format!("there is no fact `{name}`");
    let problem = library.problem_at("unknown_fact", message, at, label);
    Some(problem.help("`veza-play doc facts` lists the facts"))
}

/// Teaches the engine to read the stand-ins.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Lookup>("lookup");
    engine.register_indexer_get(read);
    engine.register_fn(
        "get",
        |context: NativeCallContext, lookup: &mut Lookup, key: ImmutableString| {
            get_or(context, lookup, key, Dynamic::UNIT)
        },
    );
    engine.register_fn("get", get_or);
    engine.register_fn("contains", contains);
    engine.register_fn(
        "keys",
        |context: NativeCallContext, lookup: &mut Lookup| -> Result<rhai::Array, Failed> {
            let running = running(&context)?;
            Ok(lookup
                .keys(running.tasks.view())
                .into_iter()
                .map(Dynamic::from)
                .collect())
        },
    );
    for name in ["to_string", "to_debug"] {
        engine.register_fn(
            name,
            |context: NativeCallContext, lookup: &mut Lookup| -> Result<String, Failed> {
                Ok(lookup.to_json(running(&context)?.tasks.view()).to_string())
            },
        );
    }
}

fn read(
    context: NativeCallContext,
    lookup: &mut Lookup,
    key: ImmutableString,
) -> Result<Dynamic, Failed> {
    let running: Arc<Running> = running(&context)?;
    let found = lookup.get(running.tasks.view(), &key);
    let value = found.ok_or_else(|| lookup.missing(&context, &running, &key))?;
    running.met(&value);
    Ok(value)
}

fn get_or(
    context: NativeCallContext,
    lookup: &mut Lookup,
    key: ImmutableString,
    default: Dynamic,
) -> Result<Dynamic, Failed> {
    Ok(lookup
        .get(running(&context)?.tasks.view(), &key)
        .unwrap_or(default))
}

fn contains(
    context: NativeCallContext,
    lookup: &mut Lookup,
    key: ImmutableString,
) -> Result<bool, Failed> {
    Ok(lookup.get(running(&context)?.tasks.view(), &key).is_some())
}
