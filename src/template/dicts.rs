//! Filters of dicts: combining, and turning them into lists and back.

use indexmap::IndexMap;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, Value};

use super::builtins::{invalid, items};
use super::containers::{Dict, List};
use super::marks::Registry;
use super::python;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.mover("combine", combine);
    registry.mover("dict2items", dict_to_items);
    registry.mover("items2dict", items_to_dict);
    registry.mover("rekey_on_member", rekey);
    registry.mover("dict", pairs_to_dict);
}

type Pairs = IndexMap<Value, Value>;

/// The pairs of a dict.
fn pairs(value: &Value) -> Result<Pairs, Error> {
    if value.kind() != ValueKind::Map {
        return Err(invalid(format!(
            "a dict is needed here, not {}",
            python::type_name(value)
        )));
    }
    value
        .try_iter()?
        .map(|key| Ok((key.clone(), value.get_item(&key)?)))
        .collect()
}

#[derive(Clone, Copy)]
enum Lists {
    Replace,
    Keep,
    Append { distinct: bool },
    Prepend { distinct: bool },
}

fn combine(value: &Value, others: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let recursive = kwargs
        .get::<Option<Value>>("recursive")?
        .is_some_and(|value| value.is_true());
    let lists = match kwargs
        .get::<Option<&str>>("list_merge")?
        .unwrap_or("replace")
    {
        "replace" => Lists::Replace,
        "keep" => Lists::Keep,
        "append" => Lists::Append { distinct: false },
        "append_rp" => Lists::Append { distinct: true },
        "prepend" => Lists::Prepend { distinct: false },
        "prepend_rp" => Lists::Prepend { distinct: true },
        _ => {
            return Err(invalid(
                "`list_merge` must be replace, keep, append, append_rp, prepend or prepend_rp",
            ));
        }
    };
    kwargs.assert_all_used()?;
    let mut all = Vec::new();
    for value in [value].into_iter().chain(others.iter()) {
        if value.kind() == ValueKind::Seq {
            all.extend(items(value)?);
        } else {
            all.push(value.clone());
        }
    }
    let mut merged = Pairs::new();
    for value in &all {
        merged = merge(merged, pairs(value)?, recursive, lists)?;
    }
    Ok(Dict::of(merged))
}

fn merge(mut low: Pairs, high: Pairs, recursive: bool, lists: Lists) -> Result<Pairs, Error> {
    for (key, value) in high {
        let merged = match low.get(&key) {
            Some(old) if recursive && is_map(old) && is_map(&value) => {
                Dict::of(merge(pairs(old)?, pairs(&value)?, recursive, lists)?)
            }
            Some(old) if is_list(old) && is_list(&value) => merge_lists(old, value, lists)?,
            _ => value,
        };
        low.insert(key, merged);
    }
    Ok(low)
}

fn is_map(value: &Value) -> bool {
    value.kind() == ValueKind::Map
}

fn is_list(value: &Value) -> bool {
    value.kind() == ValueKind::Seq
}

fn merge_lists(low: &Value, high: Value, lists: Lists) -> Result<Value, Error> {
    let (mut old, new) = (items(low)?, items(&high)?);
    if let Lists::Append { distinct: true } | Lists::Prepend { distinct: true } = lists {
        old.retain(|item| !new.contains(item));
    }
    Ok(match lists {
        Lists::Replace => high,
        Lists::Keep => low.clone(),
        Lists::Append { .. } => List::of(old.into_iter().chain(new)),
        Lists::Prepend { .. } => List::of(new.into_iter().chain(old)),
    })
}

fn names(kwargs: &Kwargs, given: &[Value]) -> Result<(Value, Value), Error> {
    let name = |index: usize, name: &str, default: &str| match given.get(index) {
        Some(value) => Ok(value.clone()),
        None => Ok::<_, Error>(
            kwargs
                .get::<Option<Value>>(name)?
                .unwrap_or_else(|| Value::from(default)),
        ),
    };
    let names = (name(0, "key_name", "key")?, name(1, "value_name", "value")?);
    kwargs.assert_all_used()?;
    Ok(names)
}

fn dict_to_items(value: &Value, given: Rest<Value>, kwargs: Kwargs) -> Result<Vec<Value>, Error> {
    let (key_name, value_name) = names(&kwargs, &given)?;
    let item = |(key, value)| {
        Dict::of(Pairs::from_iter([
            (key_name.clone(), key),
            (value_name.clone(), value),
        ]))
    };
    Ok(pairs(value)?.into_iter().map(item).collect())
}

fn items_to_dict(value: &Value, given: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let (key_name, value_name) = names(&kwargs, &given)?;
    let mut out = Pairs::new();
    for item in items(value)? {
        let part = |name: &Value| match item.get_item(name) {
            Ok(part) if !part.is_undefined() => Ok(part),
            _ => Err(invalid(format!("an item of the list has no `{name}`"))),
        };
        out.insert(part(&key_name)?, part(&value_name)?);
    }
    Ok(Dict::of(out))
}

fn rekey(value: &Value, name: &Value, kwargs: Kwargs) -> Result<Value, Error> {
    let overwrite = match kwargs.get::<Option<&str>>("duplicates")?.unwrap_or("error") {
        "error" => false,
        "overwrite" => true,
        _ => return Err(invalid("`duplicates` must be error or overwrite")),
    };
    kwargs.assert_all_used()?;
    let values = match is_map(value) {
        true => pairs(value)?.into_values().collect(),
        false => items(value)?,
    };
    let mut out = Pairs::new();
    for item in values {
        let key = item.get_item(name)?;
        if key.is_undefined() {
            return Err(invalid(format!("an item has no `{name}`")));
        }
        if out.insert(key, item).is_some() && !overwrite {
            return Err(invalid(format!("two items have the same `{name}`")));
        }
    }
    Ok(Dict::of(out))
}

fn pairs_to_dict(value: &Value) -> Result<Value, Error> {
    let mut out = Pairs::new();
    for pair in items(value)? {
        let [key, value] = &items(&pair)?[..] else {
            return Err(invalid("`dict` needs a list of pairs"));
        };
        out.insert(key.clone(), value.clone());
    }
    Ok(Dict::of(out))
}
