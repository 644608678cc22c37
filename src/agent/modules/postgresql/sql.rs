//! Names and texts as SQL takes them. Nothing from a script gets into a
//! statement but through here.

use crate::module::Result;
use crate::outcome::Failure;

/// The longest name, in bytes: PostgreSQL would cut off the rest.
const LONGEST: usize = 63;

/// Refuses what cannot be a name.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    match name.is_empty() || name.len() > LONGEST || name.contains('\0') {
        false => Ok(()),
        true => Err(
            Failure::new(format!("`{name}` cannot be the name of a {what}"))
                .hint(format!("A name has 1 to {LONGEST} bytes.")),
        ),
    }
}

/// A name, whatever is in it.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text, whatever is in it. Where it holds a backslash, it is written so that
/// it means the same under every setting of the server.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

/// A text, or nothing.
pub fn literal_or_null(text: &str) -> String {
    match text.is_empty() {
        true => "NULL".to_owned(),
        false => literal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(identifier("app"), "\"app\"");
        assert_eq!(identifier("a\"; DROP"), "\"a\"\"; DROP\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'; DROP"), "E'\\\\''; DROP'");
        assert_eq!(literal_or_null(""), "NULL");
    }

    #[test]
    fn a_name_that_would_be_cut_is_refused() {
        assert!(check_name("role", &"x".repeat(63)).is_ok());
        for name in [&"x".repeat(64), "", "a\0b"] {
            assert!(check_name("role", name).is_err(), "{name:?}");
        }
    }
}
