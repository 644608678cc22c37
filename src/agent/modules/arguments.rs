//! Kinds of arguments that several modules share. Each marks its schema with
//! `x-kind`, which the controller's checker knows.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::content::Content;
use crate::module::Result;
use crate::outcome::Failure;

/// What is not given is so.
pub fn yes() -> bool {
    true
}

/// One value, or a list of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: de::DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let items = match Value::deserialize(deserializer)? {
            Value::Array(items) => items,
            one => vec![one],
        };
        let items = items
            .into_iter()
            .map(|item| T::deserialize(item).map_err(de::Error::custom));
        items.collect::<std::result::Result<_, _>>().map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({ "x-kind": "one_or_many", "items": items })
    }
}

/// A command: one line that is split into words, or the words themselves. No
/// shell is involved.
#[derive(Clone, Debug, PartialEq)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let OneOrMany(words) = match Value::deserialize(deserializer)? {
            Value::String(line) => OneOrMany(shell_words::split(&line).map_err(de::Error::custom)?),
            list => OneOrMany::<String>::deserialize(list).map_err(de::Error::custom)?,
        };
        match words.is_empty() {
            true => Err(de::Error::custom("the command is empty")),
            false => Ok(Self(words)),
        }
    }
}

impl JsonSchema for Words {
    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kind": "one_or_many", "items": { "type": "string" } })
    }
}

/// Permissions as chmod(1) takes them: octal (`"0644"`, `0o644`) or symbolic
/// (`"u=rw,g=r,o="`, `"a+X"`).
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// The bits.
    Octal(u32),
    /// Changes to the bits that are there.
    Symbolic(String),
    /// Those of the source; only where there is one.
    Preserve,
}

impl Mode {
    /// The bits, for a file that has `current` and may be a directory.
    pub fn resolve(&self, current: u32, directory: bool) -> Result<u32> {
        match self {
            Self::Octal(bits) => Ok(*bits),
            Self::Preserve => Err(Failure::new("`preserve` needs a source whose mode it is")
                .hint("Write the mode itself, such as `\"0644\"`.")),
            Self::Symbolic(clauses) => clauses
                .split(',')
                .try_fold(current, |mode, clause| apply(clause, mode, directory))
                .ok_or_else(|| not_a_mode(clauses)),
        }
    }
}

/// One clause of a symbolic mode, as POSIX defines chmod. As in Ansible, `=`
/// clears the special bits of directories too, which GNU chmod spares.
fn apply(clause: &str, mode: u32, directory: bool) -> Option<u32> {
    let start = clause.find(['+', '-', '='])?;
    let (who, actions) = clause.split_at(start);
    let mask = who
        .chars()
        .try_fold(0, |mask, who| Some(mask | class(who)?))?;
    // Without a class, what the usual umask withholds stays withheld.
    let mask = if who.is_empty() {
        0o7777 & !0o022
    } else {
        mask
    };
    let mut actions: VecDeque<char> = actions.chars().collect();
    let mut result = mode;
    while let Some(operator) = actions.pop_front() {
        let mut bits = 0;
        while let Some(&permission) = actions.front() {
            if matches!(permission, '+' | '-' | '=') {
                break;
            }
            bits |= permission_bits(permission, result, directory)?;
            actions.pop_front();
        }
        let bits = bits & mask;
        result = match operator {
            '+' => result | bits,
            '-' => result & !bits,
            '=' => (result & !mask) | bits,
            _ => return None,
        };
    }
    Some(result)
}

fn class(who: char) -> Option<u32> {
    match who {
        'u' => Some(0o4700),
        'g' => Some(0o2070),
        'o' => Some(0o1007),
        'a' => Some(0o7777),
        _ => None,
    }
}

fn permission_bits(permission: char, mode: u32, directory: bool) -> Option<u32> {
    match permission {
        'r' => Some(0o444),
        'w' => Some(0o222),
        'x' => Some(0o111),
        // Only where somebody may execute it already.
        'X' => Some(if directory || mode & 0o111 != 0 {
            0o111
        } else {
            0
        }),
        's' => Some(0o6000),
        't' => Some(0o1000),
        'u' => Some(((mode >> 6) & 7) * 0o111),
        'g' => Some(((mode >> 3) & 7) * 0o111),
        'o' => Some((mode & 7) * 0o111),
        _ => None,
    }
}

