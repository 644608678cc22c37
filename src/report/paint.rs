//! Colour, and text from hosts made safe to show.
//!
//! Whatever a host sends is shown without its control characters: a file that
//! holds escape sequences must not repaint the terminal of whoever reads the
//! diff, nor hide a line of the plan.

use std::borrow::Cow;
use std::fmt::Write;

use console::{Style, StyledObject};
use veza_agent::mark;
use veza_agent::outcome::Verdict;

/// Colours texts, or leaves them alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paint {
    /// Whether colours are wanted.
    pub colour: bool,
}

impl Paint {
    /// Ordinary text.
    pub fn plain(self, text: &str) -> StyledObject<&str> {
        self.style().apply_to(text)
    }

    /// What is put in.
    pub fn added(self, text: &str) -> StyledObject<&str> {
        self.style().green().apply_to(text)
    }

    /// What is taken away.
    pub fn removed(self, text: &str) -> StyledObject<&str> {
        self.style().red().apply_to(text)
    }

    /// The part of an added line that differs from the removed one.
    pub fn added_part(self, text: &str) -> StyledObject<&str> {
        self.style().green().reverse().apply_to(text)
    }

    /// The part of a removed line that differs from the added one.
    pub fn removed_part(self, text: &str) -> StyledObject<&str> {
        self.style().red().reverse().apply_to(text)
    }

    /// What most readers may pass over.
    pub fn faint(self, text: &str) -> StyledObject<&str> {
        self.style().dim().apply_to(text)
    }

    /// What heads a part.
    pub fn heading(self, text: &str) -> StyledObject<&str> {
        self.style().bold().apply_to(text)
    }

    /// What went wrong.
    pub fn failure(self, text: &str) -> StyledObject<&str> {
        self.style().red().bold().apply_to(text)
    }

    /// What the reader should know before trusting the rest.
    pub fn caution(self, text: &str) -> StyledObject<&str> {
        self.style().yellow().apply_to(text)
    }

    /// A word in the colour of a verdict.
    pub fn verdict(self, verdict: Verdict, text: &str) -> StyledObject<&str> {
        let style = self.style();
        match verdict {
            Verdict::Ok => style.green(),
            Verdict::Changed => style.yellow().bold(),
            Verdict::Unknown => style.magenta().bold(),
            Verdict::Skipped => style.dim(),
            Verdict::Failed => style.red().bold(),
        }
        .apply_to(text)
    }

    // Forced both ways: whether the output takes colours was decided once, and
    // console would ask for stdout even where stderr is meant.
    fn style(self) -> Style {
        Style::new().force_styling(self.colour)
    }
}

/// One line for people: marks as phrases, control characters visible.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    match mark::show(text) {
        Cow::Borrowed(text) => visible(text),
        Cow::Owned(text) => Cow::Owned(visible(&text).into_owned()),
    }
}

/// Lines for people, each safe to show; a carriage return at the end of a line
/// is dropped, as commands print them for terminals.
pub(super) fn lines(text: &str) -> Vec<String> {
    mark::show(text)
        .lines()
        .map(|text| visible(text.trim_end_matches('\r')).into_owned())
        .collect()
}

/// `text` with control characters as pictures; tabs are kept.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match picture(c) {
            Some(picture) => shown.push(picture),
            None if is_hidden(c) => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            None => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn is_hidden(c: char) -> bool {
    let reorders = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\t') || reorders
}

/// The character Unicode has to stand for a control character.
fn picture(c: char) -> Option<char> {
    match c {
        '\t' => None,
        '\0'..='\u{1F}' => char::from_u32(0x2400 + u32::from(c)),
        '\u{7F}' => Some('\u{2421}'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(line("a\u{1b}[2Jb\tc"), "a␛[2Jb\tc");
        assert_eq!(line("x\u{202e}y\u{9b}"), "x\\u{202e}y\\u{9b}");
        assert!(matches!(line("grün"), Cow::Borrowed("grün")));
    }

    #[test]
    fn lines_lose_the_carriage_return_of_a_terminal() {
        assert_eq!(lines("a\r\nb\rc\n"), ["a", "b␍c"]);
    }

    #[test]
    fn colours_are_forced_both_ways() {
        assert_eq!(Paint { colour: false }.failure("x").to_string(), "x");
        assert_ne!(Paint { colour: true }.failure("x").to_string(), "x");
    }
}
