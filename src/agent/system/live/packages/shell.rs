//! Just enough of a maintainer script: its commands as words, with plain
//! variables filled in. Which branches run is not known; those that debhelper
//! and Debian's habits write run on a first installation.

use std::collections::HashMap;

/// The commands of a script, in order.
pub fn commands(script: &str) -> Vec<Vec<String>> {
    let mut variables: HashMap<String, String> = HashMap::new();
    let mut commands = Vec::new();
    for line in script.replace("\\\n", " ").lines() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        for simple in split(line) {
            let Ok(words) = shell_words::split(&simple) else {
                continue;
            };
            let words: Vec<String> = words.iter().map(|word| fill(word, &variables)).collect();
            let words = without_keywords(words);
            if let [assignment] = &words[..]
                && let Some((name, value)) = assignment.split_once('=')
                && is_name(name)
            {
                variables.insert(name.to_owned(), value.to_owned());
            } else if !words.is_empty() {
                commands.push(words);
            }
        }
    }
    commands
}

/// Splits a line at `;`, `&&`, `||` and `|`, but not inside quotes, and drops
/// redirections.
fn split(line: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if open == letter => quote = None,
            (';' | '&' | '|', None) => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

fn without_keywords(words: Vec<String>) -> Vec<String> {
    const KEYWORDS: [&str; 8] = ["if", "then", "else", "elif", "do", "!", "{", "while"];
    words
        .into_iter()
        .skip_while(|word| KEYWORDS.contains(&word.as_str()))
        .take_while(|word| !word.starts_with(['>', '<']) && !word.starts_with("2>"))
        .collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Fills in `$NAME`, `${NAME}` and `${NAME:-default}`, as far as they are
/// known.
fn fill(word: &str, variables: &HashMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let (reference, remaining) = reference(after);
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (reference, None),
        };
        match variables.get(name).cloned().or(default) {
            Some(value) => filled.push_str(&value),
            None => filled.push_str(&format!("${{{reference}}}")),
        }
        rest = remaining;
    }
    filled + rest
}

fn reference(after: &str) -> (&str, &str) {
    if let Some((inside, rest)) = after
        .strip_prefix('{')
        .and_then(|after| after.split_once('}'))
    {
        return (inside, rest);
    }
    let end = after
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(after.len());
    after.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_with_their_variables_filled_in() {
        let script = r#"#!/bin/sh
USER=${GIVEN:-web}
# adduser nobody
if ! getent passwd "$USER" >/dev/null; then
    adduser --system --home "/var/lib/$USER" \
            --gecos "a; b" $USER >/dev/null || true
fi
chown "$UNKNOWN" /x
"#;
        assert_eq!(
            commands(script),
            [
                vec!["getent", "passwd", "web"],
                vec![
                    "adduser",
                    "--system",
                    "--home",
                    "/var/lib/web",
                    "--gecos",
                    "a; b",
                    "web"
                ],
                vec!["true"],
                vec!["fi"],
                vec!["chown", "${UNKNOWN}", "/x"],
            ]
        );
    }
}
