//! Secrets: where they are kept, and what a run knows of them.
//!
//! Start at [`Secrets`]: an env file declares files ([`Secrets::declare`]),
//! scripts name what is in them and get marks ([`veza_agent::mark`]), and a
//! run that reaches real hosts opens the files ([`Secrets::unlock`]). A
//! sandbox knows secrets by name only, and needs no key.
//!
//! **Invariant:** a value is read in three places: by the template engine for
//! a filter that needs it, by a session for the host that needs it, and by
//! whatever looks for it in texts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use veza_agent::mark::{self, Piece};
use veza_agent::outcome::Failure;
use veza_agent::secrets::{Secret, Table, check_length, each_text, names_in};
use zeroize::Zeroizing;

use crate::schema::closest;

pub mod ansible;

pub mod keys;

pub mod vault;

use keys::Identities;
use vault::Vault;

/// What is wrong with secrets, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// What happened, as a sentence without a full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Trouble {
    /// Trouble without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says which file or name it is about.
    pub fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            message: failure.message,
            help: failure.hint,
        }
    }
}

/// What opens files of secrets.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Files with identities of age or SSH; the usual ones if none is given.
    pub identities: Vec<PathBuf>,
    /// A file with the password of `ansible-vault`.
    pub vault_password_file: Option<PathBuf>,
}

/// The secrets of a playbook; shared by all that deals with them.
#[derive(Default)]
pub struct Secrets(Mutex<State>);

#[derive(Default)]
struct State {
    files: Vec<File>,
    table: Arc<Table>,
    /// Whether the files are open.
    open: bool,
    /// Whether they stay closed: in a sandbox.
    by_name: bool,
    /// Secrets of the files that are too short to be hidden.
    too_short: BTreeSet<String>,
}

struct File {
    id: String,
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Vault(Box<Vault>),
    /// A file of `ansible-vault`, and the names as far as they can be read.
    Ansible(String, Option<Vec<String>>),
}

impl File {
    fn read(id: &str, path: &Path) -> Result<Self, Trouble> {
        let text = fs::read_to_string(path)
            .map_err(|error| Trouble::new(format!("cannot read {id}: {error}")))?;
        let about = |trouble: Trouble| trouble.about(id);
        let kind = if ansible::is_encrypted(&text) {
            Kind::Ansible(text, None)
        } else if ansible::has_encrypted(&text) {
            let names = ansible::names(&text).map_err(about)?;
            Kind::Ansible(text, Some(names))
        } else {
            Kind::Vault(Box::new(Vault::parse(&text).map_err(about)?))
        };
        Ok(Self {
            id: id.to_owned(),
            path: path.to_owned(),
            kind,
        })
    }

    /// The names in it, if they can be read without a key.
    fn names(&self) -> Option<Vec<&str>> {
        match &self.kind {
            Kind::Vault(vault) => Some(vault.names()),
            Kind::Ansible(_, names) => Some(names.as_ref()?.iter().map(String::as_str).collect()),
        }
    }

    fn values(
        &self,
        identities: &mut Identities,
        password: &mut Password,
    ) -> Result<Vec<(String, vault::Clear)>, Trouble> {
        let values = match &self.kind {
            Kind::Vault(vault) => vault.open(identities),
            Kind::Ansible(text, _) => ansible::variables(text, password.get()?),
        };
        values.map_err(|trouble| trouble.about(&self.id))
    }
}

impl Secrets {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is known of them.
    pub fn table(&self) -> Arc<Table> {
        self.state().table.clone()
    }

    /// Takes in the names of a file; reads it once.
    ///
    /// # Errors
    /// When it is no file of secrets, or names what another one names too.
    pub fn declare(&self, id: &str, path: &Path) -> Result<(), Trouble> {
        let mut state = self.state();
        if state.files.iter().any(|file| file.path == path) {
            return Ok(());
        }
        let file = File::read(id, path)?;
        for name in file.names().unwrap_or_default() {
            let has = |other: &&File| other.names().unwrap_or_default().contains(&name);
            if let Some(other) = state.files.iter().find(has) {
                let message = format!("the secret \"{name}\" is in {} and in {id}", other.id);
                return Err(Trouble::new(message).help("Take it out of one of them."));
            }
        }
        state.files.push(file);
        Ok(())
    }

