//! Truth and numbers: `bool`, `ternary`, sizes, and the operator `%`.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use super::builtins::invalid;
use super::marks::Registry;
use super::{python, rewrite};

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("bool", |value: &Value| truth(value));
    registry.filter("ternary", ternary);
    registry.filter("mandatory", mandatory);
    registry.filter("type_debug", |value: &Value| match value.is_undefined() {
        true => "UndefinedMarker",
        false => python::type_name(value),
    });
    registry.reader(rewrite::MODULO, modulo);
    registry.reader("log", |value: &Value, base: Option<f64>| {
        let number = float(value)?;
        Ok::<_, Error>(match base {
            Some(10.0) => number.log10(),
            Some(base) => number.ln() / base.ln(),
            None => number.ln(),
        })
    });
    registry.reader("pow", |value: &Value, power: f64| {
        Ok::<_, Error>(float(value)?.powf(power))
    });
    registry.reader("root", |value: &Value, base: Option<f64>| {
        let base = base.unwrap_or(2.0);
        Ok::<_, Error>(if base == 2.0 {
            float(value)?.sqrt()
        } else {
            float(value)?.powf(1.0 / base)
        })
    });
    registry.reader("human_readable", human_readable);
    registry.reader("human_to_bytes", human_to_bytes);
    registry.reader("filesizeformat", filesizeformat);
    registry.mover("random", |value: &Value| super::select::any_item(value));
}

fn float(value: &Value) -> Result<f64, Error> {
    if !value.is_number() {
        return Err(invalid(format!(
            "a number is needed here, not {}",
            python::type_name(value)
        )));
    }
    f64::try_from(value.clone())
}

/// What Ansible takes for true.
pub fn truth(value: &Value) -> bool {
    match value.as_str() {
        Some(text) => matches!(text.to_lowercase().as_str(), "yes" | "on" | "true" | "1"),
        None if value.kind() == ValueKind::Bool => value.is_true(),
        None => value.is_number() && *value == Value::from(1),
    }
}

fn ternary(
    value: &Value,
    yes: Value,
    no: Value,
    none: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    python::refuse_undefined(value)?;
    if let Some(origin) = super::marks::origin(value).filter(|_| value.as_str().is_some()) {
        return Ok(Value::from(veza_agent::mark::unknown(&origin)));
    }
    let none = match none {
        Some(none) => Some(none),
        None => kwargs.get::<Option<Value>>("none_val")?,
    };
    kwargs.assert_all_used()?;
    Ok(match none.filter(|none| !none.is_none()) {
        Some(none) if value.is_none() => none,
        _ if value.is_true() => yes,
        _ => no,
    })
}

fn mandatory(value: &Value, message: Option<String>, kwargs: Kwargs) -> Result<Value, Error> {
    let message = match message {
        Some(message) => Some(message),
        None => kwargs.get::<Option<String>>("msg")?,
    };
    kwargs.assert_all_used()?;
    match message {
        _ if !value.is_undefined() => Ok(value.clone()),
        Some(message) => Err(invalid(message)),
        None => Err(ErrorKind::UndefinedError.into()),
    }
}

/// `left % right`: formats a text, or divides numbers as Python does.
fn modulo(left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(text) = left.as_str() {
        return percent_format(text, right).map(Value::from);
    }
    let as_number = |value: &Value| match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        _ => value.clone(),
    };
    let (left, right) = (as_number(left), as_number(right));
    if let (true, Ok(a), Ok(b)) = (
        left.is_integer() && right.is_integer(),
        i128::try_from(left.clone()),
        i128::try_from(right.clone()),
    ) {
        let rest = a
            .checked_rem(b)
            .ok_or_else(|| invalid("division by zero"))?;
        let rest = if rest != 0 && (rest < 0) != (b < 0) {
            rest + b
        } else {
            rest
        };
        return Ok(i64::try_from(rest).map_or(Value::from(rest), Value::from));
    }
    let (a, b) = (float(&left)?, float(&right)?);
    if b == 0.0 {
        return Err(invalid("division by zero"));
    }
    Ok(Value::from(a - b * (a / b).floor()))
}

/// `text % values` of Python.
pub fn percent_format(text: &str, values: &Value) -> Result<String, Error> {
    let args: Vec<Value> = match values.kind() {
        // A tuple holds the values; a list is one value.
        ValueKind::Seq
            if values.is_tuple() || values.downcast_object_ref::<Vec<Value>>().is_some() =>
        {
            values.try_iter()?.collect()
        }
        // A dict that is not used is no surplus.
        ValueKind::Map if text.contains("%(") || placeholders(text) == 0 => {
            let pairs = values.try_iter()?.map(|key| {
                (
                    python::text(&key),
                    values.get_item(&key).unwrap_or_default(),
                )
            });
            vec![Kwargs::from_iter(pairs).into()]
        }
        _ => vec![values.clone()],
    };
    if args.first().is_none_or(|arg| !arg.is_kwargs()) && args.len() > placeholders(text) {
        return Err(invalid(
            "the text has fewer placeholders than there are values",
        ));
    }
    // Python refuses a text where a number is asked for; so does minijinja.
    let args: Vec<Value> = args.into_iter().map(as_shown).collect();
    format(FormatStyle::Printf, text, &args)
}

