//! Filters of lists: set operations, flattening, combining.
//!
//! Ansible takes results of set operations from a Python set, whose order
//! changes from run to run; ours keep the order of the first appearance.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, State, Value};

use super::builtins::{invalid, items};
use super::containers::List;
use super::marks::Registry;
use super::{python, select};

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("unique", unique);
    registry.reader("union", |a: &Value, b: &Value| {
        Ok::<_, Error>(distinct(items(a)?.into_iter().chain(items(b)?)))
    });
    registry.reader("difference", |a: &Value, b: &Value| without(a, b));
    registry.reader("intersect", |a: &Value, b: &Value| {
        let b = items(b)?;
        Ok::<_, Error>(distinct(
            items(a)?.into_iter().filter(|item| b.contains(item)),
        ))
    });
    registry.reader("symmetric_difference", |a: &Value, b: &Value| {
        let (mut left, right) = (without(a, b)?, without(b, a)?);
        left.extend(right);
        Ok::<_, Error>(left)
    });
    registry.mover("flatten", flatten);
    registry.mover("zip", |value: &Value, others: Rest<Value>| {
        zip(value, &others, None)
    });
    registry.mover(
        "zip_longest",
        |value: &Value, others: Rest<Value>, kwargs: Kwargs| {
            let fill = kwargs
                .get::<Option<Value>>("fillvalue")?
                .unwrap_or(Value::from(()));
            kwargs.assert_all_used()?;
            zip(value, &others, Some(&fill))
        },
    );
    registry.mover("product", product);
    registry.mover("permutations", |value: &Value, count: Option<usize>| {
        let items = items(value)?;
        let count = count.unwrap_or(items.len());
        chosen(&items, count, |picked, next| !picked.contains(&next))
    });
    registry.mover("combinations", |value: &Value, count: usize| {
        chosen(&items(value)?, count, |picked, next| {
            picked.last().is_none_or(|last| *last < next)
        })
    });
    registry.mover("extract", extract);
    registry.mover("subelements", subelements);
    registry.mover("shuffle", |value: &Value| items(value));
}

fn distinct(items: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for item in items {
        if !found.contains(&item) {
            found.push(item);
        }
    }
    found
}

fn without(a: &Value, b: &Value) -> Result<Vec<Value>, Error> {
    let b = items(b)?;
    Ok(distinct(
        items(a)?.into_iter().filter(|item| !b.contains(item)),
    ))
}

/// As Jinja's, which takes `A` and `a` for the same unless told otherwise.
fn unique(
    value: &Value,
    case_sensitive: Option<bool>,
    kwargs: Kwargs,
) -> Result<Vec<Value>, Error> {
    let case_sensitive = match case_sensitive {
        Some(sensitive) => sensitive,
        None => kwargs
            .get::<Option<bool>>("case_sensitive")?
            .unwrap_or_default(),
    };
    let path: Option<Value> = kwargs.get("attribute")?;
    kwargs.assert_all_used()?;
    let mut seen: Vec<Value> = Vec::new();
    let mut found = Vec::new();
    for item in items(value)? {
        let subject = path
            .as_ref()
            .map_or_else(|| item.clone(), |path| select::attribute(&item, path));
        let subject = match subject.as_str() {
            Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
            _ => subject,
        };
        if !seen.contains(&subject) {
            seen.push(subject);
            found.push(item);
        }
    }
    Ok(found)
}

fn flatten(value: &Value, levels: Option<usize>, kwargs: Kwargs) -> Result<Vec<Value>, Error> {
    let levels = match levels {
        Some(levels) => Some(levels),
        None => kwargs.get::<Option<usize>>("levels")?,
    };
    let skip_nulls = kwargs.get::<Option<bool>>("skip_nulls")?.unwrap_or(true);
    kwargs.assert_all_used()?;
    let mut out = Vec::new();
    flatten_into(&mut out, value, levels.unwrap_or(usize::MAX), skip_nulls)?;
    Ok(out)
}

fn flatten_into(
    out: &mut Vec<Value>,
    value: &Value,
    levels: usize,
    skip_nulls: bool,
) -> Result<(), Error> {
    for item in items(value)? {
        let is_null = item.is_none() || matches!(item.as_str(), Some("None" | "null"));
        if skip_nulls && is_null {
            continue;
        }
        if item.kind() == ValueKind::Seq && levels > 0 {
            flatten_into(out, &item, levels - 1, skip_nulls)?;
        } else {
            out.push(item);
        }
    }
    Ok(())
}

