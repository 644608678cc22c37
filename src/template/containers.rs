//! Lists and dicts that templates build, which they may change as in Python:
//! `{% set _ = names.append(x) %}`. What comes from outside is never changed.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use veza_agent::mark;

use super::marks::Registry;
use super::python;

/// Adds the filters that `rewrite` puts around literals and chains.
pub fn register(registry: &mut Registry) {
    registry.filter(super::rewrite::CHAIN, chain);
    registry.filter(super::rewrite::LIST, list);
    registry.filter(super::rewrite::DICT, dict);
    registry.filter(super::rewrite::SETTLE, settle);
}

/// What an undefined value becomes before an attribute of it is read.
#[derive(Debug)]
struct Missing;

impl Object for Missing {}

fn chain(value: &Value) -> Value {
    if value.is_undefined() {
        return Value::from_object(Missing);
    }
    value.clone()
}

fn list(value: &Value) -> Result<Value, Error> {
    python::refuse_undefined(value)?;
    Ok(List::of(value.try_iter()?))
}

fn dict(value: &Value) -> Result<Value, Error> {
    let mut pairs = IndexMap::new();
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        if item.is_undefined() {
            let detail = format!("the value of `{key}` is undefined");
            return Err(Error::new(ErrorKind::UndefinedError, detail));
        }
        pairs.insert(key, item);
    }
    Ok(Dict::of(pairs))
}

/// Sums and slices of lists are lazy in minijinja.
fn settle(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Iterable => Ok(List::of(value.try_iter()?)),
        _ if value.as_str().is_some_and(|text| !mark::is_whole(text)) => Err(invalid(
            "a part of a secret, or of what is not known yet, cannot be cut out",
        )),
        _ => Ok(value.clone()),
    }
}

/// Python's `dict(pairs, name=value)`.
pub fn new_dict(pairs: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let dict = Arc::new(Dict(RwLock::default()));
    let pairs = pairs.filter(|pairs| !pairs.is_undefined());
    match &pairs {
        Some(pairs) if pairs.kind() != ValueKind::Map => {
            for pair in pairs.try_iter()? {
                dict.insert(pair.get_item_by_index(0)?, pair.get_item_by_index(1)?)?;
            }
            dict.update(&[kwargs.into()])?;
        }
        Some(pairs) => dict.update(&[pairs.clone(), kwargs.into()])?,
        None => dict.update(&[kwargs.into()])?,
    }
    Ok(Value::from_dyn_object(dict))
}

/// A list of which `append` and its like change the contents.
#[derive(Debug)]
pub struct List(RwLock<Vec<Value>>);

impl List {
    /// A new list of `items`.
    pub fn of(items: impl IntoIterator<Item = Value>) -> Value {
        Value::from_object(List(RwLock::new(items.into_iter().collect())))
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Value>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Value>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list inside itself could be neither written nor compared.
    fn admit(self: &Arc<Self>, item: &Value) -> Result<(), Error> {
        let is_self = |value: &Value| {
            value
                .downcast_object_ref::<List>()
                .is_some_and(|list| std::ptr::eq(list, Arc::as_ptr(self)))
        };
        admit(item, &is_self)
    }

    fn pop(&self, args: &[Value]) -> Result<Value, Error> {
        let (index,): (Option<i64>,) = from_args(args)?;
        let mut items = self.write();
        let at = position(index.unwrap_or(-1), items.len());
        match at.filter(|at| *at < items.len()) {
            Some(at) => Ok(items.remove(at)),
            None => Err(invalid("`pop` finds no such item in the list")),
        }
    }

    fn index_of(&self, wanted: &Value) -> Result<usize, Error> {
        let found = self.read().iter().position(|item| item == wanted);
        found.ok_or_else(|| invalid("the item is not in the list"))
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.read().get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.read().clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.read().len())
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        for arg in args {
            python::refuse_undefined(arg)?;
        }
        match method {
            "append" => {
                let (item,): (Value,) = from_args(args)?;
                self.admit(&item)?;
                self.write().push(item);
            }
            "extend" => {
                let (more,): (Value,) = from_args(args)?;
                let more: Vec<Value> = more.try_iter()?.collect();
                more.iter().try_for_each(|item| self.admit(item))?;
                self.write().extend(more);
            }
            "insert" => {
                let (index, item): (i64, Value) = from_args(args)?;
                self.admit(&item)?;
                let mut items = self.write();
                let at = position(index, items.len()).unwrap_or(0).min(items.len());
                items.insert(at, item);
            }
            "remove" => {
                let (item,): (Value,) = from_args(args)?;
                let at = self.index_of(&item)?;
                self.write().remove(at);
            }
            "pop" => return self.pop(args),
            "clear" => self.write().clear(),
            "reverse" => self.write().reverse(),
            "sort" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                let mut items = self.read().clone();
                items.sort();
                if kwargs.get::<Option<bool>>("reverse")?.unwrap_or_default() {
                    items.reverse();
                }
                kwargs.assert_all_used()?;
                *self.write() = items;
            }
            "copy" => return Ok(List::of(self.read().clone())),
            _ => return super::methods::of_list(state, &self.read().clone(), method, args),
        }
        Ok(Value::from(()))
    }
}

