//! The day an account expires.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::Value;

use crate::modules::place;

/// Greater numbers are seconds: as days they would be after the year 4700.
const MOST_DAYS: i64 = 1_000_000;
const SECONDS: i64 = 86_400;

/// A day: `"2030-12-31"`, `"never"`, a number of days since 1970, or (as
/// Ansible has it) of seconds; a negative one is never.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expiry(Option<u32>);

impl Expiry {
    /// The day that shadow(5) has.
    pub fn of_shadow(day: Option<i64>) -> Self {
        Self(day.and_then(|day| u32::try_from(day).ok()))
    }

    /// The day as an account has it: -1 for never.
    pub fn days(self) -> i64 {
        self.0.map_or(-1, i64::from)
    }
}

impl std::fmt::Display for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(day) = self.0 else {
            return f.write_str("never");
        };
        let (year, month, day) = place::date(day.into());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let days = match &value {
            Value::Number(number) => number.as_f64().map(|number| of_number(number as i64)),
            Value::String(text) if text == "never" => Some(-1),
            Value::String(text) => of_date(text),
            _ => None,
        };
        let refused = || {
            de::Error::custom(format!(
                "{value} is no day such as \"2030-12-31\", \"never\", or a number of days since 1970"
            ))
        };
        days.map(|days| Self::of_shadow(Some(days)))
            .ok_or_else(refused)
    }
}

impl JsonSchema for Expiry {
    fn schema_name() -> Cow<'static, str> {
        "Expiry".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"] })
    }
}

fn of_number(number: i64) -> i64 {
    match number > MOST_DAYS {
        true => number / SECONDS,
        false => number,
    }
}

/// The days from 1970-01-01 to a date, found by trying: the inverse is known.
fn of_date(text: &str) -> Option<i64> {
    let parts: Vec<u64> = text
        .split('-')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [year, month, day] = parts[..] else {
        return None;
    };
    let first = year.checked_sub(1970)?.checked_mul(365)?;
    let wanted = (year, month, day);
    // Leap days move a date by at most one day in four years.
    let last = first.checked_add(366 + (year - 1970) / 4)?;
    let days = (first..=last.min(u64::from(u32::MAX))).find(|&days| place::date(days) == wanted)?;
    i64::try_from(days).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_day_is_written_in_several_ways() {
        let cases = [
            (json!("2030-12-31"), "2030-12-31"),
            (json!("2024-02-29"), "2024-02-29"),
            (json!("1970-01-01"), "1970-01-01"),
            (json!(1), "1970-01-02"),
            (json!(1_924_905_600), "2030-12-31"),
            (json!(1_924_905_600.5), "2030-12-31"),
            (json!(-1), "never"),
            (json!("never"), "never"),
        ];
        for (value, expected) in cases {
            let day: Expiry = serde_json::from_value(value.clone()).expect("a day");
            assert_eq!(day.to_string(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for value in [
            json!("2023-02-29"),
            json!("31.12.2030"),
            json!("soon"),
            json!(true),
            json!("99999999999-1-1"),
        ] {
            assert!(
                serde_json::from_value::<Expiry>(value.clone()).is_err(),
                "{value}"
            );
        }
    }
}