    /// Whether any file was declared.
    pub fn is_declared(&self) -> bool {
        !self.state().files.is_empty()
    }

    /// The mark of a secret of the declared files.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn mark(&self, name: &str) -> Result<String, Trouble> {
        let state = self.state();
        if state.too_short.contains(name) {
            return Err(too_short(name));
        }
        let names: Vec<_> = state.files.iter().map(File::names).collect();
        let hidden_names = names.iter().any(Option::is_none) && !state.open;
        let mut known = names.iter().flatten().flatten().copied();
        if !hidden_names && !known.any(|known| known == name) && state.table.get(name).is_none() {
            let trouble = Trouble::new(format!("there is no secret \"{name}\""));
            if state.files.is_empty() {
                return Err(trouble.help(
                    "Name the file it is in at the top of the env file: secrets(\"secrets/NAME.toml\").",
                ));
            }
            let known = names.iter().flatten().flatten().copied();
            let files: Vec<_> = state.files.iter().map(|file| file.id.as_str()).collect();
            return Err(match closest(name, known) {
                Some(near) => trouble.help(format!("did you mean \"{near}\"?")),
                None => trouble.help(format!(
                    "`veza-play vault list {}` shows what there is.",
                    files[0]
                )),
            });
        }
        Ok(mark::secret(name))
    }

    /// Opens the declared files: from now on values are known.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn unlock(&self, keys: &Keys) -> Result<(), Trouble> {
        let mut state = self.state();
        let mut table = Table::clone(&state.table);
        if !state.files.is_empty() {
            let mut identities = Identities::find(&keys.identities)?;
            let mut password = Password::new(keys);
            let State {
                files, too_short, ..
            } = &mut *state;
            for file in files {
                let values = file.values(&mut identities, &mut password)?;
                let (fine, short): (Vec<_>, Vec<_>) = values
                    .into_iter()
                    .partition(|(name, value)| check_length(name, value).is_ok());
                too_short.extend(short.into_iter().map(|(name, _)| name));
                table.add(
                    fine.into_iter()
                        .map(|(name, value)| (name, Secret::new(value.as_str()))),
                )?;
            }
        }
        state.table = Arc::new(table);
        state.open = true;
        Ok(())
    }

    /// From now on secrets are known by name only, as virtual hosts take them.
    pub fn stay_closed(&self) {
        self.state().by_name = true;
    }

    /// A mark for a text that nobody may see, though it was written in clear;
    /// `name` says what it is.
    ///
    /// # Errors
    /// When it is too short to be hidden.
    pub fn conceal(&self, name: &str, value: &str) -> Result<String, Failure> {
        check_length(name, value)?;
        self.named(name, value)
    }

    /// A mark for what was made of secrets: `how` says how, `source` of what,
    /// with marks in it. Where values are not known, the result is not either.
    ///
    /// # Errors
    /// When it is too short to be hidden.
    pub fn derive(&self, how: &str, source: &str, value: Option<&str>) -> Result<String, Failure> {
        let of = mark::secrets(source).next().unwrap_or("a secret");
        let mut name = format!("{how} of {of}");
        // The same thing made of other texts is another secret. What tells
        // them apart holds no value, and is the same in every run.
        if source != mark::secret(of) {
            let digest = veza_agent::content::digest(source.as_bytes());
            name = format!("{name} ({digest:.4})");
        }
        let Some(value) = value else {
            return Ok(mark::secret(&name));
        };
        check_length(&name, value)?;
        self.named(&name, value)
    }

    /// The mark of a value, under this name if nothing else has it.
    fn named(&self, name: &str, value: &str) -> Result<String, Failure> {
        let mut state = self.state();
        if let Some(known) = state.table.name_of(value) {
            return Ok(mark::secret(known));
        }
        if state.by_name {
            return Ok(mark::secret(name));
        }
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let name = std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| state.table.get(name).is_none())
            .unwrap_or_default();
        let mut table = Table::clone(&state.table);
        table.add([(name.clone(), Secret::new(value))])?;
        state.table = Arc::new(table);
        Ok(mark::secret(&name))
    }

    /// What `make` makes of a text in which the secrets stand in clear, given
    /// back as a mark. Where values are not known it is not made.
    ///
    /// # Errors
    /// When the result is too short to be hidden.
    pub fn transform(
        &self,
        how: &str,
        source: &str,
        make: impl FnOnce(&str) -> String,
    ) -> Result<String, Failure> {
        let clear = self.clear(source);
        let made = clear.map(|clear| Zeroizing::new(make(&clear)));
        self.derive(how, source, made.as_ref().map(|made| made.as_str()))
    }

    /// A text with its secrets in clear, if all their values are known.
    pub fn clear(&self, text: &str) -> Option<Zeroizing<String>> {
        let table = self.table();
        let clear = table.reveal(text).ok()?;
        Some(Zeroizing::new(clear.into_owned()))
    }

    /// A value as JSON. A secret that JSON would have to escape is given in
    /// its escaped form.
    ///
    /// # Errors
    /// When a secret cannot be hidden.
    pub fn json(&self, value: &Value) -> Result<String, Failure> {
        let mut value = value.clone();
        let failure = std::cell::RefCell::new(None);
        each_text(&mut value, &|text| {
            let escaped = self.escaped(text);
            escaped.unwrap_or_else(|why| {
                failure.borrow_mut().get_or_insert(why);
                None
            })
        });
        match failure.into_inner() {
            Some(failure) => Err(failure),
            None => Ok(value.to_string()),
        }
    }

    fn escaped(&self, text: &str) -> Result<Option<String>, Failure> {
        if !mark::has_secret(text) {
            return Ok(None);
        }
        let json = |text: &str| {
            let quoted = Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        // What is around the secrets is escaped with the whole value.
        self.encoded("to_json", text, str::to_owned, json).map(Some)
    }

    /// A text as a part of a URL, whose own characters have no meaning there.
    /// A secret that has any of those is given in its encoded form.
    ///
    /// # Errors
    /// When a secret cannot be hidden.
    pub fn urlencode(&self, text: &str) -> Result<String, Failure> {
        let percent = |text: &str| crate::template::percent(text, "");
        self.encoded("urlencode", text, percent, percent)
    }

    /// A text with its plain pieces and the values of its secrets encoded.
    fn encoded(
        &self,
        how: &str,
        text: &str,
        plain: impl Fn(&str) -> String,
        secret: impl Fn(&str) -> String,
    ) -> Result<String, Failure> {
        let mut encoded = String::new();
        for piece in mark::pieces(text) {
            match piece {
                Piece::Text(text) => encoded.push_str(&plain(text)),
                Piece::Secret(name) => {
                    let marked = mark::secret(name);
                    let same = |clear: Zeroizing<String>| secret(&clear) == **clear;
                    encoded.push_str(&match self.clear(&marked).is_none_or(same) {
                        true => marked,
                        false => self.transform(how, &marked, &secret)?,
                    });
                }
                Piece::Unknown(origin) => encoded.push_str(&mark::unknown(origin)),
                Piece::Hidden => encoded.push_str(&mark::hidden()),
            }
        }
        Ok(encoded)
    }

    /// The values a host needs for a request, by name.
    ///
    /// # Errors
    /// When one of them is not known, or cannot be hidden.
    pub fn needed(&self, request: &Value) -> Result<BTreeMap<String, Secret>, Failure> {
        let mut names = BTreeSet::new();
        names_in(request, &mut names);
        let state = self.state();
        let value = |name: String| match state.table.get(&name) {
            Some(secret) => Ok((name, secret.clone())),
            None if state.too_short.contains(&name) => Err(Failure {
                hint: too_short(&name).help,
                ..Failure::new(too_short(&name).message)
            }),
            None => Err(Failure::new(format!("there is no secret {name}"))),
        };
        names.into_iter().map(value).collect()
    }

    /// A text for people, in which no value stands.
    pub fn hidden(&self, text: &str) -> String {
        mark::show(&self.table().mask(text)).into_owned()
    }

    /// Data with all values masked.
    ///
    /// # Errors
    /// When the data cannot be taken apart.
    pub fn scrub<T: Serialize + DeserializeOwned>(&self, data: T) -> Result<T, Failure> {
        self.table().scrub(data)
    }

    /// What a host said. Values it should not have said are masked, and a mark
    /// of a secret that it was not given is nothing but its own idea.
    ///
    /// # Errors
    /// When the data cannot be taken apart.
    pub fn received<T: Serialize + DeserializeOwned>(
        &self,
        data: T,
        given: &BTreeSet<String>,
    ) -> Result<T, Failure> {
        let table = self.table();
        if table.is_empty() {
            return Ok(data);
        }
        let failed =
            |error: serde_json::Error| Failure::new(format!("a reply makes no sense: {error}"));
        let mut value = serde_json::to_value(&data).map_err(failed)?;
        each_text(&mut value, &|text| {
            let own = own_marks(text, given);
            match table.mask(&own) {
                Cow::Borrowed(_) => matches!(own, Cow::Owned(_)).then(|| own.into_owned()),
                Cow::Owned(masked) => Some(masked),
            }
        });
        serde_json::from_value(value).map_err(failed)
    }

    /// What a stream of a host's command brought, as it may be told.
    pub fn passed(&self, masking: &mut veza_agent::secrets::Masking, text: &str) -> String {
        masking.pass(&self.table(), text.as_bytes())
    }

    /// What a stream brought last.
    pub fn rest(&self, masking: &mut veza_agent::secrets::Masking) -> String {
        masking.rest(&self.table())
    }
}

