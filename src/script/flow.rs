//! Functions that take a piece of a play and say how it runs: as whom,
//! for instance.
//!
//! Their closures run at once, inside the play that calls them: they see and
//! change the variables around them, and their value is handed back.

use std::sync::LazyLock;

use rhai::{Dynamic, Engine, FnPtr, ImmutableString, Map, NativeCallContext};
use serde_json::Value;

use super::calls;
use super::context::{self, Running, running, site};
use super::error::{Failed, fail_script};
use super::retry;
use super::value::{self, Refused};
use crate::schema::check::{Part, Shape};
use crate::schema::{Field, Kind, Schema};

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
}

fn as_user(
    context: NativeCallContext,
    user: ImmutableString,
    body: FnPtr,
) -> Result<Dynamic, Failed> {
    let running = running(&context)?;
    let _inside = running.as_user(&user);
    body.call_within_context(&context, ())
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
            let problem = calls::issue_problem(running, &at, issue);
            Err(fail_script(problem, context.call_position()))
        }
    }
}
