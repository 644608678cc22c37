//! A block of lines in a text file, between two marker lines.

use schemars::JsonSchema;
use serde::Deserialize;

use super::edited::{Edited, Spot, bare, insert, line_end, lines};
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::System;

/// Keeps a block of lines in a text file, between two marker lines; the rest
/// of the file stays as it is.
///
/// The markers are those of Ansible, so its blocks are taken over.
///
/// ```rhai
/// blockinfile("/etc/hosts", "192.0.2.10 db\n192.0.2.11 web\n", #{ create: true });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct BlockInFile {
    /// The lines; without any, the block is removed with its markers.
    #[serde(default)]
    #[schemars(extend("x-alias" = ["content"]))]
    block: String,
    /// Whether the block shall be there.
    #[serde(default)]
    state: BlockState,
    /// A marker line; `{mark}` in it stands for `marker_begin` and
    /// `marker_end`. Each block of a file needs markers of its own.
    #[serde(default = "marker")]
    marker: String,
    /// What `{mark}` is above the block.
    #[serde(default = "begin")]
    marker_begin: String,
    /// What `{mark}` is below the block.
    #[serde(default = "end")]
    marker_end: String,
    #[serde(flatten)]
    spot: Spot,
    /// Whether an empty line follows the block, unless the file ends there.
    #[serde(default)]
    append_newline: bool,
    /// Whether an empty line precedes the block, unless the file begins there.
    #[serde(default)]
    prepend_newline: bool,
    #[serde(flatten)]
    file: Edited,
}

fn marker() -> String {
    "# {mark} ANSIBLE MANAGED BLOCK".into()
}

fn begin() -> String {
    "BEGIN".into()
}

fn end() -> String {
    "END".into()
}

/// Whether a block shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BlockState {
    /// It is there.
    #[default]
    Present,
    /// Neither it nor its markers are.
    Absent,
}

impl Module for BlockInFile {
    const NAME: &'static str = "blockinfile";
    const POSITIONAL: &'static [&'static str] = &["path", "block"];

    fn title(&self) -> String {
        self.file.path.display().to_string()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        match self.state {
            BlockState::Present => self.file.found_needed(system),
            BlockState::Absent => self.file.found(system),
        }
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let [begin, end] = self.markers()?;
        self.file.wanted(found, |text| match (self.state, text) {
            (BlockState::Absent, None) => Ok(None),
            (_, text) => self
                .edited(text.unwrap_or_default(), &begin, &end)
                .map(Some),
        })
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let wanted = self.wanted(&self.found(system)?)?;
        self.file.fix(diff, &wanted, system)
    }
}

impl BlockInFile {
    /// Two equal markers could not be told apart, and the block would come
    /// again with each run.
    fn markers(&self) -> Result<[String; 2]> {
        let marker = |mark: &str| {
            let marker = self.marker.replace("{mark}", mark);
            self.file.canonical(&marker).into_owned()
        };
        let markers = [marker(&self.marker_begin), marker(&self.marker_end)];
        if markers[0] == markers[1] {
            return Err(Failure::new("the two marker lines are the same").hint(
                "Write `{mark}` where they differ: `# {mark} my block` becomes `# BEGIN my block` and `# END my block`.",
            ));
        }
        if markers.iter().any(|marker| marker.contains(['\n', '\r'])) {
            return Err(Failure::new("a marker is one line: it has no newline"));
        }
        Ok(markers)
    }

    fn edited(&self, text: &str, begin: &str, end: &str) -> Result<String> {
        let line_end = line_end(text);
        let mut lines = lines(text);
        let last = |marker: &str| lines.iter().rposition(|line| bare(line) == marker);
        let at = match (last(begin), last(end)) {
            (Some(begin), Some(end)) => {
                let (first, last) = (begin.min(end), begin.max(end));
                lines.drain(first..=last);
                first
            }
            _ => self.spot.find(&lines, false)?,
        };
        let block = self.lines(begin, end, line_end);
        let present = self.state == BlockState::Present;
        let mut new = block;
        let blank = |line: Option<&String>| line.is_none_or(|line| bare(line).is_empty());
        let above = at.checked_sub(1).and_then(|above| lines.get(above));
        if self.prepend_newline && present && !blank(above) {
            new.insert(0, line_end.to_owned());
        }
        if self.append_newline && present && !blank(lines.get(at)) {
            new.push(line_end.to_owned());
        }
        insert(&mut lines, at, new, line_end);
        Ok(lines.concat())
    }

    /// The block with its markers; nothing if it shall not be there.
    fn lines(&self, begin: &str, end: &str, line_end: &str) -> Vec<String> {
        if self.state == BlockState::Absent || self.block.is_empty() {
            return Vec::new();
        }
        let lines = [begin].into_iter().chain(self.block.lines()).chain([end]);
        lines.map(|line| format!("{line}{line_end}")).collect()
    }
}

#[cfg(test)]
mod tests;
