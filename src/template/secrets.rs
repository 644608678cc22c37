//! Secrets in templates. A text with the mark of a secret passes as it is.
//! Where a filter needs the value it gets it, and what it makes of it is
//! another secret; what is no text, such as the answer of a test, is plain.

use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::value::{Kwargs, Object, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use veza_agent::mark;

use super::builtins::invalid;
use super::containers::{Dict, List};
use super::marks::undecided;
use crate::secrets::Secrets;

/// The name under which filters find the secrets.
pub const NAME: &str = "__secrets";

/// The secrets of a rendering. Printed, it says nothing.
#[derive(Clone)]
pub struct Handle(Arc<Secrets>);

impl Handle {
    /// What filters find these secrets by.
    pub fn value(secrets: &Arc<Secrets>) -> Value {
        Value::from_object(Self(secrets.clone()))
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("secrets")
    }
}

impl Object for Handle {
    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("secrets")
    }
}

/// Whether any text in `values` has a secret.
pub fn any(values: &[Value]) -> bool {
    !texts(values).is_empty()
}

/// Whether one of `values` itself is a text with a secret.
pub fn any_text(values: &[Value]) -> bool {
    let mut texts = values.iter().filter_map(Value::as_str);
    texts.any(mark::has_secret)
}

/// Runs `run` with the values of the secrets in `args`; every text it gives is
/// a secret again, named by `how` it came about.
pub fn applied(
    state: &mut State,
    how: &str,
    args: &[Value],
    run: impl FnOnce(&mut State, &[Value]) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let found = state.lookup(NAME);
    let handle = found
        .as_ref()
        .and_then(Value::downcast_object_ref::<Handle>);
    let Some(Handle(secrets)) = handle.cloned() else {
        return Err(invalid("a secret cannot be used here"));
    };
    // Filters that `rewrite` puts in have no name that anybody knows.
    let how = if how.starts_with('_') { "a text" } else { how };
    let mut source = texts(args).join("\n");
    for other in args.iter().filter(|arg| !any(std::slice::from_ref(arg))) {
        source += &format!("\n{other}");
    }
    let made = Made {
        secrets: &secrets,
        how,
    };
    let Some(clear) = made.clear(args)? else {
        return made.mark(&source, None);
    };
    match run(state, &clear) {
        Ok(result) => made.hide(&result, &source),
        // It may quote what it was given.
        Err(error) => Err(made.hidden_error(&error)),
    }
}

/// As [`applied`], for what gives no text: without the values there is no
/// answer.
pub fn decided(
    state: &mut State,
    args: &[Value],
    run: impl FnOnce(&mut State, &[Value]) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let result = applied(state, "a test", args, run)?;
    match result.as_str().and_then(|text| mark::secrets(text).next()) {
        Some(name) => {
            let name = mark::shown_name(name);
            let name = name.strip_prefix("a test of ").unwrap_or(name);
            Err(undecided(&format!("the value of the secret {name}")))
        }
        None => Ok(result),
    }
}

/// The texts with secrets in `values`.
fn texts(values: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    values.iter().for_each(|value| collect(value, &mut found));
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value.kind() {
        ValueKind::String => found.extend(
            value
                .as_str()
                .filter(|text| mark::has_secret(text))
                .map(str::to_owned),
        ),
        ValueKind::Seq => {
            for item in value.try_iter().into_iter().flatten() {
                collect(&item, found);
            }
        }
        ValueKind::Map if value.len().is_some() || value.is_kwargs() => {
            for key in value.try_iter().into_iter().flatten() {
                if let Ok(item) = value.get_item(&key) {
                    collect(&item, found);
                }
            }
        }
        _ => {}
    }
}

struct Made<'a> {
    secrets: &'a Arc<Secrets>,
    how: &'a str,
}

impl Made<'_> {
    /// The arguments in clear; nothing if a value is not known.
    fn clear(&self, args: &[Value]) -> Result<Option<Vec<Value>>, Error> {
        let mut clear = Vec::new();
        for arg in args {
            match self.clear_value(arg)? {
                Some(value) => clear.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(clear))
    }

    fn clear_value(&self, value: &Value) -> Result<Option<Value>, Error> {
        if !any(std::slice::from_ref(value)) {
            return Ok(Some(value.clone()));
        }
        if let Some(text) = value.as_str() {
            let clear = self.secrets.clear(text);
            return Ok(clear.map(|clear| Value::from(clear.as_str())));
        }
        if value.kind() == ValueKind::Seq {
            let items: Vec<Value> = value.try_iter()?.collect();
            return Ok(self.clear(&items)?.map(List::of));
        }
        let mut pairs = IndexMap::new();
        for key in value.try_iter()? {
            match self.clear_value(&value.get_item(&key)?)? {
                Some(item) => pairs.insert(key, item),
                None => return Ok(None),
            };
        }
        if value.is_kwargs() {
            let named = pairs
                .iter()
                .map(|(key, value)| (key.to_string(), value.clone()));
            return Ok(Some(Value::from(named.collect::<Kwargs>())));
        }
        Ok(Some(Dict::of(pairs)))
    }

    fn mark(&self, source: &str, value: Option<&str>) -> Result<Value, Error> {
        let derived = self.secrets.derive(self.how, source, value);
        derived
            .map(Value::from)
            .map_err(|failure| Error::new(ErrorKind::InvalidOperation, failure.message))
    }

    /// A result with marks in place of its texts.
    fn hide(&self, result: &Value, source: &str) -> Result<Value, Error> {
        match result.kind() {
            ValueKind::String => match result.as_str() {
                Some("") | None => Ok(result.clone()),
                Some(text) => self.mark(source, Some(text)),
            },
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = result.try_iter()?.collect();
                let hidden = items.iter().map(|item| self.hide(item, source));
                Ok(List::of(hidden.collect::<Result<Vec<_>, _>>()?))
            }
            ValueKind::Map => {
                let mut pairs = IndexMap::new();
                for key in result.try_iter()? {
                    let item = self.hide(&result.get_item(&key)?, source)?;
                    pairs.insert(key, item);
                }
                Ok(Dict::of(pairs))
            }
            _ => Ok(result.clone()),
        }
    }

    fn hidden_error(&self, error: &Error) -> Error {
        let detail = self.secrets.hidden(error.detail().unwrap_or_default());
        Error::new(error.kind(), detail)
    }
}