/// Without a `fill` as long as the shortest list.
fn zip(value: &Value, others: &[Value], fill: Option<&Value>) -> Result<Vec<Value>, Error> {
    let lists = [value].into_iter().chain(others).map(items);
    let lists: Vec<Vec<Value>> = lists.collect::<Result<_, _>>()?;
    let lengths = lists.iter().map(Vec::len);
    let length = if fill.is_some() {
        lengths.max()
    } else {
        lengths.min()
    };
    let row = |index: usize| {
        let cell = |list: &Vec<Value>| list.get(index).or(fill).cloned().unwrap_or_default();
        List::of(lists.iter().map(cell))
    };
    Ok((0..length.unwrap_or_default()).map(row).collect())
}

fn product(value: &Value, others: Rest<Value>, kwargs: Kwargs) -> Result<Vec<Value>, Error> {
    let repeat = kwargs.get::<Option<usize>>("repeat")?.unwrap_or(1);
    kwargs.assert_all_used()?;
    let lists = [value].into_iter().chain(others.iter()).map(items);
    let lists: Vec<Vec<Value>> = lists.collect::<Result<_, _>>()?;
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in (0..repeat).flat_map(|_| &lists) {
        refuse_excess(rows.len().saturating_mul(list.len()))?;
        let longer = |row: &Vec<Value>| {
            let row = row.clone();
            list.iter()
                .map(move |item| [&row[..], std::slice::from_ref(item)].concat())
                .collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    Ok(rows.into_iter().map(List::of).collect())
}

/// All ways to pick `count` items such that each index is `allowed` after
/// those picked before it.
fn chosen(
    items: &[Value],
    count: usize,
    allowed: fn(&[usize], usize) -> bool,
) -> Result<Vec<Value>, Error> {
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..count {
        let mut longer = Vec::new();
        for row in &rows {
            let next = (0..items.len()).filter(|next| allowed(row, *next));
            longer.extend(next.map(|next| [&row[..], &[next]].concat()));
            refuse_excess(longer.len())?;
        }
        rows = longer;
    }
    let pick = |row: Vec<usize>| List::of(row.into_iter().map(|index| items[index].clone()));
    Ok(rows.into_iter().map(pick).collect())
}

fn refuse_excess(rows: usize) -> Result<(), Error> {
    if rows > 1_000_000 {
        return Err(invalid("there are more than a million combinations"));
    }
    Ok(())
}

/// `key | extract(container, more)`: `container[key]`, and further down.
fn extract(
    state: &mut State,
    key: &Value,
    container: &Value,
    more: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let _ = state;
    let more = match more {
        Some(more) => Some(more),
        None => kwargs.get::<Option<Value>>("morekeys")?,
    };
    kwargs.assert_all_used()?;
    let mut keys = vec![key.clone()];
    match more {
        Some(more) if more.kind() == ValueKind::Seq => keys.extend(items(&more)?),
        Some(more) => keys.push(more),
        None => {}
    }
    Ok(keys.iter().fold(container.clone(), |value, key| {
        value.get_item(key).unwrap_or_default()
    }))
}

fn subelements(
    value: &Value,
    path: &Value,
    skip: Option<bool>,
    kwargs: Kwargs,
) -> Result<Vec<Value>, Error> {
    let skip = match skip {
        Some(skip) => skip,
        None => kwargs
            .get::<Option<bool>>("skip_missing")?
            .unwrap_or_default(),
    };
    kwargs.assert_all_used()?;
    let elements = match value.kind() {
        ValueKind::Map => items(value)?
            .iter()
            .map(|key| value.get_item(key))
            .collect::<Result<_, _>>()?,
        _ => items(value)?,
    };
    let mut pairs = Vec::new();
    for element in elements {
        let found = select::attribute(&element, path);
        if found.is_undefined() && skip {
            continue;
        }
        if found.kind() != ValueKind::Seq {
            let kind = python::type_name(&found);
            return Err(invalid(format!(
                "`subelements` needs a list at `{path}`, found {kind}"
            )));
        }
        let pair = |item: Value| List::of([element.clone(), item]);
        pairs.extend(items(&found)?.into_iter().map(pair));
    }
    Ok(pairs)
}
