//! The replacement of a regular expression in Python's syntax.

use fancy_regex::Captures;
use minijinja::Error;
use veza_agent::python;
pub use veza_agent::python::Piece;

use super::builtins::invalid;

/// The pieces of a replacement such as `\1-\g<name>`.
pub struct Replacement(Vec<Piece>);

impl Replacement {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Replacement, Error> {
        python::replacement(text).map(Replacement).map_err(invalid)
    }

    /// Writes it for one match.
    pub fn expand(&self, captures: &Captures<'_, str>, out: &mut String) -> Result<(), Error> {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Number(index) if *index >= captures.len() => {
                    return Err(invalid(format!("the expression has no group {index}")));
                }
                Piece::Number(index) => {
                    out.push_str(captures.get(*index).map_or("", |m| m.as_str()))
                }
                Piece::Name(name) => out.push_str(captures.name(name).map_or("", |m| m.as_str())),
            }
        }
        Ok(())
    }
}

/// What follows a backslash in a replacement, and how long that is.
pub fn escape_piece(after: &str) -> Result<(Piece, usize), Error> {
    python::escape_piece(after).map_err(invalid)
}