/// A dict of which `update` and its like change the contents.
#[derive(Debug)]
pub struct Dict(RwLock<IndexMap<Value, Value>>);

impl Dict {
    /// A new dict of `pairs`.
    pub fn of(pairs: IndexMap<Value, Value>) -> Value {
        Value::from_object(Dict(RwLock::new(pairs)))
    }

    fn read(&self) -> RwLockReadGuard<'_, IndexMap<Value, Value>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, IndexMap<Value, Value>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(self: &Arc<Self>, key: Value, value: Value) -> Result<(), Error> {
        let is_self = |value: &Value| {
            value
                .downcast_object_ref::<Dict>()
                .is_some_and(|dict| std::ptr::eq(dict, Arc::as_ptr(self)))
        };
        admit(&value, &is_self)?;
        self.write().insert(key, value);
        Ok(())
    }

    fn update(self: &Arc<Self>, args: &[Value]) -> Result<(), Error> {
        let (other, kwargs): (Option<Value>, Kwargs) = from_args(args)?;
        let other = other.unwrap_or_default();
        if !other.is_undefined() {
            for key in other.try_iter()? {
                let value = other.get_item(&key)?;
                self.insert(key, value)?;
            }
        }
        let names: Vec<String> = kwargs.args().map(str::to_owned).collect();
        for name in names {
            self.insert(Value::from(name.clone()), kwargs.get(&name)?)?;
        }
        Ok(())
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.read().get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.read().keys().cloned().collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.read().len())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "update" => self.update(args)?,
            "clear" => self.write().clear(),
            "copy" => return Ok(Dict::of(self.read().clone())),
            "pop" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                let found = self.write().shift_remove(&key).or(default);
                return found.ok_or_else(|| invalid("`pop` finds no such key in the dict"));
            }
            "popitem" => {
                let last = self.write().pop();
                let (key, value) = last.ok_or_else(|| invalid("the dict is empty"))?;
                return Ok(List::of([key, value]));
            }
            "setdefault" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                if !self.read().contains_key(&key) {
                    self.insert(key.clone(), default.unwrap_or(Value::from(())))?;
                }
                return Ok(self.read().get(&key).cloned().unwrap_or_default());
            }
            // `get`, `items` and the rest do not change it.
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}

/// Refuses `value` when it is, or holds, the container that `is_self` knows.
fn admit(value: &Value, is_self: &dyn Fn(&Value) -> bool) -> Result<(), Error> {
    if is_self(value) {
        return Err(invalid("a list or dict cannot hold itself"));
    }
    match value.kind() {
        ValueKind::Seq => value.try_iter()?.try_for_each(|item| admit(&item, is_self)),
        ValueKind::Map if value.len().is_some() => value
            .try_iter()?
            .try_for_each(|key| admit(&value.get_item(&key)?, is_self)),
        _ => Ok(()),
    }
}

/// Python's index: negative ones count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let from_end = usize::try_from(index.unsigned_abs()).ok()?;
    if index < 0 {
        length.checked_sub(from_end)
    } else {
        Some(from_end)
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
