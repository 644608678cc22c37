//! `host` inside a module: the functions of the agent's door, each checked by
//! its schema like a call of a module.

use std::any::TypeId;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rhai::{Dynamic, Engine, FnPtr, ImmutableString, NativeCallContext};
use serde_json::{Map, Value, json};
use veza_agent::mark;
use veza_agent::modules::span;
use veza_agent::outcome::Failure;

use super::FIX;
use crate::schema::{Schema, closest};
use crate::script::calls;
use crate::script::context::{self, Running, running, site};
use crate::script::error::{Failed, fail_script};
use crate::script::lookups::Lookup;
use crate::script::tasks::{Door, Stop, TaskFailure};
use crate::script::unknown::{Unknown, undecidable};
use crate::script::value;

/// A function behind `host.`.
pub struct DoorFunction {
    /// What it takes; its name is `host.` and what a script writes.
    pub schema: Arc<Schema>,
    /// What a script writes.
    pub name: &'static str,
    /// Whether it changes the host.
    pub is_effect: bool,
}

/// All of them, as the agent has them: those that read first.
pub fn functions() -> &'static [DoorFunction] {
    static ALL: LazyLock<Vec<DoorFunction>> = LazyLock::new(|| {
        let functions = veza_agent::door::ALL.iter();
        let function = |it: &veza_agent::door::Function| DoorFunction {
            schema: Arc::new(Schema {
                name: format!("host.{}", it.name),
                ..Schema::of_module(it.name, it.positional, &(it.schema)())
            }),
            name: it.name,
            is_effect: it.is_effect(),
        };
        // What a script calls `resource` is made of it.
        let own = functions.filter(|function| function.name != RESOURCE);
        own.map(function).collect()
    });
    &ALL
}

/// Waits in `fix` until something is so.
pub const WAIT: &str = "wait_until";

/// Reads a thing that a program of the host keeps.
pub const RESOURCE: &str = "resource";

/// The functions that take a closure, and are no functions of the agent's.
pub const WITH_CLOSURES: [&str; 2] = [WAIT, RESOURCE];

/// What can be read of `host` without a call.
pub const PROPERTIES: [&str; 4] = ["name", "address", "groups", "facts"];

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// `host`, as a function of a module gets it.
#[derive(Clone)]
pub(super) struct HostDoor {
    door: Arc<dyn Door>,
    /// The function that got it.
    function: &'static str,
}

impl HostDoor {
    pub fn new(door: Arc<dyn Door>, function: &'static str) -> Self {
        Self { door, function }
    }
}

/// Registers what `host` can do.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<HostDoor>("host");
    for function in functions() {
        for count in 0..=function.schema.positional.len() + 1 {
            let mut types = vec![TypeId::of::<Dynamic>(); count + 1];
            types[0] = TypeId::of::<HostDoor>();
            engine.register_raw_fn(function.name, types, move |context, arguments| {
                let (host, arguments) = arguments.split_first_mut().ok_or("there is no host")?;
                let host = host.read_lock::<HostDoor>().map(|host| host.clone());
                let host = host.ok_or("this is no host")?;
                host.call(&context, function, arguments)
            });
        }
    }
    engine.register_indexer_get(read);
    engine.register_fn(WAIT, wait_until);
    engine.register_fn(RESOURCE, resource);
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |_: &mut HostDoor| "host".to_owned());
    }
}

impl HostDoor {
    fn call(
        &self,
        context: &NativeCallContext,
        function: &DoorFunction,
        arguments: &mut [&mut Dynamic],
    ) -> Result<Dynamic, Failed> {
        let running = running(context)?;
        if function.is_effect {
            self.may_change(context, &running, function.name)?;
        }
        let given = calls::checked(context, &running, &function.schema, arguments)?;
        let mut arguments = calls::canonical(&function.schema, given);
        let secrets = &running.library.secrets;
        let concealed = secrets.conceal_within(&function.schema, &mut arguments);
        concealed.map_err(|failure| failed(context, &running, failure))?;
        // What it acts on must be known; what it writes or runs need not be.
        let fixed = |(name, _): &(&String, &Value)| {
            !["content", "command", "input", "environment"].contains(&name.as_str())
        };
        let mut fixed = arguments.iter().filter(fixed);
        if let Some(origin) = fixed.find_map(|(_, value)| mark::unknown_within(value)) {
            let unknown = Unknown::new(origin);
            return match function.is_effect {
                true => Err(undecidable(context, &unknown)),
                false => Ok(Dynamic::from(unknown)),
            };
        }
        let value = value::from_json(&self.answer(context, function.name, arguments)?);
        running.met(&value);
        Ok(value)
    }

