//! Reads what `ansible-vault` encrypts, so that a team can begin with the
//! files it has: whole files of variables, and `!vault` values within plain
//! ones. Nothing is written in this format.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use saphyr_parser::{Event, Parser, StrInput};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::vault::Clear;
use super::{Keys, Trouble};

const MAGIC: &str = "$ANSIBLE_VAULT;";

/// As Ansible has it.
const ROUNDS: u32 = 10_000;

/// Deeper nesting than this is refused before the stack ends.
const DEEPEST: usize = 100;

/// Whether the whole of a file is encrypted.
pub fn is_encrypted(text: &str) -> bool {
    text.starts_with(MAGIC)
}

/// Whether parts of a YAML file are encrypted.
pub fn has_encrypted(text: &str) -> bool {
    text.contains("!vault")
}

/// The variables of a file that is encrypted wholly or in part: each value by
/// its name, and those within maps with dots between.
///
/// # Errors
/// When the password is wrong, or the text is damaged.
pub fn variables(text: &str, password: &str) -> Result<Vec<(String, Clear)>, Trouble> {
    let (clear, whole) = match is_encrypted(text) {
        true => (decrypt(text, password)?, true),
        false => (Zeroizing::new(text.to_owned()), false),
    };
    let mut reader = Reader {
        parser: Parser::new_from_str(&clear),
        password,
        whole,
        found: Vec::new(),
        anchors: BTreeSet::new(),
    };
    reader.read()?;
    Ok(reader.found)
}

/// The names of the variables that are encrypted in a file that is not so as a
/// whole.
///
/// # Errors
/// When the text is no YAML.
pub fn names(text: &str) -> Result<Vec<String>, Trouble> {
    let mut names = Vec::new();
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        password: "",
        whole: false,
        found: Vec::new(),
        anchors: BTreeSet::new(),
    };
    reader.walk(&mut |name, _, encrypted| {
        if encrypted {
            names.push(name.to_owned());
        }
        Ok(())
    })?;
    Ok(names)
}

/// Decrypts one text of the form that begins with [`MAGIC`].
///
/// # Errors
/// When the password is wrong, or the text is damaged.
pub fn decrypt(text: &str, password: &str) -> Result<Clear, Trouble> {
    let (header, body) = text.split_once('\n').ok_or_else(damaged)?;
    let fields: Vec<&str> = header.trim().split(';').collect();
    match fields.get(1..3) {
        Some(["1.1" | "1.2", "AES256"]) => {}
        _ => {
            return Err(Trouble::new(format!("the format {header} is not known"))
                .help("Known are 1.1 and 1.2 with AES256, as Ansible writes since 1.5."));
        }
    }
    let digits: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let inner = String::from_utf8(unhex(&digits)?).map_err(|_| damaged())?;
    let mut parts = inner.split('\n').map(unhex);
    let mut part = || parts.next().unwrap_or_else(|| Err(damaged()));
    let (salt, tag, mut bytes) = (part()?, part()?, Zeroizing::new(part()?));
    let mut keys = Zeroizing::new([0; 80]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, ROUNDS, &mut *keys);
    let mut mac = Hmac::<Sha256>::new_from_slice(&keys[32..64]).map_err(|_| damaged())?;
    mac.update(&bytes);
    mac.verify_slice(&tag).map_err(|_| {
        Trouble::new("the vault password is wrong, or the text was changed")
            .help("Ansible's label tells which password is meant, if there are several.")
    })?;
    let mut cipher = ctr::Ctr128BE::<Aes256>::new_from_slices(&keys[..32], &keys[64..])
        .map_err(|_| damaged())?;
    cipher.apply_keystream(&mut bytes);
    // Padded to whole blocks (PKCS #7).
    let padding = usize::from(*bytes.last().ok_or_else(damaged)?);
    let length = bytes.len().checked_sub(padding).ok_or_else(damaged)?;
    let clear = std::str::from_utf8(&bytes[..length]);
    let clear = clear.map_err(|_| Trouble::new("what is encrypted is no text"))?;
    Ok(Zeroizing::new(clear.to_owned()))
}

