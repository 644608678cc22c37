//! Which single values a kind accepts, and what to write instead of one that it
//! does not.

use veza_agent::modules::pattern::Pattern;

use super::check::Shape;
use super::{Kind, closest};

/// Whether a value that is not taken apart further fits.
pub(super) fn accepts<P>(kind: &Kind, shape: &Shape<P>) -> bool {
    match (kind, shape) {
        (_, Shape::Open) | (Kind::Any, _) | (Kind::Boolean, Shape::Boolean(_)) => true,
        (Kind::Integer { min, max }, Shape::Integer { value, .. }) => {
            min.is_none_or(|min| *value >= min) && max.is_none_or(|max| *value <= max)
        }
        (Kind::Number, Shape::Integer { .. } | Shape::Number(_))
        | (Kind::Function, Shape::Function) => true,
        (
            Kind::String
            | Kind::Path
            | Kind::Choice(_)
            | Kind::Mode
            | Kind::Pattern
            | Kind::Duration
            | Kind::Hosts(_),
            Shape::Text(None),
        ) => true,
        (Kind::String, Shape::Text(_)) => true,
        (Kind::Path, Shape::Text(Some(path))) => !path.is_empty(),
        (Kind::Choice(words), Shape::Text(Some(text))) => {
            words.iter().any(|(word, _)| word == text)
        }
        (Kind::Mode, Shape::Text(Some(text))) => is_mode(text),
        (Kind::Mode, Shape::Integer { value, plain }) => {
            (0..=0o7777).contains(value) && !looks_octal_but_is_not(*value, *plain)
        }
        (Kind::Pattern, Shape::Text(Some(text))) => Pattern::new(text).is_ok(),
        (Kind::Duration, Shape::Integer { value, .. }) => u32::try_from(*value).is_ok(),
        (Kind::Duration, Shape::Text(Some(text))) => is_duration(text),
        (Kind::Hosts(min), Shape::Integer { value, .. }) => value >= min,
        (Kind::Hosts(min), Shape::Text(Some(text))) => {
            percent(text).is_some_and(|part| part as i64 >= *min)
        }
        _ => false,
    }
}

/// `644` is decimal in Rhai, even as `0644`. Written in the text that is seen
/// at once; of a computed number only the usual slips can be told.
fn looks_octal_but_is_not(value: i64, plain: bool) -> bool {
    const USUAL: [i64; 16] = [
        400, 440, 444, 500, 550, 555, 600, 640, 644, 660, 664, 666, 700, 750, 755, 777,
    ];
    if plain {
        value != 0
    } else {
        USUAL.contains(&value)
    }
}

fn is_mode(text: &str) -> bool {
    let octal = |text: &str| {
        (1..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b))
    };
    // `copy` takes "preserve" too; where it makes no sense the agent says so.
    octal(text.strip_prefix("0o").unwrap_or(text))
        || text == "preserve"
        || text.split(',').all(is_mode_clause)
}

/// One clause of chmod(1), such as `u+rwX` or `go=`.
fn is_mode_clause(clause: &str) -> bool {
    let rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let Some(first) = rest.chars().next() else {
        return false;
    };
    "+-=".contains(first) && rest.chars().all(|c| "+-=rwxXstugo".contains(c))
}

fn is_duration(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    digits.parse::<u32>().is_ok() && matches!(unit, "" | "s" | "m" | "h" | "d")
}

/// The number of a percentage such as `25%`.
pub fn percent(text: &str) -> Option<usize> {
    let number = text.strip_suffix('%')?.trim_end().parse().ok()?;
    (number <= 100).then_some(number)
}

pub(super) fn takes_text(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Path | Kind::Choice(_) | Kind::Mode | Kind::Pattern | Kind::Duration | Kind::Hosts(_)
    )
}

pub(super) fn takes_integer(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Integer { .. } | Kind::Mode | Kind::Duration | Kind::Hosts(_)
    )
}

/// What to write instead, when that can be guessed.
pub(super) fn suggestion<P>(kind: &Kind, shape: &Shape<P>) -> Option<String> {
    match (kind, shape) {
        (Kind::Choice(words), Shape::Text(Some(text))) => {
            let word = closest(text, words.iter().map(|(word, _)| word.as_str()))?;
            Some(format!("did you mean \"{word}\"?"))
        }
        (Kind::Mode, Shape::Integer { value, .. }) if is_mode(&value.to_string()) => {
            Some(format!("this is decimal; write 0o{value} or \"0{value}\""))
        }
        (Kind::Pattern, Shape::Text(Some(text))) => Pattern::new(text).err(),
        (Kind::Boolean, Shape::Text(Some(text))) => {
            let flag = match text.to_lowercase().as_str() {
                "yes" | "true" | "on" => true,
                "no" | "false" | "off" => false,
                _ => return None,
            };
            Some(format!("write {flag}, without quotes"))
        }
        (Kind::Integer { .. } | Kind::Number, Shape::Text(Some(text))) => {
            text.parse::<f64>().ok()?;
            Some(format!("write {text}, without quotes"))
        }
        (Kind::Hosts(_), Shape::Text(Some(text))) => {
            let number: u32 = text.trim().parse().ok()?;
            Some(format!("write {number} or \"{number}%\""))
        }
        (Kind::String | Kind::Path, Shape::Integer { value, .. }) => {
            Some(format!("write \"{value}\""))
        }
        (Kind::List(_), Shape::Text(Some(text))) => Some(format!("write [\"{text}\"]")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_one_that_can_be_waited_for() {
        let whole = |value| Shape::<()>::Integer { value, plain: true };
        let text = |text: &str| Shape::Text(Some(text.to_owned()));
        for (shape, fits) in [
            (whole(0), true),
            (whole(86_400), true),
            (whole(-1), false),
            (whole(i64::MAX), false),
            (text("90d"), true),
            (text("99999999999s"), false),
            (text("soon"), false),
        ] {
            assert_eq!(accepts(&Kind::Duration, &shape), fits, "{shape:?}");
        }
    }
}
