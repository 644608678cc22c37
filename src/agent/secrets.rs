//! The values of secrets, and the two ways between them and their marks.
//!
//! Above the door of the system a secret is a mark. A [`Table`] puts the value
//! in at the very door ([`Table::reveal`]), and finds values, in whatever form
//! they appear, in what comes back ([`Table::mask`]). Both ways lead to the
//! same bytes: a text and its masked form say the same, so texts of a host and
//! texts that were asked for are compared in that form ([`Table::canonical`]).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroize;

use crate::content::{Content, digest};
use crate::mark::{self, FORM, Piece};
use crate::module::Result;
use crate::outcome::Failure;

mod forms;

mod stream;

pub use stream::Masking;

/// The fewest bytes of a secret. A shorter one is found everywhere, and in
/// texts that have nothing to do with it.
pub const SHORTEST: usize = 6;

/// The most bytes of all secrets in all their forms.
const MOST: usize = 16 * 1024 * 1024;

/// The value of a secret. It is not printed, and wiped when it goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A value that may be shown to nobody.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for who needs it to do what is asked.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Secrets by name. Without any, every text passes as it is.
#[derive(Clone, Debug, Default)]
pub struct Table {
    values: BTreeMap<String, Secret>,
    /// What each mark stands for; the forms of a value have marks of their own.
    marked: BTreeMap<String, Secret>,
    /// What looks for all of them: made when a text is looked at, since
    /// secrets often come one after the other.
    search: OnceLock<Arc<Search>>,
}

#[derive(Debug)]
struct Search {
    automaton: AhoCorasick,
    /// The mark for each pattern.
    marks: Vec<String>,
    patterns: Vec<Secret>,
}

impl Table {
    /// Adds secrets, or new values of those that are there.
    ///
    /// # Errors
    /// When a value is too short to be found, or there are far too many.
    pub fn add(&mut self, secrets: impl IntoIterator<Item = (String, Secret)>) -> Result<()> {
        for (name, secret) in secrets {
            check_length(&name, secret.expose())?;
            self.marked.retain(|marked, _| mark::bare(marked) != name);
            for (number, form) in forms::of(secret.expose()).into_iter().enumerate() {
                let marked = format!("{name}{FORM}{number}");
                self.marked.insert(marked, Secret(form));
            }
            self.marked.insert(name.clone(), secret.clone());
            self.values.insert(name, secret);
        }
        self.search = OnceLock::new();
        let lengths = self.marked.values().map(|text| text.expose().len());
        match lengths.sum::<usize>() <= MOST {
            true => Ok(()),
            false => Err(Failure::new("the secrets are too long to be looked for")),
        }
    }

    fn search(&self) -> Option<&Search> {
        if self.is_empty() {
            return None;
        }
        Some(self.search.get_or_init(|| {
            let mut by_text: BTreeMap<&str, &str> = BTreeMap::new();
            // What somebody means is the value; forms come after all of those.
            for (name, text) in self.values.iter().chain(&self.marked) {
                by_text.entry(text.expose()).or_insert(name);
            }
            Arc::new(Search::of(by_text))
        }))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a secret.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.values.get(name)
    }

    /// The name of a secret with this value, if there is one.
    pub fn name_of(&self, value: &str) -> Option<&str> {
        let mut values = self.values.iter();
        let found = values.find(|(_, secret)| secret.expose() == value);
        found.map(|(name, _)| name.as_str())
    }

