//! Jinja's own filters: those of minijinja, made to spare unknown texts, and
//! the ones that differ from Python's.

use minijinja::value::{Kwargs, Rest, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value, filters};

use super::marks::Registry;
use super::python;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    for name in ["default", "d"] {
        registry.filter(name, default);
    }
    for name in ["length", "count"] {
        registry.mover(name, length);
    }
    register_minijinja(registry);
    registry.mover("list", items);
    registry.reader("string", |value: &Value| python::text(value));
    registry.mover("join", join);
    registry.mover("indent", indent);
    registry.reader("replace", replace);
    registry.reader("center", center);
    registry.reader("wordcount", wordcount);
    registry.reader("urlencode", urlencode);
    registry.reader("trim", trim);
    registry.reader("reverse", reverse);
}

fn register_minijinja(registry: &mut Registry) {
    registry.reader("upper", filters::upper);
    registry.reader("lower", filters::lower);
    registry.reader("title", title);
    registry.reader("capitalize", filters::capitalize);
    registry.reader("abs", filters::abs);
    registry.reader("sum", filters::sum);
    registry.reader("min", filters::min);
    registry.reader("max", filters::max);
    registry.reader("sort", sort);
    registry.reader("groupby", filters::groupby);
    for name in ["e", "escape", "forceescape"] {
        registry.reader(name, filters::escape);
    }
    registry.mover("dictsort", filters::dictsort);
    registry.mover("items", filters::items);
    registry.mover("batch", filters::batch);
    registry.mover("slice", filters::slice);
}

/// `default(value, boolean)`; the only filter that takes undefined values.
fn default(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let fallback = match args.first() {
        Some(fallback) => Some(fallback.clone()),
        None => kwargs.get::<Option<Value>>("default_value")?,
    };
    let boolean = match args.get(1) {
        Some(boolean) => boolean.is_true(),
        None => kwargs.get::<Option<bool>>("boolean")?.unwrap_or_default(),
    };
    kwargs.assert_all_used()?;
    if value.is_undefined() || (boolean && !value.is_true()) {
        return Ok(fallback.unwrap_or_else(|| Value::from("")));
    }
    Ok(value.clone())
}

fn length(value: &Value) -> Result<Value, Error> {
    if let Some(origin) = super::marks::origin(value).filter(|_| value.as_str().is_some()) {
        return Ok(Value::from(veza_agent::mark::unknown(&origin)));
    }
    match value.len() {
        Some(length) => Ok(Value::from(length)),
        None if value.kind() == ValueKind::Iterable => Ok(Value::from(value.try_iter()?.count())),
        None => Err(invalid(format!(
            "a value of type {} has no length",
            python::type_name(value)
        ))),
    }
}

/// The items of a list, the keys of a dict, the characters of a text.
pub fn items(value: &Value) -> Result<Vec<Value>, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.chars().map(Value::from).collect());
    }
    let iterable = matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map
    );
    if !iterable {
        let message = format!("a value of type {} is not a list", python::type_name(value));
        return Err(invalid(message));
    }
    let items: Vec<Value> = value.try_iter()?.collect();
    items.iter().try_for_each(python::refuse_undefined)?;
    Ok(items)
}

/// An error about how a filter is used.
pub fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn join(value: &Value, separator: Option<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let separator = separator.map_or_else(|| kwargs.get("d"), |value| Ok(Some(value)))?;
    let attribute: Option<Value> = kwargs.get("attribute")?;
    kwargs.assert_all_used()?;
    let separator = separator
        .map(|value: Value| python::text(&value))
        .unwrap_or_default();
    let mut texts = Vec::new();
    for item in items(value)? {
        let item = match &attribute {
            Some(path) => super::select::attribute(&item, path),
            None => item,
        };
        python::refuse_undefined(&item)?;
        texts.push(python::text(&item));
    }
    Ok(texts.join(&separator))
}

