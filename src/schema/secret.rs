//! Where the texts stand that nobody may see.

use serde_json::{Map, Value};

use super::{Field, Kind, Schema};

impl Schema {
    /// Goes to every text of a secret argument, or of a secret part of one,
    /// with its path, such as `db.password`.
    ///
    /// # Errors
    /// The first that `change` returns.
    pub fn each_secret<E>(
        &self,
        values: &mut Map<String, Value>,
        change: &mut dyn FnMut(&str, &mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        fields(&self.fields, "", values, false, change)
    }
}

type Change<'c, E> = &'c mut dyn FnMut(&str, &mut String) -> Result<(), E>;

/// Goes through a map with fixed keys; all of it is secret if `whole` is.
fn fields<E>(
    fields: &[Field],
    prefix: &str,
    values: &mut Map<String, Value>,
    whole: bool,
    change: Change<E>,
) -> Result<(), E> {
    for (name, value) in values {
        let field = fields.iter().find(|field| field.is_called(name));
        let (kind, secret) = field.map_or((&Kind::Any, false), |field| (&field.kind, field.secret));
        let path = match prefix {
            "" => name.clone(),
            prefix => format!("{prefix}.{name}"),
        };
        texts(kind, &path, value, whole || secret, change)?;
    }
    Ok(())
}

fn texts<E>(
    kind: &Kind,
    path: &str,
    value: &mut Value,
    secret: bool,
    change: Change<E>,
) -> Result<(), E> {
    let item = match kind {
        Kind::List(item) | Kind::OneOrMany(item) | Kind::Map(item) => item,
        _ => &Kind::Any,
    };
    match (value, kind) {
        (Value::String(text), _) if secret => change(path, text),
        (Value::Array(items), _) => items
            .iter_mut()
            .try_for_each(|value| texts(item, path, value, secret, change)),
        (Value::Object(map), Kind::Record(of)) => fields(of, path, map, secret, change),
        // One value where a list might be.
        (value @ Value::Object(_), Kind::OneOrMany(_)) => texts(item, path, value, secret, change),
        (Value::Object(map), _) => map
            .values_mut()
            .try_for_each(|value| texts(item, path, value, secret, change)),
        _ => Ok(()),
    }
}
