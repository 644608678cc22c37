//! Filters of paths and URLs. They look at the text only, never at files.

use minijinja::value::Kwargs;
use minijinja::{Error, Value};

use super::builtins::{invalid, items};
use super::marks::Registry;
use super::python;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("basename", |value: &Value| {
        split_path(&python::text(value)).1
    });
    registry.reader("dirname", |value: &Value| {
        split_path(&python::text(value)).0
    });
    registry.reader("splitext", |value: &Value| {
        let (root, extension) = split_extension(&python::text(value));
        vec![root, extension]
    });
    registry.reader("path_join", path_join);
    registry.reader("normpath", |value: &Value| normal(&python::text(value)));
    registry.reader("relpath", relative);
    registry.reader("commonpath", common);
    registry.reader("win_basename", |value: &Value| {
        windows(&python::text(value)).1
    });
    registry.reader("win_dirname", |value: &Value| {
        windows(&python::text(value)).0
    });
    registry.reader("urlsplit", url_split);
    registry.reader("urldecode", |value: &Value| {
        url_decode(&python::text(value))
    });
}

fn split_path(path: &str) -> (String, String) {
    let start = path.rfind('/').map_or(0, |at| at + 1);
    let (head, tail) = path.split_at(start);
    let bare = head.trim_end_matches('/');
    // A path of slashes only is the root, and stays.
    let head = if bare.is_empty() { head } else { bare };
    (head.to_owned(), tail.to_owned())
}

fn split_extension(path: &str) -> (String, String) {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    // Dots at the start of a name begin no extension.
    let first = path[name..]
        .find(|c| c != '.')
        .map_or(path.len(), |at| name + at);
    match path[first..].rfind('.') {
        Some(dot) => (
            path[..first + dot].to_owned(),
            path[first + dot..].to_owned(),
        ),
        None => (path.to_owned(), String::new()),
    }
}

fn path_join(value: &Value) -> Result<String, Error> {
    let parts = match value.as_str() {
        Some(text) => return Ok(text.to_owned()),
        None => items(value)?,
    };
    let mut joined = String::new();
    for part in &parts {
        let part = part
            .as_str()
            .ok_or_else(|| invalid("`path_join` needs texts"))?;
        if part.starts_with('/') {
            joined.clear();
        } else if !joined.is_empty() && !joined.ends_with('/') {
            joined.push('/');
        }
        joined.push_str(part);
    }
    Ok(joined)
}

fn normal(path: &str) -> String {
    let slashes = path.len() - path.trim_start_matches('/').len();
    // POSIX gives exactly two slashes at the start a meaning of their own.
    let root = match slashes {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            ("..", _) if !root.is_empty() => {}
            _ => parts.push(part),
        }
    }
    let normal = format!("{root}{}", parts.join("/"));
    if normal.is_empty() {
        ".".into()
    } else {
        normal
    }
}

fn relative(value: &Value, start: Option<&str>) -> Result<String, Error> {
    let (path, start) = (normal(&python::text(value)), normal(start.unwrap_or(".")));
    if path.starts_with('/') != start.starts_with('/') {
        return Err(invalid(
            "`relpath` needs two absolute or two relative paths",
        ));
    }
    let split = |path: &str| -> Vec<String> {
        let parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect()
    };
    let (path, start) = (split(&path), split(&start));
    let shared = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let up = start[shared..].iter().map(|_| "..");
    let parts: Vec<&str> = up
        .chain(path[shared..].iter().map(String::as_str))
        .collect();
    Ok(if parts.is_empty() {
        ".".into()
    } else {
        parts.join("/")
    })
}

fn common(value: &Value) -> Result<String, Error> {
    let paths: Vec<String> = items(value)?.iter().map(python::text).collect();
    let Some(first) = paths.first() else {
        return Err(invalid("`commonpath` needs a path at least"));
    };
    let absolute = first.starts_with('/');
    if paths.iter().any(|path| path.starts_with('/') != absolute) {
        return Err(invalid(
            "`commonpath` needs absolute or relative paths, not both",
        ));
    }
    let split = |path: &String| -> Vec<String> {
        let parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect()
    };
    let mut shared = split(first);
    for path in &paths[1..] {
        let parts = split(path);
        let length = shared
            .iter()
            .zip(&parts)
            .take_while(|(a, b)| a == b)
            .count();
        shared.truncate(length);
    }
    Ok(format!(
        "{}{}",
        if absolute { "/" } else { "" },
        shared.join("/")
    ))
}

fn windows(path: &str) -> (String, String) {
    let start = path.rfind(['\\', '/']).map_or(0, |at| at + 1);
    let (head, tail) = path.split_at(start);
    let bare = head.trim_end_matches(['\\', '/']);
    let head = if bare.is_empty() || bare.ends_with(':') {
        head
    } else {
        bare
    };
    (head.to_owned(), tail.to_owned())
}

fn url_split(value: &Value, query: Option<&str>, kwargs: Kwargs) -> Result<Value, Error> {
    let query = match query {
        Some(query) => Some(query),
        None => kwargs.get::<Option<&str>>("query")?,
    };
    kwargs.assert_all_used()?;
    let url = python::text(value);
    let parts = Value::from_pairs(url_parts(&url)?);
    match query.filter(|query| !query.is_empty()) {
        None => Ok(parts),
        Some(query) => match parts.get_attr(query)? {
            part if part.is_undefined() => Err(invalid(format!("a URL has no part `{query}`"))),
            part => Ok(part),
        },
    }
}

fn url_parts(url: &str) -> Result<Vec<(&'static str, Value)>, Error> {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", rest),
    };
    let (login, host) = netloc
        .rsplit_once('@')
        .map_or((None, netloc), |(login, host)| (Some(login), host));
    let (user, password) = match login {
        Some(login) => login
            .split_once(':')
            .map_or((Some(login), None), |(u, p)| (Some(u), Some(p))),
        None => (None, None),
    };
    let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => host
            .split_once(':')
            .map_or((host, None), |(host, port)| (host, Some(port))),
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => Value::from(
            port.parse::<u16>()
                .map_err(|_| invalid("the port of the URL is not a number"))?,
        ),
        None => Value::from(()),
    };
    let optional = |text: Option<&str>| text.map_or(Value::from(()), Value::from);
    let host = Some(host.to_lowercase()).filter(|host| !host.is_empty());
    Ok(vec![
        ("fragment", Value::from(fragment)),
        ("hostname", optional(host.as_deref())),
        ("netloc", Value::from(netloc)),
        ("password", optional(password)),
        ("path", Value::from(path)),
        ("port", port),
        ("query", Value::from(query)),
        ("scheme", Value::from(scheme)),
        ("username", optional(user)),
    ])
}

fn url_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