fn indent(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let width = argument(0, "width")?;
    let first = argument(1, "first")?.is_some_and(|value| value.is_true());
    let blank = argument(2, "blank")?.is_some_and(|value| value.is_true());
    kwargs.assert_all_used()?;
    let margin = match &width {
        Some(width) if width.as_str().is_some() => python::text(width),
        Some(width) => " ".repeat(
            width
                .as_usize()
                .ok_or_else(|| invalid("`indent` needs a width"))?,
        ),
        None => " ".repeat(4),
    };
    let text = python::text(value);
    let indented = text.split('\n').enumerate().map(|(index, line)| {
        let indents = if index == 0 {
            first
        } else {
            blank || !line.is_empty()
        };
        if indents {
            format!("{margin}{line}")
        } else {
            line.to_owned()
        }
    });
    Ok(indented.collect::<Vec<_>>().join("\n"))
}

fn replace(value: &Value, old: &Value, new: &Value, count: Option<i64>) -> String {
    let (text, old, new) = (python::text(value), python::text(old), python::text(new));
    match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) => text.replacen(&old, &new, count),
        None => text.replace(&old, &new),
    }
}

fn center(state: &mut State, value: &Value, width: Option<i64>) -> Result<Value, Error> {
    let text = Value::from(python::text(value));
    super::methods::call(state, &text, "center", &[Value::from(width.unwrap_or(80))])
}

fn title(value: &Value) -> String {
    let mut starts = true;
    let mut out = String::new();
    for c in python::text(value).chars() {
        if starts {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        starts = c.is_whitespace() || "-([{<".contains(c);
    }
    out
}

fn wordcount(value: &Value) -> usize {
    python::text(value)
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .count()
}

/// minijinja sorts anything; Python refuses what has no order.
fn sort(
    state: &mut State,
    value: Value,
    args: Rest<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let reverse = argument(0, "reverse")?.is_some_and(|value| value.is_true());
    let case_sensitive = argument(1, "case_sensitive")?.is_some_and(|value| value.is_true());
    let attribute = argument(2, "attribute")?;
    kwargs.assert_all_used()?;
    let items = items(&value)?;
    let subject = |item: &Value| match &attribute {
        Some(path) => super::select::attribute(item, path),
        None => item.clone(),
    };
    let subjects: Vec<Value> = items.iter().map(subject).collect();
    subjects.iter().try_for_each(python::refuse_undefined)?;
    let several = attribute
        .as_ref()
        .and_then(Value::as_str)
        .is_some_and(|path| path.contains(','));
    if !several && !python::have_order(subjects.iter()) {
        return Err(invalid("values of different types cannot be sorted"));
    }
    let mut named = vec![
        ("reverse", Value::from(reverse)),
        ("case_sensitive", Value::from(case_sensitive)),
    ];
    named.extend(attribute.map(|path| ("attribute", path)));
    filters::sort(state, Value::from(items), Kwargs::from_iter(named))
}

fn trim(value: &Value, chars: Option<&str>) -> String {
    let text = python::text(value);
    match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)).to_owned(),
        None => text.trim().to_owned(),
    }
}

fn reverse(value: &Value) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => Ok(Value::from(text.chars().rev().collect::<String>())),
        None => Ok(items(value)?.into_iter().rev().collect()),
    }
}

fn urlencode(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(percent(text, "/"));
    }
    let pair = |key: &Value, value: &Value| {
        let encode = |value: &Value| percent(&python::text(value), "").replace("%20", "+");
        format!("{}={}", encode(key), encode(value))
    };
    if value.kind() == ValueKind::Map {
        let keys = items(value)?;
        let pairs: Result<Vec<String>, Error> = keys
            .iter()
            .map(|key| Ok(pair(key, &value.get_item(key)?)))
            .collect();
        return Ok(pairs?.join("&"));
    }
    if value.kind() != ValueKind::Seq {
        return Ok(percent(&python::text(value), "/"));
    }
    let mut pairs = Vec::new();
    for item in items(value)? {
        let parts = items(&item)?;
        let (key, value): (Value, Value) = from_args(&parts)?;
        pairs.push(pair(&key, &value));
    }
    Ok(pairs.join("&"))
}

/// Percent-encodes what is neither unreserved nor in `safe`.
pub fn percent(text: &str, safe: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "_.-~".contains(c) || (c.is_ascii() && safe.contains(c)) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
