//! Text that stands for a value nobody may see, or nobody can know yet.
//!
//! A mark travels inside ordinary strings: through interpolation, templates
//! and file contents. That keeps the rest of a text readable in a diff while
//! the marked part is shown by name only. The delimiters are Unicode
//! noncharacters (Unicode 16, section 23.7), which no real text contains.

use std::borrow::Cow;

use serde_json::Value;

const OPEN: char = '\u{FDD0}';
const CLOSE: char = '\u{FDD1}';
const UNKNOWN: &str = "unknown:";
const SECRET: &str = "secret:";
const HIDDEN: &str = "hidden:";

/// Between the name of a secret and the form of its value that is meant.
pub const FORM: char = '#';

/// Between the name of a secret and which of the values of that name is meant.
/// Which one came first is chance, so it is not shown.
const ORDINAL: char = '~';

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What it says.
    Text(&'a str),
    /// Known only after apply; where it will come from.
    Unknown(&'a str),
    /// The value of a secret: its name, and where it is not the value itself,
    /// [`FORM`] and which form of it.
    Secret(&'a str),
    /// What was there before a secret took its place.
    Hidden,
}

/// A mark for a value that is known only after apply; `origin` says where it
/// will come from, such as ``stdout of command `id` ``.
pub fn unknown(origin: &str) -> String {
    format!("{OPEN}{UNKNOWN}{origin}{CLOSE}")
}

/// A mark for the value of a secret.
pub fn secret(name: &str) -> String {
    format!("{OPEN}{SECRET}{name}{CLOSE}")
}

/// A mark for what may not be shown and has no name.
pub fn hidden() -> String {
    format!("{OPEN}{HIDDEN}{CLOSE}")
}

/// The parts of a text, in order. A delimiter that belongs to no mark is text.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if let Some((mark, after)) = leading_mark(rest) {
            rest = after;
            return Some(mark);
        }
        let mut starts = rest.match_indices(OPEN).map(|(start, _)| start);
        let end = starts.find(|&start| leading_mark(&rest[start..]).is_some());
        let (before, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        (!before.is_empty()).then_some(Piece::Text(before))
    })
}

fn leading_mark(text: &str) -> Option<(Piece<'_>, &str)> {
    let (body, after) = text.strip_prefix(OPEN)?.split_once(CLOSE)?;
    let mark = match (body.strip_prefix(UNKNOWN), body.strip_prefix(SECRET)) {
        _ if body.contains(OPEN) => return None,
        (Some(origin), _) => Piece::Unknown(origin),
        (_, Some(name)) => Piece::Secret(name),
        _ if body == HIDDEN => Piece::Hidden,
        _ => return None,
    };
    Some((mark, after))
}

/// Where the first unknown part of `text` will come from, if it has one.
pub fn unknown_origin(text: &str) -> Option<&str> {
    if !is_marked(text) {
        return None;
    }
    pieces(text).find_map(|piece| match piece {
        Piece::Unknown(origin) => Some(origin),
        _ => None,
    })
}

/// The secrets that `text` has marks of, in order, each by its name.
pub fn secrets(text: &str) -> impl Iterator<Item = &str> {
    let marked = if is_marked(text) { text } else { "" };
    pieces(marked).filter_map(|piece| match piece {
        Piece::Secret(name) => Some(bare(name)),
        _ => None,
    })
}

/// The name of a secret without the form of its value.
pub fn bare(name: &str) -> &str {
    name.split(FORM).next().unwrap_or(name)
}

/// The name of a secret that is the `number`th of its name.
pub fn numbered(name: &str, number: usize) -> String {
    format!("{name}{ORDINAL}{number}")
}

/// The name of a secret as people read it.
pub fn shown_name(name: &str) -> &str {
    let name = bare(name);
    match name.rsplit_once(ORDINAL) {
        Some((name, number)) if number.parse::<usize>().is_ok() => name,
        _ => name,
    }
}

/// Whether `text` has a mark of a secret.
pub fn has_secret(text: &str) -> bool {
    secrets(text).next().is_some()
}

