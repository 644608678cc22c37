//! The replacement of a regular expression in Python's syntax.

use fancy_regex::Captures;
use minijinja::Error;

use super::builtins::invalid;

/// The pieces of a replacement such as `\1-\g<name>`.
pub struct Replacement(Vec<Piece>);

/// One piece of it.
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// A group by its number.
    Number(usize),
    /// A group by its name.
    Name(String),
}

impl Replacement {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Replacement, Error> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\\') {
            plain.push_str(before);
            let (piece, length) = escape_piece(after)?;
            match piece {
                Piece::Text(text) => plain.push_str(&text),
                group => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(group);
                }
            }
            rest = &after[length..];
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Replacement(pieces))
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
    let Some(first) = after.chars().next() else {
        return Err(invalid("the replacement ends with a backslash"));
    };
    let text = |text: &str, length: usize| Ok((Piece::Text(text.to_owned()), length));
    match first {
        '0' => text("\0", 1),
        '1'..='9' => {
            let length = 1 + usize::from(after[1..].starts_with(|c: char| c.is_ascii_digit()));
            let number = after[..length].parse().unwrap_or_default();
            Ok((Piece::Number(number), length))
        }
        'g' => {
            let name = after
                .strip_prefix("g<")
                .and_then(|rest| rest.split_once('>'));
            let (name, _) = name.ok_or_else(|| invalid("`\\g` in a replacement needs `<name>`"))?;
            let piece = name
                .parse()
                .map_or_else(|_| Piece::Name(name.to_owned()), Piece::Number);
            Ok((piece, name.len() + 3))
        }
        'n' => text("\n", 1),
        't' => text("\t", 1),
        'r' => text("\r", 1),
        '\\' => text("\\", 1),
        c if c.is_ascii_alphabetic() => {
            Err(invalid(format!("`\\{c}` means nothing in a replacement")))
        }
        c => text(&format!("\\{c}"), c.len_utf8()),
    }
}
