//! One attribute that differs, as lines for people.

use std::collections::HashSet;

use serde_json::Value;
use veza_agent::describe;
use veza_agent::mark;
use veza_agent::outcome::{Change, Side};

use super::diff;
use super::paint::{self, Paint};

/// Digits of a digest that are shown; the JSON has them all.
const DIGEST_DIGITS: usize = 12;

/// Items that come and go and are shown in one line.
const ITEMS: usize = 40;

/// Attributes whose values nobody may read, hashed or not.
pub(super) const HIDDEN: &[&str] = &["password"];

/// The change as lines, not indented.
pub(super) fn lines(change: &Change, paint: Paint) -> Vec<String> {
    let name = paint::line(&change.attribute);
    if HIDDEN.contains(&change.attribute.as_str()) {
        return vec![format!("{name}: {}", paint.faint("changes (not shown)"))];
    }
    match (&change.before, &change.after) {
        (Side::Value(before), Side::Value(after)) => values(&name, before, after, paint),
        (before, after) => match (text(before), text(after)) {
            (Some(before), Some(after)) if is_text(change) => {
                text_lines(&name, before, after, paint)
            }
            _ => vec![arrow(
                &name,
                &side(&name, before),
                &side(&name, after),
                paint,
            )],
        },
    }
}

fn is_text(change: &Change) -> bool {
    matches!(change.before, Side::Text(_)) || matches!(change.after, Side::Text(_))
}

/// A side as text, where nothing counts as an empty one.
fn text(side: &Side) -> Option<&str> {
    match side {
        Side::Absent => Some(""),
        Side::Text(text) => Some(text),
        _ => None,
    }
}

fn text_lines(name: &str, before: &str, after: &str, paint: Paint) -> Vec<String> {
    let origin = mark::unknown_origin(after);
    let diff = diff::unified(&mark::show(before), &mark::show(after), paint);
    if let (Some(origin), true) = (origin, before == after) {
        let origin = paint::line(origin);
        return vec![format!("{name}: (known after apply: {origin})")];
    }
    if diff.is_empty() {
        let both_are = before.is_empty() && after.is_empty();
        let what = if both_are {
            "empty"
        } else {
            "changes in what is not shown"
        };
        return vec![format!("{name}: {what}")];
    }
    let mut lines = vec![format!("{name}:")];
    lines.extend(diff.into_iter().map(|line| format!("  {line}")));
    if let Some(origin) = origin {
        let note = format!("known after apply: {}", paint::line(origin));
        lines.push(format!("  {}", paint.faint(&note)));
    }
    lines
}

fn values(name: &str, before: &Value, after: &Value, paint: Paint) -> Vec<String> {
    match (before, after) {
        (Value::Array(before), Value::Array(after)) => items(name, before, after, paint),
        (Value::Object(before), Value::Object(after)) => {
            let absent = |key: &String| !before.contains_key(key);
            let keys = before.keys().chain(after.keys().filter(|key| absent(key)));
            keys.filter(|key| before.get(*key) != after.get(*key))
                .flat_map(|key| {
                    let change = Change {
                        attribute: format!("{name}.{key}"),
                        before: member(before.get(key)),
                        after: member(after.get(key)),
                    };
                    lines(&change, paint)
                })
                .collect()
        }
        _ => vec![arrow(
            name,
            &value(name, before),
            &value(name, after),
            paint,
        )],
    }
}

fn member(value: Option<&Value>) -> Side {
    value.cloned().map_or(Side::Absent, Side::Value)
}

/// A list by the items that come and go; in full when only the order differs.
fn items(name: &str, before: &[Value], after: &[Value], paint: Paint) -> Vec<String> {
    let [old, new]: [HashSet<&Value>; 2] = [before, after].map(|items| items.iter().collect());
    let removed = before.iter().filter(|item| !new.contains(item));
    let added = after.iter().filter(|item| !old.contains(item));
    let removed = removed.map(|item| {
        let text = format!("-{}", value(name, item));
        paint.removed(&text).to_string()
    });
    let added = added.map(|item| {
        let text = format!("+{}", value(name, item));
        paint.added(&text).to_string()
    });
    let parts: Vec<_> = removed.chain(added).collect();
    match parts.len() {
        0 => vec![arrow(name, &list(name, before), &list(name, after), paint)],
        1..=ITEMS => vec![format!("{name}: {}", parts.join(" "))],
        _ => {
            let parts = parts.into_iter().map(|part| format!("  {part}"));
            std::iter::once(format!("{name}:")).chain(parts).collect()
        }
    }
}

fn list(name: &str, items: &[Value]) -> String {
    let items: Vec<_> = items.iter().map(|item| value(name, item)).collect();
    format!("[{}]", items.join(", "))
}

fn arrow(name: &str, before: &str, after: &str, paint: Paint) -> String {
    let before = paint.removed(before);
    format!("{name}: {before} -> {}", paint.added(after))
}

fn side(name: &str, side: &Side) -> String {
    match side {
        Side::Absent => "absent".into(),
        Side::Value(found) => value(name, found),
        Side::Text(text) => describe::size(text.len() as u64),
        Side::Opaque { sha256, size } => {
            let digits = sha256.get(..DIGEST_DIGITS).unwrap_or(sha256);
            format!("{} (sha256 {digits}…)", describe::size(*size))
        }
        Side::Unknown(origin) => unknown(origin),
    }
}

