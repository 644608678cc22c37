//! Masking what comes in pieces: a value may begin in one and end in another.

use super::Table;

/// What a stream has brought and not been let through yet.
#[derive(Debug, Default)]
pub struct Masking {
    held: Vec<u8>,
}

impl Masking {
    /// What can be let through now that `bytes` have come, masked; with what
    /// is not UTF-8 replaced.
    pub fn pass(&mut self, table: &Table, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let kept = self.held.split_off(table.settled(&self.held));
        let settled = std::mem::replace(&mut self.held, kept);
        masked(table, &settled)
    }

    /// What is left at the end.
    pub fn rest(&mut self, table: &Table) -> String {
        masked(table, &std::mem::take(&mut self.held))
    }
}

fn masked(table: &Table, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    table.mask(&crate::mark::defused(&text)).into_owned()
}

impl Table {
    /// Up to where no value can begin that ends in bytes still to come.
    fn settled(&self, bytes: &[u8]) -> usize {
        let Some(search) = &self.search else {
            return bytes.len();
        };
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
