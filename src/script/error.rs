//! Errors on their way through the engine: a [`Stop`] becomes an error that
//! scripts can or cannot catch, and what comes out becomes a [`Stop`] again.

use rhai::{Dynamic, EvalAltResult, Map, Position};
use serde_json::Value;
use veza_agent::outcome::Failure;

use super::diagnostics::Problem;
use super::library::Library;
use super::marked::Marked;
use super::own_names;
use super::tasks::{Stop, TaskFailure};
use super::unknown::Unknown;
use super::value;
use crate::report::event::Site;
use crate::schema::closest;

/// An error of the engine.
pub(super) type Failed = Box<EvalAltResult>;

/// An error that no script can catch.
pub(super) fn fail_script(problem: Problem, position: Position) -> Failed {
    raise(Stop::Script(Box::new(problem)), position)
}

/// Failures of tasks can be caught, everything else ends the script.
pub(super) fn raise(stop: Stop, position: Position) -> Failed {
    match stop {
        Stop::Task(failure) => {
            EvalAltResult::ErrorRuntime(caught_value(&failure).into(), position).into()
        }
        other => terminate(other, position),
    }
}

/// Ends the script, whatever it tries.
pub(super) fn terminate(stop: Stop, position: Position) -> Failed {
    EvalAltResult::ErrorTerminated(Dynamic::from(stop), position).into()
}

/// What a script finds in `catch (e)`.
fn caught_value(failed: &TaskFailure) -> Map {
    let failure = &failed.failure;
    let mut map: Map = failure
        .values
        .iter()
        .map(|(key, value)| (key.into(), value::from_json(value)))
        .collect();
    let text = |text: &str| Dynamic::from(text.to_owned());
    map.insert("host".into(), text(&failed.host));
    map.insert("module".into(), text(&failed.module));
    map.insert("message".into(), text(&failure.message));
    map.insert(
        "hint".into(),
        failure.hint.as_deref().map_or(Dynamic::UNIT, text),
    );
    map.insert(
        "site".into(),
        text(&format!("{}:{}", failed.site.file, failed.site.line)),
    );
    map
}

/// What came out of the engine, as a reason to stop. `file` is the one that
/// was run, `raised` the task failure that was raised last, `host` the host it
/// all happened on.
pub(super) fn stop_of(
    error: &EvalAltResult,
    library: &Library,
    file: Option<&str>,
    raised: Option<Box<TaskFailure>>,
    host: &str,
) -> Stop {
    let place = Place::of(error, library, file);
    match place.innermost {
        EvalAltResult::ErrorTerminated(token, _) => match token.clone().try_cast::<Stop>() {
            Some(Stop::Undecidable { origin, site: None }) => Stop::Undecidable {
                origin,
                site: Some(place.site),
            },
            Some(stop) => stop,
            None => Stop::Cancelled,
        },
        EvalAltResult::ErrorRuntime(thrown, _) => {
            Stop::Task(Box::new(thrown_failure(thrown, raised, place, host)))
        }
        other if is_about_unknown(other) => Stop::Undecidable {
            origin: Unknown::NAME.into(),
            site: Some(place.site),
        },
        other => Stop::Script(Box::new(place.problem(other, library))),
    }
}

impl Stop {
    /// Names where an unknown value comes from, where the engine did not.
    pub(super) fn with_origin(self, known: &str) -> Self {
        match self {
            Self::Undecidable { origin, site } if origin == Unknown::NAME => Self::Undecidable {
                origin: known.into(),
                site,
            },
            other => other,
        }
    }
}

/// Whether the engine refused an operation because a value is not known yet.
pub(super) fn is_about_unknown(error: &EvalAltResult) -> bool {
    match error {
        EvalAltResult::ErrorMismatchDataType(_, actual, _)
        | EvalAltResult::ErrorMismatchOutputType(_, actual, _) => Unknown::is_named_in(actual),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => Unknown::is_named_in(signature),
        EvalAltResult::ErrorIndexingType(signature, _) => Unknown::is_named_in(signature),
        _ => false,
    }
}

/// A thrown value is a failure of the host: the one that was raised, when the
/// script threw it on, or the script's own.
fn thrown_failure(
    thrown: &Dynamic,
    raised: Option<Box<TaskFailure>>,
    place: Place,
    host: &str,
) -> TaskFailure {
    let map = thrown
        .read_lock::<Map>()
        .map(|map| map.clone())
        .unwrap_or_default();
    let text = |key: &str| {
        map.get(key)
            .and_then(|value| value.clone().into_string().ok())
    };
    let message = text("message").unwrap_or_else(|| thrown.to_string());
    if let Some(raised) = raised.filter(|raised| raised.failure.message == message) {
        return *raised;
    }
    let mut failure = Failure::new(message);
    failure.hint = text("hint");
    for (key, value) in &map {
        let known = ["host", "module", "message", "hint", "site"].contains(&key.as_str());
        if let (false, Ok(value)) = (known, value::to_json(value, None)) {
            failure.values.insert(key.to_string(), value);
        }
    }
    failure.values.retain(|_, value| *value != Value::Null);
    TaskFailure {
        host: host.into(),
        module: text("module").unwrap_or_else(|| "throw".into()),
        failure,
        site: place.site,
    }
}

/// The innermost error, and where it is in which file.
pub(super) struct Place<'a> {
    pub innermost: &'a EvalAltResult,
    pub site: Site,
    position: Position,
    source: Option<String>,
}

