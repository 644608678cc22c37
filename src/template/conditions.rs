//! The tests after `is`: Jinja's where they differ, and Ansible's. Those that
//! would look at files of the controller are left out.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, State, Value, tests};

use super::builtins::{invalid, items};
use super::marks::Registry;
use super::{marks, numbers, python};

/// Adds the tests of this file.
pub fn register(registry: &mut Registry) {
    register_comparisons(registry);
    register_kinds(registry);
    registry.test("contains", |state: &mut State, value: &Value, item: &Value| {
        state.perform_test("in", &[item.clone(), value.clone()])
    });
    for name in ["subset", "issubset"] {
        registry.test(name, |a: &Value, b: &Value| is_subset(a, b));
    }
    for name in ["superset", "issuperset"] {
        registry.test(name, |a: &Value, b: &Value| is_subset(b, a));
    }
    registry.test("all", |value: &Value| Ok::<_, Error>(items(value)?.iter().all(Value::is_true)));
    registry.test("any", |value: &Value| Ok::<_, Error>(items(value)?.iter().any(Value::is_true)));
    registry.test("truthy", |value: &Value, args: Rest<Value>, kwargs: Kwargs| truthy(value, &args, &kwargs));
    registry.test("falsy", |value: &Value, args: Rest<Value>, kwargs: Kwargs| {
        truthy(value, &args, &kwargs).map(|truthy| !truthy)
    });
    for name in ["abs", "is_abs"] {
        registry.test(name, |value: &Value| python::text(value).starts_with('/'));
    }
    for name in ["version", "version_compare"] {
        registry.test(name, version);
    }
    register_results(registry);
}

fn register_comparisons(registry: &mut Registry) {
    for name in ["eq", "equalto", "==", "__eq"] {
        registry.test(name, equal);
    }
    for name in ["ne", "!=", "__ne"] {
        registry.test(name, |a: &Value, b: &Value| !equal(a, b));
    }
    for name in ["lt", "lessthan", "<", "__lt"] {
        registry.test(name, |a: &Value, b: &Value| ordered(a, b).map(Ordering::is_lt));
    }
    for name in ["le", "<=", "__le"] {
        registry.test(name, |a: &Value, b: &Value| ordered(a, b).map(Ordering::is_le));
    }
    for name in ["gt", "greaterthan", ">", "__gt"] {
        registry.test(name, |a: &Value, b: &Value| ordered(a, b).map(Ordering::is_gt));
    }
    for name in ["ge", ">=", "__ge"] {
        registry.test(name, |a: &Value, b: &Value| ordered(a, b).map(Ordering::is_ge));
    }
    for name in ["in", "__in"] {
        registry.plain_test(name, |state: &mut State, item: &Value, all: &Value| is_in(state, item, all));
    }
    registry.plain_test("__not_in", |state: &mut State, item: &Value, all: &Value| {
        is_in(state, item, all).map(|found| !found)
    });
    registry.test("lower", tests::is_lower);
    registry.test("upper", tests::is_upper);
}

fn is_in(state: &State, item: &Value, all: &Value) -> Result<bool, Error> {
    python::refuse_undefined(item)?;
    python::refuse_undefined(all)?;
    let found = tests::is_in(state, item, all)?;
    if found {
        return Ok(true);
    }
    // An item that is not known yet could be the one. Of a dict the keys count.
    let unknown = match all.kind() {
        ValueKind::Seq | ValueKind::Map => all.try_iter()?.find_map(|item| marks::origin(&item)),
        _ => marks::origin(all),
    };
    match marks::origin(item).or(unknown) {
        Some(origin) => Err(marks::undecided(&origin)),
        None => Ok(false),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
}

/// In Python True is 1.
fn as_number(value: &Value) -> Value {
    match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        _ => value.clone(),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    if is_number(a) && is_number(b) { as_number(a) == as_number(b) } else { a == b }
}

/// Python orders numbers and texts, but not one against the other.
fn ordered(a: &Value, b: &Value) -> Result<Ordering, Error> {
    if is_number(a) && is_number(b) {
        return Ok(as_number(a).cmp(&as_number(b)));
    }
    if a.kind() != b.kind() || !matches!(a.kind(), ValueKind::String | ValueKind::Seq) {
        let (a, b) = (python::type_name(a), python::type_name(b));
        return Err(invalid(format!("values of the types {a} and {b} have no order")));
    }
    Ok(a.cmp(b))
}

fn register_kinds(registry: &mut Registry) {
    let sized = |value: &Value| matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map);
    registry.plain_test("sequence", move |value: &Value| sized(value));
    registry.plain_test("iterable", move |value: &Value| sized(value) || value.kind() == ValueKind::Iterable);
    registry.plain_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    registry.plain_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
}

fn is_subset(a: &Value, b: &Value) -> Result<bool, Error> {
    let b = items(b)?;
    Ok(items(a)?.iter().all(|item| b.contains(item)))
}

fn truthy(value: &Value, args: &[Value], kwargs: &Kwargs) -> Result<bool, Error> {
    let convert = match args.first() {
        Some(convert) => convert.is_true(),
        None => kwargs.get::<Option<bool>>("convert_bool")?.unwrap_or_default(),
    };
    kwargs.assert_all_used()?;
    let known = ["n", "no", "off", "false", "0", "f", "y", "yes", "on", "true", "1", "t"];
    let text = value.as_str().map(|text| text.trim().to_lowercase());
    match text.filter(|text| convert && known.contains(&text.as_str())) {
        Some(text) => Ok(matches!(text.as_str(), "y" | "t") || numbers::truth(&Value::from(text))),
        None => Ok(value.is_true()),
    }
}