fn not_a_mode(text: &str) -> Failure {
    Failure::new(format!("`{text}` is not a file mode"))
        .hint("Write it in octal, `\"0644\"` or `0o644`, or as chmod takes it, `\"u=rw,g=r\"`.")
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mode = match Value::deserialize(deserializer)? {
            Value::String(text) if text == "preserve" => return Ok(Self::Preserve),
            Value::String(text) => match u32::from_str_radix(&text, 8) {
                Ok(bits) => Self::Octal(bits),
                Err(_) => Self::Symbolic(text),
            },
            Value::Number(number) => {
                match number.as_u64().and_then(|bits| u32::try_from(bits).ok()) {
                    Some(bits) => Self::Octal(bits),
                    None => return Err(de::Error::custom(not_a_mode(&number.to_string()))),
                }
            }
            other => return Err(de::Error::custom(not_a_mode(&other.to_string()))),
        };
        match &mode {
            Self::Octal(bits) if *bits > 0o7777 => {
                Err(de::Error::custom(not_a_mode(&format!("{bits:o}"))))
            }
            _ => mode
                .resolve(0, false)
                .map(|_| mode)
                .map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kind": "mode" })
    }
}

/// Reads a time span: seconds as a number, or `"90s"`, `"5m"`, `"2h"`, `"1d"`.
pub fn seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let seconds = match &value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_u64(),
        Value::String(text) => span(text),
        _ => None,
    };
    let refused = || de::Error::custom(format!("{value} is not a time span such as 30 or \"5m\""));
    seconds.map(Some).ok_or_else(refused)
}

/// A time span such as `"90s"` in seconds.
pub fn span(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return text.parse().ok(),
    };
    text[..text.len() - 1]
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
}

/// Permission bits as modules show them.
pub fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

/// A file that the controller read or rendered for a call. Scripts do not
/// write this; it is filled in from `src`, `content` or a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceFile {
    /// The path below the destination; empty for a single file.
    pub path: PathBuf,
    /// Permission bits it has where it comes from, if it says so.
    pub mode: Option<u32>,
    /// What it holds; none for a directory.
    pub content: Option<Content>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> Mode {
        serde_json::from_value(Value::String(text.to_owned())).expect("a mode")
    }

    #[test]
    fn octal_and_symbolic_modes_mean_what_chmod_says() {
        let cases = [
            ("0644", 0, false, 0o644),
            ("u=rw,g=r,o=", 0o777, false, 0o640),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o744, false, 0o755),
            ("a+X", 0o644, true, 0o755),
            ("u+s", 0o755, false, 0o4755),
            ("g=u", 0o740, false, 0o770),
            ("+t", 0o777, true, 0o1777),
            ("go-rwx", 0o755, false, 0o700),
            ("u+r-w", 0o200, false, 0o400),
            ("u=rw,g=r,o=r", 0o4755, false, 0o644),
            ("g=rx", 0o2775, true, 0o755),
            ("u=rw", 0o2755, false, 0o2655),
            ("+w", 0o444, false, 0o644),
            ("a+w", 0o444, false, 0o666),
        ];
        for (text, current, directory, expected) in cases {
            assert_eq!(
                mode(text).resolve(current, directory).expect(text),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in ["rw-r--r--", "u~x", "99", "u=q", ""] {
            assert!(
                serde_json::from_value::<Mode>(Value::String(text.to_owned())).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_line_is_split_into_words_and_a_list_is_taken_as_it_is() {
        let words = |value: Value| serde_json::from_value::<Words>(value).map(|words| words.0);
        assert_eq!(
            words(serde_json::json!("echo 'a b' c")).expect("splits"),
            ["echo", "a b", "c"]
        );
        assert_eq!(
            words(serde_json::json!(["echo", "a b"])).expect("list"),
            ["echo", "a b"]
        );
        assert!(words(serde_json::json!("echo 'open")).is_err());
    }
}
