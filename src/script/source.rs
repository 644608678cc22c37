//! A file of script as it was read, and the way from the engine's positions
//! back to its text.
//!
//! The engine runs a slightly different text: calls are inserted around `try`
//! blocks and `switch` values (see [`super::instrument`]). They never contain
//! a line break, so only columns differ, and [`Source::original`] takes the
//! difference out again. Nothing a user sees shows an insertion.
//!
//! A [`Position`] is the engine's, which leaves out some letters when it counts
//! (see [`uncounted`]); lines and columns as numbers count all of them.

use std::sync::Arc;

use miette::SourceSpan;
use rhai::Position;

use super::tokens::{token_end, uncounted};

/// The engine keeps lines and columns in 16 bits.
const LIMIT: usize = 60_000;

/// A file of script.
#[derive(Clone, Debug)]
pub struct Source {
    id: String,
    text: Arc<String>,
    line_starts: Vec<usize>,
    /// Bytes that no column of the engine's stands for.
    uncounted: Vec<usize>,
    insertions: Vec<Insertion>,
}

/// Text that the engine sees and the user does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insertion {
    /// Before which byte of the original.
    pub offset: usize,
    /// What is inserted.
    pub text: String,
}

impl Source {
    /// A file that others call `id`. Refused when it has more or longer lines
    /// than the engine can count.
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        let line_starts: Vec<_> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        if line_starts.len() > LIMIT {
            return Err(format!("the file has more than {LIMIT} lines"));
        }
        if let Some(long) = text.lines().position(|line| line.chars().count() > LIMIT) {
            return Err(format!(
                "line {} has more than {LIMIT} characters",
                long + 1
            ));
        }
        // The engine takes one for the end of a line in some places only.
        if let Some(at) = text.replace("\r\n", "  ").find('\r') {
            let line = text[..at].matches('\n').count() + 1;
            return Err(format!(
                "line {line} has a carriage return that ends no line"
            ));
        }
        let mut source = Self {
            id: id.into(),
            text: Arc::new(text),
            line_starts,
            uncounted: Vec::new(),
            insertions: Vec::new(),
        };
        source.uncounted = uncounted(&source.script());
        Ok(source)
    }

    /// What the file is called: its path in the project, or `stdlib/…`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, for keeping.
    pub fn shared_text(&self) -> Arc<String> {
        self.text.clone()
    }

    /// The text as the engine can parse it: a `#!` line becomes a blank one
    /// of the same length.
    pub fn script(&self) -> String {
        if !self.text.starts_with("#!") {
            return self.text.to_string();
        }
        let line = self.text.find('\n').unwrap_or(self.text.len());
        " ".repeat(line) + &self.text[line..]
    }

    /// The same file with text inserted for the engine.
    pub fn with_insertions(mut self, mut insertions: Vec<Insertion>) -> Self {
        // Stable: the order of those at one place is the caller's.
        insertions.sort_by_key(|insertion| insertion.offset);
        self.insertions = insertions;
        self
    }

    /// The text the engine runs.
    pub fn instrumented(&self) -> String {
        let script = self.script();
        let mut text = String::with_capacity(script.len() + 32 * self.insertions.len());
        let mut from = 0;
        for insertion in &self.insertions {
            text.push_str(&script[from..insertion.offset]);
            text.push_str(&insertion.text);
            from = insertion.offset;
        }
        text.push_str(&script[from..]);
        text
    }

    /// Where a position of the instrumented text is in the original.
    pub fn original(&self, position: Position) -> Position {
        let (Some(line), Some(column)) = (position.line(), position.position()) else {
            return position;
        };
        let (start, end) = self.line_bounds(line);
        let mut shift = 0;
        for insertion in self
            .insertions
            .iter()
            .filter(|i| (start..=end).contains(&i.offset))
        {
            let at = self.counted(start, insertion.offset) + 1;
            let length = insertion.text.chars().count();
            if column < at + shift {
                break;
            }
            if column < at + shift + length {
                return new_position(line, at);
            }
            shift += length;
        }
        new_position(line, column - shift)
    }

    /// How many letters between two bytes of a line the engine counts.
    fn counted(&self, start: usize, end: usize) -> usize {
        let left_out = self.uncounted.iter().filter(|at| (start..end).contains(at));
        self.text[start..end].chars().count() - left_out.count()
    }

    /// Line and column of a position of the original text; none where it has
    /// none.
    pub fn place(&self, position: Position) -> Option<(usize, usize)> {
        let (line, mut column) = (position.line()?, position.position().unwrap_or(0));
        let (start, end) = self.line_bounds(line);
        let left_out = self.uncounted.iter().filter(|at| (start..end).contains(at));
        for &at in left_out {
            if self.text[start..at].chars().count() < column {
                column += 1;
            }
        }
        Some((line, column))
    }

    /// Start and end of a line, its line break excluded.
    fn line_bounds(&self, line: usize) -> (usize, usize) {
        let index = line.saturating_sub(1).min(self.line_starts.len() - 1);
        let start = self.line_starts[index];
        let end = self
            .line_starts
            .get(index + 1)
            .map_or(self.text.len(), |next| next - 1);
        (start, end)
    }

    /// The byte a line and column (from 1, in characters) stand for. What lies
    /// behind the end of a line is its end.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let (start, end) = self.line_bounds(line);
        let text = &self.text[start..end];
        let mut letters = text.char_indices().map(|(at, _)| at);
        start + letters.nth(column.saturating_sub(1)).unwrap_or(text.len())
    }

    /// The byte a position of the original text stands for.
    pub fn offset_of(&self, position: Position) -> usize {
        self.place(position)
            .map_or(0, |(line, column)| self.offset(line, column))
    }

    /// Line and column (from 1, in characters) of a byte.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// Whether a position is that of a dot before a name.
    pub fn is_dot(&self, position: Position) -> bool {
        let rest = self
            .text
            .get(self.offset_of(position)..)
            .unwrap_or_default();
        let name = rest.strip_prefix('.').filter(|_| position.line().is_some());
        name.is_some_and(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))
    }

    /// The token at a position of the original text.
    pub fn span(&self, position: Position) -> SourceSpan {
        self.span_at(self.offset_of(position))
    }

    /// The token that starts at this byte.
    pub fn span_at(&self, offset: usize) -> SourceSpan {
        let end = token_end(&self.text, offset);
        (offset, end - offset).into()
    }
}

