//! The methods of Python's strings, lists and dicts; most come from
//! minijinja-contrib, those it lacks are here.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;
use veza_agent::mark;

use super::containers::List;
use super::{marks, python, secrets};

/// Calls a method that a value itself does not have.
pub fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    for arg in args {
        python::refuse_undefined(arg)?;
    }
    if value.kind() != ValueKind::String {
        return listed(pycompat::unknown_method_callback(
            state, value, method, args,
        ));
    }
    let texts = [value].into_iter().chain(args);
    if let Some(origin) = texts.into_iter().find_map(marks::origin) {
        return Ok(Value::from(mark::unknown(&origin)));
    }
    let all: Vec<Value> = [value].into_iter().chain(args).cloned().collect();
    if secrets::any(&all) {
        return secrets::applied(state, method, &all, |state, all| {
            method_of_text(state, &all[0], method, &all[1..])
        });
    }
    method_of_text(state, value, method, args)
}

fn method_of_text(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    match of_text(text, method, args) {
        Some(result) => result,
        None => listed(pycompat::unknown_method_callback(
            state, value, method, args,
        )),
    }
}

/// Calls a method of a list that does not change it.
pub fn of_list(
    state: &mut State,
    items: &[Value],
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if method != "index" {
        return pycompat::unknown_method_callback(
            state,
            &Value::from(items.to_vec()),
            method,
            args,
        );
    }
    let (wanted,): (&Value,) = from_args(args)?;
    match items.iter().position(|item| item == wanted) {
        Some(at) => Ok(Value::from(at)),
        None => Err(invalid("the item is not in the list")),
    }
}

fn listed(result: Result<Value, Error>) -> Result<Value, Error> {
    let result = result?;
    let is_list = result.kind() == ValueKind::Seq && !result.is_tuple();
    if is_list {
        Ok(List::of(result.try_iter()?))
    } else {
        Ok(result)
    }
}

fn of_text(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    Some(match method {
        "zfill" => from_args(args).map(|(width,): (usize,)| Value::from(zfill(text, width))),
        "ljust" => pad(text, args, |_| 0),
        "rjust" => pad(text, args, |missing| missing),
        "center" => centre(text, args),
        "index" | "rindex" => index(text, args, method == "rindex"),
        "rsplit" => rsplit(text, args),
        "partition" => partition(text, args, false),
        "rpartition" => partition(text, args, true),
        "removeprefix" => from_args(args)
            .map(|(prefix,): (&str,)| Value::from(text.strip_prefix(prefix).unwrap_or(text))),
        "removesuffix" => from_args(args)
            .map(|(suffix,): (&str,)| Value::from(text.strip_suffix(suffix).unwrap_or(text))),
        "swapcase" => Ok(Value::from(swapcase(text))),
        "casefold" => Ok(Value::from(text.to_lowercase())),
        "join" => join(text, args),
        "expandtabs" => from_args(args)
            .map(|(size,): (Option<usize>,)| Value::from(expand_tabs(text, size.unwrap_or(8)))),
        _ => return None,
    })
}

fn zfill(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let sign = text.len() - text.trim_start_matches(['-', '+']).len();
    let (sign, digits) = text.split_at(sign.min(1));
    format!("{sign}{}{digits}", "0".repeat(missing))
}

/// `left` says how much of what is missing goes before the text.
fn pad(text: &str, args: &[Value], left: impl Fn(usize) -> usize) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(args)?;
    let missing = width.saturating_sub(text.chars().count());
    let (before, fill) = (left(missing), fill.unwrap_or(" "));
    let after = missing - before;
    Ok(Value::from(format!(
        "{}{text}{}",
        fill.repeat(before),
        fill.repeat(after)
    )))
}

fn centre(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, _): (usize, Option<&str>) = from_args(args)?;
    // Python puts the odd blank before the text when the width is odd.
    pad(text, args, |missing| missing / 2 + (missing & width & 1))
}

fn index(text: &str, args: &[Value], last: bool) -> Result<Value, Error> {
    let (wanted,): (&str,) = from_args(args)?;
    let found = if last {
        text.rfind(wanted)
    } else {
        text.find(wanted)
    };
    match found {
        Some(at) => Ok(Value::from(text[..at].chars().count())),
        None => Err(invalid("the text does not hold that part")),
    }
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(invalid("the separator is empty")),
        Some(separator) => text.rsplitn(limit.saturating_add(1), separator).collect(),
        None => rsplit_blanks(text, limit),
    };
    parts.reverse();
    Ok(List::of(parts.into_iter().map(Value::from)))
}

/// The words of `text` from the last, and what `limit` of them leave as one.
fn rsplit_blanks(text: &str, limit: usize) -> Vec<&str> {
    let mut rest = text.trim_end();
    let mut parts = Vec::new();
    while !rest.is_empty() && parts.len() < limit {
        let start = rest.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        // A blank may be longer than one byte.
        let start = (start..=rest.len())
            .find(|at| rest.is_char_boundary(*at))
            .unwrap_or(start);
        parts.push(&rest[start..]);
        rest = rest[..start].trim_end();
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

fn partition(text: &str, args: &[Value], last: bool) -> Result<Value, Error> {
    let (separator,): (&str,) = from_args(args)?;
    let split = if last {
        text.rsplit_once(separator)
    } else {
        text.split_once(separator)
    };
    let parts = match split {
        Some((before, after)) => [before, separator, after],
        None if last => ["", "", text],
        None => [text, "", ""],
    };
    Ok(List::of(parts.map(Value::from)))
}

fn swapcase(text: &str) -> String {
    let swap = |c: char| -> String {
        if c.is_uppercase() {
            c.to_lowercase().collect()
        } else {
            c.to_uppercase().collect()
        }
    };
    text.chars().map(swap).collect()
}

fn join(separator: &str, args: &[Value]) -> Result<Value, Error> {
    let (items,): (&Value,) = from_args(args)?;
    let mut texts = Vec::new();
    for item in items.try_iter()? {
        let text = item.as_str().map(str::to_owned);
        texts.push(text.ok_or_else(|| invalid("`join` needs a list of texts"))?);
    }
    Ok(Value::from(texts.join(separator)))
}

fn expand_tabs(text: &str, size: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let blanks = size - column % size;
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\t' => {}
            c => {
                out.push(c);
                column = if c == '\n' { 0 } else { column + 1 };
            }
        }
    }
    out
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
