//! One rule of a `pg_hba.conf`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::module::Result;
use crate::modules::arguments::OneOrMany;
use crate::outcome::Failure;

/// A rule as a script writes it.
#[derive(Deserialize, JsonSchema)]
pub struct RuleArguments {
    /// Which connections it is for.
    #[serde(rename = "type")]
    kind: Kind,
    /// The databases, or `all`.
    #[serde(default = "all")]
    databases: OneOrMany<String>,
    /// The roles, or `all`; `+name` for the members of a role.
    #[serde(default = "all")]
    users: OneOrMany<String>,
    /// Where a connection comes from: a network such as `10.0.0.0/8`, a host
    /// name, `all`, `samehost` or `samenet`; not for `local`.
    address: Option<String>,
    /// How a client proves who it is, such as `scram-sha-256` or `peer`.
    method: Option<String>,
    /// Options of the method, such as `#{ map: "admins" }`.
    #[serde(default)]
    options: BTreeMap<String, String>,
}

fn all() -> OneOrMany<String> {
    OneOrMany(vec!["all".to_owned()])
}

/// Which connections a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Those over the local socket.
    Local,
    /// Those over TCP, encrypted or not.
    Host,
    /// Those over TCP with TLS.
    HostSsl,
    /// Those over TCP without TLS.
    HostNoSsl,
    /// Those over TCP that GSSAPI encrypts.
    HostGssEnc,
    /// Those over TCP that GSSAPI does not encrypt.
    HostNoGssEnc,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Local, "local"),
    (Kind::Host, "host"),
    (Kind::HostSsl, "hostssl"),
    (Kind::HostNoSsl, "hostnossl"),
    (Kind::HostGssEnc, "hostgssenc"),
    (Kind::HostNoGssEnc, "hostnogssenc"),
];

/// What servers know; another word would keep them from reading any rule.
const METHODS: [&str; 15] = [
    "trust",
    "reject",
    "scram-sha-256",
    "md5",
    "password",
    "gss",
    "sspi",
    "ident",
    "peer",
    "ldap",
    "radius",
    "cert",
    "pam",
    "bsd",
    "oauth",
];

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    kind: Kind,
    databases: Vec<String>,
    users: Vec<String>,
    address: String,
    method: String,
    options: Vec<(String, String)>,
}

impl RuleArguments {
    /// The rule, if a server takes it.
    pub fn checked(&self, complete: bool) -> Result<Rule> {
        let address = self.address.clone().unwrap_or_default();
        let method = self.method.clone().unwrap_or_default();
        let texts = [&self.databases.0, &self.users.0].into_iter().flatten();
        let texts = texts
            .chain(self.options.keys())
            .chain(self.options.values());
        if let Some(text) = texts
            .chain([&address])
            .find(|text| text.contains(['\n', '\r']) || text.ends_with('\\'))
        {
            return Err(Failure::new(format!("`{text}` does not fit on one line")));
        }
        if self.databases.0.is_empty() || self.users.0.is_empty() {
            return Err(Failure::new("a rule needs a database and a user")
                .hint("Leave them out, or write `all`, for any."));
        }
        match (self.kind, address.as_str()) {
            (Kind::Local, "") => {}
            (Kind::Local, _) => {
                return Err(Failure::new("a rule of type `local` has no address"));
            }
            (_, "") => {
                return Err(Failure::new("a rule for TCP needs an `address`")
                    .hint("Write a network such as `10.0.0.0/8`, or `all`."));
            }
            (_, address) if address.contains(is_apart) => {
                return Err(Failure::new(format!("`{address}` is not an address"))
                    .hint("Write one network such as `10.0.0.0/8`, a host's name, or `all`."));
            }
            _ => {}
        }
        if complete && !METHODS.contains(&method.as_str()) {
            return Err(Failure::new(match &self.method {
                Some(method) => format!("`{method}` is not a method of authentication"),
                None => "a rule needs a `method`".to_owned(),
            })
            .hint(format!("There are {}.", METHODS.join(", "))));
        }
        let options = self.options.clone();
        Ok(Rule {
            kind: self.kind,
            databases: names(self.databases.0.iter().map(|name| own(name))),
            users: names(self.users.0.iter().map(|name| own(name))),
            address: network(&address, None).unwrap_or_else(|| address.to_lowercase()),
            method,
            options: options.into_iter().collect(),
        })
    }
}

impl Rule {
    /// Whether both are about the same connections.
    pub fn is_about_same(&self, other: &Self) -> bool {
        let about = |rule: &Self| (rule.kind, rule.databases.clone(), rule.users.clone());
        about(self) == about(other) && self.address == other.address
    }

