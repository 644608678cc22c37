//! Keeps unknown values whole: a filter that would look into a text which is
//! known only after apply answers with another unknown, never with a guess.

use minijinja::functions::Function;
use minijinja::value::{FunctionArgs, FunctionResult, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use veza_agent::mark;

use super::containers::List;
use super::python;

const UNDECIDED: &str = "this test needs a value that is known only after apply: ";

/// Adds a filter that looks into the text it is given: with an unknown text
/// among its arguments its result is unknown.
pub fn add_reader<F, Rv, Args>(env: &mut Environment, name: &'static str, filter: F)
where
    F: Function<Rv, Args>,
    Rv: FunctionResult,
    Args: for<'a> FunctionArgs<'a>,
{
    let inner = Value::from_function(filter);
    env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args: Vec<Value> = args.0.into_iter().map(ValueOrKwargs::into_value).collect();
        if let Some(origin) = args.iter().find_map(origin) {
            return Ok(Value::from(mark::unknown(&origin)));
        }
        call(&inner, state, &args)
    });
}

/// Adds a filter that only moves values about.
pub fn add_mover<F, Rv, Args>(env: &mut Environment, name: &'static str, filter: F)
where
    F: Function<Rv, Args>,
    Rv: FunctionResult,
    Args: for<'a> FunctionArgs<'a>,
{
    let inner = Value::from_function(filter);
    env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args: Vec<Value> = args.0.into_iter().map(ValueOrKwargs::into_value).collect();
        call(&inner, state, &args)
    });
}

/// Adds a test; of an unknown text it cannot decide anything.
pub fn add_test<F, Rv, Args>(env: &mut Environment, name: &'static str, test: F)
where
    F: Function<Rv, Args>,
    Rv: FunctionResult,
    Args: for<'a> FunctionArgs<'a>,
{
    let inner = Value::from_function(test);
    env.add_test(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args: Vec<Value> = args.0.into_iter().map(ValueOrKwargs::into_value).collect();
        if let Some(origin) = args.iter().find_map(origin) {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("{UNDECIDED}{origin}"),
            ));
        }
        call(&inner, state, &args)
    });
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
        Ok(List::new(result.try_iter()?))
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
