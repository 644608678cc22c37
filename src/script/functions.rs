//! What a script may call beside modules: flow, handlers, and the few helpers
//! that plain Rhai lacks.

use rhai::{Array, Dynamic, Engine, FnPtr, ImmutableString, Map, NativeCallContext, Position};
use veza_agent::outcome::Failure;

use super::closure::Closure;
use super::context::{self, Running, library, running, site};
use super::error::{Failed, fail_script, terminate};
use super::instrument::{CAUGHT, CONSTANT, DECIDED, DEFINE, ENTER_TRY, LEAVE_TRY, TEXT};
use super::marked::{self, Marked};
use super::own_names::HOLDS;
use super::secret::{self, Secret};
use super::tasks::{Stop, TaskFailure};
use super::unknown::{Unknown, is_known, undecidable};
use super::value::{self, Refused};

/// Registers all of them.
pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("log", log);
    // These would otherwise be the natural logarithm.
    engine.register_fn("log", |context: NativeCallContext, number: f64| {
        log(context, number.into())
    });
    engine.register_fn("log", |context: NativeCallContext, number: i64| {
        log(context, number.into())
    });
    engine.register_fn("fail", |context: NativeCallContext, message: Dynamic| {
        fail(context, message, Dynamic::UNIT)
    });
    engine.register_fn(
        "fail",
        |context: NativeCallContext, message: Dynamic, hint: ImmutableString| {
            fail(context, message, hint.into())
        },
    );
    engine.register_fn("assert", |context: NativeCallContext, that: Dynamic| {
        assert(context, that, Dynamic::UNIT)
    });
    engine.register_fn("assert", assert);
    engine.register_fn("handler", handler);
    engine.register_fn("flush_handlers", flush_handlers);
    engine.register_fn("is_known", |value: Dynamic| is_known(&value));
    engine.register_fn("urlencode", urlencode);
    engine.register_fn("to_json", to_json);
    // Rhai's own for maps knows nothing of marks.
    engine.register_fn("to_json", |context: NativeCallContext, map: &mut Map| {
        to_json(context, map.clone().into())
    });
    engine.register_fn("join", |list: &mut Array, separator: ImmutableString| {
        join(list, &separator)
    });
    engine.register_fn("join", |list: &mut Array| join(list, ""));
    engine.register_fn(
        "get",
        |map: &mut Map, key: ImmutableString, default: Dynamic| {
            map.get(key.as_str()).cloned().unwrap_or(default)
        },
    );
    register_instruments(engine);
}

/// The calls that [`super::instrument`] inserts.
fn register_instruments(engine: &mut Engine) {
    engine.register_fn(ENTER_TRY, enter_try);
    engine.register_fn(
        LEAVE_TRY,
        |context: NativeCallContext, value: Dynamic| -> Result<Dynamic, Failed> {
            if let Ok(running) = running(&context) {
                running.leave_try(context.call_level());
            }
            Ok(value)
        },
    );
    engine.register_fn(CAUGHT, caught);
    engine.register_fn(DECIDED, |context: NativeCallContext, value: Dynamic| {
        if let Some(unknown) = value.read_lock::<Unknown>() {
            return Err(unknown.refuse(&context));
        }
        if let Some(secret) = value.read_lock::<Secret>() {
            return Err(secret.refuse(&context));
        }
        Ok(value)
    });
    engine.register_fn(DEFINE, define);
    engine.register_fn(CONSTANT, constant);
    engine.register_fn(TEXT, |text: ImmutableString| value::from_text(&text));
    engine.register_fn(HOLDS, |value: Dynamic, name: ImmutableString| {
        let map = value.read_lock::<Map>();
        map.is_some_and(|map| map.get(name.as_str()).is_some_and(Dynamic::is_fnptr))
    });
}

fn define(
    context: NativeCallContext,
    file: ImmutableString,
    name: ImmutableString,
    value: Dynamic,
) -> Result<(), Failed> {
    library(&context)?.define(&file, &name, value);
    Ok(())
}

