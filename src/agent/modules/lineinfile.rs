//! One line of a text file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::edited::{Edited, Spot, bare, insert, line_end, lines};
use super::pattern::Pattern;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::System;

/// Keeps one line in a text file, or keeps lines out of it; the rest of the
/// file stays as it is.
///
/// The line that `regexp` or `search_string` finds is replaced; if there is
/// none, the line is added, unless it is there already. Let `regexp` find the
/// new line as well as the old one, or the next change adds a second line
/// instead of replacing this one.
///
/// ```rhai
/// lineinfile("/etc/hosts", "192.0.2.10 db", #{ regexp: "\\sdb$", create: true });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct LineInFile {
    /// The line, without a newline.
    #[schemars(extend("x-alias" = ["value"]))]
    line: Option<String>,
    /// A regular expression that finds the line to replace, or with `state:
    /// "absent"` all lines to remove. Python's syntax, without look-around.
    #[schemars(extend("x-alias" = ["regex"]))]
    regexp: Option<Pattern>,
    /// A text that finds the line, as it is, instead of `regexp`.
    search_string: Option<String>,
    /// Whether the line shall be there.
    #[serde(default)]
    state: LineState,
    /// Whether `\1` and `\g<name>` in `line` stand for groups of `regexp`. If
    /// no line matches then, nothing changes.
    #[serde(default)]
    backrefs: bool,
    #[serde(flatten)]
    spot: Spot,
    /// Whether the first matching line counts, not the last.
    #[serde(default)]
    firstmatch: bool,
    #[serde(flatten)]
    file: Edited,
}

/// Whether a line shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LineState {
    /// It is there, once it is replaced or added.
    #[default]
    Present,
    /// No line is that matches.
    Absent,
}

impl Module for LineInFile {
    const NAME: &'static str = "lineinfile";
    const POSITIONAL: &'static [&'static str] = &["path", "line"];

    fn title(&self) -> String {
        self.file.path.display().to_string()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        match self.state {
            LineState::Present => self.file.found_needed(system),
            LineState::Absent => self.file.found(system),
        }
    }

    fn wanted(&self, found: &State) -> Result<State> {
        self.file.wanted(found, |text| match (self.state, text) {
            (LineState::Present, text) => self.with_line(text.unwrap_or_default()).map(Some),
            (LineState::Absent, Some(text)) => self.without_line(text).map(Some),
            (LineState::Absent, None) => Ok(None),
        })
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let wanted = self.wanted(&self.found(system)?)?;
        self.file.fix(diff, &wanted, system)
    }
}

impl LineInFile {
    fn with_line(&self, text: &str) -> Result<String> {
        let Some(line) = self.line.as_deref().map(|line| self.file.canonical(line)) else {
            return Err(Failure::new(
                "`line` is missing: the line that shall be there",
            ));
        };
        let line = &*line;
        if self.backrefs && self.regexp.is_none() {
            return Err(Failure::new(
                "`backrefs` needs `regexp`, whose groups they are",
            ));
        }
        let end = line_end(text);
        let mut lines = lines(text);
        if let Some(index) = self.matching(&lines)? {
            let new = match &self.regexp {
                Some(regexp) if self.backrefs => regexp.expand(&lines[index], line)?,
                _ => None,
            };
            lines[index] = with_end(new.as_deref().unwrap_or(line), end);
            return Ok(lines.concat());
        }
        if let Some(index) = lines.iter().rposition(|known| bare(known) == line) {
            lines[index] = with_end(line, end);
            return Ok(lines.concat());
        }
        if !self.backrefs {
            let at = self.spot.find(&lines, self.firstmatch)?;
            insert(&mut lines, at, vec![with_end(line, end)], end);
        }
        Ok(lines.concat())
    }

    fn without_line(&self, text: &str) -> Result<String> {
        let mut lines = lines(text);
        match (&self.line, &self.regexp, &self.search_string) {
            (None, None, None) => {
                return Err(Failure::new(
                    "one of `line`, `regexp` and `search_string` must say which lines go",
                ));
            }
            (Some(line), None, None) => {
                let line = self.file.canonical(line);
                lines.retain(|known| bare(known) != line);
            }
            _ => {
                let goes = self.finder()?;
                lines.retain(|known| !goes(known));
            }
        }
        Ok(lines.concat())
    }

    /// The line to replace.
    fn matching(&self, lines: &[String]) -> Result<Option<usize>> {
        let is_it = self.finder()?;
        Ok(match self.firstmatch {
            true => lines.iter().position(|line| is_it(line)),
            false => lines.iter().rposition(|line| is_it(line)),
        })
    }

    fn finder(&self) -> Result<impl Fn(&str) -> bool> {
        let text = self.search_string.as_deref();
        match (&self.regexp, text.map(|text| self.file.canonical(text))) {
            (Some(_), Some(_)) => Err(Failure::new(
                "`regexp` and `search_string` exclude each other",
            )),
            (_, Some(text)) if text.is_empty() => {
                Err(Failure::new("an empty `search_string` is in every line"))
            }
            (regexp, text) => Ok(move |line: &str| match (regexp, &text) {
                (Some(regexp), _) => regexp.is_in(line),
                (None, Some(text)) => line.contains(&**text),
                (None, None) => false,
            }),
        }
    }
}

fn with_end(line: &str, end: &str) -> String {
    match line.ends_with('\n') {
        true => line.to_owned(),
        false => format!("{line}{end}"),
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "what the door did is looked at from outside"
)]
mod tests;