fn too_short(name: &str) -> Trouble {
    match check_length(name, "") {
        Err(failure) => failure.into(),
        Ok(()) => Trouble::new(format!("the secret {name} cannot be hidden")),
    }
}

/// `text` with only those marks of secrets that are `given`.
fn own_marks<'t>(text: &'t str, given: &BTreeSet<String>) -> Cow<'t, str> {
    if mark::secrets(text).all(|name| given.contains(name)) {
        return Cow::Borrowed(text);
    }
    let pieces = mark::pieces(text).map(|piece| match piece {
        Piece::Text(text) => mark::defused(text).into_owned(),
        Piece::Secret(name) if given.contains(mark::bare(name)) => mark::secret(name),
        Piece::Secret(name) => format!("(secret {name})"),
        Piece::Unknown(origin) => mark::unknown(origin),
        Piece::Hidden => mark::hidden(),
    });
    Cow::Owned(pieces.collect())
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

/// Asks for something at the terminal, without showing what is typed.
///
/// # Errors
/// When there is no terminal.
pub fn ask(what: &str) -> Result<Zeroizing<String>, Trouble> {
    let term = console::Term::stderr();
    let asked = term
        .write_str(&format!("{what}: "))
        .and_then(|()| term.read_secure_line());
    asked
        .map(Zeroizing::new)
        .map_err(|error| Trouble::new(format!("cannot ask for it: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn open(values: &[(&str, &str)]) -> Secrets {
        let secrets = Secrets::default();
        secrets.unlock(&Keys::default()).expect("there is no file");
        for (name, value) in values {
            secrets.conceal(name, value).expect("long enough");
        }
        secrets
    }

    #[test]
    fn one_value_has_one_name() {
        let secrets = open(&[("password", "hunter2!")]);
        let again = secrets.conceal("token", "hunter2!").expect("concealed");
        assert_eq!(again, mark::secret("password"));
        let other = secrets.conceal("password", "another").expect("concealed");
        assert_eq!(other, mark::secret("password (2)"));
        assert!(secrets.conceal("pin", "1234").is_err());
    }

    #[test]
    fn what_is_made_of_a_secret_is_one() {
        let secrets = open(&[("db", "hunter2!")]);
        let upper = |text: &str| text.to_uppercase();
        let made = secrets.transform("upper", &mark::secret("db"), upper);
        assert_eq!(made.expect("made"), mark::secret("upper of db"));
        let table = secrets.table();
        assert_eq!(
            table.get("upper of db").expect("there").expose(),
            "HUNTER2!"
        );
        // By name only, it is one by name only.
        let by_name = Secrets::default();
        let made = by_name.transform("upper", &mark::secret("db"), upper);
        assert_eq!(made.expect("made"), mark::secret("upper of db"));
        assert!(by_name.table().is_empty());
        let other = by_name.derive("upper", &format!("x{}", mark::secret("db")), None);
        assert_ne!(other.expect("made"), mark::secret("upper of db"));
    }

    #[test]
    fn json_takes_the_escaped_form() {
        let secrets = open(&[("plain", "hunter2!"), ("quoted", "hunter\"2\"")]);
        let value = json!({ "a": mark::secret("plain"), "b": [mark::secret("quoted")] });
        let text = secrets.json(&value).expect("made");
        let clear = secrets.clear(&text).expect("known");
        let read: Value = serde_json::from_str(&clear).expect("it is JSON");
        assert_eq!(read, json!({ "a": "hunter2!", "b": ["hunter\"2\""] }));
        assert!(text.contains(&mark::secret("plain")), "{text}");
    }

    #[test]
    fn a_url_takes_the_encoded_form() {
        let secrets = open(&[("plain", "hunter2"), ("marks", "p@ss/w%rd:?#")]);
        let text = format!("a/ä{}{}", mark::secret("plain"), mark::secret("marks"));
        let encoded = secrets.urlencode(&text).expect("encoded");
        assert!(encoded.contains(&mark::secret("plain")), "{encoded}");
        let clear = secrets.clear(&encoded).expect("known");
        assert_eq!(*clear, "a%2F%C3%A4hunter2p%40ss%2Fw%25rd%3A%3F%23");
    }

    #[test]
    fn a_host_cannot_ask_for_a_secret_by_its_mark() {
        let secrets = open(&[("own", "hunter2!"), ("other", "0123456789")]);
        let given = BTreeSet::from(["own".to_owned()]);
        let said = json!([
            mark::secret("own"),
            mark::secret("other"),
            "it is 0123456789"
        ]);
        let heard = secrets.received(said, &given).expect("heard");
        assert_eq!(
            heard,
            json!([
                mark::secret("own"),
                "(secret other)",
                format!("it is {}", mark::secret("other"))
            ])
        );
    }

    #[test]
    fn a_missing_secret_is_named_with_what_is_near() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("prod.toml");
        let text = "recipients = []\n[secrets]\ndb_password = \"\"\n";
        fs::write(&path, text).expect("written");
        let secrets = Secrets::default();
        let trouble = secrets.mark("db_password").expect_err("no file");
        assert!(trouble.help.is_some_and(|help| help.contains("secrets(")));
        secrets
            .declare("secrets/prod.toml", &path)
            .expect("declared");
        assert!(secrets.mark("db_password").is_ok());
        let trouble = secrets.mark("db_pasword").expect_err("not there");
        assert_eq!(
            trouble.help.as_deref(),
            Some("did you mean \"db_password\"?")
        );
        let again = directory.path().join("other.toml");
        fs::write(&again, text).expect("written");
        let trouble = secrets.declare("other.toml", &again).expect_err("twice");
        assert!(trouble.message.contains("secrets/prod.toml"), "{trouble:?}");
    }
}