    fn answer(
        &self,
        context: &NativeCallContext,
        function: &str,
        arguments: Map<String, Value>,
    ) -> Result<Value, Failed> {
        let running = running(context)?;
        let answer = self.door.call(function, arguments);
        let answer = answer.map_err(|stop| context::stop(context, &running, stop))?;
        answer.map_err(|failure| failed(context, &running, failure))
    }

    fn may_change(
        &self,
        context: &NativeCallContext,
        running: &Running,
        name: &str,
    ) -> Result<(), Failed> {
        if self.function == FIX {
            return Ok(());
        }
        let message = only_in_fix(name, self.function);
        let at = site(context, &running.library);
        let problem = running
            .library
            .problem_at("module", message, &at, "only in `fix`".into());
        Err(fail_script(problem, context.call_position()))
    }
}

/// Why a function cannot be called where it is.
pub fn only_in_fix(name: &str, function: &str) -> String {
    let verb = if name == WAIT { "waits for" } else { "changes" };
    format!("`host.{name}` {verb} the host, but `{function}` may only read it")
}

/// A failure of the host, which the module may catch.
fn failed(context: &NativeCallContext, running: &Running, failure: Failure) -> Failed {
    let failure = TaskFailure {
        host: running.tasks.view().name.clone(),
        module: running.module().unwrap_or_default().to_owned(),
        failure,
        site: site(context, &running.library),
    };
    context::stop(context, running, Stop::Task(Box::new(failure)))
}

fn read(
    context: NativeCallContext,
    _host: &mut HostDoor,
    key: ImmutableString,
) -> Result<Dynamic, Failed> {
    let running = running(&context)?;
    let view = running.tasks.view();
    if key == "facts" {
        return Ok(value::from_map(&view.facts).into());
    }
    if let Some(value) = Lookup::Host.get(view, &key) {
        return Ok(value);
    }
    let names = functions().iter().map(|function| function.name);
    let label = match closest(&key, names.chain(PROPERTIES)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}, and functions", PROPERTIES.join(", ")),
    };
    let message = format!("`host` has no `{key}`");
    let at = site(&context, &running.library);
    let problem = running
        .library
        .problem_at("unknown_field", message, &at, label);
    Err(fail_script(problem, context.call_position()))
}

/// What is recorded of a thing; where that is nothing, a closure asks the
/// host's own program.
fn resource(
    context: NativeCallContext,
    host: &mut HostDoor,
    kind: ImmutableString,
    name: ImmutableString,
    ask: FnPtr,
) -> Result<Dynamic, Failed> {
    let recorded = json!({ "kind": kind.as_str(), "name": name.as_str() });
    let recorded = recorded.as_object().cloned().unwrap_or_default();
    match host.answer(&context, RESOURCE, recorded)? {
        Value::Null => ask.call_within_context(&context, (host.clone(),)),
        Value::Array(known) => Ok(known.first().map_or(Dynamic::UNIT, value::from_json)),
        unknown => Ok(value::from_json(&unknown)),
    }
}

/// Looks again and again until a closure, which is given the host, says that
/// it is so. A dry run does
/// not wait: whatever is read from then on is known only after apply.
fn wait_until(
    context: NativeCallContext,
    host: &mut HostDoor,
    timeout: Dynamic,
    condition: FnPtr,
) -> Result<(), Failed> {
    let running = running(&context)?;
    host.may_change(&context, &running, WAIT)?;
    let seconds = match timeout.as_int() {
        Ok(seconds) => u64::try_from(seconds).ok(),
        Err(_) => timeout.into_string().ok().and_then(|text| span(&text)),
    };
    let seconds =
        seconds.ok_or("the time to wait is a number of seconds, or a text such as \"30s\"")?;
    if !host.door.waits() {
        return Ok(());
    }
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if condition.call_within_context::<bool>(&context, (host.clone(),))? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let failure = Failure::new(format!("waited {seconds} s in vain"))
                .hint("Allow more time, or see on the host why it does not come about.")
                .value("timed_out", true);
            return Err(failed(&context, &running, failure));
        }
        let paused = running.tasks.pause(PAUSE);
        paused.map_err(|stop| context::stop(&context, &running, stop))?;
    }
}