fn constant(
    context: NativeCallContext,
    file: ImmutableString,
    name: ImmutableString,
) -> Result<Dynamic, Failed> {
    let library = library(&context)?;
    if let Some(value) = library.constant(&file, &name) {
        return Ok(value.into_read_only());
    }
    let message = format!("there is no constant `{name}` at the top of this file");
    let at = site(&context, &library);
    let problem = library.problem_at("undefined_variable", message, &at, "not defined".into());
    Err(fail_script(problem, context.call_position()))
}

/// What an earlier, pipelined task failed with does not belong to this block:
/// it is told now, past every `catch`.
fn enter_try(context: NativeCallContext) -> Result<(), Failed> {
    let Ok(running) = running(&context) else {
        return Ok(());
    };
    let begun = running.begin_try(context.call_level());
    begun.map_err(|stop| terminate(stop, context.call_position()))
}

fn caught(context: NativeCallContext, error: Dynamic) -> Result<Dynamic, Failed> {
    let Ok(running) = running(&context) else {
        return Ok(error);
    };
    running.leave_try(context.call_level());
    if is_about_an_unknown(&error) {
        return Err(undecidable(&context, &running.last_unknown()));
    }
    // What a module catches is its own business.
    if let (Some(failure), None) = (running.take_raised(), running.module()) {
        running.tasks.caught(&failure);
    }
    Ok(with_original_place(&running, error))
}

/// What the engine tells of its own errors, with the place that the user sees.
fn with_original_place(running: &Running, error: Dynamic) -> Dynamic {
    let number = |map: &Map, key| map.get(key)?.as_int().ok()?.try_into().ok();
    let place = error.read_lock::<Map>().and_then(|map| {
        let file = map.get("source")?.clone().into_string().ok()?;
        map.get("error").filter(|kind| kind.is_string())?;
        let position = Position::new(number(&map, "line")?, number(&map, "position")?);
        Some(running.library.site(Some(&file), position))
    });
    let (Some(place), Some(mut map)) = (place, error.clone().try_cast::<Map>()) else {
        return error;
    };
    let column = i64::try_from(place.column).unwrap_or(i64::MAX);
    map.insert("position".into(), column.into());
    map.into()
}

/// Whether the engine refused an operation on an unknown: it tells so in a
/// map, with the names of the types.
fn is_about_an_unknown(error: &Dynamic) -> bool {
    let Some(map) = error.read_lock::<Map>() else {
        return false;
    };
    let mentions = |key: &str| {
        map.get(key)
            .is_some_and(|value| Unknown::is_named_in(&value.to_string()))
    };
    map.contains_key("error") && (mentions("actual") || mentions("function") || mentions("type"))
}

fn log(context: NativeCallContext, text: Dynamic) -> Result<(), Failed> {
    let running = running(&context)?;
    running.tasks.log(
        &shown(&context, &running, &text)?,
        site(&context, &running.library),
    );
    Ok(())
}

/// A value as text: strings as they are, all else as JSON.
fn shown(
    context: &NativeCallContext,
    running: &Running,
    value: &Dynamic,
) -> Result<String, Failed> {
    match value::to_json(value, Some(running.tasks.view())) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        Ok(serde_json::Value::Null) => Ok("()".into()),
        Ok(value) => Ok(value.to_string()),
        Err(Refused::Stop(stop)) => Err(context::stop(context, running, stop)),
        Err(Refused::Type(_)) => Ok(value.to_string()),
    }
}

fn fail(context: NativeCallContext, message: Dynamic, hint: Dynamic) -> Result<Dynamic, Failed> {
    let running = running(&context)?;
    let (message, hint) = match message.read_lock::<Map>() {
        Some(map) => {
            let of = |key: &str| map.get(key).cloned().unwrap_or_default();
            (of("message"), of("hint"))
        }
        None => (message.clone(), hint),
    };
    let mut failure = Failure::new(shown(&context, &running, &message)?);
    failure.hint = hint.into_string().ok();
    Err(failed(&context, &running, "fail", failure))
}

