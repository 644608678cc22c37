//! A file of secrets that may lie in a repository: names in clear, each value
//! encrypted by itself with age.
//!
//! So a diff tells which secrets changed, a change leaves the bytes of all
//! others alone, and two people who change different secrets have no conflict.
//! What is encrypted is the name and the value: a value that was moved to
//! another name is refused.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use toml_edit::{Array, DocumentMut, Item, Table, Value};
use zeroize::Zeroizing;

use super::Trouble;
use super::keys::{Identities, Recipient};
use crate::files;
use crate::schema::closest;

const RECIPIENTS: &str = "recipients";
const SECRETS: &str = "secrets";

const HEADER: &str = "\
# Secrets, each encrypted with age (https://age-encryption.org) for the recipients.
# `veza-play vault --help` tells how to change them.
";

/// A vault as it was read, or a new one.
#[derive(Clone, Debug)]
pub struct Vault {
    document: DocumentMut,
}

/// A value in clear, wiped when it goes.
pub type Clear = Zeroizing<String>;

impl Vault {
    /// A new vault for these recipients.
    pub fn new(recipients: &[String]) -> Self {
        let mut document = DocumentMut::new();
        document[SECRETS] = Item::Table(Table::new());
        let mut vault = Self { document };
        vault.set_recipients(recipients);
        vault
    }

    /// Reads the text of a vault.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Trouble> {
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            let line = error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or_default();
                format!(" (line {})", before.matches('\n').count() + 1)
            });
            Trouble::new(format!("it is no TOML{}", line.unwrap_or_default())).help(
                "Is a conflict of git still in it? Each secret is one line: keep one of the two.",
            )
        })?;
        let vault = Self { document };
        let strings = |item: Option<&Item>| {
            let array = item.and_then(Item::as_array);
            array.is_some_and(|array| array.iter().all(Value::is_str))
        };
        let secrets = vault.document.get(SECRETS).and_then(Item::as_table);
        let texts = secrets.is_some_and(|table| table.iter().all(|(_, item)| item.is_str()));
        match strings(vault.document.get(RECIPIENTS)) && texts {
            true => Ok(vault),
            false => Err(Trouble::new(
                "it has no list `recipients` and table `[secrets]` of texts",
            )
            .help("`veza-play vault set FILE NAME --recipient KEY` makes a new file.")),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no vault.
    pub fn read(path: &Path) -> Result<Self, Trouble> {
        let text = fs::read_to_string(path)
            .map_err(|error| Trouble::new(format!("cannot read {}: {error}", path.display())))?;
        Self::parse(&text).map_err(|trouble| trouble.about(&path.display().to_string()))
    }

    /// The file's text.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// Writes the file, whole or not at all, into a directory that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Trouble> {
        let failed = |error: std::io::Error| {
            Trouble::new(format!("cannot write {}: {error}", path.display()))
        };
        // What is in it is encrypted, and others must be able to read it.
        files::replace(path, self.text().as_bytes(), 0o644).map_err(failed)
    }

    /// Who it is encrypted for.
    pub fn recipients(&self) -> Vec<String> {
        let list = self.document.get(RECIPIENTS).and_then(Item::as_array);
        let texts = list.into_iter().flat_map(Array::iter);
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn set_recipients(&mut self, recipients: &[String]) {
        let mut list = Array::from_iter(recipients);
        for recipient in list.iter_mut() {
            recipient.decor_mut().set_prefix("\n    ");
        }
        list.set_trailing_comma(true);
        list.set_trailing("\n");
        let new = !self.document.contains_key(RECIPIENTS);
        self.document[RECIPIENTS] = Item::Value(Value::Array(list));
        if let (true, Some(mut key)) = (new, self.document.key_mut(RECIPIENTS)) {
            key.leaf_decor_mut().set_prefix(HEADER);
        }
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.table().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    fn table(&self) -> impl Iterator<Item = (&str, &str)> {
        let table = self.document.get(SECRETS).and_then(Item::as_table);
        let entries = table.into_iter().flat_map(Table::iter);
        entries.filter_map(|(name, item)| Some((name, item.as_str()?)))
    }

    fn sealed(&self, name: &str) -> Result<&str, Trouble> {
        let found = self.table().find(|(known, _)| *known == name);
        found
            .map(|(_, sealed)| sealed)
            .ok_or_else(|| no_secret(name, self.names()))
    }

    /// Puts a value in, encrypted.
    ///
    /// # Errors
    /// When the name or the value cannot be used, or a recipient is none.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Trouble> {
        check_name(name)?;
        veza_agent::secrets::check_length(name, value).map_err(Trouble::from)?;
        let recipients = self.recipients();
        let recipients: Vec<Recipient> = recipients
            .iter()
            .map(|recipient| recipient.parse())
            .collect::<Result<_, _>>()?;
        let sealed = seal(&recipients, name, value)?;
        if let Some(table) = self.document.get_mut(SECRETS).and_then(Item::as_table_mut) {
            table.insert(name, Item::Value(sealed.into()));
            // Sorted, so that additions of two people rarely meet.
            table.sort_values();
        }
        Ok(())
    }

    /// Takes a secret out.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&mut self, name: &str) -> Result<(), Trouble> {
        self.sealed(name)?;
        if let Some(table) = self.document.get_mut(SECRETS).and_then(Item::as_table_mut) {
            table.remove(name);
        }
        Ok(())
    }

    /// A value in clear.
    ///
    /// # Errors
    /// When it is not there, or no identity opens it.
    pub fn get(&self, name: &str, identities: &mut Identities) -> Result<Clear, Trouble> {
        let sealed = self.sealed(name)?;
        loop {
            match open(sealed, name, identities)? {
                Opened::Value(value) => return Ok(value),
                Opened::NoIdentity if identities.unlock(&self.recipients())? => {}
                Opened::NoIdentity => return Err(self.no_identity(identities)),
            }
        }
    }

    fn no_identity(&self, identities: &Identities) -> Trouble {
        let places = match identities.places().as_str() {
            "" => String::new(),
            places => format!(" Looked at: {places}."),
        };
        Trouble::new("no identity fits any of its recipients").help(format!(
            "It is encrypted for {}.{places} Give the private key of one of them with `--identity FILE` or VEZA_IDENTITY.",
            self.recipients().join("; "),
        ))
    }

    /// All values in clear, by name.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open(&self, identities: &mut Identities) -> Result<Vec<(String, Clear)>, Trouble> {
        let value = |name: &str| Ok((name.to_owned(), self.get(name, identities)?));
        self.names().into_iter().map(value).collect()
    }

    /// Encrypts everything anew, for these recipients.
    ///
    /// # Errors
    /// When a value cannot be opened, or a recipient is none.
    pub fn rekey(
        &mut self,
        recipients: &[String],
        identities: &mut Identities,
    ) -> Result<(), Trouble> {
        let values = self.open(identities)?;
        self.set_recipients(recipients);
        values
            .iter()
            .try_for_each(|(name, value)| self.set(name, value))
    }
}

