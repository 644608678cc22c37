//! Versions of packages: Debian's order of them (Debian Policy 5.6.12).

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
}
