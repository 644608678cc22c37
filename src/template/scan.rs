//! Finds the tags of a template and the tokens inside them.
//!
//! minijinja's own parser tells where an expression ends but not always where
//! it starts, and is not a stable interface; `rewrite` needs exact places.
//! This lexer knows no grammar. Where it meets something it cannot read it
//! stops, and minijinja, which compiles the text afterwards, reports it.

use std::ops::Range;

use super::header::Delimiters;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or a keyword.
    Name,
    /// A string literal with its quotes.
    Text,
    /// An integer or a float.
    Number,
    /// An operator or a bracket.
    Sign,
}

/// A token and its place in the template.
#[derive(Debug, Clone)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub range: Range<usize>,
}

/// One tag of a template.
#[derive(Debug)]
pub enum Tag {
    /// `{{ … }}`
    Variable(Vec<Token>),
    /// `{% … %}`, the keyword being the first token.
    Block(Vec<Token>),
    /// `{% raw %}` whose following newline Jinja keeps; the place where its
    /// end delimiter starts.
    Raw(usize),
}

/// The tags of `text`, in order.
pub fn tags(text: &str, delimiters: &Delimiters) -> Vec<Tag> {
    let mut scanner = Scanner {
        text,
        delimiters,
        at: 0,
        found: Vec::new(),
    };
    // `None` means that the rest cannot be read.
    while scanner.next_tag().is_some() {}
    scanner.found
}

struct Scanner<'t> {
    text: &'t str,
    delimiters: &'t Delimiters,
    at: usize,
    found: Vec<Tag>,
}

#[derive(Clone, Copy)]
enum Start {
    Variable,
    Block,
    Comment,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next_tag(&mut self) -> Option<()> {
        let (offset, length, start) = self.next_start()?;
        self.at += offset + length;
        match start {
            Start::Comment => {
                let end = &self.delimiters.comment_end;
                self.at += self.rest().find(end.as_str())? + end.len();
            }
            Start::Variable => {
                let tokens = self.tokens(&self.delimiters.variable_end.clone())?;
                self.found.push(Tag::Variable(tokens));
            }
            Start::Block => self.block()?,
        }
        Some(())
    }

    /// The nearest start delimiter; of several at one place the longest.
    fn next_start(&self) -> Option<(usize, usize, Start)> {
        [
            (&self.delimiters.variable_start, Start::Variable),
            (&self.delimiters.block_start, Start::Block),
            (&self.delimiters.comment_start, Start::Comment),
        ]
        .into_iter()
        .filter_map(|(text, start)| Some((self.rest().find(text.as_str())?, text.len(), start)))
        .min_by_key(|(offset, length, _)| (*offset, usize::MAX - *length))
    }

    fn block(&mut self) -> Option<()> {
        let tokens = self.tokens(&self.delimiters.block_end.clone())?;
        let is_raw = matches!(&tokens[..], [only] if &self.text[only.range.clone()] == "raw");
        if !is_raw {
            self.found.push(Tag::Block(tokens));
            return Some(());
        }
        let end_tag = self.at - self.delimiters.block_end.len();
        if !self.text[..end_tag].ends_with(['-', '+']) {
            self.found.push(Tag::Raw(end_tag));
        }
        self.skip_raw()
    }

    fn skip_raw(&mut self) -> Option<()> {
        loop {
            let start = self.delimiters.block_start.as_str();
            self.at += self.rest().find(start)? + start.len();
            let inside = self.rest().trim_start_matches(['-', '+']).trim_start();
            if inside.starts_with("endraw") {
                let end = self.delimiters.block_end.as_str();
                self.at += self.rest().find(end)? + end.len();
                return Some(());
            }
        }
    }

    /// The tokens up to `end`, which is passed over.
    fn tokens(&mut self, end: &str) -> Option<Vec<Token>> {
        let mut tokens: Vec<Token> = Vec::new();
        let mut depth = 0usize;
        if self.rest().starts_with(['-', '+']) {
            self.at += 1;
        }
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            if depth == 0 {
                let rest = self.rest();
                let unsigned = rest.strip_prefix(['-', '+']).unwrap_or(rest);
                let close = if rest.starts_with(end) {
                    rest
                } else {
                    unsigned
                };
                if close.starts_with(end) {
                    self.at += rest.len() - close.len() + end.len();
                    return Some(tokens);
                }
            }
            let after_dot = tokens
                .last()
                .is_some_and(|token| &self.text[token.range.clone()] == ".");
            let token = self.token(after_dot)?;
            match &self.text[token.range.clone()] {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at = token.range.end;
            tokens.push(token);
        }
    }

    fn token(&self, after_dot: bool) -> Option<Token> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        let (kind, length) = match first {
            '"' | '\'' => (Kind::Text, quoted_length(rest)?),
            '0'..='9' => (Kind::Number, number_length(rest, after_dot)),
            c if c.is_alphabetic() || c == '_' => (Kind::Name, name_length(rest)),
            _ => (Kind::Sign, sign_length(rest)?),
        };
        Some(Token {
            kind,
            range: self.at..self.at + length,
        })
    }
}

fn quoted_length(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

/// After a dot a number is an index, so `a.0.1` holds two integers.
fn number_length(text: &str, after_dot: bool) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let more = bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_');
        from + more.count()
    };
    let mut end = digits(0);
    let fraction = bytes.get(end) == Some(&b'.');
    if !after_dot && fraction && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    let exponent =
        matches!(bytes[end - 1], b'e' | b'E') && matches!(bytes.get(end), Some(b'-' | b'+'));
    if exponent && !after_dot {
        end = digits(end + 1);
    }
    end
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn sign_length(text: &str) -> Option<usize> {
    const LONG: [&str; 6] = ["//", "**", "==", "!=", ">=", "<="];
    if LONG.iter().any(|sign| text.starts_with(sign)) {
        return Some(2);
    }
    let single = "+-*/%~<>=.,:|()[]{}!;";
    single.contains(text.chars().next()?).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(template: &str) -> Vec<Vec<&str>> {
        tags(template, &Delimiters::default())
            .iter()
            .map(|tag| match tag {
                Tag::Raw(_) => vec!["raw"],
                Tag::Variable(tokens) | Tag::Block(tokens) => {
                    let text = |token: &Token| &template[token.range.clone()];
                    tokens.iter().map(text).collect()
                }
            })
            .collect()
    }

    #[test]
    fn tags_are_split_into_tokens() {
        assert_eq!(
            texts("a {{- x.y['}}'] | f(1.5, a.0.1) -}} b {% if not x -%}{# {{ no }} #}"),
            [
                vec![
                    "x", ".", "y", "[", "'}}'", "]", "|", "f", "(", "1.5", ",", "a", ".", "0", ".",
                    "1", ")"
                ],
                vec!["if", "not", "x"],
            ]
        );
    }

    #[test]
    fn braces_of_a_map_do_not_end_a_tag() {
        assert_eq!(texts("{{ {'a': {}} }}x{{ b }}").len(), 2);
    }

    #[test]
    fn raw_text_is_passed_over() {
        assert_eq!(
            texts("{% raw %}{{ x }}{% endraw %}{{ y }}"),
            [vec!["raw"], vec!["y"]]
        );
    }
}
