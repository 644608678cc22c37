//! Module calls: what a script writes becomes a checked [`Call`], and its
//! result is read when the script asks for it.

use std::any::TypeId;
use std::sync::Arc;

use rhai::{Dynamic, Engine, ImmutableString, NativeCallContext};
use serde_json::{Map, Value, json};
use veza_agent::mark;
use veza_agent::outcome::{Outcome, Side, Verdict};

use super::context::{self, Running, running, site};
use super::error::{Failed, fail_script};
use super::secret;
use super::tasks::{Call, CallOptions, Stop, TaskId};
use super::unknown::Unknown;
use super::value;
use crate::inventory::Escalation;
use crate::schema::check::{Issue, Part};
use crate::schema::{Schema, closest};

/// What a module call returns: the task's outcome, waited for when it is read.
#[derive(Clone)]
pub(super) struct TaskResult {
    task: TaskId,
    module: String,
    running: Arc<Running>,
}

/// Makes every module of the catalog a function.
pub(super) fn register(engine: &mut Engine, schemas: impl IntoIterator<Item = Arc<Schema>>) {
    for schema in schemas {
        for count in 0..=schema.positional.len() + 1 {
            let schema = schema.clone();
            let types = vec![TypeId::of::<Dynamic>(); count];
            engine.register_raw_fn(schema.name.clone(), types, move |context, arguments| {
                call(&context, &schema, arguments).map(Dynamic::from)
            });
        }
    }
    engine.register_type_with_name::<TaskResult>("result");
    engine.register_indexer_get(read);
    engine.register_fn(
        "get",
        |context: NativeCallContext, result: &mut TaskResult, key: ImmutableString| {
            get_or(context, result, key, Dynamic::UNIT)
        },
    );
    engine.register_fn("get", get_or);
    engine.register_fn(
        "contains",
        |context: NativeCallContext, result: &mut TaskResult, key: ImmutableString| {
            let outcome = result
                .outcome()
                .map_err(|stop| context::stop(&context, &result.running, stop))?;
            Ok::<_, Failed>(field(&outcome, &key).is_some())
        },
    );
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |result: &mut TaskResult| {
            format!("result of {}", result.module)
        });
    }
}

/// Calls a module for a function that shares its name.
pub(super) fn call_with(
    context: &NativeCallContext,
    schema: &Arc<Schema>,
    mut arguments: Vec<Dynamic>,
) -> Result<Dynamic, Failed> {
    let mut arguments: Vec<_> = arguments.iter_mut().collect();
    call(context, schema, &mut arguments).map(Dynamic::from)
}

fn call(
    context: &NativeCallContext,
    schema: &Arc<Schema>,
    arguments: &mut [&mut Dynamic],
) -> Result<TaskResult, Failed> {
    let running = running(context)?;
    running.refuse_in_module(context, &format!("calls `{}`", schema.name))?;
    let at = site(context, &running.library);
    let given = checked(context, &running, schema, arguments)?;
    let (mut options, arguments) = split_options(schema, given);
    options.escalation = options.escalation.or(&running.escalation());
    let mut arguments = canonical(schema, arguments);
    let concealed = running
        .library
        .secrets
        .conceal_within(schema, &mut arguments);
    concealed.map_err(|failure| secret::told(context, failure.into()))?;
    let task = running.tasks.call(Call {
        schema: schema.clone(),
        arguments,
        options,
        site: at,
        synchronous: running.is_in_try(context.call_level()),
    });
    Ok(TaskResult {
        task: task.map_err(|stop| context::stop(context, &running, stop))?,
        module: schema.name.clone(),
        running: running.clone(),
    })
}

/// Values with their names, all of which the schema allows.
pub(super) fn checked(
    context: &NativeCallContext,
    running: &Running,
    schema: &Schema,
    arguments: &mut [&mut Dynamic],
) -> Result<Vec<(String, Value)>, Failed> {
    let given = named_arguments(context, running, schema, arguments)?;
    match check(running, schema, &given) {
        None => Ok(given),
        Some(issue) => {
            let at = site(context, &running.library);
            let problem = running.library.issue_problem(&at, issue);
            Err(fail_script(problem, context.call_position()))
        }
    }
}

/// Values with names first come by position; a last map holds the others.
fn named_arguments(
    context: &NativeCallContext,
    running: &Running,
    schema: &Schema,
    arguments: &mut [&mut Dynamic],
) -> Result<Vec<(String, Value)>, Failed> {
    let view = running.tasks.view();
    let json = |name: &str, value: &Dynamic| {
        value::to_json(value, Some(view)).map_err(|refused| {
            let message = |got: &str| format!("{} cannot take {got} as `{name}`", schema.name);
            context::refused(context, running, refused, message)
        })
    };
    let (last, first) = match arguments.split_last() {
        Some((last, first)) if last.is_map() => (Some(last), first),
        _ => (None, &*arguments),
    };
    let mut given = Vec::new();
    for (index, value) in first.iter().enumerate() {
        let name = schema.positional.get(index).map_or("", String::as_str);
        given.push((name.to_owned(), json(name, value)?));
    }
    if let Some(map) = last.and_then(|last| last.read_lock::<rhai::Map>()) {
        for (name, value) in map.iter() {
            given.push((name.to_string(), json(name, value)?));
        }
    }
    Ok(given)
}

