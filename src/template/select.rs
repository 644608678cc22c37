//! The filters that look at the attributes of items, among which undefined
//! ones may be: map, select, reject and their like. They pass an undefined
//! item on; only what uses it refuses it.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, State, Value};

use super::builtins::invalid;
use super::marks::Registry;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.filter("map", map);
    for (name, by_attribute, wanted) in [
        ("select", false, true),
        ("reject", false, false),
        ("selectattr", true, true),
        ("rejectattr", true, false),
    ] {
        registry.filter(
            name,
            move |state: &mut State, value: Value, args: Rest<ValueOrKwargs>| {
                choose(state, &value, &values(args), by_attribute, wanted)
            },
        );
    }
    registry.filter("first", |value: &Value| end_item(value, false));
    registry.filter("last", |value: &Value| end_item(value, true));
    registry.filter("attr", |value: &Value, name: &Value| attribute(value, name));
}

fn values(args: Rest<ValueOrKwargs>) -> Vec<Value> {
    args.0.into_iter().map(ValueOrKwargs::into_value).collect()
}

/// The value at a dotted path below `item`; undefined where a step is missing.
pub fn attribute(item: &Value, path: &Value) -> Value {
    let Some(path) = path.as_str() else {
        return item.get_item(path).unwrap_or_default();
    };
    path.split('.').fold(item.clone(), |value, step| {
        let found = match step.parse::<usize>() {
            Ok(index) => value.get_item_by_index(index),
            Err(_) => value.get_attr(step),
        };
        found.unwrap_or_default()
    })
}

/// The items of what is mapped, undefined ones included.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    match value.as_str() {
        Some(text) => Ok(text.chars().map(Value::from).collect()),
        None if value.is_undefined() => Err(minijinja::ErrorKind::UndefinedError.into()),
        None if value.is_none() => Err(invalid("None is not a list")),
        None => Ok(value.try_iter()?.collect()),
    }
}

fn map(state: &mut State, value: Value, args: Rest<ValueOrKwargs>) -> Result<Vec<Value>, Error> {
    let args = values(args);
    let (positional, kwargs): (&[Value], Kwargs) = from_args(&args)?;
    let items = items(&value)?;
    if positional.is_empty() && kwargs.has("attribute") {
        let path: Value = kwargs.get("attribute")?;
        let default: Option<Value> = kwargs.get("default")?;
        kwargs.assert_all_used()?;
        let mapped = items.iter().map(|item| {
            let found = attribute(item, &path);
            if found.is_undefined() {
                default.clone().unwrap_or_default()
            } else {
                found
            }
        });
        return Ok(mapped.collect());
    }
    let Some((name, rest)) = args.split_first() else {
        return Err(invalid("`map` needs a filter or an attribute"));
    };
    let name = name
        .as_str()
        .ok_or_else(|| invalid("the filter of `map` must be a text"))?;
    let name = name.rsplit('.').next().unwrap_or(name);
    let mut mapped = Vec::new();
    for item in items {
        let mut arguments = vec![item];
        arguments.extend_from_slice(rest);
        mapped.push(state.apply_filter(name, &arguments)?);
    }
    Ok(mapped)
}

fn choose(
    state: &mut State,
    value: &Value,
    args: &[Value],
    by_attribute: bool,
    wanted: bool,
) -> Result<Vec<Value>, Error> {
    let (path, args) = match args.split_first() {
        Some((path, args)) if by_attribute => (Some(path), args),
        None if by_attribute => return Err(invalid("an attribute must be named")),
        _ => (None, args),
    };
    let mut chosen = Vec::new();
    for item in items(value)? {
        let subject = path.map_or_else(|| item.clone(), |path| attribute(&item, path));
        if passes(state, subject, args)? == wanted {
            chosen.push(item);
        }
    }
    Ok(chosen)
}

fn passes(state: &mut State, subject: Value, args: &[Value]) -> Result<bool, Error> {
    let Some((test, rest)) = args.split_first() else {
        super::python::refuse_undefined(&subject)?;
        return Ok(subject.is_true());
    };
    let test = test
        .as_str()
        .ok_or_else(|| invalid("the test must be named by a text"))?;
    let test = test.rsplit('.').next().unwrap_or(test);
    let mut arguments = vec![subject];
    arguments.extend_from_slice(rest);
    state.perform_test(test, &arguments)
}

fn end_item(value: &Value, last: bool) -> Result<Value, Error> {
    if let Some(origin) = super::marks::origin(value).filter(|_| value.as_str().is_some()) {
        return Ok(Value::from(veza_agent::mark::unknown(&origin)));
    }
    if value.as_str().is_some_and(veza_agent::mark::has_secret) {
        return Err(invalid("one letter of a secret cannot be hidden"));
    }
    if value.kind() == ValueKind::Number || value.kind() == ValueKind::Bool {
        return Err(invalid("only a list or a text has a first and a last item"));
    }
    let items = items(value)?;
    let item = if last { items.last() } else { items.first() };
    Ok(item.cloned().unwrap_or_default())
}

/// An item picked at random, as far as the clock is random.
pub fn any_item(value: &Value) -> Result<Value, Error> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now
        .map(|now| now.subsec_nanos() as usize / 64)
        .unwrap_or_default();
    if let Some(end) = value.as_usize().filter(|end| *end > 0) {
        return Ok(Value::from(seed % end));
    }
    let items = super::builtins::items(value)?;
    match items.len() {
        0 => Err(invalid("an empty list has no random item")),
        length => Ok(items[seed % length].clone()),
    }
}
