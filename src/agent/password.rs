//! Hashes of passwords. They are compared and set, and never shown: whatever
//! writes one down, a message, a journal or a plan, gets a placeholder.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands for a hash that may not be seen.
pub const HIDDEN: &str = "(hidden)";

const DIGEST: &str = "sha256:";

/// What a PostgreSQL verifier begins with: `SCRAM-SHA-256$4096:salt$keys`.
pub const SCRAM: &str = "SCRAM-SHA-256$";

/// The hash of a password, as crypt(5) and shadow(5) have it.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash as it stands in shadow(5).
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The hash itself, for the program that sets it and nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The same password, locked.
    pub fn lock(&self) -> Self {
        Self(format!("!{}", self.password()))
    }

    /// The same password, not locked.
    pub fn unlock(&self) -> Self {
        Self(self.password().to_owned())
    }

    /// Whether it is locked; none where there is no password that could be.
    pub fn locked(&self) -> Option<bool> {
        match self.password() {
            "" | "*" => None,
            _ => Some(self.0.starts_with('!')),
        }
    }

    /// Whether a lock is on it, be there a password or not.
    pub fn has_lock(&self) -> bool {
        self.0.starts_with('!')
    }

    /// Whether it is of the same password, locked or not.
    pub fn is_of_same_password(&self, other: &Self) -> bool {
        digested(self.password()) == digested(other.password())
    }

    fn password(&self) -> &str {
        self.0.trim_start_matches('!')
    }
}

impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.has_lock() == other.has_lock() && self.is_of_same_password(other)
    }
}

impl Eq for PasswordHash {}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for PasswordHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// What tells two passwords apart without giving either away. A hash has a
/// salt, so nobody finds it by trying. That of a PostgreSQL verifier is kept:
/// without it nobody could tell whether a password is the verifier's.
fn digested(password: &str) -> String {
    if matches!(password, "" | "*") {
        return password.to_owned();
    }
    let secret = match password.starts_with(SCRAM) {
        true => password.rfind('$').map_or(0, |salt| salt + 1),
        false => 0,
    };
    let (open, secret) = password.split_at(secret);
    match secret.starts_with(DIGEST) {
        true => password.to_owned(),
        false => format!(
            "{open}{DIGEST}{}",
            crate::content::digest(secret.as_bytes())
        ),
    }
}

/// Keeps enough of a hash to compare it later: for what a dry run and a
/// sandbox remember of an account.
pub mod digest {
    use super::{Deserialize, Deserializer, PasswordHash, Serialize, Serializer, digested};

    /// Writes the digest.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(
        hash: &Option<PasswordHash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let lock = |hash: &PasswordHash| if hash.has_lock() { "!" } else { "" };
        hash.as_ref()
            .map(|hash| format!("{}{}", lock(hash), digested(hash.password())))
            .serialize(serializer)
    }

    /// Reads the digest.
    ///
    /// # Errors
    /// When it is no text.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PasswordHash>, D::Error> {
        Option::<String>::deserialize(deserializer).map(|hash| hash.map(PasswordHash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Kept(#[serde(with = "digest")] Option<PasswordHash>);

    #[test]
    fn a_hash_is_never_written_down() {
        let hash = PasswordHash::new("$6$salt$secret");
        assert_eq!(serde_json::to_string(&hash).expect("json"), "\"(hidden)\"");
        assert_eq!(format!("{hash:?}"), HIDDEN);
        let kept = serde_json::to_string(&Kept(Some(hash))).expect("json");
        assert!(!kept.contains("secret"), "{kept}");
    }

    #[test]
    fn what_was_kept_still_tells_passwords_apart() {
        let hash = PasswordHash::new("!$6$salt$secret");
        let kept = serde_json::to_string(&Kept(Some(hash.clone()))).expect("json");
        let Kept(Some(kept)) = serde_json::from_str(&kept).expect("json") else {
            panic!("nothing was kept");
        };
        assert_eq!(kept, hash);
        assert!(kept.is_of_same_password(&hash.unlock()) && kept != hash.unlock());
        assert_ne!(kept, PasswordHash::new("!$6$salt$other"));
    }

    #[test]
    fn the_salt_of_a_verifier_is_kept_and_its_keys_are_not() {
        let hash = PasswordHash::new("SCRAM-SHA-256$4096:c2FsdA==$secret:secret");
        let kept = serde_json::to_string(&Kept(Some(hash.clone()))).expect("json");
        assert!(kept.contains("4096:c2FsdA==$sha256:") && !kept.contains("secret"));
        let Kept(again) = serde_json::from_str(&kept).expect("json");
        assert_eq!(again, Some(hash));
        assert_eq!(serde_json::to_string(&Kept(again)).expect("json"), kept);
    }

    #[test]
    fn only_a_password_can_be_locked() {
        for (hash, locked) in [
            ("!", None),
            ("*", None),
            ("$6$a", Some(false)),
            ("!$6$a", Some(true)),
        ] {
            assert_eq!(PasswordHash::new(hash).locked(), locked, "{hash}");
        }
    }
}
