//! One call of a module that is written in Rhai: its functions are the steps
//! that the engine of all modules takes.

use std::borrow::Borrow;
use std::sync::Arc;

use rhai::{Dynamic, Engine, Map};
use serde_json::Value;
use veza_agent::content::Content;
use veza_agent::mark;
use veza_agent::module::{Steps, converge, outcome};
use veza_agent::modules::span;
use veza_agent::outcome::{Failure, Outcome};
use veza_agent::state::{Diff, State};
use veza_agent::system::visible;

use super::door::HostDoor;
use super::{Functions, functions_of};
use crate::schema::{Field, Kind, Schema};
use crate::script::calls;
use crate::script::context::{Running, Tag};
use crate::script::library::Library;
use crate::script::tasks::{Call, Door, Stop, Tasks};
use crate::script::unknown::Unknown;
use crate::script::value::{self, Refused};
use crate::secrets::Secrets;

/// Carries out a call over a door to the host. `title` is what it is about,
/// where the module does not say it better. What stops the whole script is
/// returned; that the module failed is part of the outcome.
pub fn perform(
    library: &Arc<Library>,
    engine: &Engine,
    call: &Call,
    title: &str,
    tasks: Arc<dyn Tasks>,
    door: Arc<dyn Door>,
) -> Result<Outcome, Stop> {
    let name = &call.schema.name;
    let file = library.modules.file(name).unwrap_or_default();
    let functions = functions_of(library, engine, file);
    let functions = functions.map_err(|problem| Stop::Script(Box::new(problem)))?;
    let arguments = match arguments(&library.secrets, &call.schema, &call.arguments) {
        Ok(arguments) => arguments,
        Err(failure) => return Ok(Outcome::failed(title.to_owned(), failure)),
    };
    let mut steps = InRhai {
        engine,
        running: Arc::new(Running::in_module(tasks, library.clone(), name)),
        functions,
        arguments,
        door: door.clone(),
    };
    let ended = steps.carry_out(title, &call.arguments);
    // Nobody is left to ask what was done.
    if let Err(stop @ (Stop::HostLost | Stop::Cancelled)) = ended {
        return Err(stop);
    }
    let records = door.records()?;
    let mut outcome = match ended {
        Ok(outcome) => outcome,
        Err(stop) => {
            steps.tell_done(call, &records);
            return Err(stop);
        }
    };
    outcome.effects = records.effects;
    outcome.assumptions.extend(records.assumptions);
    match (records.failure, &outcome.failure) {
        (Some(failure), None) => Ok(Outcome {
            effects: outcome.effects,
            ..Outcome::failed(outcome.title, failure)
        }),
        _ => Ok(outcome),
    }
}

struct InRhai<'a> {
    engine: &'a Engine,
    running: Arc<Running>,
    functions: Arc<Functions>,
    arguments: Map,
    door: Arc<dyn Door>,
}

/// What a module found: as it said it, for its own functions, and as the
/// engine compares it.
struct Seen {
    map: Map,
    state: State,
}

impl Borrow<State> for Seen {
    fn borrow(&self) -> &State {
        &self.state
    }
}

/// Why a step is not taken.
enum Ended {
    Failed(Failure),
    Stopped(Stop),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Task(failed) => Self::Failed(failed.failure),
            other => Self::Stopped(other),
        }
    }
}

type Result<T, E = Ended> = std::result::Result<T, E>;

