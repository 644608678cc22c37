//! Lists of checksums, as sha256sum prints them.

use std::path::{Component, Path};

/// Whether a text can be a SHA-256.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The digest of the file at `path`, which a list may name by any last part of
/// that; the longest counts. A list of one digest needs no name. Nothing if
/// there is none, or if it could be either of two.
pub fn listed(list: &str, path: &str) -> Option<String> {
    let lines: Vec<(String, &str)> = list.lines().filter_map(line).collect();
    if let [(digest, "")] = &lines[..] {
        return Some(digest.clone());
    }
    let fits = |(digest, file): &(String, &str)| {
        let parts = Path::new(file).components();
        let parts = parts.filter(|part| matches!(part, Component::Normal(_)));
        let common = parts
            .rev()
            .zip(Path::new(path).components().rev())
            .take_while(|(one, other)| one == other)
            .count();
        (common > 0).then(|| (common, digest.clone()))
    };
    let fitting: Vec<(usize, String)> = lines.iter().filter_map(fits).collect();
    let longest = fitting.iter().map(|(common, _)| *common).max()?;
    let mut best = fitting.into_iter().filter(|(common, _)| *common == longest);
    let (_, digest) = best.next()?;
    best.all(|(_, other)| other == digest).then_some(digest)
}

/// A digest and the file it is of, if the line has one.
fn line(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    let (digest, file) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let file = file.trim_start().trim_start_matches('*');
    is_sha256(digest).then(|| (digest.to_lowercase(), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_last_part_of_the_path_counts() {
        let [a, b, c] = ["a", "b", "c"].map(|digit| digit.repeat(64));
        let list = format!("{a}  amd64/tool\n{b} *./arm64/tool\n{c}  other\n# {a}\n");
        for (path, expected) in [
            ("v1/amd64/tool", Some(&a)),
            ("v1/arm64/tool", Some(&b)),
            ("v1/other", Some(&c)),
            // It could be either.
            ("v1/tool", None),
            ("v1/none", None),
        ] {
            assert_eq!(listed(&list, path).as_ref(), expected, "{path}");
        }
        assert_eq!(listed(&format!("{a}\n"), "v1/x"), Some(a.clone()));
        // Two without names say nothing of which is whose.
        assert_eq!(listed(&format!("{a}\n{b}\n"), "v1/x"), None);
        assert_eq!(listed(&format!("{a}  x\n{b}  y/x\n"), "x"), None);
        assert_eq!(listed(&format!("{a}  x\n{b}  y/x\n"), "y/x"), Some(b));
    }
}
