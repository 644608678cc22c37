//! From a module's argument type, through its JSON schema, to a [`Schema`].
//!
//! Only what schemars writes for serde structs is understood, with these
//! extensions: `x-one-of` on the whole, `x-kind` on a type (`mode`, `one_or_many`,
//! `path`, `duration`, `pattern`), `x-source`, `x-alias`, `x-secret` and `x-hosts` on an argument. What is not
//! understood becomes [`Kind::Any`]: the agent then has the last word.

use serde_json::{Map, Value};

use super::{Field, Kind, Schema, SourceKind};

impl Schema {
    /// The arguments of a module: its name, the arguments that may be written
    /// without their name, and the JSON schema of its type.
    pub fn of_module(name: &str, positional: &[&str], schema: &schemars::Schema) -> Self {
        let root = schema.as_value();
        let (summary, doc) = split_doc(text(root, "description"));
        Self {
            name: name.into(),
            summary,
            doc,
            positional: positional.iter().map(|&name| name.into()).collect(),
            one_of: strings(root.get("x-one-of")).map(Into::into).collect(),
            fields: fields(root, root),
        }
    }
}

impl Schema {
    /// The same with this documentation: a summary, and what follows it.
    pub fn described(self, doc: &str) -> Self {
        let (summary, doc) = split_doc(doc);
        Self {
            summary,
            doc,
            ..self
        }
    }

    /// The same with its arguments in the order of these names.
    pub fn in_order(mut self, names: &[&str]) -> Self {
        let place = |name: &String| names.iter().position(|known| known == name);
        self.fields.sort_by_key(|field| place(&field.name));
        self.positional.sort_by_key(place);
        self
    }
}

/// The first paragraph, on one line, and the rest.
fn split_doc(doc: &str) -> (String, String) {
    let (first, rest) = doc.split_once("\n\n").unwrap_or((doc, ""));
    (first.replace('\n', " ").trim().into(), rest.trim().into())
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn fields(root: &Value, schema: &Value) -> Vec<Field> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    let required: Vec<_> = strings(schema.get("required")).collect();
    properties
        .iter()
        .map(|(name, property)| Field {
            required: required.contains(&name.as_str()),
            ..field(root, name, property)
        })
        .collect()
}

fn field(root: &Value, name: &str, property: &Value) -> Field {
    Field {
        aliases: strings(property.get("x-alias")).map(Into::into).collect(),
        doc: text(property, "description").trim().into(),
        default: property
            .get("default")
            .filter(|value| !value.is_null())
            .cloned(),
        source: source(text(property, "x-source")),
        secret: property.get("x-secret") == Some(&Value::Bool(true)),
        hosts: property.get("x-hosts") == Some(&Value::Bool(true)),
        ..Field::new(name, kind(root, property))
    }
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn source(word: &str) -> Option<SourceKind> {
    match word {
        "template" => Some(SourceKind::Template),
        "file" => Some(SourceKind::File),
        _ => None,
    }
}

fn kind(root: &Value, schema: &Value) -> Kind {
    if let Some(kind) = marked_kind(root, schema) {
        return kind;
    }
    if let Some(target) = reference(root, schema) {
        return kind(root, target);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(variants) = schema.get(key).and_then(Value::as_array) {
            return one_of(root, variants);
        }
    }
    if schema.get("enum").is_some() || schema.get("const").is_some() {
        return Kind::Choice(words(schema));
    }
    plain_kind(root, schema)
}

fn reference<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    let path = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
    root.pointer(path)
}

fn marked_kind(root: &Value, schema: &Value) -> Option<Kind> {
    match text(schema, "x-kind") {
        "mode" => Some(Kind::Mode),
        "path" => Some(Kind::Path),
        "duration" => Some(Kind::Duration),
        "pattern" => Some(Kind::Pattern),
        "one_or_many" => Some(Kind::OneOrMany(items(root, schema))),
        _ => None,
    }
}