    /// The rule that a line is, if it is one that is understood.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = fields(line)?.into_iter();
        let word = fields.next()?;
        let (kind, _) = KINDS.into_iter().find(|(_, name)| *name == word)?;
        let databases = names(list(&fields.next()?));
        let users = names(list(&fields.next()?));
        let mut address = String::new();
        let mut method = fields.next()?;
        if kind != Kind::Local {
            address = unquote(&method);
            method = fields.next()?;
            // An old way to write a network: address and mask apart.
            if let Some(both) = network(&address, Some(&method)) {
                address = both;
                method = fields.next()?;
            }
        }
        let options = fields.map(|option| {
            let option = unquote(&option);
            let (name, value) = option.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        let mut options: Vec<_> = options.collect::<Option<_>>()?;
        options.sort();
        Some(Self {
            kind,
            databases,
            users,
            address: network(&address, None).unwrap_or_else(|| address.to_lowercase()),
            method: unquote(&method),
            options,
        })
    }

    /// The rule as a line.
    pub fn line(&self) -> String {
        let kind = KINDS.iter().find(|(kind, _)| *kind == self.kind);
        let kind = kind.map_or("", |(_, name)| name);
        let (databases, users) = (self.databases.join(","), self.users.join(","));
        let address = &self.address;
        let mut line = format!(
            "{kind:<7} {databases:<15} {users:<15} {address:<23} {}",
            self.method
        );
        for (name, value) in &self.options {
            line += &format!(" {}", quote(&format!("{name}={value}"), false));
        }
        line
    }
}

/// The fields of a line, quotes and all; none if a quote is left open.
fn fields(line: &str) -> Option<Vec<String>> {
    let line = line.replace("\\\n", "");
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        let field = fields.last_mut()?;
        match letter {
            '"' => {
                quoted = !quoted;
                field.push(letter);
            }
            '#' if !quoted => break,
            // A list may have spaces after its commas.
            letter if letter.is_whitespace() && !quoted => {
                if !field.is_empty() && !field.ends_with(',') {
                    fields.push(String::new());
                }
            }
            letter => field.push(letter),
        }
    }
    fields.retain(|field| !field.is_empty());
    (!quoted).then_some(fields)
}

/// The names of a list, each as it is written if it needs quotes.
fn list(field: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut quoted = false;
    for letter in field.chars() {
        match letter {
            ',' if !quoted => items.push(String::new()),
            letter => {
                quoted ^= letter == '"';
                items.last_mut().expect("one at least").push(letter);
            }
        }
    }
    let plain = |item: String| match item.contains('"') {
        true => quote(&unquote(&item), true),
        false => item,
    };
    items.into_iter().map(plain).collect()
}

/// A name as a script writes it: a keyword means what it means in the file.
fn own(name: &str) -> String {
    quote(name, false)
}

/// Quotes what would be taken apart; `literally` also what would be a keyword.
fn quote(text: &str, literally: bool) -> String {
    let keyword = ["all", "sameuser", "samerole", "samegroup", "replication"].contains(&text)
        || text.starts_with(['+', '@', '/']);
    match text.is_empty() || text.contains(is_apart) || (literally && keyword) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// Whether a letter ends a field or a name, unless it is quoted.
fn is_apart(letter: char) -> bool {
    letter.is_whitespace() || ",\"#".contains(letter)
}

/// Two quotes within quotes stand for one.
fn unquote(text: &str) -> String {
    let mut plain = String::new();
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                plain.push('"');
            }
            '"' => quoted = !quoted,
            letter => plain.push(letter),
        }
    }
    plain
}

fn names(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort();
    names.dedup();
    names
}

/// A network in its usual form, from `address/length` or address and mask.
fn network(address: &str, mask: Option<&str>) -> Option<String> {
    let (address, length) = match (mask, address.split_once('/')) {
        (None, Some((address, length))) => (address, length.parse().ok()?),
        (Some(mask), None) => (address, ones(mask.parse().ok()?)?),
        _ => return None,
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    (length <= longest).then(|| format!("{address}/{length}"))
}

/// How many ones a mask begins with, if only zeros follow.
fn ones(mask: IpAddr) -> Option<u32> {
    let (bits, width) = match mask {
        IpAddr::V4(mask) => (u128::from(mask.to_bits()) << 96, 32),
        IpAddr::V6(mask) => (mask.to_bits(), 128),
    };
    let ones = bits.leading_ones();
    (bits.count_ones() == ones && ones <= width).then_some(ones)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(line: &str) -> String {
        let rule = Rule::parse(line).unwrap_or_else(|| panic!("`{line}` is a rule"));
        let again = Rule::parse(&rule.line());
        assert_eq!(again.as_ref(), Some(&rule), "`{}`", rule.line());
        rule.line().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_line_is_read_and_written_alike() {
        let cases = [
            ("local all postgres peer", "local all postgres peer"),
            (
                "host\tb,a  \"all\",x ::1/128 md5",
                "host a,b \"all\",x ::1/128 md5",
            ),
            (
                "host all all 10.1.0.0 255.255.0.0 md5 # old",
                "host all all 10.1.0.0/16 md5",
            ),
            (
                "hostssl all \"a b\",\"q\"\"\" .Example.com cert map=x clientname=DN",
                "hostssl all \"a b\",\"q\"\"\" .example.com cert clientname=DN map=x",
            ),
            (
                "host all, x all all ldap \"ldapprefix=cn= x\"",
                "host all,x all all ldap \"ldapprefix=cn= x\"",
            ),
            (
                "host all \\\n all samenet trust",
                "host all all samenet trust",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(about(line), expected);
        }
    }

    #[test]
    fn what_is_not_understood_is_no_rule() {
        for line in [
            "",
            "# local all all peer",
            "include_dir hba.d",
            "local all",
            "host all \"open md5",
            "host all all 10.0.0.0/8",
            "nosuch all all peer",
        ] {
            assert_eq!(Rule::parse(line), None, "`{line}`");
        }
    }

    #[test]
    fn a_mask_with_a_hole_is_none() {
        assert_eq!(network("10.0.0.0", Some("255.0.255.0")), None);
        assert_eq!(network("10.0.0.0/33", None), None);
        assert_eq!(network("fe80::", Some("ffff::")), Some("fe80::/16".into()));
    }
}
