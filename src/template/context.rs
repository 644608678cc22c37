//! Turns the variables of a host into values of a template.

use indexmap::IndexMap;
use minijinja::Value;
use serde_json::{Map, Value as Json};

use super::containers::{Dict, List};

/// The variables a template sees.
pub fn root(context: &Map<String, Json>) -> Value {
    Value::from_pairs(
        context
            .iter()
            .map(|(name, json)| (name.clone(), value(json))),
    )
}

/// `json` as a value. Lists and dicts may be changed by the template; the
/// change is seen by this rendering only.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => number_value(number),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => List::of(items.iter().map(value)),
        Json::Object(map) => Dict::of(
            map.iter()
                .map(|(key, json)| (Value::from(key.as_str()), value(json)))
                .collect::<IndexMap<_, _>>(),
        ),
    }
}

fn number_value(number: &serde_json::Number) -> Value {
    if let Some(signed) = number.as_i64() {
        return Value::from(signed);
    }
    match number.as_u64() {
        Some(unsigned) => Value::from(unsigned),
        None => Value::from(number.as_f64().unwrap_or(f64::NAN)),
    }
}
