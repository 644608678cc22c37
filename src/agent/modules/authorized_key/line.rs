//! A line of `authorized_keys`, as sshd(8) describes it.

use std::fmt;

/// A key with its options and comment.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyLine {
    /// What comes before the key; may be empty.
    pub options: String,
    /// The key's type, such as `ssh-ed25519`.
    pub kind: String,
    /// The key itself, in base64.
    pub blob: String,
    /// What comes after the key; may be empty.
    pub comment: String,
}

impl KeyLine {
    /// Reads a line that has a key in it.
    pub fn parse(line: &str) -> Option<Self> {
        let (options, rest) = match split_word(line)? {
            (kind, _) if is_type(kind) => ("", line),
            (options, rest) => (options, rest),
        };
        let (kind, rest) = split_word(rest)?;
        let (blob, comment) = split_word(rest)?;
        (is_type(kind) && is_blob(blob)).then(|| Self {
            options: options.to_owned(),
            kind: kind.to_owned(),
            blob: blob.to_owned(),
            comment: comment.trim().to_owned(),
        })
    }

    /// Whether it is the same key, whatever its options and comment.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.kind == other.kind && self.blob == other.blob
    }
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [&self.options, &self.kind, &self.blob, &self.comment];
        let words: Vec<&str> = words.into_iter().map(String::as_str).collect();
        let given = words.into_iter().filter(|word| !word.is_empty());
        f.write_str(&given.collect::<Vec<_>>().join(" "))
    }
}

/// The first word and what follows it; options may have spaces in quotes.
fn split_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let mut quoted = false;
    let mut escaped = false;
    let end = text.find(|c: char| {
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && !escaped;
        !quoted && c.is_ascii_whitespace()
    });
    match end.unwrap_or(text.len()) {
        0 => None,
        end => Some((&text[..end], &text[end..])),
    }
}

fn is_type(word: &str) -> bool {
    let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"];
    known.iter().any(|start| word.starts_with(start))
}

/// Every key starts with the length of its type: three bytes that are zero.
fn is_blob(word: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    word.starts_with("AAAA") && word.len() > 32 && word.chars().all(is_base64)
}