/// That a secret is not among those that are `known`.
pub(super) fn no_secret(name: &str, known: Vec<&str>) -> Trouble {
    let trouble = Trouble::new(format!("there is no secret \"{name}\""));
    match closest(name, known.iter().copied()) {
        Some(near) => trouble.help(format!("Did you mean \"{near}\"?")),
        None => trouble.help(format!("There are: {}.", known.join(", "))),
    }
}

/// Refuses what could not be written in a script, or be told from a form of
/// another secret.
fn check_name(name: &str) -> Result<(), Trouble> {
    let fine = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    match !name.is_empty() && name.len() <= 100 && name.chars().all(fine) {
        true => Ok(()),
        false => Err(
            Trouble::new(format!("\"{name}\" cannot be the name of a secret"))
                .help("Use letters, digits, `_`, `-` and `.`."),
        ),
    }
}

fn seal(recipients: &[Recipient], name: &str, value: &str) -> Result<String, Trouble> {
    let cannot =
        |why: &dyn std::fmt::Display| Trouble::new(format!("cannot encrypt {name}: {why}"));
    let keys = recipients.iter().map(Recipient::as_age);
    let encryptor = age::Encryptor::with_recipients(keys).map_err(|error| cannot(&error))?;
    let mut sealed = Vec::new();
    let mut writer = encryptor
        .wrap_output(&mut sealed)
        .map_err(|error| cannot(&error))?;
    let named = Zeroizing::new(format!("{name}\n{value}"));
    writer
        .write_all(named.as_bytes())
        .and_then(|()| writer.finish().map(drop))
        .map_err(|error| cannot(&error))?;
    Ok(BASE64_STANDARD.encode(sealed))
}

enum Opened {
    Value(Clear),
    NoIdentity,
}

