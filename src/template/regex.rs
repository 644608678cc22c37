//! Regular expressions in Python's syntax, through fancy-regex: look-around
//! and back-references work. Each expression is compiled once per process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fancy_regex::{Captures, Regex};
use minijinja::value::{Kwargs, Rest};
use minijinja::{Error, Value};
use veza_agent::python::translated;

use super::builtins::invalid;
use super::marks::Registry;
use super::python;
use super::replacement::{Piece, Replacement, escape_piece};

/// More expressions than this are not kept, in case a template builds them.
const KEPT: usize = 1000;

/// What `$` is in Python: it also matches before a last newline.
const END: &str = r"(?:$|(?=\n\z))";

/// Adds the filters and tests of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("regex_replace", replace);
    registry.reader("regex_search", search);
    registry.reader("regex_findall", find_all);
    registry.reader("regex_escape", escape);
    registry.test(
        "match",
        |value: &Value, pattern: Option<&str>, args: Rest<Value>, kwargs: Kwargs| {
            test(value, pattern, &args, &kwargs, "match")
        },
    );
    registry.test(
        "search",
        |value: &Value, pattern: Option<&str>, args: Rest<Value>, kwargs: Kwargs| {
            test(value, pattern, &args, &kwargs, "search")
        },
    );
    registry.test(
        "regex",
        |value: &Value, pattern: Option<&str>, args: Rest<Value>, kwargs: Kwargs| {
            let kind: Option<String> = kwargs.get("match_type")?;
            test(
                value,
                pattern,
                &args,
                &kwargs,
                kind.as_deref().unwrap_or("search"),
            )
        },
    );
}

/// The compiled `pattern`.
fn compiled(pattern: &str, ignore_case: bool, multiline: bool) -> Result<Arc<Regex>, Error> {
    static CACHE: OnceLock<Mutex<HashMap<String, Arc<Regex>>>> = OnceLock::new();
    let flags = match (ignore_case, multiline) {
        (false, false) => "",
        (true, false) => "(?i)",
        (false, true) => "(?m)",
        (true, true) => "(?im)",
    };
    let full = format!("{flags}{}", translated(pattern, END));
    let cache = CACHE.get_or_init(Mutex::default);
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = cache.get(&full) {
        return Ok(regex.clone());
    }
    let regex = Regex::new(&full)
        .map_err(|error| invalid("the regular expression cannot be compiled").with_source(error))?;
    let regex = Arc::new(regex);
    if cache.len() < KEPT {
        cache.insert(full, regex.clone());
    }
    Ok(regex)
}

fn truth(kwargs: &Kwargs, args: &[Value], index: usize, name: &str) -> Result<bool, Error> {
    let value = match args.get(index) {
        Some(value) => Some(value.clone()),
        None => kwargs.get::<Option<Value>>(name)?,
    };
    Ok(value.is_some_and(|value| value.is_true()))
}

fn failed(error: fancy_regex::Error) -> Error {
    invalid("the regular expression is too costly for this text").with_source(error)
}

fn replace(
    value: &Value,
    pattern: Option<&str>,
    replacement: Option<&str>,
    args: Rest<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let named = |given: Option<&str>, name: &str| match given {
        Some(text) => Ok(text.to_owned()),
        None => Ok::<_, Error>(kwargs.get::<Option<String>>(name)?.unwrap_or_default()),
    };
    let pattern = named(pattern, "pattern")?;
    let replacement = Replacement::parse(&named(replacement, "replacement")?)?;
    let regex = compiled(
        &pattern,
        truth(&kwargs, &args, 0, "ignorecase")?,
        truth(&kwargs, &args, 1, "multiline")?,
    )?;
    let count = args
        .get(2)
        .cloned()
        .map_or_else(|| kwargs.get::<Option<Value>>("count"), |v| Ok(Some(v)))?;
    let limit = count
        .and_then(|count| count.as_usize())
        .filter(|count| *count > 0)
        .unwrap_or(usize::MAX);
    let mandatory: Option<usize> = kwargs.get("mandatory_count")?;
    kwargs.assert_all_used()?;
    let text = python::text(value);
    let mut out = String::new();
    let (mut done, mut times) = (0, 0);
    for captures in matches(&regex, &text).take(limit) {
        let captures = captures?;
        let Some(whole) = captures.get(0) else { break };
        out.push_str(&text[done..whole.start()]);
        replacement.expand(&captures, &mut out)?;
        done = whole.end();
        times += 1;
    }
    if mandatory.is_some_and(|wanted| wanted > 0 && wanted != times) {
        return Err(invalid(format!(
            "the expression must match {} times, but matches {times} times",
            mandatory.unwrap_or_default()
        )));
    }
    out.push_str(&text[done..]);
    Ok(out)
}

