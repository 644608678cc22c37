//! The lines of a `pg_hba.conf`, most of which are somebody else's.

use super::rule::Rule;

const HEADER: &str = "# TYPE  DATABASE        USER            ADDRESS                 METHOD\n";

/// A line, with what it is: one that a backslash ends goes on.
struct Line<'a> {
    text: &'a str,
    meaning: Meaning,
}

enum Meaning {
    /// A comment, or nothing.
    Remark,
    /// A rule.
    Rule(Rule),
    /// What is read in its place among the rules, but not understood here.
    Other,
}

/// The text with these rules before all others, or after them.
pub fn with(text: &str, rules: &[Rule], first: bool) -> String {
    let lines = lines(text);
    if is_so(&lines, rules, first) {
        return text.to_owned();
    }
    let kept: Vec<_> = lines.iter().filter(|line| !line.is_one_of(rules)).collect();
    let place = match first {
        true => before_all(&kept),
        false => kept.len(),
    };
    let (before, after) = kept.split_at(place);
    let mut edited = joined(before);
    for rule in rules {
        edited += &rule.line();
        edited.push('\n');
    }
    edited + &joined(after)
}

/// The text without rules about the same connections as these.
pub fn without(text: &str, rules: &[Rule]) -> String {
    let lines = lines(text);
    match lines.iter().any(|line| line.is_one_of(rules)) {
        true => joined(lines.iter().filter(|line| !line.is_one_of(rules))),
        false => text.to_owned(),
    }
}

/// A text of these rules.
pub fn only(rules: &[Rule]) -> String {
    let lines = rules.iter().map(|rule| rule.line() + "\n");
    HEADER.to_owned() + &lines.collect::<String>()
}

impl Line<'_> {
    fn is_one_of(&self, rules: &[Rule]) -> bool {
        match &self.meaning {
            Meaning::Rule(rule) => rules.iter().any(|ours| ours.is_about_same(rule)),
            Meaning::Remark | Meaning::Other => false,
        }
    }

    fn is_remark(&self) -> bool {
        matches!(self.meaning, Meaning::Remark)
    }
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = 0;
        loop {
            let line = rest[end..].split_inclusive('\n').next().unwrap_or_default();
            end += line.len();
            if line.is_empty() || !line.ends_with("\\\n") {
                break;
            }
        }
        let (text, after) = rest.split_at(end);
        rest = after;
        let plain = text.trim_start();
        let meaning = match Rule::parse(text) {
            Some(rule) => Meaning::Rule(rule),
            None if plain.is_empty() || plain.starts_with('#') => Meaning::Remark,
            None => Meaning::Other,
        };
        lines.push(Line { text, meaning });
    }
    lines
}

/// Whether the rules are there already: each once, together, at their end.
fn is_so(lines: &[Line], rules: &[Rule], first: bool) -> bool {
    let read: Vec<_> = lines.iter().filter(|line| !line.is_remark()).collect();
    let Some(others) = read.len().checked_sub(rules.len()) else {
        return false;
    };
    let (ours, others) = match first {
        true => read.split_at(rules.len()),
        false => {
            let (others, ours) = read.split_at(others);
            (ours, others)
        }
    };
    let equal =
        |(line, rule): (&&Line, &Rule)| matches!(&line.meaning, Meaning::Rule(it) if it == rule);
    ours.iter().zip(rules).all(equal) && !others.iter().any(|line| line.is_one_of(rules))
}

/// The place before the first line that is read, and the remark on it.
fn before_all(lines: &[&Line]) -> usize {
    let read = lines.iter().position(|line| !line.is_remark());
    let read = read.unwrap_or(lines.len());
    let remark = |line: &&&Line| line.text.trim_start().starts_with('#');
    read - lines[..read].iter().rev().take_while(remark).count()
}

/// The last line of a text may lack its end, or go on where nothing follows.
fn joined<'a>(
    lines: impl IntoIterator<Item = &'a (impl std::borrow::Borrow<Line<'a>> + 'a)>,
) -> String {
    let mut joined = String::new();
    for line in lines {
        if !joined.is_empty() && !joined.ends_with('\n') {
            joined.push('\n');
        }
        joined.push_str(line.borrow().text);
    }
    if !joined.is_empty() && !joined.ends_with('\n') {
        joined.push('\n');
    }
    if joined.ends_with("\\\n") {
        joined.push('\n');
    }
    joined
}
