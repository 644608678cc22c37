//! Decides whether the server is the one that is known, and says why not.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

use super::auth::home;
use super::known_hosts::{self, KnownHosts, Verdict, key_type};
use super::{Ssh, Unreachable};

/// The algorithms that are spoken, best first. The first word is the type of
/// the key, which is all that a known_hosts file names.
const ALGORITHMS: &[(&str, &str)] = &[
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "rsa-sha2-512,rsa-sha2-256"),
];

/// What is known of one server's keys.
pub struct HostKeys {
    known: KnownHosts,
    files: Vec<PathBuf>,
    address: String,
    port: u16,
}

impl HostKeys {
    /// Reads the files that count for `server`.
    pub fn of(server: &Ssh) -> Result<Self, Unreachable> {
        let mut known = KnownHosts::default();
        let files = files(server);
        let lines = known_hosts::lines(&server.address, server.port, &server.host_keys);
        known.add(Path::new("this run"), lines.as_bytes());
        for file in &files {
            match std::fs::read(file) {
                Ok(text) => known.add(file, &text),
                Err(error) if is_optional(server, &error) => {}
                Err(error) => return Err(unreadable(file, &error)),
            }
        }
        Ok(Self {
            known,
            files,
            address: server.address.clone(),
            port: server.port,
        })
    }

    /// The algorithms to ask for: those of the known keys first. A server has
    /// keys of several types, and shows the one that is asked for first.
    pub fn preference(&self) -> String {
        let known = self.known.key_types(&self.address, self.port);
        let is_known = |key_type: &str| known.contains(&key_type);
        let (first, rest): (Vec<_>, Vec<_>) = ALGORITHMS
            .iter()
            .copied()
            .partition(|(key_type, _)| is_known(key_type));
        let names: Vec<_> = first.iter().chain(&rest).map(|(_, names)| *names).collect();
        names.join(",")
    }

    /// Accepts `key`, the blob that the server proved to own, or refuses it.
    pub fn check(&self, key: &[u8]) -> Result<(), Unreachable> {
        let shown = format!("{} key {}", key_type(key), fingerprint(key));
        match self.known.judge(&self.address, self.port, key) {
            Verdict::Known => Ok(()),
            Verdict::Revoked(place) => Err(Unreachable::new(format!(
                "the server's {shown} is revoked in {place}: whoever answers must not be trusted"
            ))
            .hint("do not connect; give the host a new key, or find out who answers in its place")),
            Verdict::Changed(place) => Err(self.changed(&shown, &place)),
            Verdict::OtherType(place) => Err(self.other_type(&shown, &place)),
            Verdict::Unknown { authority } => Err(self.unknown(&shown, authority)),
        }
    }

    fn changed(&self, shown: &str, place: &str) -> Unreachable {
        Unreachable::new(format!(
            "THE HOST KEY HAS CHANGED: the server shows the {shown}, but {place} has another one; \
             somebody may be listening in, or the host was set up anew"
        ))
        .hint(format!(
            "compare the fingerprint on the host's console; only if it is right: `ssh-keygen -R '{}'`, then connect once with ssh",
            self.known_as()
        ))
    }

    fn other_type(&self, shown: &str, place: &str) -> Unreachable {
        Unreachable::new(format!(
            "the server no longer offers the key that is known from {place}, and shows the unknown {shown}"
        ))
        .hint(self.how_to_trust())
    }

    fn unknown(&self, shown: &str, authority: Option<String>) -> Unreachable {
        let files: Vec<_> = self.files.iter().map(|f| f.display().to_string()).collect();
        let note = authority.map_or(String::new(), |place| {
            format!("; {place} trusts a certificate authority for it, which is not supported yet")
        });
        Unreachable::new(format!(
            "the host key is not known: the server shows the {shown}, and {} does not name it{note}",
            files.join(" or ")
        ))
        .hint(self.how_to_trust())
    }

    fn how_to_trust(&self) -> String {
        let Self { address, port, .. } = self;
        format!(
            "compare the fingerprint on the host's console (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`), \
             then add the key: connect once with `ssh -p {port} {address}`, or append the line of `ssh-keyscan -p {port} {address}`"
        )
    }

    fn known_as(&self) -> String {
        known_hosts::name(&self.address, self.port)
    }
}

/// The fingerprint as ssh prints it.
fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

fn files(server: &Ssh) -> Vec<PathBuf> {
    if let Some(file) = &server.known_hosts {
        return vec![file.clone()];
    }
    let own = home().map(|home| home.join(".ssh"));
    let own = own
        .iter()
        .flat_map(|ssh| ["known_hosts", "known_hosts2"].map(|name| ssh.join(name)));
    let system = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
    own.chain(system.map(PathBuf::from)).collect()
}

/// The usual files need not exist. One that was named must, unless the keys
/// are known without it.
fn is_optional(server: &Ssh, error: &std::io::Error) -> bool {
    let named = server.known_hosts.is_some() && server.host_keys.is_empty();
    !named && error.kind() == std::io::ErrorKind::NotFound
}

fn unreadable(file: &Path, error: &std::io::Error) -> Unreachable {
    Unreachable::new(format!(
        "the known hosts in {} cannot be read: {error}",
        file.display()
    ))
}