/// All matches as Python finds them: an empty one directly after another
/// match counts too.
fn matches<'t>(
    regex: &'t Regex,
    text: &'t str,
) -> impl Iterator<Item = Result<Captures<'t, str>, Error>> {
    let mut at = 0;
    let mut last: Option<(usize, usize)> = None;
    std::iter::from_fn(move || {
        while at <= text.len() {
            let captures = match regex.captures_from_pos(text, at) {
                Ok(Some(captures)) => captures,
                Ok(None) => return None,
                Err(error) => {
                    at = text.len() + 1;
                    return Some(Err(failed(error)));
                }
            };
            let whole = captures.get(0)?;
            let (start, end) = (whole.start(), whole.end());
            at = if start == end {
                next_char(text, end)
            } else {
                end
            };
            if last == Some((start, end)) {
                continue;
            }
            last = Some((start, end));
            return Some(Ok(captures));
        }
        None
    })
}

fn next_char(text: &str, at: usize) -> usize {
    at + text
        .get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(1, char::len_utf8)
}

fn search(value: &Value, pattern: &str, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let regex = compiled(
        pattern,
        truth(&kwargs, &[], 0, "ignorecase")?,
        truth(&kwargs, &[], 0, "multiline")?,
    )?;
    kwargs.assert_all_used()?;
    let text = python::text(value);
    let Some(captures) = regex.captures(&text).map_err(failed)? else {
        return Ok(Value::from(()));
    };
    let found = |group: Option<fancy_regex::Match<'_>>| {
        group.map_or(Value::from(()), |m| Value::from(m.as_str()))
    };
    if args.is_empty() {
        return Ok(found(captures.get(0)));
    }
    let mut groups = Vec::new();
    for arg in args.iter() {
        let after = arg.as_str().and_then(|text| text.strip_prefix('\\'));
        let (piece, _) = escape_piece(
            after.ok_or_else(|| invalid("a group is written `\\\\1` or `\\\\g<name>`"))?,
        )?;
        groups.push(match piece {
            Piece::Number(index) if index < captures.len() => found(captures.get(index)),
            Piece::Name(name) if regex.capture_names().flatten().any(|known| known == name) => {
                found(captures.name(&name))
            }
            _ => return Err(invalid("the expression has no such group")),
        });
    }
    Ok(Value::from(groups))
}

fn find_all(
    value: &Value,
    pattern: &str,
    args: Rest<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let regex = compiled(
        pattern,
        truth(&kwargs, &args, 1, "ignorecase")?,
        truth(&kwargs, &args, 0, "multiline")?,
    )?;
    kwargs.assert_all_used()?;
    let text = python::text(value);
    let mut found = Vec::new();
    for captures in matches(&regex, &text) {
        let captures = captures?;
        let group = |index: usize| Value::from(captures.get(index).map_or("", |m| m.as_str()));
        found.push(match captures.len() {
            1 => group(0),
            2 => group(1),
            count => (1..count).map(group).collect(),
        });
    }
    Ok(Value::from(found))
}

fn escape(value: &Value, kind: Option<&str>) -> Result<String, Error> {
    let special: &str = match kind.unwrap_or("python") {
        "python" => "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}",
        "posix_basic" => "].[^$*\\",
        other => {
            return Err(invalid(format!(
                "`{other}` is not a kind of expression; write python or posix_basic"
            )));
        }
    };
    let mut out = String::new();
    for c in python::text(value).chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(out)
}

fn test(
    value: &Value,
    pattern: Option<&str>,
    args: &[Value],
    kwargs: &Kwargs,
    kind: &str,
) -> Result<bool, Error> {
    let Some(text) = value.as_str() else {
        return Err(invalid(format!(
            "a value of type {} cannot be matched",
            python::type_name(value)
        )));
    };
    let pattern = pattern.unwrap_or_default();
    let anchored = match kind {
        "match" => format!(r"\A(?:{pattern})"),
        "fullmatch" => format!(r"\A(?:{pattern})\Z"),
        _ => pattern.to_owned(),
    };
    let ignore_case = truth(kwargs, args, 0, "ignorecase")?;
    let multiline = truth(kwargs, args, 1, "multiline")?;
    kwargs.assert_all_used()?;
    compiled(&anchored, ignore_case, multiline)?
        .is_match(text)
        .map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn replaced(text: &str, pattern: &str, with: &str) -> String {
        let kwargs = Kwargs::from_iter(Vec::<(&str, Value)>::new());
        replace(
            &Value::from(text),
            Some(pattern),
            Some(with),
            Rest(Vec::new()),
            kwargs,
        )
        .unwrap()
    }

    #[test]
    fn groups_are_written_as_in_python() {
        assert_eq!(replaced("k=v", r"(?P<k>\w)=(\w)", r"\g<k>:\2:$1"), "k:v:$1");
        assert_eq!(replaced("abc", "x*", "-"), "-a-b-c-");
        assert_eq!(replaced("[a]", "[[a]", "x"), "xx]");
    }
}