fn new_position(line: usize, column: usize) -> Position {
    let narrow = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    Position::new(narrow(line), narrow(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("test.rhai", text).expect("the text is short")
    }

    #[test]
    fn a_shebang_is_a_blank_line_of_the_same_length() {
        let source = source("#!/usr/bin/env veza-play\nlog(1)");
        assert_eq!(source.script().trim(), "log(1)");
        assert_eq!(source.script().len(), source.text().len());
    }

    #[test]
    fn offsets_and_positions_correspond() {
        let source = source("ä = 1;\n  log(ä);\n");
        assert_eq!(source.offset(2, 3), 10);
        assert_eq!(source.line_and_column(10), (2, 3));
        assert_eq!(source.offset(2, 99), 18);
        assert_eq!(source.offset(99, 1), source.text().len());
    }

    #[test]
    fn insertions_leave_no_trace_in_positions() {
        let text = "aé { b } { c }\nd";
        let insert = |offset, text: &str| Insertion {
            offset,
            text: text.into(),
        };
        let source = source(text).with_insertions(vec![insert(11, "<LONGER>"), insert(5, "<IN>")]);
        let instrumented = source.instrumented();
        assert_eq!(instrumented, "aé {<IN> b } {<LONGER> c }\nd");
        for letter in ['a', 'b', 'c', 'd'] {
            let before = &instrumented[..instrumented.find(letter).expect("the letter is there")];
            let line = before.matches('\n').count() + 1;
            let column = before
                .rsplit('\n')
                .next()
                .unwrap_or_default()
                .chars()
                .count()
                + 1;
            let original = source.original(new_position(line, column));
            assert_eq!(
                source.offset_of(original),
                text.find(letter).expect("the letter is there"),
                "{letter}"
            );
        }
        let inside = source.original(new_position(1, 6));
        assert_eq!(source.offset_of(inside), 5);
    }

    #[test]
    fn letters_that_the_engine_does_not_count_are_counted_here() {
        let text = "let a = `\\${b} \\${c}` + d;\n`\\${x}${y}`";
        let source = source(text);
        let tree = crate::script::engine::bare()
            .compile(text)
            .expect("it is right");
        let mut met = Vec::new();
        crate::script::tree::walk(&tree, &mut |path| {
            if let Some(rhai::ASTNode::Expr(rhai::Expr::Variable(variable, _, at))) = path.last() {
                met.push((variable.1.to_string(), source.place(*at)));
            }
        });
        let place = |name: &str| {
            let at = text.rfind(name).expect("it is there");
            (name.to_owned(), Some(source.line_and_column(at)))
        };
        assert_eq!(met, [place("d"), place("y")]);
    }

    #[test]
    fn carriage_returns_end_lines_or_nothing() {
        assert!(source("a\r\nb").text().ends_with('b'));
        let refused = Source::new("x", "a\r\nb // c\rd").expect_err("it is refused");
        assert_eq!(refused, "line 2 has a carriage return that ends no line");
    }

    #[test]
    fn too_long_lines_are_refused() {
        assert!(Source::new("x", "a".repeat(LIMIT + 1)).is_err());
        assert!(Source::new("x", "\n".repeat(LIMIT + 1)).is_err());
    }
}
