//! Functions that take a piece of a play and say how it runs: as whom.
//!
//! Their closures run at once, inside the play that calls them: they see and
//! change the variables around them, and their value is handed back.

use std::sync::LazyLock;

use rhai::{Dynamic, Engine, FnPtr, ImmutableString, NativeCallContext};
use serde_json::Value;

use super::context::{Running, running, site};
use super::error::{Failed, fail_script};
use crate::schema::check::Part;
use crate::schema::{Field, Kind, Schema};

/// What these functions take beside their closure, for the static check,
/// `doc` and the check at run time.
pub fn schemas() -> &'static [Schema] {
    static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
        vec![of(
            "as_user",
            &["user"],
            vec![required(Field {
                doc: "The user its tasks run as.".into(),
                ..Field::new("user", Kind::String)
            })],
        )]
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
    check(&context, &running, &[("user", user.as_str().into())])?;
    let _inside = running.as_user(&user);
    body.call_within_context(&context, ())
}

/// Refuses what the schema of the called function does not allow.
fn check(
    context: &NativeCallContext,
    running: &Running,
    given: &[(&str, Value)],
) -> Result<(), Failed> {
    let schema = schemas()
        .iter()
        .find(|schema| schema.name == context.fn_name());
    let parts: Vec<_> = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (), Part::of(value)))
        .collect();
    let issues = schema.map(|schema| schema.check(&parts, &(), false));
    match issues.unwrap_or_default().into_iter().next() {
        None => Ok(()),
        Some(issue) => {
            let at = site(context, &running.library);
            let problem = super::calls::issue_problem(running, &at, issue);
            Err(fail_script(problem, context.call_position()))
        }
    }
}
