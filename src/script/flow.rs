//! Functions that take a piece of a play and say how it runs: as whom,
//! for instance.
//!
//! Their closures run at once, inside the play that calls them: they see and
//! change the variables around them, and their value is handed back.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map, NativeCallContext};
use serde_json::Value;
use veza_agent::outcome::Failure;

use super::context::{self, Running, Tag, running, site};
use super::diagnostics::Problem;
use super::error::{Failed, Place, fail_script, stop_of};
use super::library::Library;
use super::retry;
use super::tasks::{Stop, TaskFailure};
use super::value::{self, Refused};
use crate::inventory::ALL;
use crate::report::event::Site;
use crate::schema::check::{Part, Shape};
use crate::schema::{Field, Kind, Schema, closest};

/// What these functions take beside their closure, for the static check,
/// `doc` and the check at run time.
pub fn schemas() -> &'static [Schema] {
    static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
        vec![
            of(
                "as_user",
                &["user"],
                vec![required(Field {
                    doc: "The user its tasks run as.".into(),
                    ..Field::new("user", Kind::String)
                })],
            ),
            of(
                "on",
                &["host"],
                vec![required(Field {
                    doc: "The host its tasks run on.".into(),
                    ..Field::new("host", Kind::String)
                })],
            ),
            of("once", &[], Vec::new()),
            retry::schema(),
        ]
    });
    &SCHEMAS
}

fn of(name: &str, positional: &[&str], fields: Vec<Field>) -> Schema {
    Schema {
        name: name.into(),
        positional: positional.iter().map(|&name| name.into()).collect(),
        fields,
        ..Schema::default()
    }
}

fn required(field: Field) -> Field {
    Field {
        required: true,
        ..field
    }
}

/// Registers all of them.
pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("as_user", as_user);
    engine.register_fn("on", on);
    engine.register_fn("once", once);
}

fn as_user(
    context: NativeCallContext,
    user: ImmutableString,
    body: FnPtr,
) -> Result<Dynamic, Failed> {
    let running = running(&context)?;
    running.refuse_in_module(&context, "calls `as_user`")?;
    let _inside = running.as_user(&user);
    body.call_within_context(&context, ())
}

fn on(context: NativeCallContext, host: ImmutableString, body: FnPtr) -> Result<Dynamic, Failed> {
    let running = running(&context)?;
    running.refuse_in_module(&context, "calls `on`")?;
    let at = site(&context, &running.library);
    let groups = &running.tasks.view().hosts_by_group;
    if let Some(problem) = no_such_host(&running.library, &at, &host, groups) {
        return Err(fail_script(problem, context.call_position()));
    }
    let mut ended = Ok(Dynamic::UNIT);
    let there = running.tasks.on(&host, &at, &mut |tasks| {
        let inside = Arc::new(running.elsewhere(tasks));
        ended = call_on(&context, &inside, &body);
        match &ended {
            Err(error) if !is_exit(error) => Err(stop_of_block(&inside, error)),
            _ => Ok(()),
        }
    });
    match there {
        Ok(()) => ended,
        Err(stop) => Err(context::stop(&context, &running, stop)),
    }
}

/// Calls a closure so that its calls reach another host.
fn call_on(
    context: &NativeCallContext,
    inside: &Arc<Running>,
    body: &FnPtr,
) -> Result<Dynamic, Failed> {
    let mut state = context.global_runtime_state().clone();
    state.tag = Dynamic::from(Tag::Running(inside.clone()));
    let context = NativeCallContext::new_with_all_fields(
        context.engine(),
        context.fn_name(),
        context.call_source(),
        &state,
        context.call_position(),
    );
    body.call_raw(&context, None, [])
}

