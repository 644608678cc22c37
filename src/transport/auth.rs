//! Logs in to an SSH server: an ordered list of methods, tried until one is
//! accepted, each leaving a note for the message where none is.
//!
//! Passwords and passphrases become methods of this list later.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ssh2::Session;

use super::deadline::{Cut, Deadline};
use super::{Ssh, Unreachable};

/// The keys that ssh, too, looks for.
const USUAL_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// One way to prove who one is.
enum Method {
    /// A private key; whether it must exist.
    KeyFile { path: PathBuf, named: bool },
    /// Every key of the running SSH agent.
    Agent,
}

/// What came of a method.
enum Answer {
    Accepted,
    /// The note for the user; none where there was nothing to try.
    Refused(Option<String>),
}

/// The user to log in as.
pub fn user_name(server: &Ssh) -> Result<String, Unreachable> {
    if let Some(user) = &server.user {
        return Ok(user.clone());
    }
    let local = ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    local.filter(|name| !name.is_empty()).ok_or_else(|| {
        Unreachable::new(format!(
            "it is not said which user to log in to {} as",
            server.address
        ))
        .hint("write ssh(\"user@address\"), or set USER")
    })
}

/// The home directory of whoever runs this.
pub fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

/// A login that is under way.
pub struct Login<'a> {
    /// The session, past its key exchange.
    pub session: &'a Session,
    /// When it must be done.
    pub deadline: &'a Deadline,
    /// Who logs in.
    pub user: &'a str,
    /// The socket of the SSH agent.
    pub key_agent: Option<&'a Path>,
}

/// Keys that were named come first, because a server counts the attempts and
/// an agent may hold many keys.
fn methods(server: &Ssh) -> Vec<Method> {
    let key = |path: PathBuf, named| Method::KeyFile { path, named };
    if !server.identity_files.is_empty() {
        let named = server
            .identity_files
            .iter()
            .map(|path| key(path.clone(), true));
        return named.chain([Method::Agent]).collect();
    }
    let usual = home().map(|home| USUAL_KEYS.map(|name| home.join(".ssh").join(name)));
    let usual = usual.into_iter().flatten().map(|path| key(path, false));
    std::iter::once(Method::Agent).chain(usual).collect()
}

impl Login<'_> {
    /// Tries the methods in order; an error lists what was tried.
    pub fn run(&self, server: &Ssh) -> Result<(), Unreachable> {
        let mut notes = Vec::new();
        for method in methods(server) {
            match self.with(&method).map_err(|cut| interrupted(cut, &notes))? {
                Answer::Accepted => return Ok(()),
                Answer::Refused(note) => notes.extend(note),
            }
        }
        Err(self.refused(&notes))
    }

    fn with(&self, method: &Method) -> Result<Answer, Cut> {
        match method {
            Method::KeyFile { path, named } => self.with_key_file(path, *named),
            Method::Agent => self.with_agent(),
        }
    }

    fn with_key_file(&self, path: &Path, named: bool) -> Result<Answer, Cut> {
        let note = |what: &str| {
            Ok(Answer::Refused(Some(format!(
                "key {} ({what})",
                path.display()
            ))))
        };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(_) if !named => return Ok(Answer::Refused(None)),
            Err(error) => return note(&format!("unreadable: {error}")),
        };
        if is_encrypted(&text) {
            return note(
                "protected by a passphrase, which is not supported yet: load it into the SSH agent with ssh-add",
            );
        }
        let certificate = certificate_of(path);
        for public in certificate.iter().map(|c| Some(c.as_path())).chain([None]) {
            let step = || {
                self.session
                    .userauth_pubkey_file(self.user, public, path, None)
            };
            match self.deadline.run(self.session, step) {
                Ok(()) => return Ok(Answer::Accepted),
                Err(Cut::Failed(error)) if is_refusal(&error) => {}
                Err(Cut::Failed(error)) if is_unusable(&error) => {
                    return note(&format!("unusable: {}", error.message()));
                }
                Err(cut) => return Err(cut),
            }
        }
        note("refused")
    }

    fn with_agent(&self) -> Result<Answer, Cut> {
        let note = |what: &str| Ok(Answer::Refused(Some(format!("SSH agent ({what})"))));
        let Some(socket) = self.key_agent else {
            return note("none is running");
        };
        let mut agent = self.session.agent().map_err(Cut::Failed)?;
        agent.set_identity_path(socket).map_err(Cut::Failed)?;
        let listed = agent.connect().and_then(|()| agent.list_identities());
        let keys = match listed.and_then(|()| agent.identities()) {
            Ok(keys) if keys.is_empty() => return note("it holds no key"),
            Ok(keys) => keys,
            Err(error) => return note(&format!("it does not answer: {}", error.message())),
        };
        for key in &keys {
            match self
                .deadline
                .run(self.session, || agent.userauth(self.user, key))
            {
                Ok(()) => return Ok(Answer::Accepted),
                Err(Cut::Failed(error)) if is_refusal(&error) || is_unusable(&error) => {}
                Err(cut) => return Err(cut),
            }
        }
        note(&match keys.len() {
            1 => "its key was refused".to_owned(),
            count => format!("its {count} keys were refused"),
        })
    }

    fn refused(&self, notes: &[String]) -> Unreachable {
        let user = self.user;
        let methods = self
            .deadline
            .run(self.session, || self.session.auth_methods(user));
        let accepted = match methods {
            Ok(methods) if !methods.is_empty() => {
                format!("; the server accepts {}", methods.replace(',', ", "))
            }
            _ => String::new(),
        };
        Unreachable::new(format!(
        "the server refuses to let {user} in; tried: {}{accepted}",
        list(notes)
    ))
    .hint(format!(
        "put the public key into ~{user}/.ssh/authorized_keys on the host, or name the right private key"
    ))
    }
}

