//! What a repository calls the commit that is asked for.

/// A commit, and by what name it is there.
#[derive(Debug, PartialEq)]
pub struct Revision {
    /// `branch`, `tag` or `commit`.
    pub kind: &'static str,
    /// The branch's or tag's name, or the commit.
    pub name: String,
    /// The commit.
    pub commit: String,
}

impl Revision {
    /// A commit that is written out.
    pub fn of_commit(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (digits && text.len() == 40).then(|| Self {
            kind: "commit",
            name: text.to_lowercase(),
            commit: text.to_lowercase(),
        })
    }

    /// What `git ls-remote` says of a version: a branch before a tag, and of a
    /// tag the commit that it stands for.
    pub fn listed(list: &str, version: &str) -> Option<Self> {
        let lines: Vec<(&str, &str)> = list
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .collect();
        let named = |name: &str| {
            let found = lines.iter().find(|(_, known)| *known == name);
            found.map(|(commit, _)| (*commit).to_owned())
        };
        let revision = |kind, name: &str, commit| Self {
            kind,
            name: name.to_owned(),
            commit,
        };
        if version == "HEAD" {
            let branch = lines.iter().find_map(|(first, name)| {
                let first = first.strip_prefix("ref: refs/heads/")?;
                (*name == "HEAD").then_some(first)
            });
            let commit = lines
                .iter()
                .find(|(first, name)| *name == "HEAD" && !first.starts_with("ref:"));
            let commit = commit.map(|(commit, _)| (*commit).to_owned())?;
            return Some(match branch {
                Some(branch) => revision("branch", branch, commit),
                None => revision("commit", &commit.clone(), commit),
            });
        }
        if let Some(commit) = named(&format!("refs/heads/{version}")) {
            return Some(revision("branch", version, commit));
        }
        let peeled = named(&format!("refs/tags/{version}^{{}}"));
        let commit = peeled.or_else(|| named(&format!("refs/tags/{version}")))?;
        Some(revision("tag", version, commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_comes_before_a_tag_and_a_tag_leads_to_its_commit() {
        let list = "aa\trefs/heads/x\nbb\trefs/tags/x\ncc\trefs/tags/v1\ndd\trefs/tags/v1^{}\n";
        let found =
            |version| Revision::listed(list, version).map(|found| (found.kind, found.commit));
        assert_eq!(found("x"), Some(("branch", "aa".into())));
        assert_eq!(found("v1"), Some(("tag", "dd".into())));
        assert_eq!(found("v2"), None);
        let head = Revision::listed("ref: refs/heads/main\tHEAD\nee\tHEAD\n", "HEAD");
        let head = head.expect("it has one");
        assert_eq!(
            (head.kind, head.name.as_str(), head.commit.as_str()),
            ("branch", "main", "ee")
        );
    }
}
