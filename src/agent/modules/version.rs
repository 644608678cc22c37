//! Versions of packages: Debian's order of them (Debian Policy 5.6.12), and
//! patterns that match them.

use std::cmp::Ordering;

/// Which of two versions is the higher one.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (Parts::of(one), Parts::of(other));
    one.epoch
        .cmp(&other.epoch)
        .then_with(|| compare_part(one.upstream, other.upstream))
        .then_with(|| compare_part(one.revision, other.revision))
}

struct Parts<'a> {
    epoch: u64,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        let (epoch, rest) = match version.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, version),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        Self {
            epoch,
            upstream,
            revision,
        }
    }
}

/// Compares text and numbers in turn, as dpkg does.
fn compare_part(mut one: &str, mut other: &str) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (text_one, text_other) = (take_text(&mut one), take_text(&mut other));
        let order = compare_text(text_one, text_other);
        if order != Ordering::Equal {
            return order;
        }
        let order = compare_numbers(take_number(&mut one), take_number(&mut other));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn take_text<'a>(part: &mut &'a str) -> &'a str {
    let end = part
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(part.len());
    take(part, end)
}

fn take_number<'a>(part: &mut &'a str) -> &'a str {
    let end = part
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(part.len());
    take(part, end)
}

fn take<'a>(part: &mut &'a str, end: usize) -> &'a str {
    let (taken, rest) = part.split_at(end);
    *part = rest;
    taken
}

/// A tilde comes before everything, even the end; letters before the rest.
fn compare_text(one: &str, other: &str) -> Ordering {
    let weight = |byte: Option<u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(letter),
        Some(other) => i32::from(other) + 256,
    };
    let at = |text: &str, index: usize| weight(text.as_bytes().get(index).copied());
    (0..one.len().max(other.len()))
        .map(|index| at(one, index).cmp(&at(other, index)))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// Numbers may be longer than any integer type.
fn compare_numbers(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Whether a version, or a file's name, matches a pattern with `*`, `?` and `[…]`.
pub fn matches(pattern: &str, version: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return version.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '*' => {
            let ends = version.char_indices().map(|(index, _)| index);
            ends.chain([version.len()])
                .any(|index| matches(rest, &version[index..]))
        }
        '[' if rest.contains(']') => {
            let (class, rest) = rest.split_once(']').unwrap_or_default();
            after_first(version, |letter| in_class(class, letter))
                .is_some_and(|version| matches(rest, version))
        }
        '?' => after_first(version, |_| true).is_some_and(|version| matches(rest, version)),
        literal => after_first(version, |letter| letter == literal)
            .is_some_and(|version| matches(rest, version)),
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

/// Whether a pattern stands for more than one version.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_debian_policy_says() {
        let ascending = [
            ("1.0~~", "1.0~~a"),
            ("1.0~~a", "1.0~"),
            ("1.0~", "1.0"),
            ("1.0", "1.0a"),
            ("1.0a", "1.0+b"),
            ("1.2", "1.10"),
            ("1.0", "1.0-1"),
            ("1.0-1", "1.0-1+deb12u1"),
            ("2.6.12-1+deb12u3", "2.6.12-1+deb12u4"),
            ("2.6.12-1~bpo12+1", "2.6.12-1"),
            ("9", "1:0.1"),
            ("1.0-2-1", "1.0-10-1"),
            ("7.2", "99999999999999999999999"),
        ];
        for (low, high) in ascending {
            assert_eq!(compare(low, high), Ordering::Less, "{low} < {high}");
            assert_eq!(compare(high, low), Ordering::Greater, "{high} > {low}");
        }
    }

    #[test]
    fn equal_versions_may_be_written_differently() {
        for (one, other) in [
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1.01", "1.1"),
            ("1.0", "1.0"),
        ] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} = {other}");
        }
    }

    #[test]
    fn patterns_match_whole_versions() {
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
        for (pattern, version, expected) in cases {
            assert_eq!(matches(pattern, version), expected, "{pattern} {version}");
        }
    }
}
