//! Two texts as a unified diff with line numbers.
//!
//! What is easily overlooked is made visible: blanks at the end of a changed
//! line, carriage returns, and every blank where a line differs in blanks only.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use console::StyledObject;
use similar::{ChangeTag, DiffOp, InlineChange, TextDiff};

use super::paint::{self, Paint};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// A diff that takes longer is shown coarser, not later.
const PATIENCE: Duration = Duration::from_millis(500);

/// The lines that differ between two texts, with their surroundings. Marks
/// must have been replaced already; control characters are made visible here.
pub(super) fn unified(before: &str, after: &str, paint: Paint) -> Vec<String> {
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(before, after);
    let gutter = Gutter::for_lines(diff.old_len().max(diff.new_len()));
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if number > 0 {
            lines.push(gutter.gap(paint));
        }
        for op in group {
            let blanks_only = differs_in_blanks_only(&diff, op);
            for change in diff.iter_inline_changes(op) {
                push_change(&mut lines, &change, blanks_only, &gutter, paint);
            }
        }
    }
    lines
}

fn push_change(
    lines: &mut Vec<String>,
    change: &InlineChange<'_, str>,
    blanks_only: bool,
    gutter: &Gutter,
    paint: Paint,
) {
    let mut line = gutter.numbers(change, paint);
    let tag = change.tag();
    if tag != ChangeTag::Equal {
        let _ = write!(line, "{}", coloured(tag, false, &tag.to_string(), paint));
    } else {
        line.push(' ');
    }
    let parts = parts(change, blanks_only);
    for (emphasized, text) in &parts {
        let _ = write!(line, "{}", coloured(tag, *emphasized, text, paint));
    }
    if tag == ChangeTag::Equal {
        line.truncate(line.trim_end().len());
    }
    lines.push(line);
    if change.missing_newline() {
        let note = r"\ No newline at end of file";
        lines.push(format!("{}{}", gutter.empty(), paint.faint(note)));
    }
}

/// The pieces of one line without its end, ready to be shown.
fn parts(change: &InlineChange<'_, str>, blanks_only: bool) -> Vec<(bool, String)> {
    let mut parts: Vec<_> = change
        .iter_strings_lossy()
        .map(|(emphasized, text)| (emphasized, text.into_owned()))
        .collect();
    if let Some((_, last)) = parts.last_mut()
        && last.ends_with('\n')
    {
        last.pop();
    }
    if change.tag() == ChangeTag::Equal {
        // A carriage return that stays is no news.
        if let Some((_, last)) = parts.last_mut() {
            last.truncate(last.trim_end_matches('\r').len());
        }
    } else if blanks_only {
        parts.iter_mut().for_each(|(_, text)| *text = blanks(text));
    } else {
        mark_trailing_blanks(&mut parts);
    }
    for (_, text) in &mut parts {
        if let Cow::Owned(shown) = paint::line(text) {
            *text = shown;
        }
    }
    parts
}

/// Makes the blanks at the end of a line visible, over all its pieces.
fn mark_trailing_blanks(parts: &mut [(bool, String)]) {
    for (_, text) in parts.iter_mut().rev() {
        let kept = text.trim_end_matches([' ', '\t', '\r']).len();
        let tail = blanks(&text[kept..]);
        text.truncate(kept);
        text.push_str(&tail);
        if kept > 0 {
            return;
        }
    }
}

fn blanks(text: &str) -> String {
    text.replace(' ', "·").replace('\t', "→")
}

/// Whether the lines of a replacement are the same but for their blanks.
fn differs_in_blanks_only(diff: &TextDiff<'_, '_, str>, op: &DiffOp) -> bool {
    let DiffOp::Replace {
        old_index,
        old_len,
        new_index,
        new_len,
    } = *op
    else {
        return false;
    };
    let solid = |slice: Option<&str>| {
        let text = slice.unwrap_or_default();
        text.split_whitespace().collect::<String>()
    };
    old_len == new_len
        && (0..old_len).all(|step| {
            solid(diff.old_slice(old_index + step)) == solid(diff.new_slice(new_index + step))
        })
}

fn coloured(tag: ChangeTag, emphasized: bool, text: &str, paint: Paint) -> StyledObject<&str> {
    match (tag, emphasized) {
        (ChangeTag::Equal, _) => paint.plain(text),
        (ChangeTag::Insert, false) => paint.added(text),
        (ChangeTag::Insert, true) => paint.added_part(text),
        (ChangeTag::Delete, false) => paint.removed(text),
        (ChangeTag::Delete, true) => paint.removed_part(text),
    }
}

/// The two columns of line numbers.
struct Gutter {
    width: usize,
}

impl Gutter {
    fn for_lines(count: usize) -> Self {
        Self {
            width: count.max(1).to_string().len(),
        }
    }

    fn numbers(&self, change: &InlineChange<'_, str>, paint: Paint) -> String {
        let column = |index: Option<usize>| match index {
            Some(index) => format!("{:>width$}", index + 1, width = self.width),
            None => " ".repeat(self.width),
        };
        let numbers = format!(
            "{} {}",
            column(change.old_index()),
            column(change.new_index())
        );
        format!("{} ", paint.faint(&numbers))
    }

    fn empty(&self) -> String {
        " ".repeat(2 * self.width + 2)
    }

    fn gap(&self, paint: Paint) -> String {
        let dots = format!("{:>width$}", "⋮", width = 2 * self.width + 1);
        paint.faint(&dots).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(before: &str, after: &str) -> String {
        unified(before, after, Paint::default()).join("\n")
    }

    #[test]
    fn a_change_is_shown_with_three_lines_around_it_and_numbers() {
        let before: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let after = before.replace("line 5\n", "line five\n") + "line 21\n";
        insta::assert_snapshot!(plain(&before, &after), @r#"
         2  2  line 2
         3  3  line 3
         4  4  line 4
         5    -line 5
            5 +line five
         6  6  line 6
         7  7  line 7
         8  8  line 8
            ⋮
        18 18  line 18
        19 19  line 19
        20 20  line 20
           21 +line 21
        "#);
    }

    #[test]
    fn a_missing_newline_is_noted_on_its_side() {
        insta::assert_snapshot!(plain("a\nb", "a\nb\n"), @r#"
        1 1  a
        2   -b
            \ No newline at end of file
          2 +b
        "#);
    }

    #[test]
    fn blanks_are_visible_where_they_are_the_change() {
        insta::assert_snapshot!(plain("a b\nx\n", "a  b\nx \t\n"), @r#"
        1   -a·b
        2   -x
          1 +a··b
          2 +x·→
        "#);
    }

    #[test]
    fn line_endings_are_visible_where_they_are_the_change() {
        insta::assert_snapshot!(plain("a\r\nb\r\n", "a\nb\r\n"), @r#"
        1   -a␍
          1 +a
        2 2  b
        "#);
    }

    #[test]
    fn the_differing_part_of_a_line_is_emphasized() {
        let lines = unified("port 8080\n", "port 8081\n", Paint { colour: true });
        insta::assert_snapshot!(lines.join("\n").replace('\u{1b}', "^"), @r#"
        ^[2m1  ^[0m ^[31m-^[0m^[31mport ^[0m^[31m^[7m8080^[0m^[31m^[0m
        ^[2m  1^[0m ^[32m+^[0m^[32mport ^[0m^[32m^[7m8081^[0m^[32m^[0m
        "#);
    }

    #[test]
    fn escape_sequences_in_a_file_are_pictures() {
        assert_eq!(plain("", "\u{1b}[2J\n"), "  1 +␛[2J");
    }
}
