//! What an env file declares: hosts, groups and plays.
//!
//! The functions here only collect; patterns are resolved when the whole file
//! has been read. A problem is kept and the file read on, so that all are
//! found.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, FnPtr, ImmutableString, Map, NativeCallContext};
use serde_json::Value;

use super::calls::{self, escalation, words};
use super::closure::Closure;
use super::context::{Declaring, Tag, library, site, tag};
use super::diagnostics::Problem;
use super::error::{Failed, fail_script};
use super::secret::told;
use super::signatures::schemas;
use super::value::{self, Refused};
use crate::inventory::{Group, Host, Inventory, InventoryError};
use crate::play::{Amount, Body, Play};
use crate::report::event::Site;
use crate::schema::Schema;
use crate::schema::check::{Part, Shape};
use crate::transport::Connection;

/// What has been declared so far.
#[derive(Default)]
pub(super) struct Declarations {
    pub inventory: Inventory,
    pub plays: Vec<Play>,
    pub problems: Vec<Problem>,
}

/// Registers the functions of env files.
pub(super) fn register(engine: &mut Engine) {
    engine.register_fn(
        "host",
        |context: NativeCallContext, name: ImmutableString, options: Map| {
            host(&context, &name, options)
        },
    );
    engine.register_fn("secrets", secrets);
    register_group(engine);
    engine.register_fn(
        "play",
        |context: NativeCallContext,
         name: ImmutableString,
         pattern: ImmutableString,
         body: FnPtr| { play(&context, &name, &pattern, Map::new(), body) },
    );
    engine.register_fn(
        "play",
        |context: NativeCallContext,
         name: ImmutableString,
         pattern: ImmutableString,
         options: Map,
         body: FnPtr| { play(&context, &name, &pattern, options, body) },
    );
}

/// At the top of an env file `group` declares one of hosts; on a host it is
/// the module that keeps a group of accounts.
fn register_group(engine: &mut Engine) {
    engine.register_fn(
        "group",
        |context: NativeCallContext, name: ImmutableString, members: Array| match on_host(&context)?
        {
            Some(schema) => calls::call_with(&context, &schema, vec![name.into(), members.into()]),
            None => group(&context, &name, members, Map::new()),
        },
    );
    engine.register_fn(
        "group",
        |context: NativeCallContext, name: ImmutableString, options: Map| match on_host(&context)? {
            Some(schema) => calls::call_with(&context, &schema, vec![name.into(), options.into()]),
            None => group(&context, &name, Array::new(), options),
        },
    );
    engine.register_fn(
        "group",
        |context: NativeCallContext, name: ImmutableString, members: Array, options: Map| {
            group(&context, &name, members, options)
        },
    );
}

/// The module of the called function's name, while a play runs.
fn on_host(context: &NativeCallContext) -> Result<Option<Arc<Schema>>, Failed> {
    match tag(context)? {
        Tag::Declaring(_) => Ok(None),
        Tag::Running(running) => Ok(running.library.catalog.get(context.fn_name()).cloned()),
    }
}

/// The env file that is being read.
fn declaring(context: &NativeCallContext) -> Result<Arc<Declaring>, Failed> {
    match tag(context)? {
        Tag::Declaring(declaring) => Ok(declaring),
        Tag::Running(running) => {
            let at = site(context, &running.library);
            let message = format!(
                "`{}` declares, but a play is running here",
                context.fn_name()
            );
            let problem =
                running
                    .library
                    .problem_at("inside_of_play", message, &at, "inside a play".into());
            let help = "Hosts, groups and plays are declared at the top level of an env file.";
            Err(fail_script(problem.help(help), context.call_position()))
        }
    }
}

/// Options as data. What is wrong with them is noted, unless the static check
/// has found problems: these would be among them.
pub(super) fn checked(
    context: &NativeCallContext,
    given: &[(&str, Value)],
    options: &Map,
) -> Result<serde_json::Map<String, Value>, Failed> {
    let name = context.fn_name();
    let plain = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    let mut all: Vec<(String, Value)> = plain.collect();
    for (key, value) in options
        .iter()
        .filter(|(_, value)| !value.is::<Connection>())
    {
        match value::to_json(value, None) {
            Ok(json) => all.push((key.to_string(), json)),
            Err(Refused::Stop(stop)) => {
                return Err(super::error::raise(stop, context.call_position()));
            }
            Err(Refused::Type(got)) => {
                let message = format!("{name} cannot take {got} as `{key}`");
                note(
                    context,
                    fault(context, "wrong_type", message, "in this call"),
                )?;
            }
        }
    }
    if !matches!(tag(context)?, Tag::Declaring(declaring) if declaring.is_lenient()) {
        let values = all
            .iter()
            .map(|(key, value)| (key.clone(), (), Part::of(value)));
        let connections = options.iter().filter(|(_, value)| value.is::<Connection>());
        let connection = Part {
            at: (),
            shape: Shape::Open,
        };
        let connections = connections.map(|(key, _)| (key.to_string(), (), connection.clone()));
        check(context, &values.chain(connections).collect::<Vec<_>>())?;
    }
    Ok(all.into_iter().collect())
}

fn check(context: &NativeCallContext, parts: &[(String, (), Part<()>)]) -> Result<(), Failed> {
    let schemas = schemas();
    let schema = schemas
        .iter()
        .find(|schema| schema.name == context.fn_name());
    let issues = schema.map(|schema| schema.check(parts, &(), false));
    for issue in issues.unwrap_or_default() {
        let library = library(context)?;
        let at = site(context, &library);
        note(context, library.issue_problem(&at, issue))?;
    }
    Ok(())
}