/// How many values `text` takes.
fn placeholders(text: &str) -> usize {
    let mut count = 0;
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let end = after.find(|c: char| c.is_ascii_alphabetic() || c == '%');
        let end = end.unwrap_or(after.len());
        let is_literal = after[end..].starts_with('%');
        count += usize::from(!is_literal) + after[..end].matches('*').count();
        rest = after.get(end + 1..).unwrap_or_default();
    }
    count
}

/// Containers are shown as Python shows them.
fn as_shown(value: Value) -> Value {
    match value.kind() {
        ValueKind::Map if value.is_kwargs() => value,
        ValueKind::Seq | ValueKind::Map | ValueKind::None => Value::from(python::text(&value)),
        _ => value,
    }
}

const UNITS: [(&str, i32); 9] = [
    ("Y", 8),
    ("Z", 7),
    ("E", 6),
    ("P", 5),
    ("T", 4),
    ("G", 3),
    ("M", 2),
    ("K", 1),
    ("", 0),
];

fn human_readable(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let bits = match args.first() {
        Some(bits) => bits.is_true(),
        None => kwargs.get::<Option<bool>>("isbits")?.unwrap_or_default(),
    };
    let unit = match args.get(1) {
        Some(unit) => Some(python::text(unit)),
        None => kwargs.get::<Option<String>>("unit")?,
    };
    kwargs.assert_all_used()?;
    let size = float(value)?;
    let fits = |(name, power): &(&str, i32)| match &unit {
        Some(unit) => {
            unit.to_uppercase().starts_with(name)
                && (!name.is_empty() || unit.to_uppercase() == "B")
        }
        None => size >= 1024f64.powi(*power),
    };
    let (name, power) = UNITS.into_iter().find(fits).unwrap_or(("", 0));
    let suffix = match (name, bits) {
        ("", false) => "Bytes".to_owned(),
        ("", true) => "bits".to_owned(),
        (name, bits) => format!("{name}{}", if bits { "b" } else { "B" }),
    };
    Ok(format!("{:.2} {suffix}", size / 1024f64.powi(power)))
}

fn human_to_bytes(
    value: &Value,
    default_unit: Option<String>,
    kwargs: Kwargs,
) -> Result<i64, Error> {
    let default_unit = match default_unit {
        Some(unit) => Some(unit),
        None => kwargs.get::<Option<String>>("default_unit")?,
    };
    let bits = kwargs.get::<Option<bool>>("isbits")?.unwrap_or_default();
    kwargs.assert_all_used()?;
    let text = python::text(value);
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..split]
        .parse()
        .map_err(|_| invalid("the size is not a number with a unit"))?;
    let unit = Some(text[split..].trim()).filter(|unit| !unit.is_empty());
    let unit = unit.map(str::to_owned).or(default_unit).unwrap_or_default();
    let upper = unit.to_uppercase();
    let letter = upper
        .chars()
        .next()
        .filter(|c| *c != 'B')
        .map(String::from)
        .unwrap_or_default();
    let known = UNITS.iter().find(|(name, _)| *name == letter);
    let (_, power) = known.ok_or_else(|| invalid("the unit of the size is not known"))?;
    let rest = &unit[letter.len().min(unit.len())..];
    if !rest.is_empty() && !rest.starts_with(if bits { 'b' } else { 'B' }) && rest.len() < 3 {
        return Err(invalid("the unit of the size is not known"));
    }
    #[allow(clippy::cast_possible_truncation)]
    let bytes = (number * 1024f64.powi(*power)).round_ties_even() as i64;
    Ok(bytes)
}

fn filesizeformat(value: &Value, binary: Option<bool>) -> Result<String, Error> {
    let size = match value.as_str() {
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| invalid("the size is not a number"))?,
        None => float(value)?,
    };
    let binary = binary.unwrap_or_default();
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if size == 1.0 {
        return Ok("1 Byte".into());
    }
    if size < base {
        return Ok(format!("{} Bytes", size.trunc()));
    }
    let names = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    let fits = |power: &i32| size < base.powi(power + 1) || *power == 8;
    let power = (1..=8).find(fits).unwrap_or(8);
    let name = names[usize::try_from(power - 1).unwrap_or_default()];
    let suffix = if binary {
        format!("{}iB", name.to_uppercase())
    } else {
        format!("{name}B")
    };
    Ok(format!("{:.1} {suffix}", size / base.powi(power)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_rest_has_the_sign_of_the_divisor() {
        let rest = |a: i64, b: i64| modulo(&Value::from(a), &Value::from(b)).unwrap();
        assert_eq!(rest(-7, 3), Value::from(2));
        assert_eq!(rest(7, -3), Value::from(-2));
        assert!(modulo(&Value::from(1), &Value::from(0)).is_err());
    }

    #[test]
    fn arguments_are_checked() {
        assert!(percent_format("%s %s", &Value::from("x")).is_err());
    }
}
