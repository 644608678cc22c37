//! Reads YAML 1.1 as PyYAML does, from the events of saphyr-parser.

use std::collections::HashMap;

use indexmap::IndexMap;
use minijinja::value::ValueKind;
use minijinja::{Error, Value};
use saphyr_parser::{Event, Parser, ScalarStyle};

use super::builtins::invalid;
use super::containers::{Dict, List};
use super::marks::Registry;
use super::yaml_scalar::{Meaning, meaning};

/// Deeper nesting than this is refused before the stack ends.
const DEEPEST: usize = 200;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("from_yaml", |value: &Value| match value.as_str() {
        Some(text) => Ok(read(text)?.into_iter().next().unwrap_or(Value::from(()))),
        None => Ok(value.clone()),
    });
    registry.reader("from_yaml_all", |value: &Value| match value.as_str() {
        Some(text) => Ok(Value::from(read(text)?)),
        None => Ok::<_, Error>(value.clone()),
    });
}

/// The documents in `text`.
fn read(text: &str) -> Result<Vec<Value>, Error> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
    };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => documents.push(reader.node(event, 0)?),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Value>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, Error> {
        match self.parser.next_event() {
            None => Ok(Event::StreamEnd),
            Some(Ok((event, _))) => Ok(event),
            // The position is told, the text is not: it may be secret.
            Some(Err(error)) => Err(invalid(format!(
                "the text is not YAML (line {}, column {})",
                error.marker().line(),
                error.marker().col() + 1
            ))),
        }
    }

    fn node(&mut self, event: Event<'t>, depth: usize) -> Result<Value, Error> {
        if depth > DEEPEST {
            return Err(invalid("the YAML is nested too deeply"));
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                return known.ok_or_else(|| invalid("the YAML has an alias without an anchor"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.suffix == "str" || tag.handle == "!");
                let plain = style == ScalarStyle::Plain && !is_text;
                let value = if plain {
                    scalar(&text)
                } else {
                    Value::from(text.into_owned())
                };
                (anchor, value)
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            _ => (0, Value::from(())),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Error> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(List::of(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Error> {
        let mut pairs = IndexMap::new();
        let mut merged = IndexMap::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => break,
                event => self.node(event, depth + 1)?,
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if key.as_str() == Some("<<") {
                merge(&mut merged, &value)?;
            } else {
                pairs.insert(key, value);
            }
        }
        merged.extend(pairs);
        Ok(Dict::of(merged))
    }
}

/// Adds what `<<` names; of several the first wins.
fn merge(into: &mut IndexMap<Value, Value>, value: &Value) -> Result<(), Error> {
    if value.kind() == ValueKind::Seq {
        return value.try_iter()?.try_for_each(|value| merge(into, &value));
    }
    if value.kind() != ValueKind::Map {
        return Err(invalid("`<<` in YAML needs a mapping"));
    }
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        into.entry(key).or_insert(item);
    }
    Ok(())
}

fn scalar(text: &str) -> Value {
    let number = text.replace('_', "");
    let parsed = match meaning(text) {
        Meaning::Null => Some(Value::from(())),
        Meaning::Bool => Some(Value::from(matches!(
            text.to_lowercase().as_str(),
            "yes" | "true" | "on"
        ))),
        Meaning::Int => integer(&number),
        Meaning::Float => float(&number),
        // Dates stay texts, which print the same.
        Meaning::Timestamp | Meaning::Reserved | Meaning::Text => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

fn integer(text: &str) -> Option<Value> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let radix =
        |prefix: &str, radix: u32| i128::from_str_radix(digits.strip_prefix(prefix)?, radix).ok();
    let number = radix("0b", 2)
        .or_else(|| radix("0x", 16))
        .or_else(|| radix("0", 8))
        .or_else(|| sixty(digits))?;
    let number = sign * number;
    Some(i64::try_from(number).map_or(Value::from(number), Value::from))
}

/// Digits in base sixty, such as `1:30`; without colons a plain number.
fn sixty(digits: &str) -> Option<i128> {
    digits.split(':').try_fold(0i128, |sum, part| {
        sum.checked_mul(60)?.checked_add(part.parse().ok()?)
    })
}

fn float(text: &str) -> Option<Value> {
    let lower = text.to_lowercase();
    Some(Value::from(match lower.trim_start_matches(['-', '+']) {
        ".nan" => f64::NAN,
        ".inf" if lower.starts_with('-') => f64::NEG_INFINITY,
        ".inf" => f64::INFINITY,
        _ => lower.parse().ok()?,
    }))
}
