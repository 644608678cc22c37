//! Which commit a repository has for a version.

/// A commit that is written out.
pub fn whole_commit(text: &str) -> Option<String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits && text.len() == 40).then(|| text.to_lowercase())
}

/// The commit in what `git ls-remote` lists: that of a tag before that of a
/// branch, as `git fetch` takes them, and not the tag's own.
pub fn listed(list: &str, version: &str) -> Option<String> {
    let names = [
        format!("refs/tags/{version}^{{}}"),
        format!("refs/tags/{version}"),
        format!("refs/heads/{version}"),
        version.to_owned(),
    ];
    let commit = |name: &String| {
        let mut lines = list.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(_, known)| known == name)
    };
    let (commit, _) = names.iter().find_map(commit)?;
    Some(commit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_before_a_branch_and_leads_to_its_commit() {
        let list = "ee\tHEAD\naa\trefs/heads/x\nbb\trefs/tags/x\ncc\trefs/heads/y\ndd\trefs/tags/v1\nff\trefs/tags/v1^{}\n";
        let found = |version| listed(list, version);
        assert_eq!(found("HEAD").as_deref(), Some("ee"));
        assert_eq!(found("x").as_deref(), Some("bb"));
        assert_eq!(found("y").as_deref(), Some("cc"));
        assert_eq!(found("v1").as_deref(), Some("ff"));
        assert_eq!(found("v2"), None);
    }
}