/// Whether the server said no: LIBSSH2_ERROR_AUTHENTICATION_FAILED and
/// LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED.
fn is_refusal(error: &ssh2::Error) -> bool {
    matches!(error.code(), ssh2::ErrorCode::Session(-18 | -19))
}

/// Whether a key could not be used on this side, so that the next one may be
/// tried: LIBSSH2_ERROR_FILE, _METHOD_NOT_SUPPORTED, _KEYFILE_AUTH_FAILED,
/// _AGENT_PROTOCOL, _ALGO_UNSUPPORTED and the like.
fn is_unusable(error: &ssh2::Error) -> bool {
    matches!(
        error.code(),
        ssh2::ErrorCode::Session(-16 | -33 | -42 | -48 | -51)
    )
}

fn certificate_of(key: &Path) -> Option<PathBuf> {
    let mut name = key.file_name()?.to_owned();
    name.push("-cert.pub");
    Some(key.with_file_name(name)).filter(|path| path.is_file())
}

/// Whether a private key needs a passphrase. libssh2 reports a wrong one, a
/// missing one and a broken file alike, so the file is asked.
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let body = text
        .split_once("-----BEGIN OPENSSH PRIVATE KEY-----")
        .and_then(|(_, rest)| rest.split_once("-----END"));
    let Some((body, _)) = body else {
        return text.contains("ENCRYPTED");
    };
    let body: String = body.split_whitespace().collect();
    let Ok(key) = STANDARD.decode(body) else {
        return false;
    };
    // A magic word, then the name of the cipher as a counted string.
    key.strip_prefix(b"openssh-key-v1\0")
        .is_some_and(|rest| rest.len() >= 4 && !rest[4..].starts_with(b"none"))
}

fn interrupted(cut: Cut, notes: &[String]) -> Unreachable {
    match cut {
        Cut::Late => Unreachable::new(format!("the login took too long; tried: {}", list(notes))),
        Cut::Failed(error) => Unreachable::new(format!(
            "the server ended the connection during the login: {}; tried: {}",
            error.message(),
            list(notes)
        ))
        .hint("a server gives up after a few keys (MaxAuthTries): name the right one, or hold fewer in the agent"),
    }
}

fn list(notes: &[String]) -> String {
    match notes {
        [] => "nothing".to_owned(),
        notes => notes.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openssh_key(cipher: &str) -> Vec<u8> {
        let mut key = b"openssh-key-v1\0".to_vec();
        key.extend((cipher.len() as u32).to_be_bytes());
        key.extend(cipher.as_bytes());
        let body = STANDARD.encode(key);
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n")
            .into_bytes()
    }

    #[test]
    fn a_passphrase_is_seen_in_both_formats() {
        assert!(is_encrypted(&openssh_key("aes256-ctr")));
        assert!(!is_encrypted(&openssh_key("none")));
        let pem = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        assert!(is_encrypted(pem));
        assert!(!is_encrypted(b"-----BEGIN RSA PRIVATE KEY-----\n"));
        assert!(!is_encrypted(
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAA\n-----END"
        ));
    }
}
