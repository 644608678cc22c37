//! What a module is: it states what is wanted and what is found; the engine
//! here compares, lets it fix, and looks again.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::mark;
use crate::outcome::{Change, Failure, Outcome, ProvidedHost, Verdict};
use crate::state::{Diff, State};
use crate::system::{System, visible};

/// What modules return.
pub type Result<T> = std::result::Result<T, Failure>;

/// A thing with a state that can be read, compared and changed.
///
/// The type is its arguments; its doc comment and those of its fields are the
/// user's documentation.
pub trait Module: DeserializeOwned + JsonSchema {
    /// The word a script writes.
    const NAME: &'static str;
    /// Arguments that may be written without their name, in order.
    const POSITIONAL: &'static [&'static str];

    /// What a call acts on, for people: a path, a list of names.
    fn title(&self) -> String;

    /// What comes before anything can be compared, and is no change by itself:
    /// fetching package lists. Most modules have nothing of the kind.
    fn prepare(&self, _system: &mut dyn System) -> Result<()> {
        Ok(())
    }

    /// The state that is. Reads only what is needed to compare and to show.
    fn found(&self, system: &dyn System) -> Result<State>;

    /// The state asked for; attributes it does not name are left alone.
    /// Depends on what was found where the arguments do: `mode: "u+x"`.
    fn wanted(&self, found: &State) -> Result<State>;

    /// Effects that lead from the one to the other.
    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()>;

    /// What a script may read from the result, beside `changed`; `state` is
    /// what was found in the end.
    fn values(&self, _state: &State) -> Map<String, Value> {
        Map::new()
    }

    /// Hosts of the inventory that later plays find because of this.
    fn provides(&self, _system: &dyn System) -> Result<Vec<ProvidedHost>> {
        Ok(Vec::new())
    }
}

/// A thing without a state: it is done each time, unless it says otherwise.
pub trait Action: DeserializeOwned + JsonSchema {
    /// The word a script writes.
    const NAME: &'static str;
    /// Arguments that may be written without their name, in order.
    const POSITIONAL: &'static [&'static str];

    /// What a call acts on, for people.
    fn title(&self) -> String;

    /// Does it, and says what came of it.
    fn run(&self, system: &mut dyn System) -> Result<Report>;
}

/// What came of an action.
pub struct Report {
    /// The short answer.
    pub verdict: Verdict,
    /// What a script may read from the result.
    pub values: Map<String, Value>,
}

impl Report {
    /// A report without values.
    pub fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            values: Map::new(),
        }
    }

    /// Adds a value a script may read.
    pub fn value(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.values.insert(key.into(), value.into());
        self
    }
}

/// A module or action in the list of all.
pub struct ModuleInfo {
    /// The word a script writes.
    pub name: &'static str,
    /// Arguments that may be written without their name, in order.
    pub positional: &'static [&'static str],
    /// The JSON schema of the arguments. Only the controller calls it.
    pub schema: fn() -> schemars::Schema,
    /// Carries out one call.
    pub call: fn(Value, &mut dyn System) -> Outcome,
}

/// The entry of a module.
pub const fn module<M: Module>() -> ModuleInfo {
    ModuleInfo {
        name: M::NAME,
        positional: M::POSITIONAL,
        schema: schema_of::<M>,
        call: |arguments, system| call(arguments, system, M::title, converge::<M>),
    }
}

/// The entry of an action.
pub const fn action<A: Action>() -> ModuleInfo {
    ModuleInfo {
        name: A::NAME,
        positional: A::POSITIONAL,
        schema: schema_of::<A>,
        call: |arguments, system| call(arguments, system, A::title, act::<A>),
    }
}

fn schema_of<T: JsonSchema>() -> schemars::Schema {
    schemars::schema_for!(T)
}

/// The part of an outcome that a module or action decides.
struct Answer {
    verdict: Verdict,
    changes: Vec<Change>,
    values: Map<String, Value>,
    provides: Vec<ProvidedHost>,
}

fn call<M: DeserializeOwned>(
    arguments: Value,
    system: &mut dyn System,
    title: fn(&M) -> String,
    run: fn(&M, &mut dyn System) -> Result<Answer>,
) -> Outcome {
    let origin = unknown_argument(&arguments);
    let module: M = match (parse(arguments), &origin) {
        (Ok(module), _) => module,
        (Err(_), Some(origin)) => return Outcome::unknown("", origin),
        (Err(failure), None) => return Outcome::failed(String::new(), failure),
    };
    let title = title(&module);
    if let Some(origin) = mark::unknown_origin(&title) {
        return Outcome::unknown(&title, origin);
    }
    if let Err(failure) = visible::refuse(&title, "a name or path") {
        return Outcome::failed(mark::show(&title).into_owned(), failure);
    }
    let answer = run(&module, system);
    let (effects, assumptions) = system.take_records();
    let mut outcome = match (answer, origin) {
        (Ok(answer), _) => Outcome {
            title,
            verdict: answer.verdict,
            changes: answer.changes,
            effects: Vec::new(),
            assumptions: Vec::new(),
            values: answer.values,
            provides: answer.provides,
            failure: None,
        },
        // What is not known yet may be all it failed for.
        (Err(_), Some(origin)) => Outcome::unknown(&title, &origin),
        (Err(failure), None) => Outcome::failed(title, failure),
    };
    outcome.effects = effects;
    outcome.assumptions.extend(assumptions);
    outcome
}

/// Where the first unknown argument comes from, if there is one: a number or a
/// choice cannot carry a mark, so such arguments are not understood.
fn unknown_argument(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => mark::unknown_origin(text).map(str::to_owned),
        Value::Array(items) => items.iter().find_map(unknown_argument),
        Value::Object(fields) => fields.values().find_map(unknown_argument),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn parse<M: DeserializeOwned>(arguments: Value) -> Result<M> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let argument = error.path().to_string();
        let mut failure = Failure::new(error.into_inner().to_string());
        failure.argument = (argument != ".").then_some(argument);
        failure
    })
}

fn converge<M: Module>(module: &M, system: &mut dyn System) -> Result<Answer> {
    module.prepare(system)?;
    let found = module.found(system)?;
    let wanted = module.wanted(&found)?;
    let secrets = system.secrets();
    let comparable = |state: &State| state.clone().canonical(&secrets);
    let diff = Diff::between(&comparable(&found), &comparable(&wanted));
    if diff.is_empty() {
        return Ok(Answer {
            verdict: Verdict::Ok,
            changes: Vec::new(),
            values: module.values(&found),
            provides: module.provides(system)?,
        });
    }
    module.fix(&diff, system)?;
    let after = module.found(system)?;
    let wanted = wanted.without_requests();
    let left = Diff::between(&comparable(&after), &comparable(&wanted));
    if let Some(change) = left.certain().next() {
        return Err(Failure::new(format!(
            "{} is still not as asked after the change: found {}, wanted {}",
            change.attribute, change.before, change.after,
        ))
        .hint("Something else on the host changes it back, or the change had no effect."));
    }
    Ok(Answer {
        verdict: match diff.is_certain() {
            _ if diff.is_routine() => Verdict::Ok,
            true => Verdict::Changed,
            false => Verdict::Unknown,
        },
        values: module.values(&after),
        provides: module.provides(system)?,
        changes: diff.changes,
    })
}

fn act<A: Action>(action: &A, system: &mut dyn System) -> Result<Answer> {
    let report = action.run(system)?;
    Ok(Answer {
        verdict: report.verdict,
        changes: Vec::new(),
        values: report.values,
        provides: Vec::new(),
    })
}
