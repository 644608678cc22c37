//! Keeps unknown values whole: a filter that would look into a text which is
//! known only after apply answers with another unknown, never with a guess.

use std::collections::BTreeSet;

use minijinja::functions::Function;
use minijinja::value::{FunctionArgs, FunctionResult, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use veza_agent::mark;

use super::builtins::invalid;
use super::containers::List;
use super::python;
use super::rewrite::{EACH, TRUTH};
use super::secrets;

const UNDECIDED: &str = "this needs a value that is known only after apply: ";

/// Takes filters and tests, and knows the names of those it was given.
pub struct Registry {
    env: Environment<'static>,
    filters: BTreeSet<String>,
    tests: BTreeSet<String>,
}

impl Registry {
    /// Begins with what `env` has, by the names given.
    pub fn new(env: Environment<'static>, filters: &[&str], tests: &[&str]) -> Registry {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Registry {
            env,
            filters: owned(filters),
            tests: owned(tests),
        }
    }

    /// All that was added, and the names of the filters and of the tests.
    pub fn finish(self) -> (Environment<'static>, BTreeSet<String>, BTreeSet<String>) {
        let public = |names: BTreeSet<String>| {
            names
                .into_iter()
                .filter(|name| !name.starts_with('_'))
                .collect()
        };
        (self.env, public(self.filters), public(self.tests))
    }

    /// Adds a filter that looks into the text it is given: with an unknown
    /// text among its arguments its result is unknown.
    pub fn reader<F, Rv, Args>(&mut self, name: &'static str, filter: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.careful(name, filter, true, secrets::any);
    }

    /// Adds a filter that writes values down in a notation of its own: unknown
    /// texts stay what they are, but a secret has to be written so too.
    pub fn writer<F, Rv, Args>(&mut self, name: &'static str, filter: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.careful(name, filter, false, secrets::any);
    }

    /// Adds a filter that only moves values about. Of a text it moves parts.
    pub fn mover<F, Rv, Args>(&mut self, name: &'static str, filter: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.careful(name, filter, false, secrets::any_text);
    }

    /// Adds a filter that is asked with the values of secrets, if `is_secret`
    /// says that its arguments are, and, if it `reads`, with no unknown text.
    fn careful<F, Rv, Args>(
        &mut self,
        name: &'static str,
        filter: F,
        reads: bool,
        is_secret: fn(&[Value]) -> bool,
    ) where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        let inner = Value::from_function(filter);
        self.filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            let args = values(args);
            match args.iter().find_map(origin).filter(|_| reads) {
                Some(origin) => Ok(Value::from(mark::unknown(&origin))),
                None if is_secret(&args) => {
                    secrets::applied(state, name, &args, |state, args| call(&inner, state, args))
                }
                None => call(&inner, state, &args),
            }
        });
    }

    /// Adds a filter that handles undefined and unknown values itself.
    pub fn filter<F, Rv, Args>(&mut self, name: &'static str, filter: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.filters.insert(name.to_owned());
        self.env.add_filter(name, filter);
    }

    /// Adds a test; of an unknown text it cannot decide anything.
    pub fn test<F, Rv, Args>(&mut self, name: &'static str, test: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        let inner = Value::from_function(test);
        self.plain_test(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            let args = values(args);
            match args.iter().find_map(origin) {
                Some(origin) => Err(undecided(&origin)),
                None if secrets::any(&args) => {
                    secrets::decided(state, &args, |state, args| call(&inner, state, args))
                }
                None => call(&inner, state, &args),
            }
        });
    }

    /// Adds a test that looks at the type of a value only.
    pub fn plain_test<F, Rv, Args>(&mut self, name: &'static str, test: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.tests.insert(name.to_owned());
        self.env.add_test(name, test);
    }
}

fn values(args: Rest<ValueOrKwargs>) -> Vec<Value> {
    args.0.into_iter().map(ValueOrKwargs::into_value).collect()
}

/// Adds the filters that `rewrite` puts around conditions and loops.
pub fn register(registry: &mut Registry) {
    registry.filter(TRUTH, |value: &Value| {
        known_text(value).map(|()| value.clone())
    });
    registry.filter(EACH, |value: &Value| {
        known_text(value)?;
        Ok::<_, Error>(match value.as_str() {
            Some(text) if mark::has_secret(text) => {
                return Err(invalid("a secret cannot be looped over"));
            }
            Some(text) => text.chars().map(Value::from).collect(),
            None if value.is_none() => return Err(invalid("None cannot be looped over")),
            None => value.clone(),
        })
    });
}

/// An error for an unknown text. What is unknown inside a list or a dict does
/// not change whether it is empty.
fn known_text(value: &Value) -> Result<(), Error> {
    match origin(value).filter(|_| value.as_str().is_some()) {
        Some(origin) => Err(undecided(&origin)),
        None => Ok(()),
    }
}

/// The error of a test that needs a value from `origin`.
pub fn undecided(origin: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{UNDECIDED}{origin}"))
}

/// The origin in the message of an error that `add_test` made.
pub fn origin_in_error(detail: &str) -> Option<String> {
    detail.strip_prefix(UNDECIDED).map(str::to_owned)
}

fn call(inner: &Value, state: &mut State, args: &[Value]) -> Result<Value, Error> {
    for arg in args {
        python::refuse_undefined(arg)?;
    }
    let result = inner.call(state, args)?;
    // A list made by a filter can be changed, as any list in Python.
    let is_plain_list = result.kind() == ValueKind::Seq
        && !result.is_tuple()
        && result.downcast_object_ref::<List>().is_none();
    if is_plain_list {
        Ok(List::of(result.try_iter()?))
    } else {
        Ok(result)
    }
}

/// Where the first unknown text in `value` will come from.
pub fn origin(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::String => mark::unknown_origin(value.as_str()?).map(str::to_owned),
        ValueKind::Seq => value.try_iter().ok()?.find_map(|item| origin(&item)),
        ValueKind::Map if value.len().is_some() => value
            .try_iter()
            .ok()?
            .find_map(|key| origin(&key).or_else(|| origin(&value.get_item(&key).ok()?))),
        _ => None,
    }
}
