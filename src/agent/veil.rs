//! What a text held before a secret was put into it. It may have been an
//! older value of the secret, which no table knows any more; so it is shown
//! only as far as it cannot be one.

use std::borrow::Cow;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::mark::{self, Piece};

/// `old` as it may be shown beside `new`: where a line with a secret comes in,
/// what stood in the secret's place is hidden, and of the other lines that go
/// only those stay readable that a line of the same key replaces.
pub fn behind<'a>(old: &'a str, new: &str) -> Cow<'a, str> {
    if old == new || !mark::has_secret(new) {
        return Cow::Borrowed(old);
    }
    let (before, after): (Vec<&str>, Vec<&str>) = (lines(old), lines(new));
    let blocks: Vec<Block> = capture_diff_slices(Algorithm::Myers, &before, &after)
        .iter()
        .map(|op| Block::of(op, &before, &after))
        .collect();
    let comes = |block: &Block| block.added.iter().any(|line| mark::has_secret(line));
    if !blocks.iter().any(comes) {
        return Cow::Borrowed(old);
    }
    let mut patterns: Vec<&str> = blocks
        .iter()
        .flat_map(|block| block.added)
        .copied()
        .filter(|line| mark::has_secret(line))
        .collect();
    let mut shown = String::new();
    for block in &blocks {
        block.show(&mut patterns, &mut shown);
    }
    Cow::Owned(shown)
}

/// Whether `old` holds anything that may not be shown beside `new`.
pub fn hides(old: Option<&str>, new: &str) -> bool {
    match old {
        Some(old) => behind(old, new) != old,
        None => mark::has_secret(new),
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Lines that stay, or lines that others take the place of.
struct Block<'a> {
    kept: &'a [&'a str],
    removed: &'a [&'a str],
    added: &'a [&'a str],
}

impl<'a> Block<'a> {
    fn of(op: &DiffOp, before: &'a [&'a str], after: &'a [&'a str]) -> Self {
        let (old, new) = (&before[op.old_range()], &after[op.new_range()]);
        match op {
            DiffOp::Equal { .. } => Self {
                kept: old,
                removed: &[],
                added: &[],
            },
            _ => Self {
                kept: &[],
                removed: old,
                added: new,
            },
        }
    }

    /// Writes the block's old lines; `patterns` are the new lines with secrets
    /// that no old line has been found for.
    fn show(&self, patterns: &mut Vec<&str>, shown: &mut String) {
        self.kept.iter().for_each(|line| shown.push_str(line));
        let mut hiding = false;
        for line in self.removed {
            let matching = patterns
                .iter()
                .enumerate()
                .find_map(|(index, pattern)| Some((index, fitted(line, pattern)?)));
            let plain = match matching {
                Some((index, text)) => {
                    patterns.remove(index);
                    Some(Cow::Owned(text))
                }
                None => self.has_successor(line).then_some(Cow::Borrowed(*line)),
            };
            match &plain {
                Some(text) => shown.push_str(text),
                // How many lines there were may say what they were.
                None if hiding => continue,
                None => shown.push_str(&format!("{}\n", mark::hidden())),
            }
            hiding = plain.is_none();
        }
    }

    /// Whether a line without secrets comes in place of this one.
    fn has_successor(&self, line: &str) -> bool {
        let Some(key) = key(line) else {
            return false;
        };
        let mut added = self.added.iter().filter(|line| !mark::has_secret(line));
        added.any(|line| self::key(line) == Some(key))
    }
}

/// The word that a line begins with, up to a sign that ends a key.
fn key(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let end = line.find(|letter: char| letter.is_whitespace() || "=:".contains(letter))?;
    Some(&line[..end]).filter(|key| !key.is_empty())
}

/// `line` with what stands in place of the secrets of `pattern` hidden, if all
/// else of the two is the same.
fn fitted(line: &str, pattern: &str) -> Option<String> {
    let (line, end) = without_newline(line);
    let (pattern, _) = without_newline(pattern);
    let parts: Vec<Piece> = mark::pieces(pattern).collect();
    let has_text = parts
        .iter()
        .any(|part| matches!(part, Piece::Text(text) if !text.trim().is_empty()));
    if !has_text {
        return None;
    }
    let mut rest = line;
    let mut shown = String::new();
    let mut open = false;
    for (index, part) in parts.iter().enumerate() {
        let Piece::Text(text) = part else {
            open = true;
            continue;
        };
        let at = match (open, index + 1 == parts.len()) {
            (false, _) => rest.starts_with(text).then_some(0)?,
            // The last text is the end of the line, wherever else it stands.
            (true, true) => rest.ends_with(text).then(|| rest.len() - text.len())?,
            (true, false) => rest.find(text)?,
        };
        if open {
            shown.push_str(&mark::hidden());
        }
        shown.push_str(text);
        rest = &rest[at + text.len()..];
        open = false;
    }
    if open {
        shown.push_str(&mark::hidden());
    } else if !rest.is_empty() {
        return None;
    }
    shown.push_str(end);
    Some(shown)
}

fn without_newline(line: &str) -> (&str, &str) {
    match line.strip_suffix('\n') {
        Some(line) => (line, "\n"),
        None => (line, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> String {
        mark::show(&behind(old, &new.replace("@", &mark::secret("db")))).into_owned()
    }

    #[test]
    fn only_what_stood_in_the_place_of_a_secret_is_hidden() {
        let shown = shown(
            "host = a\npassword = 'old'\nport = 1\n",
            "host = b\npassword = '@'\nport = 2\n",
        );
        assert_eq!(shown, "host = a\npassword = '(not shown)'\nport = 1\n");
    }

    #[test]
    fn a_text_whose_secrets_do_not_change_is_shown_whole() {
        let secret = mark::secret("db");
        let old = format!("gone\npassword={secret}\nport=1\n");
        let new = format!("password={secret}\nport=2\n");
        assert!(matches!(behind(&old, &new), Cow::Borrowed(_)));
        assert!(!hides(Some(&old), &new));
        assert!(hides(None, &new) && !hides(None, "plain"));
    }

    #[test]
    fn a_line_that_moved_is_found_again() {
        assert_eq!(
            shown("password=old\na\nb\n", "a\nb\npassword=@\n"),
            "password=(not shown)\na\nb\n"
        );
    }

    #[test]
    fn what_has_no_counterpart_is_hidden_as_one() {
        assert_eq!(
            shown("a\npass: old\nolder\nb\n", "a\npassword=@\nb\n"),
            "a\n(not shown)\nb\n"
        );
        assert_eq!(
            shown("key: -----BEGIN\nMII\nEND\nx\n", "key: @\nx\n"),
            "key: (not shown)\n(not shown)\nx\n"
        );
        assert_eq!(shown("old", "@"), "(not shown)\n");
    }

    #[test]
    fn lines_of_an_old_value_do_not_hide_behind_lines_that_stay() {
        let shown = shown("key: L1\n\nL3\n\nx\n", "key: @\n\nx\n");
        assert!(!shown.contains("L1") && !shown.contains("L3"), "{shown}");
    }

    #[test]
    fn several_secrets_of_a_line_are_hidden_each() {
        assert_eq!(
            shown("url=//old:older@host\n", "url=//@:@\n"),
            "url=//(not shown):(not shown)\n"
        );
    }
}
