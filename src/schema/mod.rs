//! What a call may carry: one description for modules and role options.
//!
//! From it come the checks (before any connection and again when a call is
//! made), the documentation and the suggestions. It holds no value and calls
//! nothing.

mod module;

pub mod check;

pub mod habits;

mod accept;

mod complete;

mod secret;

pub use accept::percent;

#[cfg(test)]
pub mod samples;

use serde::Serialize;
use serde_json::Value;

/// The arguments of one module or role.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Schema {
    /// The word a script writes, such as `cron` or `haproxy::role`.
    pub name: String,
    /// One sentence on what it is for.
    pub summary: String,
    /// Everything after the summary, as Markdown.
    pub doc: String,
    /// Arguments that may be written without their name, in order.
    pub positional: Vec<String>,
    /// Arguments of which a call gives exactly one.
    pub one_of: Vec<String>,
    /// All arguments, in the order they are documented.
    pub fields: Vec<Field>,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Other names it goes by.
    pub aliases: Vec<String>,
    /// What it is for.
    pub doc: String,
    /// Which values it takes.
    pub kind: Kind,
    /// Whether a call must give it.
    pub required: bool,
    /// The value it has when a call does not give it, if that is fixed.
    pub default: Option<Value>,
    /// The kind of project file its value names, if it names one.
    pub source: Option<SourceKind>,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// Whether its values are names of hosts that the call provides.
    pub hosts: bool,
}

impl Field {
    /// An optional argument without documentation.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            doc: String::new(),
            kind,
            required: false,
            default: None,
            source: None,
            secret: false,
            hosts: false,
        }
    }

    /// Whether the argument answers to `name`.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

/// The kind of project file that an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A template, looked up in `templates/`.
    Template,
    /// A file or directory, looked up in `files/`.
    File,
}

/// Which values an argument takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Anything.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number within these bounds.
    Integer {
        /// The smallest, if there is one.
        min: Option<i64>,
        /// The largest, if there is one.
        max: Option<i64>,
    },
    /// A number.
    Number,
    /// A text.
    String,
    /// A path on the host.
    Path,
    /// File permissions: `"0644"`, `"u+x"` or `0o644`.
    Mode,
    /// A regular expression, as hosts understand it.
    Pattern,
    /// A span of time: seconds, or `"5s"`, `"2m"`, `"1h"`.
    Duration,
    /// A number of hosts not less than this, or a part of them: `"25%"`.
    Hosts(i64),
    /// One of these words, each with its documentation.
    Choice(Vec<(String, String)>),
    /// A function of the script, such as `|result| result.changed`.
    Function,
    /// A list.
    List(Box<Kind>),
    /// One value, or a list of such values.
    OneOrMany(Box<Kind>),
    /// A map with free keys.
    Map(Box<Kind>),
    /// A map with fixed keys.
    Record(Vec<Field>),
}

impl Kind {
    /// A whole number without bounds.
    pub const fn integer() -> Self {
        Self::Integer {
            min: None,
            max: None,
        }
    }

    /// A TCP or UDP port.
    pub const fn port() -> Self {
        Self::Integer {
            min: Some(1),
            max: Some(65535),
        }
    }

    /// What is expected, as the end of "expected …".
    pub fn describe(&self) -> String {
        match self {
            Self::Any => "any value".into(),
            Self::Boolean => "`true` or `false`".into(),
            Self::Integer { min, max } => describe_integer(*min, *max),
            Self::Number => "a number".into(),
            Self::String => "a string".into(),
            Self::Path => "a path".into(),
            Self::Mode => "file permissions such as \"0644\" or 0o644".into(),
            Self::Pattern => "a regular expression".into(),
            Self::Duration => "a duration such as 30 (seconds), \"30s\" or \"5m\"".into(),
            Self::Hosts(min) => {
                format!("a number of hosts from {min} on, or a percentage such as \"25%\"")
            }
            Self::Choice(words) => describe_choice(words),
            Self::Function => "a function such as `|value| …`".into(),
            Self::List(item) => format!("a list of {}", item.plural()),
            Self::OneOrMany(item) => {
                format!("{} or a list of {}", item.describe(), item.plural())
            }
            Self::Map(item) => format!("a map of {}", item.plural()),
            Self::Record(_) => "a map".into(),
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Any => "values".into(),
            Self::Boolean => "booleans".into(),
            Self::Integer { .. } => "integers".into(),
            Self::Number => "numbers".into(),
            Self::String => "strings".into(),
            Self::Path => "paths".into(),
            Self::Pattern => "regular expressions".into(),
            Self::Duration => "durations".into(),
            Self::Hosts(_) => "numbers and percentages".into(),
            Self::List(item) => format!("lists of {}", item.plural()),
            Self::Function => "functions".into(),
            Self::Map(_) | Self::Record(_) => "maps".into(),
            Self::Choice(_) | Self::Mode | Self::OneOrMany(_) => {
                format!("values that are each {}", self.describe())
            }
        }
    }
}

fn describe_integer(min: Option<i64>, max: Option<i64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("an integer from {min} to {max}"),
        (Some(min), None) => format!("an integer not less than {min}"),
        (None, Some(max)) => format!("an integer not more than {max}"),
        (None, None) => "an integer".into(),
    }
}

fn describe_choice(words: &[(String, String)]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    match quoted.split_last() {
        None => "nothing".into(),
        Some((only, [])) => only.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
    }
}

impl Schema {
    /// The argument that answers to `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.is_called(name))
    }
}

/// The one of `known` that `word` was most likely meant to be.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed =
        |candidate: &str| (word.chars().count().max(candidate.chars().count()) / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance > 0 && *distance <= allowed(candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_near_or_absent() {
        let known = ["owner", "group", "mode"];
        assert_eq!(closest("ownr", known), Some("owner"));
        assert_eq!(closest("onwer", known), Some("owner"));
        assert_eq!(closest("validate", known), None);
        assert_eq!(closest("x", ["y"]), Some("y"));
    }

    #[test]
    fn kinds_describe_themselves() {
        let choice = Kind::Choice(vec![
            ("a".into(), String::new()),
            ("b".into(), String::new()),
        ]);
        assert_eq!(choice.describe(), "\"a\" or \"b\"");
        assert_eq!(Kind::port().describe(), "an integer from 1 to 65535");
        let many = Kind::OneOrMany(Box::new(Kind::String));
        assert_eq!(many.describe(), "a string or a list of strings");
    }
}
