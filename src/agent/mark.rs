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

/// A mark for a value that is known only after apply; `origin` says where it
/// will come from, such as ``stdout of command `id` ``.
pub fn unknown(origin: &str) -> String {
    format!("{OPEN}{UNKNOWN}{origin}{CLOSE}")
}

/// Where the first unknown part of `text` will come from, if it has one.
pub fn unknown_origin(text: &str) -> Option<&str> {
    let start = text.find(OPEN)?;
    let marked = &text[start + OPEN.len_utf8()..];
    let end = marked.find(CLOSE)?;
    match marked[..end].strip_prefix(UNKNOWN) {
        Some(origin) => Some(origin),
        None => unknown_origin(&marked[end..]),
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
    if !text.contains(OPEN) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once(OPEN) {
        shown.push_str(before);
        match marked.split_once(CLOSE) {
            Some((_, after)) => {
                shown.push_str("(known after apply)");
                rest = after;
            }
            None => rest = marked,
        }
    }
    shown.push_str(rest);
    Cow::Owned(shown)
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
    fn ordinary_text_passes_untouched() {
        assert_eq!(unknown_origin("plain"), None);
        assert!(matches!(show("plain"), Cow::Borrowed("plain")));
    }
}
