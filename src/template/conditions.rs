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
    registry.test(
        "contains",
        |state: &mut State, value: &Value, item: &Value| {
            state.perform_test("in", &[item.clone(), value.clone()])
        },
    );
    for name in ["subset", "issubset"] {
        registry.test(name, |a: &Value, b: &Value| is_subset(a, b));
    }
    for name in ["superset", "issuperset"] {
        registry.test(name, |a: &Value, b: &Value| is_subset(b, a));
    }
    registry.test("all", |value: &Value| {
        Ok::<_, Error>(items(value)?.iter().all(Value::is_true))
    });
    registry.test("any", |value: &Value| {
        Ok::<_, Error>(items(value)?.iter().any(Value::is_true))
    });
    registry.test(
        "truthy",
        |value: &Value, args: Rest<Value>, kwargs: Kwargs| truthy(value, &args, &kwargs),
    );
    registry.test(
        "falsy",
        |value: &Value, args: Rest<Value>, kwargs: Kwargs| {
            truthy(value, &args, &kwargs).map(|truthy| !truthy)
        },
    );
    for name in ["abs", "is_abs"] {
        registry.test(name, |value: &Value| python::text(value).starts_with('/'));
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
        registry.test(name, |a: &Value, b: &Value| {
            ordered(a, b).map(Ordering::is_lt)
        });
    }
    for name in ["le", "<=", "__le"] {
        registry.test(name, |a: &Value, b: &Value| {
            ordered(a, b).map(Ordering::is_le)
        });
    }
    for name in ["gt", "greaterthan", ">", "__gt"] {
        registry.test(name, |a: &Value, b: &Value| {
            ordered(a, b).map(Ordering::is_gt)
        });
    }
    for name in ["ge", ">=", "__ge"] {
        registry.test(name, |a: &Value, b: &Value| {
            ordered(a, b).map(Ordering::is_ge)
        });
    }
    for name in ["in", "__in"] {
        registry.plain_test(name, |state: &mut State, item: &Value, all: &Value| {
            is_in(state, item, all)
        });
    }
    registry.plain_test(
        "__not_in",
        |state: &mut State, item: &Value, all: &Value| is_in(state, item, all).map(|found| !found),
    );
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
    if is_number(a) && is_number(b) {
        as_number(a) == as_number(b)
    } else {
        a == b
    }
}

/// Python orders numbers and texts, but not one against the other.
fn ordered(a: &Value, b: &Value) -> Result<Ordering, Error> {
    if is_number(a) && is_number(b) {
        return Ok(as_number(a).cmp(&as_number(b)));
    }
    if a.kind() != b.kind() || !matches!(a.kind(), ValueKind::String | ValueKind::Seq) {
        let (a, b) = (python::type_name(a), python::type_name(b));
        return Err(invalid(format!(
            "values of the types {a} and {b} have no order"
        )));
    }
    Ok(a.cmp(b))
}

fn register_kinds(registry: &mut Registry) {
    let sized = |value: &Value| {
        matches!(
            value.kind(),
            ValueKind::String | ValueKind::Seq | ValueKind::Map
        )
    };
    registry.plain_test("sequence", move |value: &Value| sized(value));
    registry.plain_test("iterable", move |value: &Value| {
        sized(value) || value.kind() == ValueKind::Iterable
    });
    registry.plain_test("number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
    });
    registry.plain_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
}

fn is_subset(a: &Value, b: &Value) -> Result<bool, Error> {
    let b = items(b)?;
    Ok(items(a)?.iter().all(|item| b.contains(item)))
}

fn truthy(value: &Value, args: &[Value], kwargs: &Kwargs) -> Result<bool, Error> {
    let convert = match args.first() {
        Some(convert) => convert.is_true(),
        None => kwargs
            .get::<Option<bool>>("convert_bool")?
            .unwrap_or_default(),
    };
    kwargs.assert_all_used()?;
    let known = [
        "n", "no", "off", "false", "0", "f", "y", "yes", "on", "true", "1", "t",
    ];
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