/// Takes out what every call may carry.
fn split_options(
    schema: &Schema,
    given: Vec<(String, Value)>,
) -> (CallOptions, Vec<(String, Value)>) {
    let mut options = CallOptions::default();
    let mut arguments = Vec::new();
    for (name, value) in given {
        match name.as_str() {
            _ if schema.field(&name).is_some() => arguments.push((name, value)),
            "notify" => options.notify = words(value),
            "tags" => options.tags = words(value),
            "become" => options.escalation.enabled = value.as_bool(),
            "become_user" => options.escalation.user = value.as_str().map(Into::into),
            _ => arguments.push((name, value)),
        }
    }
    (options, arguments)
}

/// One word or a list of words.
pub(super) fn words(value: Value) -> Vec<String> {
    match value {
        Value::String(word) => vec![word],
        Value::Array(items) => items.into_iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}

fn check(running: &Running, schema: &Schema, given: &[(String, Value)]) -> Option<Issue<()>> {
    let complete = running.library.catalog.complete(&schema.name);
    let parts: Vec<_> = given
        .iter()
        .map(|(name, value)| (name.clone(), (), Part::of(value)))
        .collect();
    let issues = complete
        .map_or(schema, |complete| complete)
        .check(&parts, &(), false);
    issues.into_iter().next()
}

/// Arguments by their proper names, without those that are `()`.
pub(super) fn canonical(schema: &Schema, given: Vec<(String, Value)>) -> Map<String, Value> {
    given
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| match schema.field(&name) {
            Some(field) => (field.name.clone(), value),
            None => (name, value),
        })
        .collect()
}

impl TaskResult {
    fn outcome(&self) -> Result<Arc<Outcome>, Stop> {
        self.running.tasks.result(self.task)
    }

    /// All that can be read of it.
    pub fn to_json(&self) -> Result<Value, Stop> {
        let outcome = self.outcome()?;
        let fields = field_names(&outcome);
        Ok(fields
            .into_iter()
            .filter_map(|name| Some((name.clone(), field(&outcome, &name)?)))
            .collect::<Map<_, _>>()
            .into())
    }
}

fn read(
    context: NativeCallContext,
    result: &mut TaskResult,
    key: ImmutableString,
) -> Result<Dynamic, Failed> {
    let outcome = result
        .outcome()
        .map_err(|stop| context::stop(&context, &result.running, stop))?;
    let value = match field(&outcome, &key) {
        Some(value) => Some(value::from_json(&value)),
        None if outcome.verdict == Verdict::Unknown => {
            let origin = format!("`{key}` of {} {}", result.module, outcome.title);
            Some(Dynamic::from(Unknown::new(&origin)))
        }
        None => None,
    };
    if let Some(value) = value {
        result.running.met(&value);
        return Ok(value);
    }
    let names = field_names(&outcome);
    let library = &result.running.library;
    let message = format!("the result of {} has no `{key}`", result.module);
    let problem = library.problem_at(
        "unknown_field",
        message,
        &site(&context, library),
        "not in this result".into(),
    );
    let help = match closest(&key, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        // Tags leave out a task whose result the script reads nevertheless.
        None if outcome.verdict == Verdict::Skipped => {
            "the task was left out: ask for `.skipped` first, or give it the tag \"always\"".into()
        }
        None => format!("known: {}", names.join(", ")),
    };
    Err(fail_script(problem.help(help), context.call_position()))
}

fn get_or(
    context: NativeCallContext,
    result: &mut TaskResult,
    key: ImmutableString,
    default: Dynamic,
) -> Result<Dynamic, Failed> {
    let outcome = result
        .outcome()
        .map_err(|stop| context::stop(&context, &result.running, stop))?;
    let value = field(&outcome, &key).map_or(default, |value| value::from_json(&value));
    result.running.met(&value);
    Ok(value)
}

fn field_names(outcome: &Outcome) -> Vec<String> {
    let common = ["changed", "skipped", "diff", "title"].map(str::to_owned);
    common
        .into_iter()
        .chain(outcome.values.keys().cloned())
        .collect()
}

fn field(outcome: &Outcome, name: &str) -> Option<Value> {
    match name {
        "changed" => Some(changed(outcome)),
        "skipped" => Some((outcome.verdict == Verdict::Skipped).into()),
        "diff" => Some(diff(outcome)),
        "title" => Some(outcome.title.clone().into()),
        _ => outcome.values.get(name).cloned(),
    }
}

fn changed(outcome: &Outcome) -> Value {
    match outcome.verdict {
        Verdict::Changed => true.into(),
        Verdict::Ok | Verdict::Skipped | Verdict::Failed => false.into(),
        Verdict::Unknown => mark::unknown(&format!("whether {} changes", outcome.title)).into(),
    }
}

/// One side of a change, as scripts read it.
pub(super) fn side(side: &Side) -> Value {
    match side {
        Side::Absent => Value::Null,
        Side::Value(value) => value.clone(),
        Side::Text(text) => text.clone().into(),
        Side::Opaque { sha256, size } => json!({ "sha256": sha256, "size": size }),
        Side::Unknown(origin) => mark::unknown(origin).into(),
    }
}

fn diff(outcome: &Outcome) -> Value {
    let changes = outcome.changes.iter();
    changes
        .map(|change| json!({ "attribute": change.attribute, "before": side(&change.before), "after": side(&change.after) }))
        .collect()
}

/// Who a task runs as, from a map of options.
pub(super) fn escalation(options: &Map<String, Value>) -> Escalation {
    Escalation {
        enabled: options.get("become").and_then(Value::as_bool),
        user: options
            .get("become_user")
            .and_then(Value::as_str)
            .map(Into::into),
    }
}
