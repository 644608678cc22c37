//! The known_hosts format of OpenSSH: plain and hashed names, ports,
//! wildcards, negation, and the markers `@revoked` and `@cert-authority`.
//!
//! libssh2 has a parser, but it takes markers for host names, so that it
//! accepts revoked keys, and it gives a whole file up at its first bad line.
//! Here a line that makes no sense is skipped and hides nothing after it.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::files;

/// The entries of all files, in order.
#[derive(Debug, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

/// What the entries say of a key. Places are `file:line`.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It is the host's.
    Known,
    /// Nothing is known of the host, but perhaps an authority that may vouch
    /// for it.
    Unknown {
        /// Where a certificate authority is trusted for the host.
        authority: Option<String>,
    },
    /// A key of another type is known from here, none of this type.
    OtherType(String),
    /// Another key of this type is known from here.
    Changed(String),
    /// Here the key is declared compromised.
    Revoked(String),
}

#[derive(Debug)]
struct Entry {
    role: Role,
    names: Names,
    key_type: String,
    key: Vec<u8>,
    place: String,
}

#[derive(Debug, PartialEq)]
enum Role {
    Host,
    Authority,
    Revoked,
}

#[derive(Debug)]
enum Names {
    Patterns(Vec<String>),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

impl KnownHosts {
    /// Adds what `text`, the content of `file`, says.
    pub fn add(&mut self, file: &Path, text: &[u8]) {
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        self.entries.extend(lines.filter_map(|(index, line)| {
            let line = std::str::from_utf8(line).ok()?;
            Entry::parse(line, format!("{}:{}", file.display(), index + 1))
        }));
    }

    /// The types of the keys that are known of a host.
    pub fn key_types(&self, address: &str, port: u16) -> Vec<&str> {
        self.of(address, port)
            .filter(|entry| entry.role == Role::Host)
            .map(|entry| entry.key_type.as_str())
            .collect()
    }

    /// Judges the key that a host shows.
    pub fn judge(&self, address: &str, port: u16, key: &[u8]) -> Verdict {
        let named: Vec<_> = self.of(address, port).collect();
        let same = |role| {
            named
                .iter()
                .find(|entry| entry.role == role && entry.key == key)
        };
        let known = || named.iter().filter(|entry| entry.role == Role::Host);
        if let Some(entry) = same(Role::Revoked) {
            return Verdict::Revoked(entry.place.clone());
        }
        if same(Role::Host).is_some() {
            return Verdict::Known;
        }
        if let Some(entry) = known().find(|entry| entry.key_type == key_type(key)) {
            return Verdict::Changed(entry.place.clone());
        }
        if let Some(entry) = known().next() {
            return Verdict::OtherType(entry.place.clone());
        }
        let authority = named.iter().find(|entry| entry.role == Role::Authority);
        Verdict::Unknown {
            authority: authority.map(|entry| entry.place.clone()),
        }
    }

    /// The entries that speak of a host. One on another port than 22 has
    /// entries of its own; only where it has none, those of its bare name
    /// count, as they do for ssh.
    fn of(&self, address: &str, port: u16) -> impl Iterator<Item = &Entry> {
        let bare = address.to_lowercase();
        let full = match port {
            22 => bare.clone(),
            port => format!("[{bare}]:{port}"),
        };
        let own = self
            .entries
            .iter()
            .any(|entry| entry.role == Role::Host && entry.names.mean(&full));
        self.entries.iter().filter(move |entry| {
            entry.names.mean(&full)
                || ((!own || entry.role == Role::Revoked) && entry.names.mean(&bare))
        })
    }
}

/// How a server is named in the files.
pub fn name(address: &str, port: u16) -> String {
    match port {
        22 => address.to_owned(),
        port => format!("[{address}]:{port}"),
    }
}

/// Whether a text is a public key, as type and key, and nothing else: what a
/// host says of a server must not become a line of another one.
pub fn is_key(text: &str) -> bool {
    let Some((named_type, key)) = text.split_once(' ') else {
        return false;
    };
    // Whatever else it held, the key written anew would not be the same.
    STANDARD.decode(key).is_ok_and(|blob| {
        !blob.is_empty() && key_type(&blob) == named_type && STANDARD.encode(&blob) == key
    })
}

/// The lines that say that these are a server's keys, each given as type and
/// key (see [`is_key`]).
pub fn lines(address: &str, port: u16, keys: &[String]) -> String {
    let name = name(address, port);
    keys.iter().map(|key| format!("{name} {key}\n")).collect()
}

/// Keeps these keys, and no others, as a server's in `file`; whether it had to
/// be written. Lines of other servers, and those that name several, stay.
pub fn record(file: &Path, address: &str, port: u16, keys: &[String]) -> io::Result<bool> {
    let _lock = files::Lock::of(file)?;
    let old = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let name = name(address, port).to_lowercase();
    let of_server = |line: &&str| {
        let first = line.split_whitespace().next();
        first.is_some_and(|first| first.to_lowercase() == name)
    };
    let wanted = lines(address, port, keys);
    let is_known = |line: &str| old.lines().any(|known| known.trim() == line);
    if keys.is_empty()
        || (wanted.lines().all(is_known) && old.lines().filter(of_server).count() == keys.len())
    {
        return Ok(false);
    }
    let mut new: String = old
        .lines()
        .filter(|line| !of_server(line))
        .map(|line| format!("{line}\n"))
        .collect();
    new += &wanted;
    files::replace(file, new.as_bytes(), 0o600)?;
    Ok(true)
}

impl Entry {
    /// The entry of a line; none for comments, blanks and nonsense.
    fn parse(line: &str, place: String) -> Option<Self> {
        let mut words = line.split_whitespace().peekable();
        let role = match words.next_if(|word| word.starts_with('@')) {
            None => Role::Host,
            Some("@revoked") => Role::Revoked,
            Some("@cert-authority") => Role::Authority,
            Some(_) => return None,
        };
        let names = words.next().filter(|word| !word.starts_with('#'))?;
        let named_type = words.next()?;
        let key = STANDARD.decode(words.next()?).ok()?;
        // The word before the key is a promise that the key must keep.
        if key_type(&key) != named_type {
            return None;
        }
        Some(Self {
            role,
            names: Names::parse(names)?,
            key_type: named_type.to_owned(),
            key,
            place,
        })
    }
}

impl Names {
    fn parse(word: &str) -> Option<Self> {
        let Some(hashed) = word.strip_prefix("|1|") else {
            return Some(Self::Patterns(
                word.split(',').map(str::to_lowercase).collect(),
            ));
        };
        let (salt, hash) = hashed.split_once('|')?;
        Some(Self::Hashed {
            salt: STANDARD.decode(salt).ok()?,
            hash: STANDARD.decode(hash).ok()?,
        })
    }

