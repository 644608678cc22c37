//! Where tokens end. The engine tells starts only, and its lexer loses its way
//! behind an interpolated string, so strings and comments are followed here.

/// Where the token that starts at `offset` ends.
pub fn token_end(text: &str, offset: usize) -> usize {
    nested_token_end(text, offset, 0)
}

/// Strings inside strings inside strings: the engine's parser gives up much
/// earlier than this.
const DEEPEST: usize = 64;

fn nested_token_end(text: &str, offset: usize, depth: usize) -> usize {
    let rest = text.get(offset..).unwrap_or_default();
    let Some(first) = rest.chars().next() else {
        return offset.min(text.len());
    };
    let length = match first {
        '"' | '\'' => quoted(rest, first),
        '`' => interpolated(rest, depth),
        '#' if rest[1..].starts_with('{') => 2,
        '#' if rest[1..].trim_start_matches('#').starts_with('"') => raw(rest),
        '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        '/' if rest.starts_with("/*") => comment(rest),
        c if c.is_alphanumeric() || c == '_' => word(rest),
        c => c.len_utf8(),
    };
    offset + length
}

fn word(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// A string with escapes, up to the quote or the end of the line.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return at,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A back-quoted string; `${…}` inside may hold strings and blocks of its own.
fn interpolated(text: &str, depth: usize) -> usize {
    if depth > DEEPEST {
        return text.len();
    }
    let mut at = 1;
    while let Some(c) = text[at..].chars().next() {
        if c == '`' {
            return at + 1;
        }
        at = match text[at..].starts_with("${") {
            true => block_end(text, at + 1, depth + 1),
            false => at + c.len_utf8(),
        };
    }
    text.len()
}

/// Behind the brace that closes the one at `open`.
fn block_end(text: &str, open: usize, nesting: usize) -> usize {
    let mut depth = 0;
    let mut at = open;
    while let Some(c) = text[at..].chars().next() {
        let end = nested_token_end(text, at, nesting);
        match c {
            '#' if end == at + 2 => depth += 1,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        at = end;
        if depth == 0 {
            break;
        }
    }
    at
}

fn raw(text: &str) -> usize {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let close = format!("\"{}", "#".repeat(hashes));
    let body = hashes + 1;
    text[body..]
        .find(&close)
        .map_or(text.len(), |at| body + at + close.len())
}

/// A block comment; they nest.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let step = match rest {
            _ if rest.starts_with("/*") => {
                depth += 1;
                2
            }
            _ if rest.starts_with("*/") => {
                depth -= 1;
                2
            }
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_where_they_end() {
        let cases = [
            ("name: 1", "name"),
            (r#""a \" b", 1"#, r#""a \" b""#),
            (
                "`x ${f(`}`) + #{a: 1}.a} y` + 1",
                "`x ${f(`}`) + #{a: 1}.a} y`",
            ),
            ("##\"raw \"# text\"## + 1", "##\"raw \"# text\"##"),
            ("0o644,", "0o644"),
            ("#{ a: 1 }", "#{"),
            ("/* a /* b */ c */ x", "/* a /* b */ c */"),
            ("größe + 1", "größe"),
            ("\"open\nnext", "\"open"),
        ];
        for (text, token) in cases {
            assert_eq!(&text[..token_end(text, 0)], token);
        }
    }
}