fn assert(context: NativeCallContext, that: Dynamic, message: Dynamic) -> Result<(), Failed> {
    let running = running(&context)?;
    let (that, message) = match that.read_lock::<Map>() {
        Some(map) => {
            let of = |key: &str| map.get(key).cloned().unwrap_or_default();
            (of("that"), of("message"))
        }
        None => (that.clone(), message),
    };
    if let Some(unknown) = that.read_lock::<Unknown>() {
        return Err(undecidable(&context, &unknown));
    }
    match that.as_bool() {
        Ok(true) => Ok(()),
        Ok(false) if message.is_unit() => Err(failed(
            &context,
            &running,
            "assert",
            Failure::new("the assertion does not hold"),
        )),
        Ok(false) => {
            let text = shown(&context, &running, &message)?;
            Err(failed(&context, &running, "assert", Failure::new(text)))
        }
        Err(got) => {
            let at = site(&context, &running.library);
            let message = format!("assert needs `true` or `false`, not a {got}");
            let problem =
                running
                    .library
                    .problem_at("wrong_type", message, &at, "in this call".into());
            Err(super::error::fail_script(problem, context.call_position()))
        }
    }
}

/// A failure that the script asked for; what it called before comes first.
pub(super) fn failed(
    context: &NativeCallContext,
    running: &Running,
    module: &str,
    failure: Failure,
) -> Failed {
    if let Err(stop) = running.tasks.settle() {
        return context::stop(context, running, stop);
    }
    let host = running.tasks.view().name.clone();
    let site = site(context, &running.library);
    let failure = TaskFailure {
        host,
        module: module.into(),
        failure,
        site,
    };
    context::stop(context, running, Stop::Task(Box::new(failure)))
}

fn handler(
    context: NativeCallContext,
    name: ImmutableString,
    closure: FnPtr,
) -> Result<(), Failed> {
    let running = running(&context)?;
    running.refuse_in_module(&context, "defines a handler")?;
    let at = site(&context, &running.library);
    let closure = Closure::keep(&context, closure, at.clone());
    let done = running.tasks.handler(&name, closure, at);
    done.map_err(|stop| context::stop(&context, &running, stop))
}

fn flush_handlers(context: NativeCallContext) -> Result<(), Failed> {
    let running = running(&context)?;
    running.refuse_in_module(&context, "runs handlers")?;
    let done = running
        .tasks
        .flush_handlers(site(&context, &running.library));
    done.map_err(|stop| context::stop(&context, &running, stop))
}

fn urlencode(context: NativeCallContext, text: Dynamic) -> Result<Dynamic, Failed> {
    let Some(text) = marked::text(&text) else {
        return Err(format!("urlencode takes a text, not a {}", text.type_name()).into());
    };
    match library(&context)?.secrets.urlencode(&text) {
        Ok(text) => Ok(value::from_text(&text)),
        Err(failure) => Err(secret::told(&context, failure.into())),
    }
}

fn to_json(context: NativeCallContext, value: Dynamic) -> Result<Dynamic, Failed> {
    let running = running(&context).ok();
    let view = running.as_ref().map(|running| running.tasks.view());
    match (value::to_json(&value, view), &running) {
        (Ok(json), _) => match library(&context)?.secrets.json(&json) {
            Ok(text) => Ok(value::from_text(&text)),
            Err(failure) => Err(secret::told(&context, failure.into())),
        },
        (Err(Refused::Stop(stop)), Some(running)) => Err(context::stop(&context, running, stop)),
        (Err(Refused::Stop(stop)), None) => Err(terminate(stop, context.call_position())),
        (Err(Refused::Type(got)), _) => Err(format!("{got} cannot be written as JSON").into()),
    }
}

fn join(list: &mut Array, separator: &str) -> Dynamic {
    let text = |item: &Dynamic| marked::text(item).unwrap_or_else(|| item.to_string());
    let texts: Vec<_> = list.iter().map(text).collect();
    value::from_text(&texts.join(separator))
}
