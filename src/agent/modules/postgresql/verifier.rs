//! What PostgreSQL keeps of a password, made here: the password itself never
//! reaches the server, nor its log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::content::hex;
use crate::mark;
use crate::module::Result;
use crate::outcome::Failure;
use crate::password::{PasswordHash, SCRAM};

/// As many rounds as the server itself takes.
const ROUNDS: u32 = 4096;

/// What is kept of `password`: itself, where it is a verifier or an MD5 hash,
/// else a SCRAM verifier. Nothing is kept of an empty one. A virtual host does
/// not know the value of a secret, and has its mark instead.
pub fn keep(password: &str) -> Result<PasswordHash> {
    if is_kept(password) {
        return Ok(PasswordHash::new(password));
    }
    let mut salt = [0; 16];
    rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::new(format!("the host gives no random numbers: {error}")))?;
    Ok(scram(password, &salt, ROUNDS))
}

/// Whether `kept` is of the password that `role` shall have.
pub fn is_of(kept: &PasswordHash, password: &str, role: &str) -> bool {
    let same = match (is_kept(password), kept.reveal()) {
        (true, _) => PasswordHash::new(password),
        (false, "") => return false,
        (false, text) if text.starts_with(SCRAM) => match salt_of(text) {
            Some((rounds, salt)) => scram(password, &salt, rounds),
            None => return false,
        },
        (false, _) => md5(password, role),
    };
    kept.is_of_same_password(&same)
}

/// Whether a text is what a server keeps of a password.
fn is_kept(text: &str) -> bool {
    if text.is_empty() || mark::has_secret(text) {
        return true;
    }
    let digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.strip_prefix("md5") {
        Some(hash) if hash.len() == 32 && digits(hash) => true,
        _ => text.starts_with(SCRAM) && salt_of(text).is_some(),
    }
}

fn salt_of(verifier: &str) -> Option<(u32, Vec<u8>)> {
    let (open, _keys) = verifier.strip_prefix(SCRAM)?.split_once('$')?;
    let (rounds, salt) = open.split_once(':')?;
    Some((rounds.parse().ok()?, STANDARD.decode(salt).ok()?))
}

/// RFC 5803, as the server writes it.
fn scram(password: &str, salt: &[u8], rounds: u32) -> PasswordHash {
    // What cannot be prepared is taken as it is, as the server does.
    let prepared = stringprep::saslprep(password).unwrap_or(password.into());
    let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(prepared.as_bytes(), salt, rounds);
    let stored = Sha256::digest(mac(&salted, b"Client Key"));
    let server = mac(&salted, b"Server Key");
    PasswordHash::new(&format!(
        "{SCRAM}{rounds}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    ))
}

fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key has any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn md5(password: &str, role: &str) -> PasswordHash {
    let hash = Md5::new().chain_update(password).chain_update(role);
    PasswordHash::new(&format!("md5{}", hex(&hash.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a PostgreSQL 15 keeps: the role, its password and that.
    const KEPT: [(&str, &str, &str); 3] = [
        (
            "t1",
            "pass word",
            "SCRAM-SHA-256$4096:EAsFLruyqT0TXbNGqHaptQ==$SwV4/enk6NW3orQFKgRJUs9Tfal6AVi0wFQjdj7LhuQ=:oGwsa14UaQWzRm/+6yKLO0W2et9P7OXl4+3Qp7exGYs=",
        ),
        (
            "t2",
            "\u{fc}ber\u{ad}\u{2168}",
            "SCRAM-SHA-256$4096:WMyEEuxvZJxGAaaOFHWfLA==$YTASuNsacNModpnizIrC1j7ATW2shk+OSCxmogjwMQI=:hh4KDLcEoVyFXQOVef9SmJTv/fjdr3tKvFNXKY7u/Yw=",
        ),
        ("t3", "pass word", "md5493afa54bbcfbd270705f1fa49681fd9"),
    ];

    #[test]
    fn what_a_server_keeps_is_known_by_its_password() {
        for (role, password, kept) in KEPT {
            let kept = PasswordHash::new(kept);
            assert!(is_of(&kept, password, role), "{role}");
            assert!(is_of(&kept, kept.reveal(), role), "{role}");
            assert!(!is_of(&kept, "other", role) && !is_of(&kept, "", role));
        }
        assert!(is_of(&PasswordHash::new(""), "", "t4"));
        assert!(!is_of(&PasswordHash::new(""), "x", "t4"));
    }

    #[test]
    fn what_is_kept_here_says_nothing_of_the_password_and_knows_it_again() {
        let kept = keep("s3cret").expect("kept");
        assert!(!kept.reveal().contains("s3cret"));
        assert!(is_of(&kept, "s3cret", "app"));
        assert_ne!(keep("s3cret").expect("kept"), kept, "each has its own salt");
        for (_, _, text) in KEPT {
            assert_eq!(keep(text).expect("kept").reveal(), text);
        }
    }

    #[test]
    fn what_only_looks_like_a_verifier_is_a_password() {
        for text in [
            "SCRAM-SHA-256$x",
            "md5",
            "md5493afa54bbcfbd270705f1fa49681fdX",
        ] {
            let kept = keep(text).expect("kept");
            assert!(is_of(&kept, text, "app") && kept.reveal() != text, "{text}");
        }
    }
}
