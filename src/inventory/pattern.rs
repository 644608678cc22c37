//! Patterns: which hosts a play, or `--limit`, means.

use std::collections::BTreeSet;

use super::{ALL, Host, Inventory, InventoryError};
use crate::schema::closest;

impl Inventory {
    /// The hosts a pattern selects, in the order of their declaration: names,
    /// groups and globs separated by commas; `!` in front excludes; `all`.
    pub fn select(&self, pattern: &str) -> Result<Vec<&Host>, InventoryError> {
        let terms: Vec<_> = pattern
            .split(',')
            .map(str::trim)
            .filter(|term| !term.is_empty())
            .collect();
        if terms.is_empty() {
            return Err(InventoryError {
                message: "the pattern names no host".into(),
                word: pattern.into(),
                help: Some("Name hosts or groups, such as \"web1,db\", or \"all\".".into()),
            });
        }
        let mut chosen = BTreeSet::new();
        let mut excluded = BTreeSet::new();
        if terms.iter().all(|term| term.starts_with('!')) {
            chosen.extend(self.hosts.iter().map(|host| host.name.as_str()));
        }
        for term in terms {
            match term.strip_prefix('!') {
                Some(term) => excluded.extend(self.term(term.trim())?),
                None => chosen.extend(self.term(term)?),
            }
        }
        let is_chosen = |host: &&Host| {
            chosen.contains(host.name.as_str()) && !excluded.contains(host.name.as_str())
        };
        Ok(self.hosts.iter().filter(is_chosen).collect())
    }

    fn term(&self, term: &str) -> Result<Vec<&str>, InventoryError> {
        if let Some(host) = self.host(term) {
            return Ok(vec![&host.name]);
        }
        if term == ALL || self.group(term).is_some() {
            return Ok(self
                .members(term)
                .into_iter()
                .map(|host| host.name.as_str())
                .collect());
        }
        if !term.contains(['*', '?']) {
            return Err(self.unknown(term, "pattern"));
        }
        let hosts = self.hosts.iter().filter(|host| glob(term, &host.name));
        let groups = self.groups.iter().filter(|group| glob(term, &group.name));
        let members = groups.flat_map(|group| self.members(&group.name));
        let found: Vec<_> = hosts
            .chain(members)
            .map(|host| host.name.as_str())
            .collect();
        match found.is_empty() {
            true => Err(self.unknown(term, "glob")),
            false => Ok(found),
        }
    }

    pub(super) fn unknown(&self, word: &str, role: &str) -> InventoryError {
        let known: Vec<_> = self
            .hosts
            .iter()
            .map(|host| host.name.as_str())
            .chain(self.groups.iter().map(|group| group.name.as_str()))
            .collect();
        let help = match closest(word, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => "Declare hosts with host(…) first.".into(),
            None => format!("known hosts and groups: {}", known.join(", ")),
        };
        let message = match role {
            "glob" => format!("no host or group matches \"{word}\""),
            _ => format!("there is no host or group \"{word}\""),
        };
        InventoryError {
            message,
            word: word.into(),
            help: Some(help),
        }
    }
}

/// Whether `text` matches a pattern in which `*` stands for any text and `?`
/// for any character.
fn glob(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // The lengths of the prefixes of `text` that the pattern so far matches.
    let mut reached = BTreeSet::from([0]);
    for symbol in pattern.chars() {
        reached = match symbol {
            '*' => reached
                .first()
                .map_or_else(BTreeSet::new, |&from| (from..=text.len()).collect()),
            _ => reached
                .into_iter()
                .filter(|&at| text.get(at).is_some_and(|&c| symbol == '?' || c == symbol))
                .map(|at| at + 1)
                .collect(),
        };
    }
    reached.contains(&text.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::inventory;

    fn selected(pattern: &str) -> Vec<String> {
        let inventory = inventory();
        let hosts = inventory.select(pattern).expect("the pattern is right");
        hosts.into_iter().map(|host| host.name.clone()).collect()
    }

    #[test]
    fn patterns_select() {
        assert_eq!(selected("web"), ["web1", "web2"]);
        assert_eq!(selected("db1,web2"), ["web2", "db1"]);
        assert_eq!(selected("all,!web"), ["db1", "lb"]);
        assert_eq!(selected("!site"), ["lb"]);
        assert_eq!(selected("w*2, l?"), ["web2", "lb"]);
    }

    #[test]
    fn patterns_that_name_nothing_are_refused() {
        let inventory = inventory();
        let error = inventory.select("wbe1").expect_err("no such host");
        assert_eq!(error.message, "there is no host or group \"wbe1\"");
        assert_eq!(error.help.as_deref(), Some("did you mean \"web1\"?"));
        assert!(inventory.select("x*").is_err());
        assert!(inventory.select(" , ").is_err());
        assert!(inventory.select("all,!nobody").is_err());
    }
}
