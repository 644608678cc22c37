//! JSON as Python's `json.dumps` writes it.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, Value};

use super::builtins::invalid;
use super::marks::Registry;
use super::{context, python};

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.writer("to_json", to_json);
    registry.writer("to_nice_json", to_nice_json);
    registry.writer("tojson", tojson);
    registry.reader("from_json", from_json);
}

struct Style {
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
    ensure_ascii: bool,
}

impl Style {
    fn read(kwargs: &Kwargs, indent: Option<Value>, sort_keys: bool) -> Result<Style, Error> {
        let indent = match indent {
            Some(indent) => Some(indent),
            None => kwargs.get::<Option<Value>>("indent")?,
        };
        let indent =
            indent
                .filter(|indent| !indent.is_none())
                .map(|indent| match indent.as_str() {
                    Some(text) => text.to_owned(),
                    None => " ".repeat(indent.as_usize().unwrap_or_default()),
                });
        let flag = |name: &str, default: bool| {
            let value = kwargs.get::<Option<Value>>(name)?;
            Ok::<_, Error>(value.map_or(default, |value| value.is_true()))
        };
        let mut style = Style {
            item_separator: if indent.is_some() {
                ",".into()
            } else {
                ", ".into()
            },
            key_separator: ": ".into(),
            sort_keys: flag("sort_keys", sort_keys)?,
            ensure_ascii: flag("ensure_ascii", true)?,
            indent,
        };
        if let Some(separators) = kwargs.get::<Option<Value>>("separators")? {
            let part = |index: usize| {
                separators
                    .get_item_by_index(index)
                    .map(|part| python::text(&part))
            };
            (style.item_separator, style.key_separator) = (part(0)?, part(1)?);
        }
        for accepted in ["vault_to_text", "preprocess_unsafe", "profile"] {
            kwargs.get::<Option<Value>>(accepted)?;
        }
        kwargs.assert_all_used()?;
        Ok(style)
    }
}

fn to_json(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    dump(value, &Style::read(&kwargs, None, false)?)
}

fn to_nice_json(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let indent = match args.first() {
        Some(indent) => indent.clone(),
        None => kwargs
            .get::<Option<Value>>("indent")?
            .unwrap_or_else(|| Value::from(4)),
    };
    let mut style = Style::read(&kwargs, Some(indent), true)?;
    (style.item_separator, style.key_separator) = (",".into(), ": ".into());
    dump(value, &style)
}

/// Jinja's own filter: keys sorted, and safe inside HTML.
fn tojson(value: &Value, indent: Option<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let json = dump(value, &Style::read(&kwargs, indent, true)?)?;
    let escaped = json.replace('<', "\\u003c").replace('>', "\\u003e");
    Ok(escaped.replace('&', "\\u0026").replace('\'', "\\u0027"))
}

fn dump(value: &Value, style: &Style) -> Result<String, Error> {
    let mut out = String::new();
    write(&mut out, value, style, 0)?;
    Ok(out)
}

fn write(out: &mut String, value: &Value, style: &Style, depth: usize) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::String => {
            write_text(out, value.as_str().unwrap_or_default(), style.ensure_ascii)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            write_all(out, ('[', ']'), &items, style, depth, |out, item| {
                write(out, item, style, depth + 1)
            })?;
        }
        ValueKind::Map => {
            let mut pairs = pairs(value)?;
            if style.sort_keys && !sort_pairs(&mut pairs) {
                return Err(invalid("keys of different types cannot be sorted"));
            }
            write_all(out, ('{', '}'), &pairs, style, depth, |out, (key, item)| {
                write_text(out, &key_text(key)?, style.ensure_ascii);
                out.push_str(&style.key_separator);
                write(out, item, style, depth + 1)
            })?;
        }
        ValueKind::Undefined => return Err(minijinja::ErrorKind::UndefinedError.into()),
        _ => {
            return Err(invalid(format!(
                "a value of type {} cannot become JSON",
                python::type_name(value)
            )));
        }
    }
    Ok(())
}

fn write_all<T>(
    out: &mut String,
    (open, close): (char, char),
    items: &[T],
    style: &Style,
    depth: usize,
    mut write_one: impl FnMut(&mut String, &T) -> Result<(), Error>,
) -> Result<(), Error> {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(&style.item_separator);
        }
        break_line(out, style, depth + 1);
        write_one(out, item)?;
    }
    if !items.is_empty() {
        break_line(out, style, depth);
    }
    out.push(close);
    Ok(())
}

fn break_line(out: &mut String, style: &Style, depth: usize) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
}

/// The pairs of a dict in their order.
pub fn pairs(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    value
        .try_iter()?
        .map(|key| Ok((key.clone(), value.get_item(&key)?)))
        .collect()
}

/// Sorts `pairs` by key; false when the keys have no common order.
pub fn sort_pairs(pairs: &mut [(Value, Value)]) -> bool {
    let sortable = python::have_order(pairs.iter().map(|(key, _)| key));
    if sortable {
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    sortable
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(python::text(key)),
        ValueKind::None => Ok("null".into()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.into()),
        ValueKind::Number => Ok(number(key)),
        _ => Err(invalid("a key of JSON must be a text or a number")),
    }
}

fn number(value: &Value) -> String {
    match python::number(value).as_str() {
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        "nan" => "NaN".into(),
        number => number.into(),
    }
}

fn write_text(out: &mut String, text: &str, ensure_ascii: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // The marks of unknown values must stay readable as marks.
            '\u{fdd0}' | '\u{fdd1}' => out.push(c),
            c if (c as u32) < 0x20 || (ensure_ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn from_json(value: &Value) -> Result<Value, Error> {
    let text = value
        .as_str()
        .ok_or_else(|| invalid("`from_json` needs a text"))?;
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => Ok(context::value(&json)),
        // The position is told, the text is not: it may be secret.
        Err(error) => Err(invalid(format!(
            "the text is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))),
    }
}
