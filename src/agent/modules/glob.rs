//! Patterns with `*`, `?` and `[…]`, as shells have them.

/// Whether a text, such as a version or a file's name, matches a pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return text.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '*' => {
            let ends = text.char_indices().map(|(index, _)| index);
            ends.chain([text.len()])
                .any(|index| matches(rest, &text[index..]))
        }
        '[' if rest.contains(']') => {
            let (class, rest) = rest.split_once(']').unwrap_or_default();
            after_first(text, |letter| in_class(class, letter))
                .is_some_and(|text| matches(rest, text))
        }
        '?' => after_first(text, |_| true).is_some_and(|text| matches(rest, text)),
        literal => {
            after_first(text, |letter| letter == literal).is_some_and(|text| matches(rest, text))
        }
    }
}

fn after_first(text: &str, accepts: impl Fn(char) -> bool) -> Option<&str> {
    let first = text.chars().next()?;
    accepts(first).then(|| &text[first.len_utf8()..])
}

fn in_class(class: &str, letter: char) -> bool {
    let (negated, class) = match class.strip_prefix('!') {
        Some(class) => (true, class),
        None => (false, class),
    };
    let letters: Vec<char> = class.chars().collect();
    let in_range =
        |range: &[char]| matches!(range, [low, '-', high] if (*low..=*high).contains(&letter));
    (letters.contains(&letter) || letters.windows(3).any(in_range)) != negated
}

/// Whether a text is a pattern, and stands for more than itself.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let cases = [
            ("1.2*", "1.2.3-1", true),
            ("1.2*", "1.20", true),
            ("1.2.*", "1.20", false),
            ("2.6.12-1+deb12u?", "2.6.12-1+deb12u4", true),
            ("2.6.12", "2.6.12-1", false),
            ("[23].*-1", "3.0-1", true),
            ("[!23].*", "3.0-1", false),
            ("[1-3].0", "2.0", true),
            ("*", "", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
