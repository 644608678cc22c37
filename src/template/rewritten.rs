//! A rewritten template: its new text, what was seen in it, and where each
//! place of the new text was in the old one.

use std::collections::BTreeSet;
use std::ops::Range;

/// One step of a chain such as `a.b[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A name or a constant text.
    Name(String),
    /// A constant index.
    Index(usize),
    /// Something known only when it is evaluated.
    Dynamic,
}

/// A name with the attributes and indexes that follow it.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Where all of it stands.
    pub range: Range<usize>,
    /// Its steps, the variable first.
    pub steps: Vec<Step>,
}

/// A filter or a test that is used, or a template that is included.
#[derive(Debug, Clone)]
pub struct Mention {
    /// What is named.
    pub name: String,
    /// Where it is named.
    pub range: Range<usize>,
}

/// A change of the text.
#[derive(Debug)]
pub struct Edit {
    /// Where it begins.
    pub at: usize,
    /// How much of the old text goes.
    pub removed: usize,
    /// What comes in its place.
    pub inserted: String,
    /// What the inserted text stands for in the original.
    pub stands_for: Range<usize>,
}

/// A rewritten template.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// The text for minijinja.
    pub text: String,
    /// The variables it reads.
    pub chains: Vec<Chain>,
    /// The filters it uses.
    pub filters: Vec<Mention>,
    /// The tests it uses.
    pub tests: Vec<Mention>,
    /// The templates it names with a constant.
    pub includes: Vec<Mention>,
    /// The names that it defines itself.
    pub assigned: BTreeSet<String>,
    /// What was changed.
    pub edits: Vec<Edit>,
}

impl Rewritten {
    /// The range of the original that `range` of the rewritten text shows.
    pub fn original(&self, range: Range<usize>) -> Range<usize> {
        let start = self.place(range.start, false);
        start..self.place(range.end, true).max(start)
    }

    /// Makes the new text from the old one.
    pub fn apply_to(&mut self, text: &str) {
        // Stable: what was inserted first at one place stays first.
        self.edits.sort_by_key(|edit| edit.at);
        let mut done = 0;
        for edit in &self.edits {
            self.text.push_str(&text[done..edit.at]);
            self.text.push_str(&edit.inserted);
            done = edit.at + edit.removed;
        }
        self.text.push_str(&text[done..]);
    }

    fn place(&self, offset: usize, is_end: bool) -> usize {
        let (mut added, mut removed) = (0, 0);
        for edit in &self.edits {
            let start = edit.at + added - removed;
            let end = start + edit.inserted.len();
            if offset < start || (is_end && offset == start) {
                break;
            }
            if offset < end || (is_end && offset == end) {
                let Range { start, end } = edit.stands_for;
                return if is_end { end } else { start };
            }
            added += edit.inserted.len();
            removed += edit.removed;
        }
        offset + removed - added
    }
}