fn items(root: &Value, schema: &Value) -> Box<Kind> {
    Box::new(
        schema
            .get("items")
            .map_or(Kind::Any, |item| kind(root, item)),
    )
}

/// `Option<T>` is `T` or null; an enum of unit variants is one of its words.
fn one_of(root: &Value, variants: &[Value]) -> Kind {
    let real: Vec<_> = variants
        .iter()
        .filter(|variant| text(variant, "type") != "null")
        .collect();
    if let [only] = real[..]
        && only.get("const").is_none()
    {
        return kind(root, only);
    }
    let all_words: Vec<_> = real.iter().flat_map(|variant| words(variant)).collect();
    let is_words =
        |variant: &&Value| variant.get("const").is_some() || variant.get("enum").is_some();
    match real.iter().all(is_words) {
        true => Kind::Choice(all_words),
        false => Kind::Any,
    }
}

fn words(variant: &Value) -> Vec<(String, String)> {
    let doc = text(variant, "description").replace('\n', " ");
    let word = variant.get("const").and_then(Value::as_str);
    word.into_iter()
        .chain(strings(variant.get("enum")))
        .map(|word| (word.into(), doc.clone()))
        .collect()
}

fn plain_kind(root: &Value, schema: &Value) -> Kind {
    match type_name(schema) {
        Some("boolean") => Kind::Boolean,
        Some("integer") => Kind::Integer {
            min: bound(schema, "minimum"),
            max: bound(schema, "maximum"),
        },
        Some("number") => Kind::Number,
        Some("string") => Kind::String,
        Some("array") => Kind::List(items(root, schema)),
        Some("object") => object(root, schema),
        _ => Kind::Any,
    }
}

/// The type beside `null`, if there is only one.
fn type_name(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut real = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|&n| n != "null");
            let first = real.next();
            first.filter(|_| real.next().is_none())
        }
        _ => None,
    }
}

fn bound(schema: &Value, key: &str) -> Option<i64> {
    let value = schema.get(key)?;
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|float| float as i64))
}

fn object(root: &Value, schema: &Value) -> Kind {
    match schema
        .get("properties")
        .and_then(Value::as_object)
        .map(Map::is_empty)
    {
        Some(false) => Kind::Record(fields(root, schema)),
        _ => Kind::Map(Box::new(match schema.get("additionalProperties") {
            Some(item @ Value::Object(_)) => kind(root, item),
            _ => Kind::Any,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::samples;

    #[test]
    fn a_struct_becomes_its_arguments() {
        let cron = samples::cron();
        assert_eq!(cron.summary, "Keeps a named line in a user's crontab.");
        assert!(cron.doc.starts_with("```rhai"));
        let name = cron.field("name").expect("cron has a name");
        assert!(name.required);
        assert_eq!(name.doc, "Marker that ties this task to its line.");
        let job = cron.field("job").expect("cron has a job");
        assert_eq!((job.required, &job.kind), (false, &Kind::String));
        let at = cron.field("at").expect("cron has a time");
        assert_eq!(at.default, Some("@hourly".into()));
    }

    #[test]
    fn extensions_are_understood() {
        let template = samples::template();
        let src = template.field("src").expect("template has a source");
        assert_eq!(src.source, Some(SourceKind::Template));
        assert_eq!(template.field("mode").map(|f| &f.kind), Some(&Kind::Mode));
        let notify = template
            .field("content_from")
            .expect("an alias leads to its field");
        assert_eq!(notify.name, "src");
    }

    #[test]
    fn documented_words_are_a_choice() {
        let file = samples::file();
        let Some(Kind::Choice(words)) = file.field("state").map(|f| f.kind.clone()) else {
            panic!("state is a choice: {:?}", file.field("state"));
        };
        assert_eq!(words[0], ("directory".into(), "A directory.".into()));
        assert_eq!(words[2].0, "absent");
    }
}
