//! Jinja's filters that make numbers: int, float, round.

use minijinja::Error;
use minijinja::Value;
use minijinja::value::{Kwargs, Rest, ValueKind};

use super::builtins::invalid;
use super::marks::Registry;
use super::python;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("int", int);
    registry.reader("float", float);
    registry.reader("round", round);
}

fn int(
    value: &Value,
    default: Option<Value>,
    args: Rest<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let default = default.map_or_else(|| kwargs.get("default"), |value| Ok(Some(value)))?;
    let base = args
        .first()
        .cloned()
        .map_or_else(|| kwargs.get("base"), |value| Ok(Some(value)))?;
    kwargs.assert_all_used()?;
    let base = base.and_then(|base: Value| base.as_i64()).unwrap_or(10);
    let base = u32::try_from(base)
        .ok()
        .filter(|base| (2..=36).contains(base))
        .unwrap_or(10);
    let parsed = match value.as_str() {
        Some(text) => parse_int(text, base).or_else(|| truncated(parse_float(text)?)),
        None => whole(value),
    };
    Ok(parsed.unwrap_or_else(|| default.unwrap_or_else(|| Value::from(0))))
}

fn whole(value: &Value) -> Option<Value> {
    match value.kind() {
        ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Some(value.clone()),
        ValueKind::Number => truncated(f64::try_from(value.clone()).ok()?),
        _ => None,
    }
}

fn truncated(number: f64) -> Option<Value> {
    #[allow(clippy::cast_possible_truncation)]
    let whole = number.trunc() as i128;
    number
        .is_finite()
        .then(|| i64::try_from(whole).map_or(Value::from(whole), Value::from))
}

fn parse_int(text: &str, base: u32) -> Option<Value> {
    let text = text.trim().replace('_', "");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefix = match base {
        16 => "0x",
        8 => "0o",
        2 => "0b",
        _ => "",
    };
    let lower = digits.to_lowercase();
    let digits = lower.strip_prefix(prefix).unwrap_or(&lower);
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let number = i128::from_str_radix(digits, base).ok()?;
    let number = if negative { -number } else { number };
    Some(i64::try_from(number).map_or(Value::from(number), Value::from))
}

fn parse_float(text: &str) -> Option<f64> {
    text.trim().replace('_', "").parse().ok()
}

fn float(value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = default.map_or_else(|| kwargs.get("default"), |value| Ok(Some(value)))?;
    kwargs.assert_all_used()?;
    let parsed = match value.as_str() {
        Some(text) => parse_float(text),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value.clone())
            .ok()
            .filter(|_| value.is_number()),
    };
    Ok(parsed.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
}

fn round(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let precision = argument(0, "precision")?
        .and_then(|value| value.as_i64())
        .unwrap_or(0);
    let method =
        argument(1, "method")?.map_or_else(|| "common".to_owned(), |value| python::text(&value));
    kwargs.assert_all_used()?;
    let number = f64::try_from(value.clone()).map_err(|_| invalid("`round` needs a number"))?;
    if method == "common" && value.is_integer() && precision >= 0 {
        return Ok(value.clone());
    }
    let scale = 10f64.powi(i32::try_from(precision).unwrap_or_default());
    Ok(Value::from(match method.as_str() {
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        "common" if precision < 0 => {
            let rounded = (number * scale).round_ties_even() / scale;
            let whole = truncated(rounded).filter(|_| value.is_integer());
            return Ok(whole.unwrap_or_else(|| Value::from(rounded)));
        }
        // Formatting rounds half to even, exactly, as Python does.
        "common" => format!(
            "{number:.*}",
            usize::try_from(precision).unwrap_or_default()
        )
        .parse()
        .unwrap_or(number),
        _ => return Err(invalid("`round` knows the methods common, ceil and floor")),
    }))
}