impl InRhai<'_> {
    fn carry_out(
        &mut self,
        title: &str,
        given: &serde_json::Map<String, Value>,
    ) -> Result<Outcome, Stop> {
        let origin = given.values().find_map(mark::unknown_within);
        let mut title = title.to_owned();
        let mut take_steps = || {
            if let Some(said) = self.title()? {
                title = said;
            }
            if let Some(origin) = mark::unknown_origin(&title) {
                return Err(Ended::Stopped(undecidable(origin)));
            }
            visible::refuse(&title, "a name or path")?;
            converge(self)
        };
        let answer = match take_steps() {
            Ok(answer) => Ok(answer),
            Err(Ended::Failed(failure)) => Err(failure),
            Err(Ended::Stopped(Stop::Undecidable { origin, .. })) => {
                return Ok(Outcome::unknown(&title, &origin));
            }
            Err(Ended::Stopped(stop)) => return Err(stop),
        };
        Ok(outcome(title, answer, origin))
    }

    /// Says what a module did before it broke down.
    fn tell_done(&self, call: &Call, records: &Outcome) {
        let effects = records.effects.iter();
        let done: Vec<_> = effects.map(|record| record.effect.describe()).collect();
        if !done.is_empty() {
            let text = format!(
                "before it broke down, {} did: {}",
                call.schema.name,
                done.join("; ")
            );
            self.running.tasks.log(&text, call.site.clone());
        }
    }

    fn title(&self) -> Result<Option<String>> {
        if !self.functions.contains_key("title") {
            return Ok(None);
        }
        let title = self.call("title", vec![])?;
        match self.json("title", &title)? {
            Value::String(title) => Ok(Some(title)),
            _ => Err(self.wrong_answer("title", "a string", &title)),
        }
    }

    /// Calls a function with the arguments of the module and these.
    fn call(&self, name: &str, more: Vec<Dynamic>) -> Result<Dynamic> {
        let Some(function) = self.functions.get(name) else {
            return Ok(Map::new().into());
        };
        let mut arguments = vec![Dynamic::from(self.arguments.clone())];
        arguments.extend(more);
        let tag = Tag::Running(self.running.clone());
        function
            .call(self.engine, tag, arguments)
            .map_err(|error| self.running.stop_of(error).into())
    }

    fn call_for_map(&self, name: &str, more: Vec<Dynamic>) -> Result<Map> {
        let answer = self.call(name, more)?;
        if let Some(unknown) = answer.read_lock::<Unknown>() {
            return Err(Ended::Stopped(undecidable(unknown.origin())));
        }
        match answer.is_map() {
            true => Ok(answer.flatten().cast()),
            false => Err(self.wrong_answer(name, "a map", &answer)),
        }
    }

    fn json(&self, name: &str, value: &Dynamic) -> Result<Value> {
        let view = self.running.tasks.view();
        value::to_json(value, Some(view)).map_err(|refused| match refused {
            Refused::Stop(stop) => stop.into(),
            Refused::Type(got) => self.problem(name, format!("`{name}` returns {got}")),
        })
    }

    fn wrong_answer(&self, name: &str, wanted: &str, got: &Dynamic) -> Ended {
        let got = match got.is_unit() {
            true => "nothing".to_owned(),
            false => format!("a {}", self.engine.map_type_name(got.type_name())),
        };
        self.problem(name, format!("`{name}` must return {wanted}, not {got}"))
    }

    fn problem(&self, name: &str, message: String) -> Ended {
        let library = &self.running.library;
        let problem = match self.functions.get(name) {
            Some(function) => {
                library.problem_at("module", message, function.site(), "defined here".into())
            }
            None => super::Problem::new("module", message),
        };
        Ended::Stopped(Stop::Script(Box::new(problem)))
    }

    /// Attributes as the engine compares them. `()` says nothing of one: it is
    /// not there, or is left alone.
    fn state(&self, name: &str, map: &Map) -> Result<State> {
        let mut state = State::new();
        for (attribute, value) in map {
            let json = self.json(name, value)?;
            match (&json, mark::unknown_within(&json)) {
                (Value::Null, _) => {}
                (Value::String(text), _) if attribute == "content" || text.contains('\n') => {
                    state.set_content(attribute, Content::of(text.as_bytes()));
                }
                (Value::String(_), _) | (_, None) => state.set(attribute, json),
                (_, Some(origin)) => state.set_unknown(attribute, origin),
            }
        }
        Ok(state)
    }

    fn host(&self, function: &'static str) -> Dynamic {
        Dynamic::from(HostDoor::new(self.door.clone(), function))
    }
}

impl Steps for InRhai<'_> {
    type Found = Seen;
    type Error = Ended;

    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    fn found(&mut self) -> Result<Seen> {
        let map = self.call_for_map("found", vec![self.host("found")])?;
        let state = self.state("found", &map)?;
        Ok(Seen { map, state })
    }

    fn wanted(&mut self, found: &Seen) -> Result<State> {
        let map = self.call_for_map("wanted", vec![found.map.clone().into()])?;
        self.state("wanted", &map)
    }

    fn fix(&mut self, diff: &Diff) -> Result<()> {
        let sides = diff.changes.iter().map(|change| {
            let mut sides = Map::new();
            for (side, value) in [("before", &change.before), ("after", &change.after)] {
                sides.insert(side.into(), value::from_json(&calls::side(value)));
            }
            (change.attribute.as_str().into(), sides.into())
        });
        let diff: Map = sides.collect();
        self.call(super::FIX, vec![diff.into(), self.host(super::FIX)])
            .map(drop)
    }

    fn comparable(&self, state: &State) -> State {
        let secrets = self.running.library.secrets.table();
        state.clone().canonical(&secrets)
    }

    fn values(&mut self, found: &Seen) -> Result<serde_json::Map<String, Value>> {
        let map = self.call_for_map("values", vec![found.map.clone().into()])?;
        match self.json("values", &map.into())? {
            Value::Object(values) => Ok(values),
            _ => Ok(serde_json::Map::new()),
        }
    }
}

fn undecidable(origin: &str) -> Stop {
    Stop::Undecidable {
        origin: origin.to_owned(),
        site: None,
    }
}

/// The arguments as a module's functions see them: complete, a mode as text
/// such as "0644", a time span in seconds, a secret as a mark.
fn arguments(
    secrets: &Secrets,
    schema: &Schema,
    given: &serde_json::Map<String, Value>,
) -> std::result::Result<Map, Failure> {
    let mut arguments = schema.completed(given.clone());
    // A default may be a secret, too.
    secrets.conceal_within(schema, &mut arguments)?;
    plain_fields(&schema.fields, &mut arguments);
    Ok(value::from_map(&arguments))
}

fn plain_fields(fields: &[Field], values: &mut serde_json::Map<String, Value>) {
    for field in fields {
        if let Some(value) = values.get_mut(&field.name) {
            plain(&field.kind, value);
        }
    }
}

fn plain(kind: &Kind, value: &mut Value) {
    match (kind, &mut *value) {
        (Kind::Mode, Value::String(text)) => {
            if let Ok(bits) = u32::from_str_radix(text.trim_start_matches("0o"), 8) {
                *text = format!("{bits:04o}");
            }
        }
        (Kind::Mode, Value::Number(bits)) => {
            if let Some(bits) = bits.as_u64() {
                *value = format!("{bits:04o}").into();
            }
        }
        (Kind::Duration, Value::String(text)) => {
            if let Some(seconds) = span(text) {
                *value = seconds.into();
            }
        }
        (Kind::List(item), Value::Array(items)) => {
            items.iter_mut().for_each(|value| plain(item, value));
        }
        (Kind::Map(item), Value::Object(entries)) => {
            entries.values_mut().for_each(|value| plain(item, value));
        }
        (Kind::Record(fields), Value::Object(map)) => plain_fields(fields, map),
        _ => {}
    }
}