fn open(sealed: &str, name: &str, identities: &Identities) -> Result<Opened, Trouble> {
    let damaged = || {
        Trouble::new(format!("the secret \"{name}\" is damaged"))
            .help("Take the line from an earlier version of the file, or set the secret anew.")
    };
    let bytes = BASE64_STANDARD.decode(sealed).map_err(|_| damaged())?;
    let decryptor = age::Decryptor::new_buffered(bytes.as_slice()).map_err(|_| damaged())?;
    let mut reader = match decryptor.decrypt(identities.open()) {
        Ok(reader) => reader,
        Err(age::DecryptError::NoMatchingKeys) => return Ok(Opened::NoIdentity),
        Err(_) => return Err(damaged()),
    };
    let mut clear = Zeroizing::new(String::new());
    reader.read_to_string(&mut clear).map_err(|_| damaged())?;
    match clear.split_once('\n') {
        Some((of, value)) if of == name => Ok(Opened::Value(Zeroizing::new(value.to_owned()))),
        Some((of, _)) => Err(Trouble::new(format!(
            "the value at \"{name}\" was encrypted as that of \"{of}\""
        ))
        .help("Somebody moved it. Set the secret anew, and ask who did.")),
        None => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;
    use proptest::prelude::*;

    use super::*;

    /// A key and the identities that hold it.
    fn key(directory: &Path) -> (String, Identities) {
        let key = age::x25519::Identity::generate();
        let file = directory.join("identity");
        fs::write(&file, key.to_string().expose_secret()).expect("written");
        let identities = Identities::find(&[file]).expect("an identity");
        (key.to_public().to_string(), identities)
    }

    #[test]
    fn a_change_leaves_the_other_values_as_they_are() {
        let directory = tempfile::tempdir().expect("a directory");
        let (recipient, mut identities) = key(directory.path());
        let path = directory.path().join("prod.toml");
        let mut vault = Vault::new(&[recipient]);
        vault.set("web_token", "0123456789").expect("set");
        vault.set("db_password", "hunter2 'x'\n").expect("set");
        vault.write(&path).expect("written");
        let before = fs::read_to_string(&path).expect("read");
        let mut vault = Vault::read(&path).expect("a vault");
        vault.set("db_password", "another one").expect("set");
        vault.write(&path).expect("written");
        let after = fs::read_to_string(&path).expect("read");
        let changed = before.lines().zip(after.lines()).filter(|(a, b)| a != b);
        assert_eq!(changed.count(), 1, "{before}\n{after}");
        assert_eq!(vault.names(), ["db_password", "web_token"]);
        let value = vault.get("db_password", &mut identities).expect("opened");
        assert_eq!(*value, "another one");
        assert!(!after.contains("another one") && !before.contains("hunter2"));
    }

    #[test]
    fn a_value_that_was_moved_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let (recipient, mut identities) = key(directory.path());
        let mut vault = Vault::new(&[recipient]);
        vault.set("low", "a low secret").expect("set");
        vault.set("high", "a high secret").expect("set");
        let text = vault.text();
        let high = vault.sealed("high").expect("there").to_owned();
        let low = vault.sealed("low").expect("there").to_owned();
        let swapped = Vault::parse(&text.replace(&low, &high)).expect("a vault");
        let trouble = swapped.get("low", &mut identities).expect_err("refused");
        assert!(
            trouble.message.contains("as that of \"high\""),
            "{trouble:?}"
        );
        let cut = Vault::parse(&text.replace(&high, &high[..high.len() - 8])).expect("a vault");
        let trouble = cut.get("high", &mut identities).expect_err("refused");
        assert!(trouble.message.contains("damaged"), "{trouble:?}");
    }

    #[test]
    fn who_has_no_key_is_told_whose_would_do() {
        let (one, other) = (tempfile::tempdir(), tempfile::tempdir());
        let (one, other) = (one.expect("made"), other.expect("made"));
        let (recipient, mut identities) = key(one.path());
        let (stranger, mut strangers) = key(other.path());
        let mut vault = Vault::new(std::slice::from_ref(&recipient));
        vault.set("db_password", "hunter2!").expect("set");
        let trouble = vault
            .get("db_password", &mut strangers)
            .expect_err("locked");
        let help = trouble.help.expect("a help");
        assert!(help.contains(&recipient), "{help}");
        vault.rekey(&[stranger], &mut identities).expect("rekeyed");
        assert!(vault.get("db_password", &mut identities).is_err());
        assert!(vault.get("db_password", &mut strangers).is_ok());
        let trouble = vault.get("db_pasword", &mut strangers).expect_err("no");
        assert_eq!(
            trouble.help.as_deref(),
            Some("Did you mean \"db_password\"?")
        );
    }

    #[test]
    fn what_cannot_be_hidden_or_named_is_refused() {
        let mut vault = Vault::new(&[]);
        assert!(vault.set("pin", "12345").is_err());
        assert!(vault.set("a b", "long enough").is_err());
        assert!(
            vault.set("fine", "long enough").is_err(),
            "it has no recipient"
        );
        assert!("AGE-SECRET-KEY-1XX".parse::<Recipient>().is_err());
    }

    proptest! {
        #[test]
        fn junk_is_an_error_and_no_panic(text in "\\PC{0,200}", sealed in "[A-Za-z0-9+/=]{0,60}") {
            let _ = Vault::parse(&text);
            let text = format!("recipients = []\n[secrets]\nx = \"{sealed}\"\n");
            let vault = Vault::parse(&text).expect("it is a vault");
            prop_assert!(vault.get("x", &mut Identities::default()).is_err());
        }
    }
}
