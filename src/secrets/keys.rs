//! Keys of age and SSH: who a vault is encrypted for, and what opens it.

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::SecretString;
use age::ssh;

use super::Trouble;

/// Somebody a vault is encrypted for.
pub enum Recipient {
    /// A key of age.
    Age(age::x25519::Recipient),
    /// A public key of SSH.
    Ssh(ssh::Recipient),
}

impl Recipient {
    /// As age takes it.
    pub fn as_age(&self) -> &dyn age::Recipient {
        match self {
            Self::Age(recipient) => recipient,
            Self::Ssh(recipient) => recipient,
        }
    }
}

/// The key alone; a comment behind an SSH key is not part of it.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(recipient) => recipient.fmt(f),
            Self::Ssh(recipient) => recipient.fmt(f),
        }
    }
}

impl FromStr for Recipient {
    type Err = Trouble;

    fn from_str(text: &str) -> Result<Self, Trouble> {
        let text = text.trim();
        if text.starts_with("AGE-SECRET-KEY-") || text.starts_with("-----BEGIN") {
            return Err(Trouble::new("a private key is no recipient").help(
                "Give the public key: what `age-keygen -y` prints, or the file that ends in .pub.",
            ));
        }
        if text.starts_with("age1") {
            let recipient = age::x25519::Recipient::from_str(text);
            return recipient
                .map(Self::Age)
                .map_err(|why| Trouble::new(format!("\"{text}\" is no recipient of age: {why}")));
        }
        ssh::Recipient::from_str(text).map(Self::Ssh).map_err(|error| {
            use ssh::ParseRecipientKeyError as Why;
            let trouble = |why: &str| Trouble::new(format!("\"{text}\" is no recipient: {why}"));
            match error {
                Why::Unsupported(kind) => trouble(&format!("keys of type {kind} cannot decrypt"))
                    .help("Use an ed25519 or RSA key, or one that `age-keygen` makes."),
                Why::RsaModulusTooSmall => trouble("the RSA key has fewer than 2048 bits"),
                Why::RsaModulusTooLarge => trouble("the RSA key is larger than can be used"),
                Why::Ignore | Why::Invalid(_) => trouble("it is neither an age key nor an SSH key")
                    .help("A recipient is `age1…`, `ssh-ed25519 …`, `ssh-rsa …`, or a file with such lines."),
                _ => trouble("it cannot be used"),
            }
        })
    }
}

/// The recipients that words of the command line mean: keys, and files that
/// hold keys.
///
/// # Errors
/// When one of them is neither.
pub fn recipients(words: &[String]) -> Result<Vec<String>, Trouble> {
    let mut found: Vec<String> = Vec::new();
    for word in words {
        let path = Path::new(word);
        let text = match path.is_file() {
            true => fs::read_to_string(path)
                .map_err(|error| Trouble::new(format!("cannot read {word}: {error}")))?,
            false => word.clone(),
        };
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            line.parse::<Recipient>()?;
            if !found.iter().any(|known| known == line) {
                found.push(line.to_owned());
            }
        }
    }
    Ok(found)
}

/// Keys that may open a vault.
#[derive(Default)]
pub struct Identities {
    open: Vec<Box<dyn age::Identity>>,
    /// Keys of SSH with a passphrase, which is asked for only when it helps.
    locked: Vec<Locked>,
    /// Where they were looked for.
    looked_at: Vec<PathBuf>,
}

struct Locked {
    path: PathBuf,
    recipient: String,
    key: ssh::EncryptedKey,
}

impl Identities {
    /// The keys in `files`; without any, those in the usual places that exist.
    ///
    /// # Errors
    /// When a file that was named cannot be used.
    pub fn find(files: &[PathBuf]) -> Result<Self, Trouble> {
        let mut identities = Self::default();
        for path in files {
            identities.add(path)?;
        }
        if files.is_empty() {
            for path in usual_places() {
                // What was not asked for need not be of use.
                if path.is_file() {
                    let _ = identities.add(&path);
                }
                identities.looked_at.push(path);
            }
        }
        Ok(identities)
    }

