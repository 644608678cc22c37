//! One package as a script asks for it: `name`, `name=1.2*`, `name/release`,
//! `name:arch`.

use crate::module::Result;
use crate::modules::glob;
use crate::outcome::Failure;
use crate::system::Available;

/// A package that is asked for.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// Its name, with `:arch` where given.
    pub name: String,
    /// Which version of it.
    pub release: Release,
}

/// Which version of a package.
#[derive(Debug, PartialEq)]
pub enum Release {
    /// The one that apt would choose.
    Candidate,
    /// One that matches a pattern.
    Version(String),
    /// The one of a release, such as `bookworm-backports`.
    Suite(String),
}

impl Release {
    /// Whether a version that is installed will do without looking further.
    pub fn accepts(&self, installed: &str) -> bool {
        match self {
            Self::Candidate => true,
            Self::Version(pattern) => glob::matches(pattern, installed),
            Self::Suite(_) => false,
        }
    }
}

impl Request {
    /// Reads what a script says.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let (name, release) = if let Some((name, version)) = text.split_once('=') {
            (name, Release::Version(version.to_owned()))
        } else if let Some((name, suite)) = text.split_once('/') {
            (name, Release::Suite(suite.to_owned()))
        } else {
            (text, Release::Candidate)
        };
        let allowed = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "+-.:".contains(letter)
        };
        let begins = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        let complete =
            !matches!(&release, Release::Version(text) | Release::Suite(text) if text.is_empty());
        if !begins || !complete || !name.chars().all(allowed) {
            let mut failure = Failure::new(format!("`{text}` does not name a package")).hint(
                "Write `name`, `name=version`, `name/release` or `name:arch`; names are in lower case.",
            );
            failure.argument = Some("name".to_owned());
            return Err(failure);
        }
        Ok(Self {
            name: name.to_owned(),
            release,
        })
    }

    /// The version to install; none for a virtual package.
    pub fn choose(&self, available: &Available) -> Result<Option<String>> {
        let chosen = match &self.release {
            Release::Candidate => return Ok(available.candidate.clone()),
            Release::Version(pattern) if available.anything => return Ok(Some(any(pattern))),
            Release::Suite(_) if available.anything => return Ok(available.candidate.clone()),
            Release::Version(pattern) => available
                .versions
                .iter()
                .find(|offer| glob::matches(pattern, &offer.version)),
            Release::Suite(suite) => available
                .versions
                .iter()
                .find(|offer| offer.releases.contains(suite)),
        };
        match chosen {
            Some(offer) => Ok(Some(offer.version.clone())),
            None => Err(self.not_offered(available)),
        }
    }

    fn not_offered(&self, available: &Available) -> Failure {
        let asked = match &self.release {
            Release::Candidate => self.name.clone(),
            Release::Version(pattern) => format!("{}={pattern}", self.name),
            Release::Suite(suite) => format!("{}/{suite}", self.name),
        };
        let offers: Vec<String> = available
            .versions
            .iter()
            .map(|offer| format!("{} ({})", offer.version, offer.releases.join(", ")))
            .collect();
        let mut failure = Failure::new(format!("the package lists do not have {asked}")).hint(
            match offers.is_empty() {
                true => "They have no version of it.".to_owned(),
                false => format!("They have {}.", offers.join(", ")),
            },
        );
        failure.argument = Some("name".to_owned());
        failure
    }
}

/// A version that matches a pattern, where every version can be had.
fn any(pattern: &str) -> String {
    pattern.replace('*', "").replace('?', "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::AvailableVersion;

    fn offers() -> Available {
        let offer = |version: &str, release: &str| AvailableVersion {
            version: version.to_owned(),
            releases: vec![release.to_owned()],
        };
        Available {
            candidate: Some("2.6.12-1".to_owned()),
            versions: vec![
                offer("2.9.1-1~bpo12+1", "bookworm-backports"),
                offer("2.6.12-1", "bookworm"),
                offer("2.6.1-1", "bookworm"),
            ],
            anything: false,
        }
    }

    fn chosen(text: &str) -> Result<Option<String>> {
        Request::parse(text)?.choose(&offers())
    }

    #[test]
    fn the_best_version_that_is_asked_for_is_chosen() {
        let cases = [
            ("haproxy", "2.6.12-1"),
            ("haproxy=2.6*", "2.6.12-1"),
            ("haproxy=2.6.1-1", "2.6.1-1"),
            ("haproxy/bookworm-backports", "2.9.1-1~bpo12+1"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                chosen(text).expect(text).as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn a_version_nobody_offers_is_refused_with_those_there_are() {
        let failure = chosen("haproxy=3*").expect_err("there is none");
        assert!(failure.message.contains("haproxy=3*"), "{failure}");
        assert!(failure.hint.is_some_and(|hint| hint.contains("2.6.1-1")));
    }

    #[test]
    fn where_every_version_is_there_the_pattern_matches_the_one_chosen() {
        let anything = Available {
            anything: true,
            ..Available::default()
        };
        for pattern in ["2.6*", "1:15.?", "7"] {
            let request = Request::parse(&format!("a={pattern}")).expect(pattern);
            let version = request.choose(&anything).expect(pattern).expect(pattern);
            assert!(request.release.accepts(&version), "{pattern} {version}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "-y", "php*", "Haproxy", "a b", "a=", "a/", "--purge"] {
            assert!(Request::parse(text).is_err(), "{text}");
        }
    }
}