    /// The text with the values in place of their marks; a mark whose value is
    /// not here stays.
    pub fn resolve<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_empty() || !mark::has_secret(text) {
            return Cow::Borrowed(text);
        }
        let resolved = mark::pieces(text).map(|piece| match piece {
            Piece::Text(text) => Cow::Borrowed(text),
            Piece::Secret(name) => match self.marked.get(name) {
                Some(secret) => Cow::Borrowed(secret.expose()),
                None => mark::secret(name).into(),
            },
            Piece::Unknown(origin) => mark::unknown(origin).into(),
            Piece::Hidden => mark::hidden().into(),
        });
        Cow::Owned(resolved.collect())
    }

    /// The text as it is really meant.
    ///
    /// # Errors
    /// When the value of a secret is not here.
    pub fn reveal<'t>(&self, text: &'t str) -> Result<Cow<'t, str>> {
        let revealed = self.resolve(text);
        if let Some(name) = mark::secrets(&revealed).next() {
            return Err(Failure::new(format!(
                "the value of the secret {} is not known here",
                mark::shown_name(name)
            )));
        }
        Ok(revealed)
    }

    /// The text with marks in place of all values that stand in it.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(search) = self.search() else {
            return Cow::Borrowed(text);
        };
        if !mark::is_marked(text) {
            return search.replace(text);
        }
        // The name in a mark may be what another secret is.
        let masked = mark::pieces(text).map(|piece| match piece {
            Piece::Text(text) => search.replace(text),
            Piece::Secret(name) => mark::secret(name).into(),
            Piece::Unknown(origin) => mark::unknown(origin).into(),
            Piece::Hidden => mark::hidden().into(),
        });
        Cow::Owned(masked.collect())
    }

    /// The one form of a text with secrets: two texts that mean the same bytes
    /// are equal in it, however they came about.
    pub fn canonical<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.resolve(text) {
            Cow::Borrowed(text) => self.mask(text),
            Cow::Owned(text) => Cow::Owned(self.mask(&text).into_owned()),
        }
    }

    /// The canonical form of a content. Its size is the real one; its digest
    /// is that of the masked text, since a weak secret could be guessed from
    /// the real one.
    pub fn canonical_content(&self, content: &Content) -> Content {
        let Some(text) = content.text.as_deref().filter(|_| !self.is_empty()) else {
            return content.clone();
        };
        let resolved = self.resolve(text);
        let masked = self.mask(&resolved);
        Content {
            sha256: match masked == text {
                true => content.sha256.clone(),
                false => digest(masked.as_bytes()),
            },
            size: resolved.len() as u64,
            text: Some(masked.into_owned()),
        }
    }

    /// Whether the bytes that a content stands for have this SHA-256. Only that
    /// is told: from the real digest of a text with secrets those could be
    /// guessed.
    pub fn has_sha256(&self, content: &Content, sha256: &str) -> bool {
        match content.text.as_deref().map(|text| self.resolve(text)) {
            Some(Cow::Owned(text)) => digest(text.as_bytes()) == sha256,
            _ => content.sha256 == sha256,
        }
    }

    /// A content as it was read from a host, with its values masked. A text
    /// that speaks of secrets by itself is not taken for one.
    pub fn found_content(&self, content: Content) -> Content {
        match content.text.as_deref().is_some_and(mark::is_marked) {
            true => Content {
                text: None,
                ..content
            },
            false => self.canonical_content(&content),
        }
    }

    /// Any data with all its texts masked: the last thing before it leaves.
    ///
    /// # Errors
    /// When the data cannot be taken apart and put together again.
    pub fn scrub<T: Serialize + DeserializeOwned>(&self, data: T) -> Result<T> {
        if self.is_empty() {
            return Ok(data);
        }
        let failed = |error: serde_json::Error| {
            Failure::new(format!("cannot look for secrets in a result: {error}"))
        };
        let mut value = serde_json::to_value(&data).map_err(failed)?;
        each_text(&mut value, &|text| match self.mask(text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(masked) => Some(masked),
        });
        serde_json::from_value(value).map_err(failed)
    }
}

/// Changes every text in `value`, keys included, for which `change` has
/// another.
pub fn each_text(value: &mut Value, change: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(changed) = change(text) {
                *text = changed;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => {
            if fields.keys().any(|key| change(key).is_some()) {
                let old = std::mem::take(fields).into_iter();
                fields.extend(old.map(|(key, field)| (change(&key).unwrap_or(key), field)));
            }
            fields
                .values_mut()
                .for_each(|field| each_text(field, change));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The secrets that the texts in `value` have marks of.
pub fn names_in(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::String(text) => found.extend(mark::secrets(text).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| names_in(item, found)),
        Value::Object(fields) => {
            for (key, field) in fields {
                found.extend(mark::secrets(key).map(str::to_owned));
                names_in(field, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Refuses a value that could not be hidden.
///
/// # Errors
/// When it has fewer than [`SHORTEST`] bytes.
pub fn check_length(name: &str, value: &str) -> Result<()> {
    match value.len() {
        SHORTEST.. => Ok(()),
        _ => Err(Failure::new(format!(
            "the secret {name} has fewer than {SHORTEST} bytes, so it cannot be hidden"
        ))
        .hint("A text this short is found everywhere by chance. Use a longer one, or a plain variable if it is no secret.")),
    }
}

impl Search {
    fn of(by_text: BTreeMap<&str, &str>) -> Self {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(by_text.keys())
            .expect("Table::add has seen to their length");
        let (patterns, marks) = by_text
            .into_iter()
            .map(|(text, name)| (Secret::new(text), mark::secret(name)))
            .unzip();
        Self {
            automaton,
            marks,
            patterns,
        }
    }

    fn replace<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.automaton.is_match(text) {
            return Cow::Owned(self.automaton.replace_all(text, &self.marks));
        }
        Cow::Borrowed(text)
    }
}

/// A table that grows while others hold it: an agent is told of a secret only
/// when a task needs it.
#[derive(Clone, Default)]
pub struct Shared(Rc<RefCell<Rc<Table>>>);

impl Shared {
    /// What is known now.
    pub fn table(&self) -> Rc<Table> {
        self.0.borrow().clone()
    }

    /// Adds secrets.
    ///
    /// # Errors
    /// As [`Table::add`].
    pub fn add(&self, secrets: impl IntoIterator<Item = (String, Secret)>) -> Result<()> {
        let mut table = Table::clone(&self.table());
        table.add(secrets)?;
        *self.0.borrow_mut() = Rc::new(table);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