    /// Whether a lower-case name is meant. A negated pattern that matches
    /// rules the whole list out.
    fn mean(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => is_hash_of(name, salt, hash),
            Self::Patterns(patterns) => {
                let negated = patterns.iter().filter_map(|p| p.strip_prefix('!'));
                let mut plain = patterns.iter().filter(|p| !p.starts_with('!'));
                plain.any(|pattern| glob(pattern, name))
                    && !negated.into_iter().any(|pattern| glob(pattern, name))
            }
        }
    }
}

/// The type that a key blob names itself; empty where it is no key.
pub fn key_type(key: &[u8]) -> &str {
    let Some((length, rest)) = key.split_first_chunk::<4>() else {
        return "";
    };
    let length = u32::from_be_bytes(*length) as usize;
    rest.get(..length)
        .and_then(|name| std::str::from_utf8(name).ok())
        .unwrap_or("")
}

fn is_hash_of(name: &str, salt: &[u8], hash: &[u8]) -> bool {
    Hmac::<Sha1>::new_from_slice(salt)
        .map(|hmac| hmac.chain_update(name).verify_slice(hash).is_ok())
        .unwrap_or(false)
}

/// Matches `*` and `?` as ssh does; brackets are ordinary, for ports have them.
///
/// Goes back to the last star only, so the time is bounded by the product of
/// the lengths whatever a file says.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, body: u8) -> Vec<u8> {
        let mut blob = (kind.len() as u32).to_be_bytes().to_vec();
        blob.extend(kind.as_bytes());
        blob.extend([0, 0, 0, 1, body]);
        blob
    }

    fn line(names: &str, key: &[u8]) -> String {
        format!("{names} {} {}\n", key_type(key), STANDARD.encode(key))
    }

    fn known(text: &str) -> KnownHosts {
        let mut known = KnownHosts::default();
        known.add(Path::new("known"), text.as_bytes());
        known
    }

    fn unknown() -> Verdict {
        Verdict::Unknown { authority: None }
    }

    #[test]
    fn a_plain_entry_knows_its_names_and_no_other() {
        let ed = key("ssh-ed25519", 1);
        let known = known(&line("Web,10.0.0.1", &ed));
        assert_eq!(known.judge("web", 22, &ed), Verdict::Known);
        assert_eq!(known.judge("WEB", 22, &ed), Verdict::Known);
        assert_eq!(known.judge("10.0.0.1", 22, &ed), Verdict::Known);
        assert_eq!(known.judge("web2", 22, &ed), unknown());
    }

    #[test]
    fn a_changed_key_and_one_of_another_type_are_told_apart() {
        let known = known(&format!("# mine\n{}", line("web", &key("ssh-ed25519", 1))));
        assert_eq!(
            known.judge("web", 22, &key("ssh-ed25519", 2)),
            Verdict::Changed("known:2".into())
        );
        assert_eq!(
            known.judge("web", 22, &key("ssh-rsa", 2)),
            Verdict::OtherType("known:2".into())
        );
        assert_eq!(known.key_types("web", 22), ["ssh-ed25519"]);
    }

    #[test]
    fn a_port_has_its_own_entry_and_falls_back_to_the_bare_name() {
        let (plain, other) = (key("ssh-ed25519", 1), key("ssh-ed25519", 2));
        let bare = known(&line("web", &plain));
        assert_eq!(bare.judge("web", 2222, &plain), Verdict::Known);
        let both = known(&[line("web", &plain), line("[web]:2222", &other)].concat());
        assert_eq!(both.judge("web", 2222, &other), Verdict::Known);
        assert_eq!(
            both.judge("web", 2222, &plain),
            Verdict::Changed("known:2".into())
        );
        assert_eq!(both.judge("web", 22, &plain), Verdict::Known);
    }

    #[test]
    fn wildcards_match_and_negation_rules_out() {
        let ed = key("ssh-ed25519", 1);
        let known = known(&line("*.example.org,!db.example.org,10.0.0.?", &ed));
        assert_eq!(known.judge("web.example.org", 22, &ed), Verdict::Known);
        assert_eq!(known.judge("db.example.org", 22, &ed), unknown());
        assert_eq!(known.judge("10.0.0.7", 22, &ed), Verdict::Known);
        assert_eq!(known.judge("10.0.0.77", 22, &ed), unknown());
    }

    #[test]
    fn a_hashed_name_is_found_with_its_port() {
        let ed = key("ssh-ed25519", 1);
        let hash = |name: &str| {
            let hmac = Hmac::<Sha1>::new_from_slice(b"salt of 20 bytes ...").unwrap();
            let hash = hmac.chain_update(name).finalize().into_bytes();
            format!(
                "|1|{}|{}",
                STANDARD.encode(b"salt of 20 bytes ..."),
                STANDARD.encode(hash)
            )
        };
        let known = known(&[line(&hash("web"), &ed), line(&hash("[db]:2200"), &ed)].concat());
        assert_eq!(known.judge("web", 22, &ed), Verdict::Known);
        assert_eq!(known.judge("db", 2200, &ed), Verdict::Known);
        assert_eq!(known.judge("db", 22, &ed), unknown());
    }

    #[test]
    fn a_revoked_key_is_refused_although_it_is_known() {
        let ed = key("ssh-ed25519", 1);
        let text = [line("web", &ed), line("@revoked *", &ed)].concat();
        assert_eq!(
            known(&text).judge("web", 22, &ed),
            Verdict::Revoked("known:2".into())
        );
        assert_eq!(
            known(&text).judge("web", 2222, &ed),
            Verdict::Revoked("known:2".into())
        );
    }

    #[test]
    fn an_authority_is_named_and_not_taken_for_the_hosts_key() {
        let ed = key("ssh-ed25519", 1);
        let known = known(&line("@cert-authority *.example.org", &ed));
        let expected = Verdict::Unknown {
            authority: Some("known:1".into()),
        };
        assert_eq!(known.judge("web.example.org", 22, &ed), expected);
        assert!(known.key_types("web.example.org", 22).is_empty());
    }

    #[test]
    fn nonsense_hides_nothing() {
        let ed = key("ssh-ed25519", 1);
        let nonsense =
            "\u{1}\nweb\nweb ssh-rsa\nweb ssh-rsa !!!\n@other web ssh-rsa AAAA\n|1|x web y\n";
        // A key that is not of the type its line says is nonsense too.
        let lying = format!("web ssh-rsa {}\n", STANDARD.encode(&ed));
        let known = known(&[nonsense, &lying, &line("web", &ed)].concat());
        assert_eq!(known.entries.len(), 1);
        assert_eq!(known.judge("web", 22, &ed), Verdict::Known);
    }

    #[test]
    fn no_bytes_panic() {
        let ed = key("ssh-ed25519", 1);
        let seed = line("@revoked |1|c2FsdA==|aGFzaA==,!*?[x]:22", &ed).into_bytes();
        // A small linear congruential generator: the same bytes every time.
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize
        };
        for _ in 0..20_000 {
            let mut text = seed.clone();
            for _ in 0..next() % 8 + 1 {
                let at = next() % text.len();
                match next() % 3 {
                    0 => text[at] = next() as u8,
                    1 => text.insert(at, next() as u8),
                    _ => drop(text.remove(at)),
                }
            }
            let mut known = KnownHosts::default();
            known.add(Path::new("known"), &text);
            known.judge("[x]", 22, &text);
            known.judge("x", 2, &ed);
        }
    }

    #[test]
    fn a_key_is_its_type_and_itself_and_nothing_else() {
        let good = format!("ssh-ed25519 {}", STANDARD.encode(key("ssh-ed25519", 1)));
        assert!(is_key(&good));
        for bad in [
            &format!("{good}\nweb9 {good}"),
            &format!("{good} comment"),
            &format!("@revoked {good}"),
            "ssh-ed25519",
            "ssh-ed25519 nonsense",
            &good.replace("ed25519", "rsa"),
            &good.replace(' ', "  "),
            &good.replace(' ', "\t"),
            "",
            " ",
        ] {
            assert!(!is_key(bad), "{bad:?}");
        }
    }
}
