//! `retry`: a piece of a play that may need more than one attempt.

use std::time::Duration;

use rhai::{Dynamic, Engine, FnPtr, Map, NativeCallContext};
use veza_agent::outcome::Failure;

use super::connect::duration;
use super::context::{self, Running, running, site};
use super::error::{Failed, fail_script, stop_of};
use super::flow;
use super::functions::failed;
use super::tasks::{Stop, TaskFailure};
use super::unknown::Unknown;
use crate::report::event::Site;
use crate::schema::{Field, Kind, Schema};

/// What `retry` takes beside its closure.
pub(super) fn schema() -> Schema {
    let field = |name: &str, kind, default: Option<serde_json::Value>, doc: &str| Field {
        doc: doc.into(),
        default,
        ..Field::new(name, kind)
    };
    let from_one = || Kind::Integer {
        min: Some(1),
        max: None,
    };
    Schema {
        name: "retry".into(),
        fields: vec![
            field(
                "times",
                from_one(),
                Some(3.into()),
                "How many attempts are made.",
            ),
            field(
                "delay",
                Kind::Duration,
                Some(5.into()),
                "How long to wait before the next attempt.",
            ),
            field(
                "backoff",
                from_one(),
                Some(1.into()),
                "What the delay is multiplied by after each attempt.",
            ),
            field(
                "max_delay",
                Kind::Duration,
                None,
                "What the delay does not grow beyond.",
            ),
            field(
                "until",
                Kind::Function,
                None,
                "Whether the value of an attempt is the one hoped for; without it any value is.",
            ),
        ],
        ..Schema::default()
    }
}

/// Registers it.
pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("retry", retry);
}

/// How often, and when again.
struct Plan {
    times: u64,
    delay: Duration,
    backoff: u32,
    max_delay: Duration,
    until: Option<FnPtr>,
}

impl Plan {
    fn read(
        context: &NativeCallContext,
        running: &Running,
        mut options: Map,
    ) -> Result<Self, Failed> {
        let given = flow::check(context, running, &options)?;
        let until = options.remove("until").filter(Dynamic::is_fnptr);
        let number = |key: &str| given.get(key).and_then(serde_json::Value::as_u64);
        let time = |key: &str| given.get(key).and_then(duration);
        Ok(Self {
            times: number("times").unwrap_or(3),
            delay: time("delay").unwrap_or(Duration::from_secs(5)),
            backoff: number("backoff")
                .and_then(|factor| factor.try_into().ok())
                .unwrap_or(1),
            max_delay: time("max_delay").unwrap_or(Duration::MAX),
            until: until.map(Dynamic::cast),
        })
    }
}

/// What became of one attempt.
enum Attempt {
    /// This is the value.
    Done(Dynamic),
    /// It is not known whether it is the value; the text says why.
    Open(Dynamic, String),
    /// A task failed, or the script threw something.
    Failed(Box<TaskFailure>, Failed),
    /// `until` does not hold.
    NotYet,
}

fn retry(context: NativeCallContext, options: Map, body: FnPtr) -> Result<Dynamic, Failed> {
    let running = running(&context)?;
    running.refuse_in_module(&context, "calls `retry`")?;
    let plan = Plan::read(&context, &running, options)?;
    let at = site(&context, &running.library);
    let stopped = |stop| context::stop(&context, &running, stop);
    let mut delay = plan.delay.min(plan.max_delay);
    let mut number = 1;
    loop {
        let why = match attempt(&context, &running, &plan, &body)? {
            Attempt::Done(value) => return Ok(value),
            Attempt::Open(value, origin) => {
                let text =
                    format!("assumed: what retry waits for comes true; it depends on {origin}");
                running.tasks.log(&text, at);
                return Ok(value);
            }
            Attempt::Failed(failure, error) if number == plan.times => {
                running.raised(&failure);
                return Err(error);
            }
            Attempt::NotYet if number == plan.times => {
                let text = format!("what retry waits for did not come true in {number} attempts");
                return Err(failed(&context, &running, "retry", Failure::new(text)));
            }
            Attempt::Failed(failure, _) => {
                running.tasks.caught(&failure);
                failure.failure.message
            }
            Attempt::NotYet => "what it waits for is not true yet".to_owned(),
        };
        if running.tasks.is_dry_run() {
            return Ok(assumed(&running, &why, at));
        }
        let text = format!("attempt {number} of {}: {why}", plan.times);
        running.tasks.log(&text, at.clone());
        running.tasks.pause(delay).map_err(stopped)?;
        delay = delay.saturating_mul(plan.backoff).min(plan.max_delay);
        number += 1;
    }
}

/// A dry run waits for nothing: what comes of a later attempt is not known.
fn assumed(running: &Running, why: &str, at: Site) -> Dynamic {
    let value = Dynamic::from(Unknown::new(&format!("the retry at {at}")));
    let text = format!("assumed: a later attempt succeeds; the first one: {why}");
    running.tasks.log(&text, at);
    value
}

/// One attempt, in which tasks wait for their results as inside `try`.
fn attempt(
    context: &NativeCallContext,
    running: &Running,
    plan: &Plan,
    body: &FnPtr,
) -> Result<Attempt, Failed> {
    let level = context.call_level();
    running
        .begin_try(level)
        .map_err(|stop| super::error::terminate(stop, context.call_position()))?;
    let ended = body
        .call_within_context(context, ())
        .and_then(|value| judged(context, running, plan, value));
    running.leave_try(level);
    let error = match ended {
        Ok(attempt) => return Ok(attempt),
        Err(error) => error,
    };
    let raised = running.take_raised();
    let host = &running.tasks.view().name;
    match stop_of(&error, &running.library, running.file(), raised, host) {
        Stop::Task(failure) => Ok(Attempt::Failed(failure, error)),
        _ => Err(error),
    }
}

/// Whether the value of an attempt is the one that is waited for.
fn judged(
    context: &NativeCallContext,
    running: &Running,
    plan: &Plan,
    value: Dynamic,
) -> Result<Attempt, Failed> {
    let Some(until) = &plan.until else {
        return Ok(Attempt::Done(value));
    };
    let holds: Dynamic = match until.call_within_context(context, (value.clone(),)) {
        Ok(holds) => holds,
        Err(error) => {
            let host = &running.tasks.view().name;
            let stop = stop_of(&error, &running.library, running.file(), None, host);
            return match stop.with_origin(running.last_unknown().origin()) {
                Stop::Undecidable { origin, .. } => Ok(Attempt::Open(value, origin)),
                _ => Err(error),
            };
        }
    };
    if let Some(unknown) = holds.read_lock::<Unknown>() {
        return Ok(Attempt::Open(value, unknown.origin().to_owned()));
    }
    match holds.as_bool() {
        Ok(true) => Ok(Attempt::Done(value)),
        Ok(false) => Ok(Attempt::NotYet),
        Err(got) => {
            let at = site(context, &running.library);
            let message = format!("`until` of retry gives `true` or `false`, not a {got}");
            let problem =
                running
                    .library
                    .problem_at("wrong_type", message, &at, "in this call".into());
            Err(fail_script(problem, context.call_position()))
        }
    }
}