fn unknown(origin: &str) -> String {
    format!("(known after apply: {})", paint::line(origin))
}

/// A plain value in one line.
fn value(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => string(text),
        Value::Array(items) => list(name, items),
        // Nobody reads permission bits in decimal.
        Value::Number(number) if name == "mode" && number.is_u64() => {
            format!("{:04o}", number.as_u64().unwrap_or_default())
        }
        other => paint::line(&other.to_string()).into_owned(),
    }
}

/// A string as it is, in quotes where it could be misread.
fn string(text: &str) -> String {
    if let Some(origin) = whole_mark(text) {
        return unknown(origin);
    }
    let shown = paint::line(text);
    if shown.is_empty() || shown.trim() != shown || shown.contains(['"', '\t']) {
        return Value::from(shown.as_ref()).to_string();
    }
    shown.into_owned()
}

/// The origin of a text that is nothing but one unknown mark.
pub(super) fn whole_mark(text: &str) -> Option<&str> {
    mark::unknown_origin(text).filter(|origin| text == mark::unknown(origin))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(attribute: &str, before: Side, after: Side) -> String {
        let change = Change {
            attribute: attribute.into(),
            before,
            after,
        };
        lines(&change, Paint::default()).join("\n")
    }

    fn plain(value: Value) -> Side {
        Side::Value(value)
    }

    #[test]
    fn plain_values_stand_on_both_sides_of_an_arrow() {
        let mode = shown("mode", plain(json!("0644")), plain(json!("0600")));
        assert_eq!(mode, "mode: 0644 -> 0600");
        let number = shown("mode", plain(json!(0o644)), plain(json!(0o600)));
        assert_eq!(number, "mode: 0644 -> 0600");
        let state = shown("state", Side::Absent, plain(json!("present")));
        assert_eq!(state, "state: absent -> present");
        let blank = shown("comment", plain(json!("")), plain(json!("x ")));
        assert_eq!(blank, r#"comment: "" -> "x ""#);
    }

    #[test]
    fn lists_show_what_comes_and_goes() {
        let groups = shown(
            "groups",
            plain(json!(["adm", "sudo"])),
            plain(json!(["sudo", "docker"])),
        );
        assert_eq!(groups, "groups: -adm +docker");
        let order = shown("order", plain(json!([1, 2])), plain(json!([2, 1])));
        assert_eq!(order, "order: [1, 2] -> [2, 1]");
    }

    #[test]
    fn long_lists_have_a_line_for_each_item() {
        let many: Vec<_> = (0..=ITEMS).collect();
        let shown = shown("below", plain(json!(many)), plain(json!([])));
        assert!(shown.starts_with("below:\n  -0\n  -1\n"), "{shown}");
        assert_eq!(shown.lines().count(), ITEMS + 2);
    }

    #[test]
    fn maps_show_the_keys_that_differ() {
        let env = shown(
            "env",
            plain(json!({ "PATH": "/bin", "A": 1 })),
            plain(json!({ "PATH": "/usr/bin", "A": 1, "B": true })),
        );
        assert_eq!(env, "env.PATH: /bin -> /usr/bin\nenv.B: absent -> true");
    }

    #[test]
    fn opaque_content_is_shown_by_size_and_digest() {
        let opaque = Side::Opaque {
            sha256: "0123456789abcdef".repeat(4),
            size: 1_200_000,
        };
        assert_eq!(
            shown("content", Side::Text("abc".into()), opaque),
            "content: 3 B -> 1.2 MB (sha256 0123456789ab…)"
        );
    }

    #[test]
    fn the_unknown_names_its_origin() {
        let whole = plain(json!(mark::unknown("stdout of `id`")));
        let expected = "uid: 5 -> (known after apply: stdout of `id`)";
        assert_eq!(shown("uid", plain(json!(5)), whole), expected);
        let side = Side::Unknown("stdout of `id`".into());
        assert_eq!(shown("uid", plain(json!(5)), side), expected);
        let text = Side::Text(format!("a {}\n", mark::unknown("stdout of `id`")));
        assert_eq!(
            shown("content", Side::Text("a b\n".into()), text),
            "content:\n  1   -a b\n    1 +a (known after apply)\n  \
             known after apply: stdout of `id`"
        );
    }

    #[test]
    fn a_password_is_not_shown_even_as_a_hash() {
        let shown = shown("password", plain(json!("$6$a")), plain(json!("$6$b")));
        assert_eq!(shown, "password: changes (not shown)");
    }

    #[test]
    fn texts_that_only_look_alike_are_not_called_empty() {
        let text = |text: String| Side::Text(text);
        let empty = shown("content", Side::Absent, text(String::new()));
        assert_eq!(empty, "content: empty");
        let value = text(format!("key = {}\n", mark::secret("db")));
        let form = text(format!("key = {}\n", mark::secret("db#7")));
        assert_eq!(
            shown("content", value, form),
            "content: changes in what is not shown"
        );
    }
}
