//! What a module is: it states what is wanted and what is found; the engine
//! here compares, lets it fix, and looks again.

use std::borrow::Borrow;

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
        call: |arguments, system| {
            call(arguments, system, M::title, |module: &M, system| {
                converge(&mut OnHost { module, system })
            })
        },
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
pub struct Answer {
    verdict: Verdict,
    changes: Vec<Change>,
    values: Map<String, Value>,
    provides: Vec<ProvidedHost>,
}

/// What one call takes to bring a thing into the state asked for. A [`Module`]
/// takes these steps on the host; one that is written in Rhai takes them on
/// the controller.
pub trait Steps {
    /// What is found: a state, or what holds one.
    type Found: Borrow<State>;
    /// Why a step is not taken.
    type Error: From<Failure>;

    /// What comes before anything can be compared.
    fn prepare(&mut self) -> std::result::Result<(), Self::Error>;
    /// The state that is.
    fn found(&mut self) -> std::result::Result<Self::Found, Self::Error>;
    /// The state asked for.
    fn wanted(&mut self, found: &Self::Found) -> std::result::Result<State, Self::Error>;
    /// Effects that lead from the one to the other.
    fn fix(&mut self, diff: &Diff) -> std::result::Result<(), Self::Error>;
    /// The hosts that the thing is, if it is any.
    fn provides(&mut self) -> std::result::Result<Vec<ProvidedHost>, Self::Error> {
        Ok(Vec::new())
    }
    /// A state in the form in which texts with secrets can be compared.
    fn comparable(&self, state: &State) -> State;
    /// What a script may read from the result.
    fn values(
        &mut self,
        found: &Self::Found,
    ) -> std::result::Result<Map<String, Value>, Self::Error>;
}

/// A module at work on a host.
struct OnHost<'a, M> {
    module: &'a M,
    system: &'a mut dyn System,
}

impl<M: Module> Steps for OnHost<'_, M> {
    type Found = State;
    type Error = Failure;

    fn prepare(&mut self) -> Result<()> {
        self.module.prepare(self.system)
    }

    fn found(&mut self) -> Result<State> {
        self.module.found(self.system)
    }

    fn wanted(&mut self, found: &State) -> Result<State> {
        self.module.wanted(found)
    }

    fn fix(&mut self, diff: &Diff) -> Result<()> {
        self.module.fix(diff, self.system)
    }

    fn provides(&mut self) -> Result<Vec<ProvidedHost>> {
        self.module.provides(self.system)
    }

    fn comparable(&self, state: &State) -> State {
        state.clone().canonical(&self.system.secrets())
    }

    fn values(&mut self, found: &State) -> Result<Map<String, Value>> {
        Ok(self.module.values(found))
    }
}

fn call<M: DeserializeOwned>(
    arguments: Value,
    system: &mut dyn System,
    title: fn(&M) -> String,
    run: fn(&M, &mut dyn System) -> Result<Answer>,
) -> Outcome {
    let origin = mark::unknown_within(&arguments).map(str::to_owned);
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
    let mut outcome = outcome(title, answer, origin.as_deref());
    let (effects, assumptions) = system.take_records();
    outcome.effects = effects;
    outcome.assumptions.extend(assumptions);
    outcome
}

/// The outcome of a call, without its records; `unknown` is where an argument
/// comes from that is not known yet.
pub fn outcome(title: String, answer: Result<Answer>, unknown: Option<&str>) -> Outcome {
    match (answer, unknown) {
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
        (Err(_), Some(origin)) => Outcome::unknown(&title, origin),
        (Err(failure), None) => Outcome::failed(title, failure),
    }
}

/// Arguments as a type; what does not fit is named.
pub(crate) fn parse<M: DeserializeOwned>(arguments: Value) -> Result<M> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let argument = error.path().to_string();
        let mut failure = Failure::new(error.into_inner().to_string());
        failure.argument = (argument != ".").then_some(argument);
        failure
    })
}

/// Compares, fixes what differs, and looks again.
pub fn converge<S: Steps>(steps: &mut S) -> std::result::Result<Answer, S::Error> {
    steps.prepare()?;
    let found = steps.found()?;
    let wanted = steps.wanted(&found)?;
    let diff = Diff::between(
        &steps.comparable(found.borrow()),
        &steps.comparable(&wanted),
    );
    if diff.is_empty() {
        return Ok(Answer {
            verdict: Verdict::Ok,
            changes: Vec::new(),
            values: steps.values(&found)?,
            provides: steps.provides()?,
        });
    }
    steps.fix(&diff)?;
    let after = steps.found()?;
    let wanted = wanted.without_requests();
    let left = Diff::between(
        &steps.comparable(after.borrow()),
        &steps.comparable(&wanted),
    );
    if let Some(change) = left.certain().next() {
        return Err(Failure::new(format!(
            "{} is still not as asked after the change: found {}, wanted {}",
            change.attribute, change.before, change.after,
        ))
        .hint("Something else on the host changes it back, or the change had no effect.")
        .into());
    }
    Ok(Answer {
        verdict: match diff.is_certain() {
            _ if diff.is_routine() => Verdict::Ok,
            true => Verdict::Changed,
            false => Verdict::Unknown,
        },
        values: steps.values(&after)?,
        provides: steps.provides()?,
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