impl<'a> Place<'a> {
    /// Follows an error through the calls and imports it passed.
    pub fn of(error: &'a EvalAltResult, library: &Library, file: Option<&str>) -> Self {
        let mut innermost = error;
        let mut source = file.map(str::to_owned);
        loop {
            innermost = match innermost {
                EvalAltResult::ErrorInFunctionCall(_, file, inner, _) => {
                    if !file.is_empty() {
                        source = Some(file.clone());
                    }
                    inner
                }
                EvalAltResult::ErrorInModule(file, inner, _) => {
                    source = Some(file.clone());
                    inner
                }
                _ => break,
            };
        }
        let position = innermost.position();
        Self {
            innermost,
            site: library.site(source.as_deref(), position),
            position,
            source,
        }
    }

    /// The error as a diagnostic.
    pub fn problem(&self, error: &EvalAltResult, library: &Library) -> Problem {
        let at = |code, message: String, label: &str| {
            library.problem_at(code, message, &self.site, label.into())
        };
        match error {
            EvalAltResult::ErrorParsing(parse, _) => {
                library.syntax_problem(self.source.as_deref(), parse, self.position)
            }
            EvalAltResult::ErrorFunctionNotFound(signature, _) => {
                self.missing_function(signature, library)
            }
            EvalAltResult::ErrorPropertyNotFound(name, _) => {
                let words = library.words(&self.site.file);
                let near = closest(name, words.iter().map(String::as_str));
                let problem = at(
                    "unknown_property",
                    format!("the map has no key `{name}`"),
                    "not in this map",
                );
                problem.help(match near {
                    Some(near) => format!("did you mean `{near}`? `map.get(\"{name}\")` gives () for a key that may be absent"),
                    None => format!("`map.get(\"{name}\")` gives () for a key that may be absent"),
                })
            }
            EvalAltResult::ErrorVariableNotFound(name, _) => at(
                "undefined_variable",
                format!("there is no variable `{name}`"),
                "not defined",
            ),
            EvalAltResult::ErrorMismatchDataType(wanted, actual, _) => at(
                "wrong_type",
                format!("this needs {}, not {}", article(wanted), article(actual)),
                "of the wrong type",
            ),
            EvalAltResult::ErrorTooManyOperations(_) => at(
                "limit",
                "the script runs for too long".into(),
                "stopped here",
            )
            .help("A loop that never ends? A script may take 50 million steps."),
            EvalAltResult::ErrorStackOverflow(_) => at(
                "limit",
                "functions call each other too deeply".into(),
                "stopped here",
            )
            .help("A function that calls itself for ever? 64 levels are allowed."),
            EvalAltResult::ErrorDataRace(..) => at(
                "script",
                "a closure uses the value that the function it is given to works on".into(),
                "here",
            )
            .help("Let the closure take it as a parameter: `host.wait_until(30, |host| …)`."),
            EvalAltResult::ErrorFor(_) => {
                at("wrong_type", "a loop cannot go over this".into(), "no list")
                    .help("Over a map goes `for key in map.keys()`, or `map.values()`.")
            }
            EvalAltResult::ErrorDotExpr(message, _) => match missing_field(message) {
                Some((message, help)) => at("unknown_property", message, "not there").help(help),
                None => at("script", sentence(error), "here"),
            },
            other => at("script", sentence(other), "here"),
        }
    }

    fn missing_function(&self, signature: &str, library: &Library) -> Problem {
        let given = signature.split([' ', '(']).next().unwrap_or(signature);
        let name = own_names::written(given);
        let signature = &signature.replacen(given, name, 1);
        let label = "no function takes these arguments";
        let message = match is_operator(name) {
            true => format!("`{name}` cannot be applied to {}", operands(signature)),
            false => format!("`{name}` cannot be called with {}", operands(signature)),
        };
        let problem = library.problem_at("unknown_function", message, &self.site, label.into());
        let is_known = library.functions().any(|known| known == name);
        match closest(name, library.functions()) {
            _ if is_known => problem.help(format!("`veza-play doc {name}` tells what it takes")),
            Some(near) if !is_operator(name) => problem.help(format!("did you mean `{near}`?")),
            _ => problem,
        }
    }
}

fn is_operator(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// `(i64, string)` of `+ (i64, string)`, in words.
fn operands(signature: &str) -> String {
    let inside = signature
        .split_once('(')
        .map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let names: Vec<_> = inside.split(", ").map(article).collect();
    names.join(" and ")
}

/// What is wrong when a value has no such field, and what to do: the engine
/// tells it in a sentence with the field and the type in quotes.
fn missing_field(message: &str) -> Option<(String, &'static str)> {
    let mut quoted = message.split('\'').skip(1).step_by(2);
    let (field, kind) = (quoted.next()?, quoted.next()?);
    let is_read = message.contains("a getter is not registered");
    Some(match kind {
        "lookup" if !is_read => (
            format!("`{field}` cannot be set here: what a host has is declared"),
            "Write `let name = …` for what the script itself needs.",
        ),
        _ => (
            format!("{} has no field `{field}`", article(kind)),
            "`type_of(value)` tells what a value is, and `log(value)` shows it.",
        ),
    })
}

fn article(type_name: &str) -> String {
    match type_name
        .trim_start_matches("&")
        .trim_start_matches("mut ")
        .trim()
    {
        "i64" => "an integer".into(),
        "f64" => "a number".into(),
        "bool" => "a boolean (`true` or `false`)".into(),
        "()" => "nothing".into(),
        "map" => "a map".into(),
        "array" => "a list".into(),
        "string" | "str" | "str | ImmutableString | String" => "a string".into(),
        "Fn" => "a function".into(),
        other => format!("a {other}"),
    }
}

/// The engine's message without its place, which is shown beside it.
fn sentence(error: &EvalAltResult) -> String {
    let text = error.to_string();
    let text = text
        .split(" (line ")
        .next()
        .unwrap_or(&text)
        .trim_end_matches('.');
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => "the script failed".into(),
    }
}