    fn add(&mut self, path: &Path) -> Result<(), Trouble> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Trouble::new(format!("cannot read the identity {shown}: {error}")))?;
        if !text.contains("-----BEGIN") {
            let unusable = |error: String| {
                Trouble::new(format!("{shown} holds no identity: {error}"))
                    .help("An identity is a private key of SSH, or a file that `age-keygen` makes.")
            };
            let file = age::IdentityFile::from_buffer(text.as_bytes())
                .map_err(|error| unusable(error.to_string()))?;
            let found = file.into_identities();
            let found = found.map_err(|error| unusable(error.to_string()))?;
            self.open.extend(
                found
                    .into_iter()
                    .map(|identity| identity as Box<dyn age::Identity>),
            );
            return Ok(());
        }
        let key = ssh::Identity::from_buffer(text.as_bytes(), Some(shown.to_string()));
        let key = key
            .map_err(|error| Trouble::new(format!("{shown} is no private key of SSH: {error}")))?;
        match key {
            ssh::Identity::Unencrypted(_) => self.open.push(Box::new(key)),
            ssh::Identity::Encrypted(ref encrypted) => {
                let encrypted = encrypted.clone();
                // Nobody is asked for the passphrase of a key of no use.
                let recipient = ssh::Recipient::try_from(key);
                let recipient = recipient.map_err(|_| cannot_decrypt(path))?;
                self.locked.push(Locked {
                    path: path.to_owned(),
                    recipient: recipient.to_string(),
                    key: encrypted,
                });
            }
            ssh::Identity::Unsupported(_) => return Err(cannot_decrypt(path)),
        }
        Ok(())
    }

    /// All keys that need no passphrase.
    pub fn open(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.open.iter().map(|identity| &**identity)
    }

    /// Asks for the passphrase of a key that belongs to one of `recipients`,
    /// if there is such a key; whether it is open now.
    ///
    /// # Errors
    /// When nobody can be asked, or the passphrase is wrong.
    pub fn unlock(&mut self, recipients: &[String]) -> Result<bool, Trouble> {
        let fits = |locked: &Locked| {
            let mut of_file = recipients.iter();
            of_file.any(|recipient| recipient.starts_with(&locked.recipient))
        };
        let Some(index) = self.locked.iter().position(fits) else {
            return Ok(false);
        };
        let locked = self.locked.remove(index);
        let shown = locked.path.display();
        if !io::stderr().is_terminal() {
            return Err(Trouble::new(format!(
                "the key {shown} has a passphrase, and there is no terminal to ask for it"
            ))
            .help("Give a key without one: `--identity FILE`, or VEZA_IDENTITY=FILE."));
        }
        let passphrase = super::prompt::ask(&format!("Passphrase of {shown}"))?;
        let passphrase = SecretString::from(passphrase.as_str().to_owned());
        let key = locked
            .key
            .decrypt(passphrase)
            .map_err(|_| Trouble::new(format!("the passphrase of {shown} is wrong")))?;
        self.open.push(Box::new(ssh::Identity::from(key)));
        Ok(true)
    }

    /// Where keys were looked for, for who has to be told that none fits.
    pub fn places(&self) -> String {
        let mut places: Vec<_> = self.looked_at.iter().collect();
        places.dedup();
        let places: Vec<_> = places
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        places.join(", ")
    }
}

fn cannot_decrypt(path: &Path) -> Trouble {
    let trouble = Trouble::new(format!("{} is a key that cannot decrypt", path.display()));
    trouble
        .help("Use an ed25519 or RSA key in the format of OpenSSH, or one that `age-keygen` makes.")
}

/// Where keys are: those of SSH, and one of age for this program.
fn usual_places() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(home.as_ref()?.join(".config")));
    let ssh = |name: &str| Some(home.as_ref()?.join(".ssh").join(name));
    [
        config.map(|config| config.join("veza-play/identity")),
        ssh("id_ed25519"),
        ssh("id_rsa"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
