//! What `apt-cache policy` says: candidates, and every version with the
//! releases it is in.

use std::collections::BTreeMap;

use crate::system::{Available, AvailableVersion, Found};

/// The answer for each of these names.
pub fn parse(text: &str, names: &[String]) -> BTreeMap<String, Found<Available>> {
    let mut offered = sections(text);
    let mut answers = BTreeMap::new();
    for name in names {
        // apt drops the host's own architecture from names.
        let bare = name.split(':').next().unwrap_or(name);
        let offer = offered.get(name.as_str()).or_else(|| offered.get(bare));
        answers.insert(name.clone(), Found::from(offer.cloned()));
    }
    offered.clear();
    answers
}

fn sections(text: &str) -> BTreeMap<&str, Available> {
    let mut sections: BTreeMap<&str, Available> = BTreeMap::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(':')
            && !line.starts_with(' ')
        {
            current = name;
            sections.entry(name).or_default();
        } else if let Some(section) = sections.get_mut(current) {
            add(section, line);
        }
    }
    sections
}

fn add(section: &mut Available, line: &str) {
    if let Some(candidate) = line.strip_prefix("  Candidate: ") {
        section.candidate = (candidate != "(none)").then(|| candidate.to_owned());
        return;
    }
    let words: Vec<&str> = line
        .trim_start_matches(" *** ")
        .split_whitespace()
        .collect();
    match words[..] {
        // A source: its priority, its address, and `release/component`.
        [priority, _address, release, _architecture, "Packages"]
            if priority.parse::<i32>().is_ok() =>
        {
            let release = release
                .rsplit_once('/')
                .map_or(release, |(release, _)| release);
            if let Some(version) = section.versions.last_mut() {
                version.releases.push(release.to_owned());
            }
        }
        [version, priority] if priority.parse::<i32>().is_ok() && !is_status(line) => {
            section.versions.push(AvailableVersion {
                version: version.to_owned(),
                releases: Vec::new(),
            });
        }
        _ => {}
    }
}

/// The line that names dpkg's own database as a source.
fn is_status(line: &str) -> bool {
    line.ends_with("/var/lib/dpkg/status")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "haproxy:
  Installed: 2.6.12-1
  Candidate: 2.6.12-1+deb12u4
  Version table:
     2.9.0-1~bpo12+1 100
        100 http://archive.example/debian bookworm-backports/main amd64 Packages
     2.6.12-1+deb12u4 500
        500 http://archive.example/debian-security bookworm-security/main amd64 Packages
 *** 2.6.12-1 500
        500 http://archive.example/debian bookworm/main amd64 Packages
        100 /var/lib/dpkg/status
mail-transport-agent:
  Installed: (none)
  Candidate: (none)
  Version table:
";

    #[test]
    fn candidates_versions_and_releases_are_read() {
        let names = ["haproxy:amd64", "mail-transport-agent", "nosuch"].map(str::to_owned);
        let answers = parse(TEXT, &names);
        let Found::Present(haproxy) = &answers["haproxy:amd64"] else {
            panic!("haproxy is offered");
        };
        assert_eq!(haproxy.candidate.as_deref(), Some("2.6.12-1+deb12u4"));
        let versions: Vec<_> = haproxy
            .versions
            .iter()
            .map(|version| (version.version.as_str(), version.releases.join(" ")))
            .collect();
        assert_eq!(
            versions,
            [
                ("2.9.0-1~bpo12+1", "bookworm-backports".to_owned()),
                ("2.6.12-1+deb12u4", "bookworm-security".to_owned()),
                ("2.6.12-1", "bookworm".to_owned()),
            ]
        );
        assert_eq!(
            answers["mail-transport-agent"],
            Found::Present(Available::default())
        );
        assert_eq!(answers["nosuch"], Found::Absent);
    }
}
