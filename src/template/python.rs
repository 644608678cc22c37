//! Writes values as Python's `str()` and `repr()` do.

use std::fmt::Write;

use minijinja::value::{StringInput, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

/// Writes the value of `{{ … }}`: as `str()`, but nothing for None, and an
/// error for what is undefined.
pub fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        // Refuses all but the result of an `if` without `else`, which is ''.
        StringInput::new(state, value)?;
        return Ok(());
    }
    match value.as_str() {
        Some(text) => out.write_str(text)?,
        None if value.is_none() => {}
        None => {
            refuse_undefined(value)?;
            out.write_str(&text(value))?;
        }
    }
    Ok(())
}

/// An error when `value` is undefined or a list that holds such an item.
pub fn refuse_undefined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if value.kind() != ValueKind::Seq {
        return Ok(());
    }
    match value.try_iter()?.position(|item| item.is_undefined()) {
        Some(index) => Err(Error::new(
            ErrorKind::UndefinedError,
            format!("item {index} of the list is undefined"),
        )),
        None => Ok(()),
    }
}

/// An error when `value` itself is undefined.
pub fn refuse_undefined_itself(value: &Value) -> Result<(), Error> {
    match value.is_undefined() {
        true => Err(Error::from(ErrorKind::UndefinedError)),
        false => Ok(()),
    }
}

/// `str(value)`.
pub fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => repr(value),
    }
}

/// `repr(value)`.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

fn write_repr(out: &mut String, value: &Value) {
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::String => out.push_str(&quoted(value.as_str().unwrap_or_default())),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::Seq | ValueKind::Iterable => write_items(out, value),
        ValueKind::Map => write_pairs(out, value),
        // Writing to a String cannot fail.
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}

fn write_items(out: &mut String, value: &Value) {
    out.push('[');
    for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, &item);
    }
    out.push(']');
}

fn write_pairs(out: &mut String, value: &Value) {
    // Loops, namespaces and modules are maps that cannot be listed.
    if value.len().is_none() {
        let _ = write!(out, "{value}");
        return;
    }
    out.push('{');
    for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, &key);
        out.push_str(": ");
        write_repr(out, &value.get_item(&key).unwrap_or_default());
    }
    out.push('}');
}

/// A number as Python writes it.
pub fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
}

/// A float as Python writes it: the shortest digits that read back the same,
/// with an exponent below 1e-4 and from 1e16 on.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{number:?}")
}

/// A string in Python's quotes.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) || c == '\u{ad}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Whether Python can put `values` in order: all texts, or all numbers, or
/// all lists.
pub fn have_order<'v>(values: impl Iterator<Item = &'v Value>) -> bool {
    let kinds = values.map(|value| match value.kind() {
        ValueKind::Bool => ValueKind::Number,
        kind => kind,
    });
    let mut kinds = kinds.peekable();
    let first = kinds.peek().copied();
    kinds.all(|kind| Some(kind) == first && !matches!(kind, ValueKind::None | ValueKind::Map))
}

/// Python's name of the type of `value`.
pub fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq => "list",
        ValueKind::Iterable => "generator",
        ValueKind::Map => "dict",
        _ => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_as_in_python() {
        let list = Value::from(vec![
            Value::from("it's"),
            Value::from(1e20),
            Value::from(1.0),
            Value::from(1e-5),
            Value::from(true),
            Value::from(()),
            Value::from("\n\u{7f}é"),
        ]);
        let expected = r#"["it's", 1e+20, 1.0, 1e-05, True, None, '\n\x7fé']"#;
        assert_eq!(repr(&list), expected);
    }

    #[test]
    fn maps_keep_their_order() {
        let map = Value::from_pairs([("b", Value::from(1)), ("a", Value::from("x"))]);
        assert_eq!(repr(&map), "{'b': 1, 'a': 'x'}");
    }
}