fn damaged() -> Trouble {
    Trouble::new("the encrypted text is damaged")
}

fn unhex(digits: &str) -> Result<Vec<u8>, Trouble> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return Err(damaged());
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| damaged()))
        .collect()
}

/// What is told of each value: its name, the text, and whether it was
/// encrypted by itself.
type Told<'a> = &'a mut dyn FnMut(&str, &str, bool) -> Result<(), Trouble>;

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    password: &'t str,
    /// Whether all values are secrets, or only those marked so.
    whole: bool,
    found: Vec<(String, Clear)>,
    /// The anchors behind which secrets stand.
    anchors: BTreeSet<usize>,
}

impl<'t> Reader<'t> {
    fn read(&mut self) -> Result<(), Trouble> {
        let (password, whole) = (self.password, self.whole);
        let mut found = Vec::new();
        self.walk(&mut |name, text, encrypted| {
            let value = match encrypted {
                true => decrypt(text, password).map_err(|trouble| trouble.about(name))?,
                false if whole => Zeroizing::new(text.to_owned()),
                false => return Ok(()),
            };
            found.push((name.to_owned(), value));
            Ok(())
        })?;
        self.found = found;
        Ok(())
    }

    fn walk(&mut self, told: Told) -> Result<(), Trouble> {
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(()),
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                event => drop(self.node(event, "", 0, told)?),
            }
        }
    }

    fn next(&mut self) -> Result<Event<'t>, Trouble> {
        match self.parser.next_event() {
            None => Ok(Event::StreamEnd),
            Some(Ok((event, _))) => Ok(event),
            // The place is told, the text is not: it is secret.
            Some(Err(error)) => Err(Trouble::new(format!(
                "the text is not YAML (line {}, column {})",
                error.marker().line(),
                error.marker().col() + 1
            ))),
        }
    }

    /// Tells of a value and all within it; whether there is a secret among
    /// them.
    fn node(
        &mut self,
        event: Event<'t>,
        name: &str,
        depth: usize,
        told: Told,
    ) -> Result<bool, Trouble> {
        if depth > DEEPEST {
            return Err(Trouble::new("the YAML is nested too deeply"));
        }
        let mut secret = false;
        let anchor = match event {
            Event::Scalar(text, _, anchor, tag) => {
                let encrypted = tag.is_some_and(|tag| tag.suffix.starts_with("vault"));
                secret = encrypted || self.whole;
                if !name.is_empty() {
                    told(name, &text, encrypted)?;
                }
                anchor
            }
            Event::SequenceStart(anchor, _) => {
                for number in 0.. {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => {
                            let name = within(name, &number.to_string());
                            secret |= self.node(event, &name, depth + 1, told)?;
                        }
                    }
                }
                anchor
            }
            Event::MappingStart(anchor, _) => loop {
                let key = match self.next()? {
                    Event::MappingEnd => break anchor,
                    Event::Scalar(text, ..) => text.into_owned(),
                    _ => return Err(Trouble::new("a key in the YAML is no text")),
                };
                let event = self.next()?;
                secret |= self.node(event, &within(name, &key), depth + 1, told)?;
            },
            Event::Alias(anchor) if self.anchors.contains(&anchor) => {
                let trouble = Trouble::new(format!("{name} is an alias of a secret"));
                return Err(trouble.help("Aliases are not followed: write the value there, too."));
            }
            _ => return Ok(false),
        };
        if secret && anchor > 0 {
            self.anchors.insert(anchor);
        }
        Ok(secret)
    }
}

fn within(name: &str, key: &str) -> String {
    match name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    }
}

/// The password of `ansible-vault`, read when it is needed first.
pub struct Password {
    file: Option<PathBuf>,
    text: Option<Zeroizing<String>>,
}

