//! The tests after `is`: Jinja's where they differ, and Ansible's. Those that
//! would look at files of the controller are left out.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, State, Value, tests};

use super::builtins::{invalid, items};
use super::marks::Registry;
use super::{marks, numbers, python, secrets};

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
            is_in_secretly(state, item, all)
        });
    }
    registry.plain_test(
        "__not_in",
        |state: &mut State, item: &Value, all: &Value| {
            is_in_secretly(state, item, all).map(|found| !found)
        },
    );
    registry.test("lower", tests::is_lower);
    registry.test("upper", tests::is_upper);
}

/// A secret is looked for by its value.
fn is_in_secretly(state: &mut State, item: &Value, all: &Value) -> Result<bool, Error> {
    let args = [item.clone(), all.clone()];
    if !secrets::any(&args) {
        return is_in(state, item, all);
    }
    let found = secrets::decided(state, &args, |state, args| {
        is_in(state, &args[0], &args[1]).map(Value::from)
    });
    Ok(found?.is_true())
}

fn is_in(state: &State, item: &Value, all: &Value) -> Result<bool, Error> {
    python::refuse_undefined(item)?;
    python::refuse_undefined(all)?;
    let searchable = match all.kind() {
        ValueKind::String => item.as_str().is_some(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => true,
        _ => false,
    };
    if !searchable {
        let (item, all) = (python::type_name(item), python::type_name(all));
        return Err(invalid(format!(
            "a value of type {item} cannot be looked for in one of type {all}"
        )));
    }
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

/// The tests of what kind a value is. An unknown text is a text.
fn register_kinds(registry: &mut Registry) {
    let sized = |value: &Value| {
        matches!(
            value.kind(),
            ValueKind::String | ValueKind::Seq | ValueKind::Map
        )
    };
    kind_test(registry, "sequence", sized);
    kind_test(registry, "iterable", move |value| {
        sized(value) || value.kind() == ValueKind::Iterable
    });
    kind_test(registry, "number", is_number);
    kind_test(registry, "callable", |value| {
        value.kind() == ValueKind::Plain
    });
    kind_test(registry, "boolean", tests::is_boolean);
    kind_test(registry, "none", tests::is_none);
    kind_test(registry, "string", tests::is_string);
    kind_test(registry, "mapping", tests::is_mapping);
    kind_test(registry, "integer", tests::is_integer);
    kind_test(registry, "float", tests::is_float);
    kind_test(registry, "true", tests::is_true);
    kind_test(registry, "false", tests::is_false);
    kind_test(registry, "escaped", tests::is_safe);
    registry.test("sameas", tests::is_sameas);
    registry.test("odd", |value: &Value| {
        remainder(value, 2).map(|rest| rest == 1)
    });
    registry.test("even", |value: &Value| {
        remainder(value, 2).map(|rest| rest == 0)
    });
    registry.test("divisibleby", |value: &Value, by: i128| {
        remainder(value, by).map(|rest| rest == 0)
    });
}

fn kind_test(
    registry: &mut Registry,
    name: &'static str,
    test: impl Fn(&Value) -> bool + Send + Sync + 'static,
) {
    registry.plain_test(name, move |value: &Value| {
        python::refuse_undefined_itself(value)?;
        Ok::<_, Error>(test(value))
    });
}

fn remainder(value: &Value, by: i128) -> Result<i128, Error> {
    let number =
        i128::try_from(as_number(value)).map_err(|_| invalid("this test needs an integer"))?;
    number
        .checked_rem_euclid(by)
        .ok_or_else(|| invalid("division by zero"))
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
