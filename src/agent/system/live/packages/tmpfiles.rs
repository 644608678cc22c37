//! The directories that a package's tmpfiles.d(5) file makes when it is
//! installed.

use std::path::{Path, PathBuf};

use crate::effect::Attributes;
use crate::system::{FileKind, PackagedFile};

/// The directories of a file; other kinds of lines are left out.
pub fn parse(text: &str) -> Vec<PackagedFile> {
    text.lines().filter_map(directory).collect()
}

/// Reads `d PATH MODE USER GROUP …`.
fn directory(line: &str) -> Option<PackagedFile> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (kind, path) = (words.first()?, words.get(1)?);
    // Specifiers such as `%i` differ by host.
    if !matches!(
        kind.trim_end_matches(['!', '-', '+', '=', '~']),
        "d" | "D" | "v" | "q"
    ) || path.contains('%')
        || !Path::new(path).is_absolute()
    {
        return None;
    }
    let word = |index: usize| words.get(index).copied().filter(|word| *word != "-");
    let mode = word(2).map(|mode| mode.trim_start_matches(['~', ':']));
    Some(PackagedFile {
        path: PathBuf::from(path),
        kind: FileKind::Directory,
        attributes: Attributes {
            owner: Some(word(3).unwrap_or("root").to_owned()),
            group: Some(word(4).unwrap_or("root").to_owned()),
            mode: Some(
                mode.and_then(|mode| u32::from_str_radix(mode, 8).ok())
                    .unwrap_or(0o755),
            ),
        },
        content: None,
        target: None,
        modified: None,
        configuration: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_read_and_the_rest_is_left() {
        let files = parse(
            "# x\nd /run/haproxy 2775 haproxy haproxy -\nL /a - - - - /b\nd /run/%i\nD! /run/y\n",
        );
        let paths: Vec<_> = files
            .iter()
            .map(|file| file.path.display().to_string())
            .collect();
        assert_eq!(paths, ["/run/haproxy", "/run/y"]);
        assert_eq!(files[0].attributes.mode, Some(0o2775));
        assert_eq!(files[1].attributes.mode, Some(0o755));
    }
}