/// What is wrong with the name of a host, if something is.
pub(super) fn no_such_host(
    library: &Library,
    call: &Site,
    name: &str,
    groups: &BTreeMap<String, Vec<String>>,
) -> Option<Problem> {
    let hosts = groups.get(ALL).map(Vec::as_slice).unwrap_or_default();
    if hosts.iter().any(|host| host == name) {
        return None;
    }
    let near = closest(name, hosts.iter().map(String::as_str));
    let label = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "not a host".into(),
    };
    let at = library.site_of_string(call, name);
    let message = format!("there is no host \"{name}\"");
    let at = at.as_ref().unwrap_or(call);
    let problem = library.problem_at("unknown_host", message, at, label);
    Some(match (groups.contains_key(name), near) {
        (true, _) => problem.help("It is a group; `on` takes one host."),
        (false, None) => problem.help(format!("known hosts: {}", hosts.join(", "))),
        (false, Some(_)) => problem,
    })
}

fn once(context: NativeCallContext, body: FnPtr) -> Result<Dynamic, Failed> {
    let running = running(&context)?;
    running.refuse_in_module(&context, "calls `once`")?;
    let at = site(&context, &running.library);
    let mut own = None;
    let ended = running.tasks.once(&at, &mut || {
        let value = plain_value(&context, &running, &body);
        value.map_err(|error| {
            let stop = stop_of_block(&running, &error);
            own = Some(error);
            stop
        })
    });
    match (ended, own) {
        (Ok(value), _) => Ok(value::from_json(&value)),
        (Err(_), Some(error)) => Err(error),
        (Err(stop), None) => Err(context::stop(&context, &running, stop)),
    }
}

/// The value of a closure, as one that other hosts can be given, once all its
/// tasks are done.
fn plain_value(
    context: &NativeCallContext,
    running: &Running,
    body: &FnPtr,
) -> Result<Value, Failed> {
    let ended = body.call_within_context::<Dynamic>(context, ());
    let stopped = |stop| context::stop(context, running, stop);
    running.tasks.settle().map_err(stopped)?;
    value::to_json(&ended?, Some(running.tasks.view())).map_err(|refused| {
        context::refused(context, running, refused, |got| {
            format!(
                "`once` cannot hand {got} to the other hosts, but a value, a list, a map or the result of a task"
            )
        })
    })
}

fn is_exit(error: &EvalAltResult) -> bool {
    matches!(error, EvalAltResult::Exit(..))
}

/// Why a block was left, for those who hear of it elsewhere; the error itself
/// goes on.
fn stop_of_block(running: &Running, error: &EvalAltResult) -> Stop {
    if is_exit(error) {
        let failure = Failure::new("the script ended there with `exit`");
        return Stop::Task(Box::new(TaskFailure {
            host: running.tasks.view().name.clone(),
            module: "exit".into(),
            failure,
            site: Place::of(error, &running.library, running.file()).site,
        }));
    }
    let raised = running.take_raised();
    let host = &running.tasks.view().name;
    let stop = stop_of(error, &running.library, running.file(), raised, host);
    if let Stop::Task(failure) = &stop {
        running.raised(failure);
    }
    stop.with_origin(running.last_unknown().origin())
}

/// What the options of the called function hold, as data; refused if its
/// schema does not allow it.
pub(super) fn check(
    context: &NativeCallContext,
    running: &Running,
    options: &Map,
) -> Result<serde_json::Map<String, Value>, Failed> {
    let view = running.tasks.view();
    let mut given = serde_json::Map::new();
    let mut parts = Vec::new();
    for (name, value) in options {
        let part = match value::to_json(value, Some(view)) {
            Ok(json) => {
                let part = Part::of(&json);
                given.insert(name.to_string(), json);
                part
            }
            Err(Refused::Stop(stop)) => return Err(context::stop(context, running, stop)),
            Err(Refused::Type(_)) if value.is_fnptr() => Part {
                at: (),
                shape: Shape::Function,
            },
            Err(Refused::Type(got)) => Part {
                at: (),
                shape: Shape::Other(got),
            },
        };
        parts.push((name.to_string(), (), part));
    }
    let mut schemas = schemas().iter();
    let schema = schemas.find(|schema| schema.name == context.fn_name());
    let issues = schema.map(|schema| schema.check(&parts, &(), false));
    match issues.unwrap_or_default().into_iter().next() {
        None => Ok(given),
        Some(issue) => {
            let at = site(context, &running.library);
            let problem = running.library.issue_problem(&at, issue);
            Err(fail_script(problem, context.call_position()))
        }
    }
}