/// Whether `text` has anything of a mark in it, be it a whole one or not.
pub fn is_marked(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

/// Whether no mark in `text` was cut apart.
pub fn is_whole(text: &str) -> bool {
    !is_marked(text) || !pieces(text).any(|piece| matches!(piece, Piece::Text(t) if is_marked(t)))
}

/// `text` without the letters that make marks: what a stranger says is never
/// taken for one.
pub fn defused(text: &str) -> Cow<'_, str> {
    match is_marked(text) {
        true => Cow::Owned(text.replace([OPEN, CLOSE], "\u{FFFD}")),
        false => Cow::Borrowed(text),
    }
}

/// Where the first unknown part of a value comes from, if it has one.
pub fn unknown_within(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => unknown_origin(text),
        Value::Array(items) => items.iter().find_map(unknown_within),
        Value::Object(fields) => fields.values().find_map(unknown_within),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// `text` as people may read it: each mark replaced by a phrase.
pub fn show(text: &str) -> Cow<'_, str> {
    if !is_marked(text) {
        return Cow::Borrowed(text);
    }
    let shown = pieces(text).map(|piece| match piece {
        Piece::Text(text) => defused(text),
        Piece::Unknown(_) => "(known after apply)".into(),
        Piece::Secret(name) => format!("(secret {})", shown_name(name)).into(),
        Piece::Hidden => "(not shown)".into(),
    });
    Cow::Owned(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_part_is_found_and_shown_as_a_phrase() {
        let text = format!("token = {}\n", unknown("stdout of `id`"));
        assert_eq!(unknown_origin(&text), Some("stdout of `id`"));
        assert_eq!(show(&text), "token = (known after apply)\n");
    }

    #[test]
    fn a_secret_is_shown_by_name_whatever_its_form() {
        let text = format!("a{}b{}{}", secret("db"), secret("web#2"), hidden());
        assert_eq!(show(&text), "a(secret db)b(secret web)(not shown)");
        assert_eq!(secrets(&text).collect::<Vec<_>>(), ["db", "web"]);
        assert_eq!(unknown_origin(&text), None);
        assert!(is_whole(&text) && has_secret(&text));
    }

    #[test]
    fn secrets_of_one_name_are_shown_alike() {
        let (one, other) = (secret("db"), secret(&numbered("db", 2)));
        assert_ne!(one, other);
        assert_eq!(show(&one), show(&other));
        assert_eq!(secrets(&other).next(), Some("db~2"));
        assert_eq!(shown_name("db~2#7"), "db");
        assert_eq!(shown_name("a~b"), "a~b");
    }

    #[test]
    fn ordinary_text_passes_untouched() {
        assert_eq!(unknown_origin("plain"), None);
        assert!(matches!(show("plain"), Cow::Borrowed("plain")));
        assert!(matches!(defused("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn what_is_no_mark_is_text() {
        let cut = &secret("db")[..8];
        for text in [
            cut,
            "\u{FDD0}",
            "a\u{FDD1}",
            "\u{FDD0}other:x\u{FDD1}",
            "\u{FDD0}\u{FDD1}",
        ] {
            assert_eq!(pieces(text).collect::<Vec<_>>(), [Piece::Text(text)]);
            assert!(!is_whole(text), "{text:?}");
            assert!(!is_marked(&show(text)) && !is_marked(&defused(text)));
        }
        let late = format!("\u{FDD0}{}", secret("db"));
        let pieces: Vec<_> = pieces(&late).collect();
        assert_eq!(pieces, [Piece::Text("\u{FDD0}"), Piece::Secret("db")]);
    }

    #[test]
    fn the_pieces_of_a_text_are_all_of_it() {
        let parts = ["", "x", "\u{FDD0}", "\u{FDD1}", "é"];
        let marks = [secret("a"), unknown("b"), hidden(), String::new()];
        for one in parts {
            for mark in &marks {
                for other in parts {
                    let text = format!("{one}{mark}{other}{mark}");
                    let again: String = pieces(&text)
                        .map(|piece| match piece {
                            Piece::Text(text) => text.to_owned(),
                            Piece::Unknown(origin) => unknown(origin),
                            Piece::Secret(name) => secret(name),
                            Piece::Hidden => hidden(),
                        })
                        .collect();
                    assert_eq!(again, text);
                }
            }
        }
    }
}