/// A problem at this call.
pub(super) fn fault(
    context: &NativeCallContext,
    code: &'static str,
    message: String,
    label: &str,
) -> Problem {
    let Ok(library) = library(context) else {
        return Problem::new(code, message);
    };
    library.problem_at(code, message, &site(context, &library), label.into())
}

/// Keeps a problem and goes on. While a play runs it is too late for that.
pub(super) fn note(context: &NativeCallContext, problem: Problem) -> Result<(), Failed> {
    match tag(context)? {
        Tag::Declaring(declaring) => {
            declaring.lock().problems.push(problem);
            Ok(())
        }
        Tag::Running(_) => Err(fail_script(problem, context.call_position())),
    }
}

fn host(context: &NativeCallContext, name: &str, options: Map) -> Result<(), Failed> {
    let declaring = declaring(context)?;
    let given = checked(context, &[("name", name.into())], &options)?;
    let connection = match options.get("connection") {
        Some(value) if value.is::<Connection>() => value.clone().cast(),
        Some(_) => {
            let message = format!("the connection of \"{name}\" is not one");
            let help = "Write ssh(\"user@host\"), incus(\"name\") or local().";
            note(
                context,
                fault(context, "wrong_type", message, "in this call").help(help),
            )?;
            Connection::Local
        }
        // That it is missing has been said.
        None => Connection::Local,
    };
    let host = Host {
        name: name.into(),
        connection,
        escalation: escalation(&given),
        vars: vars(&given),
        site: site(context, &declaring.library),
    };
    declare(context, &declaring, |declarations| {
        declarations.inventory.add_host(host)
    })
}

/// Says where secrets are.
fn secrets(context: NativeCallContext, file: ImmutableString) -> Result<(), Failed> {
    let declaring = declaring(&context)?;
    match declaring.library.declare_secrets(&file) {
        Ok(()) => Ok(()),
        // The static check has told it.
        Err(_) if declaring.is_lenient() => Ok(()),
        Err(trouble) => Err(told(&context, trouble)),
    }
}

fn group(
    context: &NativeCallContext,
    name: &str,
    members: Array,
    options: Map,
) -> Result<Dynamic, Failed> {
    let declaring = declaring(context)?;
    let members = value::to_json(&Dynamic::from(members), None).unwrap_or_default();
    let given = checked(
        context,
        &[("name", name.into()), ("members", members.clone())],
        &options,
    )?;
    let group = Group {
        name: name.into(),
        members: words(members),
        vars: vars(&given),
        site: site(context, &declaring.library),
    };
    declare(context, &declaring, |declarations| {
        declarations.inventory.add_group(group)
    })?;
    Ok(Dynamic::UNIT)
}

fn play(
    context: &NativeCallContext,
    name: &str,
    pattern: &str,
    options: Map,
    body: FnPtr,
) -> Result<(), Failed> {
    let declaring = declaring(context)?;
    let given = checked(
        context,
        &[("name", name.into()), ("pattern", pattern.into())],
        &options,
    )?;
    let at = site(context, &declaring.library);
    let play = Play {
        name: name.into(),
        pattern: pattern.into(),
        tags: given.get("tags").cloned().map(words).unwrap_or_default(),
        escalation: escalation(&given),
        vars: vars(&given),
        serial: given.get("serial").map(amounts).unwrap_or_default(),
        max_fail: given.get("max_fail").and_then(Amount::read),
        body: Body::Script(Box::new(Closure::keep(context, body, at.clone()))),
        site: at,
    };
    declare(context, &declaring, |declarations| {
        declarations.plays.push(play);
        Ok(())
    })
}

/// One amount or a list of them; what is none has been refused.
fn amounts(given: &Value) -> Vec<Amount> {
    match given {
        Value::Array(items) => items.iter().filter_map(Amount::read).collect(),
        one => Amount::read(one).into_iter().collect(),
    }
}

fn vars(given: &serde_json::Map<String, Value>) -> serde_json::Map<String, Value> {
    given
        .get("vars")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// Adds to the declarations; a problem is kept, so that all are found.
fn declare(
    context: &NativeCallContext,
    declaring: &Declaring,
    add: impl FnOnce(&mut Declarations) -> Result<(), InventoryError>,
) -> Result<(), Failed> {
    let mut declarations = declaring.lock();
    if let Err(error) = add(&mut declarations) {
        let at: Site = site(context, &declaring.library);
        let problem = inventory_problem(declaring, &at, error);
        declarations.problems.push(problem);
    }
    Ok(())
}

/// An inventory's error, with the word at fault underlined where it stands.
pub(super) fn inventory_problem(
    declaring: &Declaring,
    at: &Site,
    error: InventoryError,
) -> Problem {
    let at = declaring
        .library
        .site_of_string(at, &error.word)
        .unwrap_or_else(|| at.clone());
    let label = match error
        .help
        .as_deref()
        .filter(|help| help.starts_with("did you mean"))
    {
        Some(help) => help.into(),
        None => "in this declaration".to_owned(),
    };
    let problem = declaring
        .library
        .problem_at("inventory", error.message, &at, label);
    match error.help {
        Some(help) if !help.starts_with("did you mean") => problem.help(help),
        _ => problem,
    }
}