fn register_results(registry: &mut Registry) {
    for (names, key, wanted) in [
        (&["changed", "change"][..], "changed", true),
        (&["failed", "failure"], "failed", true),
        (&["success", "succeeded", "successful"], "failed", false),
        (&["skipped", "skip"], "skipped", true),
        (&["unreachable"], "unreachable", true),
        (&["reachable"], "unreachable", false),
    ] {
        for name in names {
            registry.test(name, move |result: &Value| {
                if result.kind() != ValueKind::Map {
                    return Err(invalid("this test needs the result of a task"));
                }
                Ok(result.get_attr(key)?.is_true() == wanted)
            });
        }
    }
}

fn version(value: &Value, other: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<bool, Error> {
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let operator = argument(0, "operator")?.map_or_else(|| "eq".into(), |value| python::text(&value));
    let strict = argument(1, "strict")?.is_some_and(|value| value.is_true());
    let kind = argument(2, "version_type")?.map(|value| python::text(&value));
    kwargs.assert_all_used()?;
    let (left, right) = (python::text(value), python::text(other));
    if left.is_empty() || right.is_empty() {
        return Err(invalid("a version is empty"));
    }
    let order = match kind.as_deref() {
        Some("strict") => strict_version(&left)?.cmp(&strict_version(&right)?),
        None | Some("loose") if strict => strict_version(&left)?.cmp(&strict_version(&right)?),
        None | Some("loose") => loose_order(&left, &right)?,
        Some("semver" | "semantic") => semantic_order(&left, &right)?,
        Some(_) => return Err(invalid("`version_type` must be loose, strict or semver")),
    };
    match operator.as_str() {
        "==" | "=" | "eq" => Ok(order.is_eq()),
        "!=" | "<>" | "ne" => Ok(order.is_ne()),
        "<" | "lt" => Ok(order.is_lt()),
        "<=" | "le" => Ok(order.is_le()),
        ">" | "gt" => Ok(order.is_gt()),
        ">=" | "ge" => Ok(order.is_ge()),
        _ => Err(invalid("the operator of `version` must be ==, !=, <, <=, > or >=")),
    }
}

#[derive(PartialEq, Eq)]
enum Part {
    Number(u64),
    Word(String),
}

/// `1.10b` as 1, 10, b.
fn parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let class = |c: char| (c.is_ascii_digit(), c.is_ascii_lowercase(), c == '.');
        let length = rest.find(|c| class(c) != class(first)).unwrap_or(rest.len());
        let length = if first == '.' { 1 } else { length };
        let (part, after) = rest.split_at(length);
        match part.parse() {
            Ok(number) if first.is_ascii_digit() => parts.push(Part::Number(number)),
            _ if part != "." => parts.push(Part::Word(part.to_owned())),
            _ => {}
        }
        rest = after;
    }
    parts
}

fn loose_order(left: &str, right: &str) -> Result<Ordering, Error> {
    let (left, right) = (parts(left), parts(right));
    for pair in left.iter().zip(&right) {
        let order = match pair {
            (Part::Number(a), Part::Number(b)) => a.cmp(b),
            (Part::Word(a), Part::Word(b)) => a.cmp(b),
            _ => return Err(invalid("the versions cannot be compared: a number meets a word")),
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(left.len().cmp(&right.len()))
}

/// `1.2.3b4`: three numbers, and a pre-release that comes before none.
fn strict_version(version: &str) -> Result<([u64; 3], (bool, char, u64)), Error> {
    let bad = || invalid("a strict version is two or three numbers, and perhaps a1 or b1");
    let (numbers, pre) = match version.find(['a', 'b']) {
        Some(at) => version.split_at(at),
        None => (version, ""),
    };
    let numbers: Vec<u64> = numbers.split('.').map(|n| n.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
    let numbers = match numbers[..] {
        [major, minor] => [major, minor, 0],
        [major, minor, patch] => [major, minor, patch],
        _ => return Err(bad()),
    };
    let Some(letter) = pre.chars().next() else {
        return Ok((numbers, (true, 'z', 0)));
    };
    let count = pre[1..].parse().map_err(|_| bad())?;
    Ok((numbers, (false, letter, count)))
}

fn semantic_order(left: &str, right: &str) -> Result<Ordering, Error> {
    let ((left, left_pre), (right, right_pre)) = (semantic(left)?, semantic(right)?);
    let order = left.cmp(&right);
    if order.is_ne() {
        return Ok(order);
    }
    // A release comes after all its pre-releases.
    Ok(match (left_pre.is_empty(), right_pre.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => pre_release_order(&left_pre, &right_pre),
    })
}

fn semantic(version: &str) -> Result<([u64; 3], Vec<String>), Error> {
    let bad = || invalid("a semantic version is three numbers, and perhaps -rc.1 and +build");
    let core = version.split('+').next().unwrap_or(version);
    let (core, pre) = core.split_once('-').map_or((core, Vec::new()), |(core, pre)| {
        (core, pre.split('.').map(str::to_owned).collect())
    });
    let numbers: Vec<u64> = core.split('.').map(|n| n.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
    match numbers[..] {
        [major, minor, patch] => Ok(([major, minor, patch], pre)),
        _ => Err(bad()),
    }
}

fn pre_release_order(left: &[String], right: &[String]) -> Ordering {
    for (a, b) in left.iter().zip(right) {
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}
