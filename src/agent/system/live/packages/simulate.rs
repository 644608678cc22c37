//! What `apt-get --simulate` prints: a line for each package that comes,
//! changes or goes.

use crate::effect::PackageRequest;
use crate::system::Transaction;

/// What apt-get would do.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Packages that come or change.
    pub installed: Vec<Install>,
    /// Packages that go and leave their configuration.
    pub removed: Vec<String>,
    /// Packages that go wholly.
    pub purged: Vec<String>,
}

/// A package that comes or changes.
#[derive(Debug, PartialEq)]
pub struct Install {
    /// Its name, with `:arch` if it is foreign.
    pub name: String,
    /// The version that is replaced, if one is.
    pub replaces: Option<String>,
    /// The new version.
    pub version: String,
}

/// Reads what apt-get prints.
pub fn parse(text: &str) -> Plan {
    let mut plan = Plan::default();
    for line in text.lines() {
        let Some((verb, rest)) = line.split_once(' ') else {
            continue;
        };
        let name = rest.split(' ').next().unwrap_or(rest).to_owned();
        match verb {
            "Inst" => plan.installed.extend(install(name, rest)),
            "Remv" => plan.removed.push(name),
            "Purg" => plan.purged.push(name),
            _ => {}
        }
    }
    // A purge is printed as a removal first.
    plan.removed.retain(|name| !plan.purged.contains(name));
    plan
}

/// Reads `NAME [OLD] (NEW ORIGIN [ARCH])`.
fn install(name: String, rest: &str) -> Option<Install> {
    let (before, after) = rest.split_once(" (")?;
    let replaces = before
        .split_once(" [")
        .and_then(|(_, old)| old.strip_suffix(']'));
    Some(Install {
        name,
        replaces: replaces.map(str::to_owned),
        version: after.split([' ', ')']).next()?.to_owned(),
    })
}

impl Plan {
    /// The same, with nothing known yet of what the packages bring.
    pub fn transaction(&self) -> Transaction {
        let version = |package: &Install| (package.name.clone(), package.version.clone());
        Transaction {
            installed: self.installed.iter().map(version).collect(),
            removed: self.removed.clone(),
            purged: self.purged.clone(),
            ..Transaction::default()
        }
    }
}

/// apt drops the host's own architecture from names; later reads ask for the
/// names that were requested.
pub fn add_requested_names(transaction: &mut Transaction, packages: &[PackageRequest]) {
    for package in packages {
        let Some((bare, _)) = package.name.split_once(':') else {
            continue;
        };
        let known = |name: &str| {
            let found = transaction
                .installed
                .iter()
                .find(|(known, _)| known == name);
            found.map(|(_, version)| version.clone())
        };
        if known(&package.name).is_none()
            && let Some(version) = known(bare)
        {
            transaction.installed.push((package.name.clone(), version));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_simulation_is_understood() {
        let text = "Reading package lists...
0 upgraded, 2 newly installed, 1 to remove and 10 not upgraded.
Remv nginx-core [1.22.1-9]
Purg nginx-core [1.22.1-9]
Remv libold [1]
Inst liblua5.3-0 (5.3.6-2 Debian:12.15/oldstable [amd64])
Inst haproxy [2.6.12-1] (2.6.12-1+deb12u4 Debian-Security:12/oldstable-security [amd64]) []
Inst libc6:i386 (2.36-9 Debian:12.15/oldstable [i386])
Conf haproxy (2.6.12-1+deb12u4 Debian-Security:12/oldstable-security [amd64])
";
        let plan = parse(text);
        let install = |name: &str, replaces: Option<&str>, version: &str| Install {
            name: name.to_owned(),
            replaces: replaces.map(str::to_owned),
            version: version.to_owned(),
        };
        assert_eq!(
            plan.installed,
            [
                install("liblua5.3-0", None, "5.3.6-2"),
                install("haproxy", Some("2.6.12-1"), "2.6.12-1+deb12u4"),
                install("libc6:i386", None, "2.36-9"),
            ]
        );
        assert_eq!(plan.removed, ["libold"]);
        assert_eq!(plan.purged, ["nginx-core"]);
    }

    #[test]
    fn a_package_is_found_by_the_name_it_was_requested_by() {
        let mut transaction = Transaction {
            installed: vec![("cron".to_owned(), "3.0".to_owned())],
            ..Transaction::default()
        };
        let request = PackageRequest {
            name: "cron:amd64".to_owned(),
            version: None,
        };
        add_requested_names(&mut transaction, &[request]);
        assert_eq!(
            transaction.installed[1],
            ("cron:amd64".to_owned(), "3.0".to_owned())
        );
    }
}
