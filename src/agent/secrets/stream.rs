//! Masking what comes in pieces: a value may begin in one and end in another.

use super::Table;
use crate::mark;

/// What a stream has brought and not been let through yet.
#[derive(Debug, Default)]
pub struct Masking {
    held: Vec<u8>,
    /// Whether a stranger speaks, whose marks are none.
    foreign: bool,
}

impl Masking {
    /// For what programs print: nothing of it is taken for a mark.
    pub fn of_strangers() -> Self {
        Self {
            foreign: true,
            ..Self::default()
        }
    }

    /// What can be let through now that `bytes` have come, masked; with what
    /// is not UTF-8 replaced.
    pub fn pass(&mut self, table: &Table, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let kept = self.held.split_off(table.settled(&self.held));
        let settled = std::mem::replace(&mut self.held, kept);
        self.masked(table, &settled)
    }

    /// What is left at the end.
    pub fn rest(&mut self, table: &Table) -> String {
        let left = std::mem::take(&mut self.held);
        self.masked(table, &left)
    }

    fn masked(&self, table: &Table, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        match self.foreign {
            true => table.mask(&mark::defused(&text)).into_owned(),
            false => table.mask(&text).into_owned(),
        }
    }
}

impl Table {
    /// Up to where no value, and no letter, can begin that ends in bytes still
    /// to come.
    fn settled(&self, bytes: &[u8]) -> usize {
        let Some(search) = self.search() else {
            return bytes.len();
        };
        let whole = whole_letters(bytes);
        let bytes = &bytes[..whole];
        let patterns = || {
            search
                .patterns
                .iter()
                .map(|secret| secret.expose().as_bytes())
        };
        let longest = patterns().map(<[u8]>::len).max().unwrap_or(0);
        let earliest = bytes.len().saturating_sub(longest.saturating_sub(1));
        let begins = |start: &usize| {
            let end = &bytes[*start..];
            patterns().any(|pattern| pattern.len() > end.len() && pattern.starts_with(end))
        };
        let Some(start) = (earliest..bytes.len()).find(begins) else {
            return bytes.len();
        };
        // A value that is whole already must not be cut apart by this.
        let cut = |found: &aho_corasick::Match| found.start() < start && start < found.end();
        let mut found = search.automaton.find_iter(bytes);
        found.find(cut).map_or(start, |found| found.start())
    }
}

/// How many bytes there are without a letter of UTF-8 that has only begun.
fn whole_letters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    let begun = bytes[start..].iter().rposition(|byte| *byte >= 0xC0);
    let Some(begun) = begun.map(|at| start + at) else {
        return bytes.len();
    };
    let length = match bytes[begun] {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    };
    if begun + length > bytes.len() {
        begun
    } else {
        bytes.len()
    }
}
