//! What a call has in the end: what it gives, and defaults for the rest.

use serde_json::{Map, Value};

use super::{Field, Kind, Schema};

impl Schema {
    /// The values given, with defaults for those that are not; null for one
    /// that has none.
    pub fn completed(&self, given: Map<String, Value>) -> Map<String, Value> {
        completed(&self.fields, given)
    }
}

fn completed(fields: &[Field], mut given: Map<String, Value>) -> Map<String, Value> {
    let value = |field: &Field| {
        let value = given.remove(&field.name).filter(|value| !value.is_null());
        let value = value.or_else(|| field.default.clone());
        let value = value.map_or(Value::Null, |value| completed_value(&field.kind, value));
        (field.name.clone(), value)
    };
    fields.iter().map(value).collect()
}

fn completed_value(kind: &Kind, value: Value) -> Value {
    match (kind, value) {
        (Kind::Record(fields), Value::Object(given)) => completed(fields, given).into(),
        (Kind::List(item), Value::Array(items)) => {
            let items = items.into_iter();
            items.map(|value| completed_value(item, value)).collect()
        }
        (Kind::Map(item), Value::Object(entries)) => {
            let entries = entries.into_iter();
            let complete = |(key, value)| (key, completed_value(item, value));
            Value::Object(entries.map(complete).collect())
        }
        (_, value) => value,
    }
}
