//! Values of scripts to and from JSON, the form in which calls and results
//! travel.

use rhai::{Array, Blob, Dynamic, ImmutableString, Map};
use serde_json::{Number, Value};
use veza_agent::mark;

use super::calls::TaskResult;
use super::lookups::Lookup;
use super::marked;
use super::secret::Secret;
use super::tasks::{Stop, View};
use super::unknown::Unknown;

/// Why a value cannot be handed over.
#[derive(Debug)]
pub(super) enum Refused {
    /// No argument takes a value of this type.
    Type(String),
    /// It comes from a task that failed, or cannot be known.
    Stop(Stop),
}

/// A value that came from outside, for a script. Text that is not known yet
/// is of a type of its own, so that no script can depend on it by accident.
pub(super) fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => from_text(text),
        Value::Array(items) => items.iter().map(from_json).collect::<Array>().into(),
        Value::Object(map) => from_map(map).into(),
    }
}

/// A text; an unknown when any part of it is not known yet, a secret when any
/// part is one.
pub(super) fn from_text(text: &str) -> Dynamic {
    match mark::unknown_origin(text) {
        Some(_) => Dynamic::from(Unknown::of_text(text)),
        None if mark::has_secret(text) => Dynamic::from(Secret::of_text(text)),
        None => text.into(),
    }
}

/// A map that came from outside.
pub(super) fn from_map(map: &serde_json::Map<String, Value>) -> Map {
    map.iter()
        .map(|(key, value)| (key.into(), from_json(value)))
        .collect()
}

/// A script's value, for the outside. `view` is what `vars`, `host` and the
/// like stand for.
pub(super) fn to_json(value: &Dynamic, view: Option<&View>) -> Result<Value, Refused> {
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = value.as_bool() {
        return Ok(flag.into());
    }
    if let Ok(integer) = value.as_int() {
        return Ok(integer.into());
    }
    if let Ok(float) = value.as_float() {
        let number = Number::from_f64(float);
        return number
            .map(Value::Number)
            .ok_or_else(|| Refused::Type("a number that is not finite".into()));
    }
    if let Ok(letter) = value.as_char() {
        return Ok(letter.to_string().into());
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(text.as_str().into());
    }
    if let Some(items) = value.read_lock::<Array>() {
        return items.iter().map(|item| to_json(item, view)).collect();
    }
    if let Some(map) = value.read_lock::<Map>() {
        let entry = |(key, value): (&rhai::Identifier, &Dynamic)| {
            Ok((key.to_string(), to_json(value, view)?))
        };
        return map
            .iter()
            .map(entry)
            .collect::<Result<serde_json::Map<_, _>, _>>()
            .map(Value::Object);
    }
    special(value, view)
}

fn special(value: &Dynamic, view: Option<&View>) -> Result<Value, Refused> {
    if let Some(text) = marked::text(value) {
        return Ok(text.into());
    }
    if let Some(result) = value.read_lock::<TaskResult>() {
        return result.to_json().map_err(Refused::Stop);
    }
    if let (Some(lookup), Some(view)) = (value.read_lock::<Lookup>(), view) {
        return Ok(lookup.to_json(view));
    }
    if let Some(bytes) = value.read_lock::<Blob>() {
        return match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(Refused::Type("bytes that are not text".into())),
        };
    }
    Err(Refused::Type(match value.is_fnptr() {
        true => "a function".into(),
        false => format!(
            "a {}",
            value.type_name().rsplit("::").next().unwrap_or_default()
        ),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_come_back_as_they_went() {
        let value = json!({ "a": [1, 2.5, "x", null, true], "b": { "c": {} } });
        assert_eq!(
            to_json(&from_json(&value), None).expect("it is plain"),
            value
        );
    }

    #[test]
    fn unknown_text_keeps_its_mark_and_has_its_own_type() {
        let value = json!(format!("port={}", mark::unknown("stdout of `id`")));
        let script = from_json(&value);
        assert!(script.is::<Unknown>());
        assert_eq!(to_json(&script, None).expect("it is text"), value);
    }

    #[test]
    fn functions_are_refused() {
        let function = rhai::FnPtr::new("f").expect("the name is right");
        let refused = to_json(&Dynamic::from(function), None);
        assert!(matches!(refused, Err(Refused::Type(name)) if name == "a function"));
    }
}
