//! Kinds of arguments and answers that several functions share.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::Value;

use crate::mark;
use crate::module::Result;
use crate::modules::place;
use crate::system::{Found, Performed, System};

/// A path that says where it is by itself.
#[derive(Clone, Debug)]
pub struct HostPath(pub PathBuf);

impl<'de> Deserialize<'de> for HostPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        place::absolute(&path).map_err(de::Error::custom)?;
        Ok(Self(path))
    }
}

impl JsonSchema for HostPath {
    fn schema_name() -> Cow<'static, str> {
        "HostPath".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kind": "path", "type": "string" })
    }
}

impl HostPath {
    /// The path, with a link there followed if that is asked for.
    pub fn at_end(&self, follow: bool, system: &dyn System) -> Result<PathBuf> {
        match follow {
            true => place::follow_any(system, &self.0),
            false => Ok(self.0.clone()),
        }
    }

    /// The path itself.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// What was found, as an answer.
pub fn answer<T: Into<Value>>(found: Found<T>) -> Value {
    match found {
        Found::Absent => Value::Null,
        Found::Present(value) => value.into(),
        Found::Unknown(origin) => mark::unknown(&origin).into(),
    }
}

/// A number that a dry run may not know.
pub fn number(number: Option<u32>, of: &str) -> Value {
    number.map_or_else(
        || mark::unknown(&format!("the number of {of}")).into(),
        Value::from,
    )
}

/// The answer of an effect that has nothing to say.
pub fn done(_: Performed) -> Value {
    Value::Null
}
