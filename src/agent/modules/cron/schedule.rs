//! When a job runs, as crontab(5) writes it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::Value;

use crate::module::Result;
use crate::outcome::Failure;

/// One field of a schedule: a number, or what crontab(5) allows there, such as
/// `"*/5"` or `"1,15"`.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeField(String);

impl TimeField {
    /// The field as it stands in a crontab.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for TimeField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(de::Error::custom(format!(
                "{other} is neither a number nor a text such as \"*/5\""
            ))),
        }
    }
}

impl JsonSchema for TimeField {
    fn schema_name() -> Cow<'static, str> {
        "TimeField".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}

/// A word for a whole schedule.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpecialTime {
    /// When cron starts.
    Reboot,
    /// On the first of January.
    Yearly,
    /// On the first of January.
    Annually,
    /// On the first of the month.
    Monthly,
    /// On Sunday.
    Weekly,
    /// At midnight.
    Daily,
    /// At midnight.
    Midnight,
    /// At the full hour.
    Hourly,
}

impl SpecialTime {
    /// The word as it stands in a crontab.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reboot => "@reboot",
            Self::Yearly => "@yearly",
            Self::Annually => "@annually",
            Self::Monthly => "@monthly",
            Self::Weekly => "@weekly",
            Self::Daily => "@daily",
            Self::Midnight => "@midnight",
            Self::Hourly => "@hourly",
        }
    }

    fn all() -> [Self; 8] {
        use SpecialTime::{Annually, Daily, Hourly, Midnight, Monthly, Reboot, Weekly, Yearly};
        [
            Reboot, Yearly, Annually, Monthly, Weekly, Daily, Midnight, Hourly,
        ]
    }
}

struct Kind {
    name: &'static str,
    lowest: u32,
    highest: u32,
    words: &'static [&'static str],
}

/// The five fields, in order.
const FIELDS: [Kind; 5] = [
    field("minute", 0, 59, &[]),
    field("hour", 0, 23, &[]),
    field("day", 1, 31, &[]),
    field(
        "month",
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    ),
    field(
        "weekday",
        0,
        7,
        &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    ),
];

const fn field(
    name: &'static str,
    lowest: u32,
    highest: u32,
    words: &'static [&'static str],
) -> Kind {
    Kind {
        name,
        lowest,
        highest,
        words,
    }
}

/// The schedule of five fields. cron ignores a line it does not understand
/// without a word, so it is refused here.
pub fn of_fields(fields: [&str; 5]) -> Result<String> {
    for (kind, text) in FIELDS.iter().zip(fields) {
        if !text.split(',').all(|part| kind.accepts(part)) {
            let mut failure = Failure::new(format!(
                "`{text}` is no {} that cron understands",
                kind.name
            ))
            .hint(format!(
                "A number from {} to {}, `*`, a range `1-5`, steps `*/5`, or several of them with commas.",
                kind.lowest, kind.highest
            ));
            failure.argument = Some(kind.name.to_owned());
            return Err(failure);
        }
    }
    Ok(fields.join(" "))
}

/// A schedule written in one: five fields, or a word such as `@daily`.
pub fn of_line(line: &str) -> Result<String> {
    if let Some(special) = SpecialTime::all()
        .iter()
        .find(|time| time.word() == line.trim())
    {
        return Ok(special.word().to_owned());
    }
    let fields: Vec<&str> = line.split_whitespace().collect();
    let Ok(fields) = <[&str; 5]>::try_from(fields) else {
        return Err(Failure::new(format!("`{line}` is not a schedule")).hint(
            "Write minute, hour, day, month and weekday, `0 3 * * *`, or a word such as `@daily`.",
        ));
    };
    of_fields(fields)
}

impl Kind {
    /// Whether cron takes one part between commas.
    fn accepts(&self, part: &str) -> bool {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        if step.is_some_and(|step| !step.parse().is_ok_and(|step: u32| step > 0)) {
            return false;
        }
        match range.split_once('-') {
            None if range == "*" => true,
            None => step.is_none() && self.number(range).is_some(),
            Some((from, to)) => match (self.number(from), self.number(to)) {
                (Some(from), Some(to)) => from <= to,
                _ => false,
            },
        }
    }

    fn number(&self, text: &str) -> Option<u32> {
        let word = text.to_ascii_lowercase();
        let position = self.words.iter().position(|known| *known == word);
        let number = match position {
            Some(index) => u32::try_from(index).ok()? + self.lowest,
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (self.lowest..=self.highest)
            .contains(&number)
            .then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cron_understands_is_taken_as_it_is() {
        for line in [
            "0 3 * * *",
            "*/5 0-23/2 1,15 jan-Mar mon-fri",
            "59 23 31 12 7",
            "@daily",
        ] {
            assert_eq!(of_line(line).expect(line), line);
        }
        assert_eq!(of_line(" 0  3 * * * ").expect("spaces"), "0 3 * * *");
    }

    #[test]
    fn what_cron_would_ignore_is_refused() {
        for line in [
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "* * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "5/2 * * * *",
            "a * * * *",
            "1, * * * *",
            "@never",
        ] {
            assert!(of_line(line).is_err(), "{line}");
        }
    }
}
