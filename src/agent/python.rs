//! Regular expressions and replacements as Python writes them, in the spelling
//! of Rust's crates. Templates and modules share it.

/// The spellings that mean something else in Python: `\Z` is the very end, a
/// bracket in a class is an ordinary character, and `$` is what `end` says.
pub fn translated(pattern: &str, end: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') => out.push_str(r"\z"),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            },
            '[' if in_class => out.push_str(r"\["),
            '[' => {
                in_class = true;
                out.push(c);
                // A bracket that comes first is an ordinary character.
                let rest = chars.as_str();
                let negated = rest.starts_with('^');
                if rest[usize::from(negated)..].starts_with(']') {
                    out.push_str(if negated { r"^\]" } else { r"\]" });
                    chars = rest[1 + usize::from(negated)..].chars();
                }
            }
            ']' => {
                in_class = false;
                out.push(c);
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            '$' if !in_class => out.push_str(end),
            c => out.push(c),
        }
    }
    out
}

/// One piece of a replacement such as `\1-\g<name>`.
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// A group by its number.
    Number(usize),
    /// A group by its name.
    Name(String),
}

/// The pieces of a replacement, or what is wrong with it.
pub fn replacement(text: &str) -> Result<Vec<Piece>, String> {
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
    Ok(pieces)
}

/// What follows a backslash in a replacement, and how long that is.
pub fn escape_piece(after: &str) -> Result<(Piece, usize), String> {
    let Some(first) = after.chars().next() else {
        return Err("the replacement ends with a backslash".into());
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
            let (name, _) = name.ok_or("`\\g` in a replacement needs `<name>`")?;
            let piece = name
                .parse()
                .map_or_else(|_| Piece::Name(name.to_owned()), Piece::Number);
            Ok((piece, name.len() + 3))
        }
        'n' => text("\n", 1),
        't' => text("\t", 1),
        'r' => text("\r", 1),
        '\\' => text("\\", 1),
        c if c.is_ascii_alphabetic() => Err(format!("`\\{c}` means nothing in a replacement")),
        c => text(&format!("\\{c}"), c.len_utf8()),
    }
}