impl Password {
    /// The one that these keys name; nothing is read yet.
    pub fn new(keys: &Keys) -> Self {
        Self {
            file: keys.vault_password_file.clone(),
            text: None,
        }
    }

    /// The password.
    ///
    /// # Errors
    /// When no file is named, or it cannot be read.
    pub fn get(&mut self) -> Result<&str, Trouble> {
        if self.text.is_none() {
            self.text = Some(self.read()?);
        }
        Ok(self.text.as_deref().map_or("", String::as_str))
    }

    fn read(&self) -> Result<Zeroizing<String>, Trouble> {
        let Some(file) = &self.file else {
            return Err(Trouble::new("it needs the password of ansible-vault").help(
                "Give a file that holds it: `--vault-password-file FILE`, VEZA_VAULT_PASSWORD_FILE or ANSIBLE_VAULT_PASSWORD_FILE.",
            ));
        };
        let text = fs::read_to_string(file)
            .map(Zeroizing::new)
            .map_err(|error| {
                Trouble::new(format!(
                    "cannot read the password in {}: {error}",
                    file.display()
                ))
            })?;
        Ok(Zeroizing::new(
            text.trim_end_matches(['\r', '\n']).to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made with `ansible-vault encrypt` of ansible-core 2.19; the password is
    /// `open sesame`.
    const WHOLE: &str = include_str!("fixtures/whole.yml");
    const MIXED: &str = include_str!("fixtures/mixed.yml");

    fn plain(found: Vec<(String, Clear)>) -> Vec<(String, String)> {
        found
            .into_iter()
            .map(|(name, value)| (name, value.to_string()))
            .collect()
    }

    #[test]
    fn a_whole_file_of_variables_is_read() {
        let found = plain(variables(WHOLE, "open sesame").expect("it opens"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            found,
            [
                pair("db_password", "hunter2 \"x\" ünïcode"),
                pair("db.port", "5432"),
                pair("keys.0", "first key of two"),
                pair("keys.1", "line one\nline two\n"),
            ]
        );
    }

    #[test]
    fn encrypted_values_within_a_plain_file_are_read() {
        assert_eq!(names(MIXED).expect("YAML"), ["db_password", "api.token"]);
        let found = plain(variables(MIXED, "open sesame").expect("it opens"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            found,
            [
                pair("db_password", "hunter2 in a plain file"),
                pair("api.token", "with a label"),
            ]
        );
    }

    #[test]
    fn a_wrong_password_is_said_to_be_wrong() {
        let trouble = variables(WHOLE, "open says me").expect_err("refused");
        assert!(trouble.message.contains("password is wrong"), "{trouble:?}");
        let cut = &WHOLE[..WHOLE.len() - 40];
        assert!(variables(cut, "open sesame").is_err());
        assert!(variables("$ANSIBLE_VAULT;1.0;AES\n00\n", "x").is_err());
    }

    proptest! {
        #[test]
        fn junk_is_an_error_and_no_panic(text in "\\PC{0,80}", digits in "[0-9a-f\n]{0,80}") {
            let _ = names(&text);
            let vault = format!("$ANSIBLE_VAULT;1.1;AES256\n{digits}");
            prop_assert!(decrypt(&vault, "x").is_err());
            prop_assert!(decrypt(&text, "x").is_err());
        }
    }

    #[test]
    fn an_alias_is_refused_rather_than_passed_over() {
        for text in [
            "a: &x !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  00\nb: *x\n",
            "base: &x\n  k: !vault v\nother:\n  <<: *x\n",
            "list: [&x !vault v, *x]\n",
        ] {
            let trouble = names(text).expect_err(text);
            assert!(trouble.message.contains("alias"), "{trouble:?}");
        }
        let fine = "a: &x { k: plain }\nb: *x\nc: !vault v\n";
        assert_eq!(names(fine).expect("no secret has an alias"), ["c"]);
    }
}
