//! Where tokens end. The engine tells starts only, and its lexer loses its way
//! behind an interpolated string, so strings and comments are followed here.

/// Where the token that starts at `offset` ends.
pub fn token_end(text: &str, offset: usize) -> usize {
    nested_token_end(text, offset, 0, &mut |_| {})
}

/// The tokens from here on but for spaces and comments, with their offsets.
pub fn tokens(text: &str, from: usize) -> impl Iterator<Item = (usize, &str)> {
    let mut at = from;
    std::iter::from_fn(move || {
        while at < text.len() {
            let start = at;
            at = token_end(text, start);
            let token = text.get(start..at)?;
            let is_comment = token.starts_with("//") || token.starts_with("/*");
            if !is_comment && !token.trim().is_empty() {
                return Some((start, token));
            }
        }
        None
    })
}

/// The letters that the engine leaves out when it counts columns: the `$` of
/// each `\${`, in the order of the text.
pub fn uncounted(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        at = nested_token_end(text, at, 0, &mut |rest| found.push(text.len() - rest.len()));
    }
    found
}

/// Strings inside strings inside strings: the engine's parser gives up much
/// earlier than this.
const DEEPEST: usize = 64;

/// The same within interpolated strings; `escaped` is told what begins with an
/// escaped `$`.
fn nested_token_end(
    text: &str,
    offset: usize,
    depth: usize,
    escaped: &mut dyn FnMut(&str),
) -> usize {
    let rest = text.get(offset..).unwrap_or_default();
    let Some(first) = rest.chars().next() else {
        return offset.min(text.len());
    };
    let length = match first {
        '"' | '\'' => quoted(rest, first),
        '`' => interpolated(rest, depth, escaped),
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

/// A string with escapes, up to the quote or the end of the line; two quotes
/// stand for one.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        match c {
            '\r' if next == Some('\n') => {}
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return at,
            c if c == quote && next == Some(quote) => drop(letters.next()),
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A back-quoted string; `${…}` inside may hold strings and blocks of its own.
fn interpolated(text: &str, depth: usize, escaped: &mut dyn FnMut(&str)) -> usize {
    if depth > DEEPEST {
        return text.len();
    }
    let mut at = 1;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        at = match c {
            '`' if rest.starts_with("``") => at + 2,
            '`' => return at + 1,
            '\\' if rest.starts_with("\\${") => {
                escaped(&rest[1..]);
                at + 2
            }
            '$' if rest.starts_with("${") => block_end(text, at + 1, depth + 1, escaped),
            _ => at + c.len_utf8(),
        };
    }
    text.len()
}

/// Behind the brace that closes the one at `open`.
fn block_end(text: &str, open: usize, nesting: usize, escaped: &mut dyn FnMut(&str)) -> usize {
    let mut depth = 0;
    let mut at = open;
    while let Some(c) = text[at..].chars().next() {
        let end = nested_token_end(text, at, nesting, escaped);
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
            (r#""a""b" + "c""#, r#""a""b""#),
            ("\"a\\\r\n b\" + 1", "\"a\\\r\n b\""),
            ("`a``${b}``` + `c`", "`a``${b}```"),
            ("`a \\${b` + `}`", "`a \\${b`"),
            ("'\"' + \"\"", "'\"'"),
            (r"'\'' + '`'", r"'\''"),
            ("`${'}'}` + 1", "`${'}'}`"),
        ];
        for (text, token) in cases {
            assert_eq!(&text[..token_end(text, 0)], token);
        }
    }
    #[test]
    fn escaped_dollars_are_not_counted() {
        let text = r"`\${a}` + '\\' + `b ${`\\${c}`} \$` // `\${d}`";
        let found = uncounted(text);
        let rest: Vec<_> = found.iter().map(|&at| &text[at..at + 3]).collect();
        assert_eq!(rest, ["${a", "${c"]);
    }
}
