//! Regular expressions over lines of files, in Python's syntax as far as
//! regex-lite carries it: that crate takes 70 kB of the agent, where those with
//! look-around and Unicode classes take ten times as much.

use std::borrow::Cow;

use regex_lite::{Captures, Regex};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::module::Result;
use crate::outcome::Failure;
use crate::python::{self, Piece};

/// What `$` is where a line may have its newline: it matches before that too.
const END: &str = "(?m:$)";

/// A regular expression that was understood.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads it, or says what is wrong with it.
    pub fn new(text: &str) -> std::result::Result<Self, String> {
        let regex = Regex::new(&python::translated(text, END)).map_err(|error| error.to_string());
        Ok(Self {
            text: text.to_owned(),
            regex: regex?,
        })
    }

    /// It as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is found in `line`, anywhere.
    pub fn is_in(&self, line: &str) -> bool {
        self.regex.is_match(line)
    }

    /// `replacement` for the first match in `line`, if there is one: `\1` and
    /// `\g<name>` stand for groups of it.
    pub fn expand(&self, line: &str, replacement: &str) -> Result<Option<String>> {
        let Some(captures) = self.regex.captures(line) else {
            return Ok(None);
        };
        let pieces = python::replacement(replacement).map_err(Failure::new)?;
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(&text),
                Piece::Number(index) if index >= captures.len() => {
                    return Err(self.no_group(&index.to_string()));
                }
                Piece::Number(index) => out.push_str(group(&captures, index)),
                Piece::Name(name) => {
                    let mut names = self.regex.capture_names();
                    let index = names.position(|known| known == Some(&name));
                    let index = index.ok_or_else(|| self.no_group(&name))?;
                    out.push_str(group(&captures, index));
                }
            }
        }
        Ok(Some(out))
    }

    fn no_group(&self, name: &str) -> Failure {
        Failure::new(format!(
            "the regular expression `{}` has no group {name}",
            self.text
        ))
    }
}

/// A group that took no part in the match is empty.
fn group<'t>(captures: &Captures<'t>, index: usize) -> &'t str {
    captures.get(index).map_or("", |found| found.as_str())
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(|why| {
            de::Error::custom(format!("`{text}` is no regular expression here: {why}"))
        })
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kind": "pattern" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, line: &str) -> bool {
        Pattern::new(pattern).expect(pattern).is_in(line)
    }

    #[test]
    fn a_line_is_searched_with_its_newline_as_python_does() {
        for (pattern, line) in [
            ("b$", "ab\n"),
            ("b$", "ab"),
            (r"b\s$", "ab\n"),
            ("^$", "\n"),
            (r"b\Z", "ab"),
            ("[$]", "$"),
            ("[[]", "["),
            ("[]x]", "]"),
            ("(?i)HOST", "localhost"),
        ] {
            assert!(found(pattern, line), "{pattern} in {line:?}");
        }
        for (pattern, line) in [(r"b\Z", "ab\n"), ("^$", "a\n"), ("b$", "ab\r\n")] {
            assert!(!found(pattern, line), "{pattern} in {line:?}");
        }
    }

    #[test]
    fn groups_of_a_replacement_must_be_there() {
        let pattern = Pattern::new(r"(?P<key>\w+)=(\d+)?").expect("a pattern");
        let expand = |replacement| pattern.expand("port=80", replacement);
        let text = |replacement| expand(replacement).expect("expands").expect("matches");
        assert_eq!(text(r"\1: \2"), "port: 80");
        assert_eq!(text(r"\g<key>\t\g<2>0"), "port\t800");
        assert!(expand(r"\3").is_err() && expand(r"\g<no>").is_err() && expand("\\").is_err());
        assert_eq!(pattern.expand("nothing", r"\1").expect("expands"), None);
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        let why = Pattern::new("(?!x)y").expect_err("look-around");
        assert!(why.contains("look-around"), "{why}");
        assert!(Pattern::new("(").is_err());
    }
}
