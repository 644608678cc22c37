//! A module's view of a thing: named attributes, and what differs between two
//! such views.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::content::Content;
use crate::mark;
use crate::outcome::{Change, Side};
use crate::secrets::{Table, each_text, names_in};
use crate::veil;

/// Items of a list that are named in a sentence.
const ITEMS: usize = 10;

/// Named attributes of one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    attributes: BTreeMap<String, Attribute>,
    requests: Vec<String>,
    routines: Vec<String>,
}

/// One attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A plain value; strings may carry marks.
    Value(Value),
    /// A file's content.
    Content(Content),
    /// Known only after apply; the text says where it will come from.
    Unknown(String),
}

impl State {
    /// A state without attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an attribute.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.attributes
            .insert(name.to_owned(), Attribute::Value(value.into()));
    }

    /// Sets an attribute, if there is a value for it.
    pub fn set_some<V: Into<Value>>(&mut self, name: &str, value: Option<V>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Sets an attribute that holds a file's content.
    pub fn set_content(&mut self, name: &str, content: Content) {
        self.attributes
            .insert(name.to_owned(), Attribute::Content(content));
    }

    /// Says that an attribute is known only after apply.
    pub fn set_unknown(&mut self, name: &str, origin: impl Into<String>) {
        self.attributes
            .insert(name.to_owned(), Attribute::Unknown(origin.into()));
    }

    /// Asks for something that is done each time, such as `restart`. It counts
    /// as a difference, and is not looked for afterwards.
    pub fn request(&mut self, what: &str) {
        self.requests.push(what.to_owned());
    }

    /// Asks for something that is done each time and that nobody would call a
    /// change, such as making systemd read its unit files again.
    pub fn routine(&mut self, what: &str) {
        self.routines.push(what.to_owned());
    }

    /// An attribute, if it is set.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(name)
    }

    /// A plain attribute's value, if it is set and known.
    pub fn value(&self, name: &str) -> Option<&Value> {
        match self.attributes.get(name) {
            Some(Attribute::Value(value)) => Some(value),
            _ => None,
        }
    }

    /// A text attribute, if it is set and known.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// Takes over another state's attributes, each name with this prefix.
    pub fn merge(&mut self, prefix: &str, other: Self) {
        for (name, attribute) in other.attributes {
            self.attributes.insert(format!("{prefix}{name}"), attribute);
        }
        self.requests.extend(other.requests);
        self.routines.extend(other.routines);
    }

    /// The attributes whose names have this prefix, without it.
    pub fn part(&self, prefix: &str) -> Self {
        let strip = |(name, attribute): (&String, &Attribute)| {
            let name = name.strip_prefix(prefix)?;
            Some((name.to_owned(), attribute.clone()))
        };
        let from_there = self.attributes.range(prefix.to_owned()..);
        Self {
            attributes: from_there.map_while(strip).collect(),
            requests: Vec::new(),
            routines: Vec::new(),
        }
    }

    /// The same state with all texts in the form in which those with secrets
    /// can be compared.
    pub fn canonical(mut self, secrets: &Table) -> Self {
        if secrets.is_empty() {
            return self;
        }
        for attribute in self.attributes.values_mut() {
            match attribute {
                Attribute::Content(content) => *content = secrets.canonical_content(content),
                Attribute::Value(value) => {
                    each_text(value, &|text| Some(secrets.canonical(text).into_owned()))
                }
                Attribute::Unknown(_) => {}
            }
        }
        self
    }

    /// The same state without what is done each time.
    pub fn without_requests(mut self) -> Self {
        self.requests.clear();
        self.routines.clear();
        self
    }
}

/// What differs between a found and a wanted state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// The attributes that differ, by name.
    pub changes: Vec<Change>,
    requests: Vec<String>,
    routines: Vec<String>,
}

impl Diff {
    /// Compares only what is wanted.
    pub fn between(found: &State, wanted: &State) -> Self {
        let changes = wanted
            .attributes
            .iter()
            .filter_map(|(name, want)| {
                let have = found.attributes.get(name);
                (have != Some(want) || is_unknown(want)).then(|| {
                    let after = Side::from(want);
                    Change {
                        attribute: name.clone(),
                        before: have.map_or(Side::Absent, Side::from).behind(&after),
                        after,
                    }
                })
            })
            .collect();
        Self {
            changes,
            requests: wanted.requests.clone(),
            routines: wanted.routines.clone(),
        }
    }

    /// Whether nothing differs and nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.is_routine() && self.routines.is_empty()
    }

    /// Whether nothing differs and nothing is requested but routine.
    pub fn is_routine(&self) -> bool {
        self.changes.is_empty() && self.requests.is_empty()
    }

    /// Whether an attribute differs.
    pub fn has(&self, attribute: &str) -> bool {
        self.changes
            .iter()
            .any(|change| change.attribute == attribute)
    }

    /// Whether any attribute but this one differs.
    pub fn has_other_than(&self, attribute: &str) -> bool {
        self.changes
            .iter()
            .any(|change| change.attribute != attribute)
    }

    /// Whether something is requested, be it routine or not.
    pub fn requests(&self, what: &str) -> bool {
        let mut asked = self.requests.iter().chain(&self.routines);
        asked.any(|request| request == what)
    }

    /// The changes whose two sides are both known.
    pub fn certain(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.is_certain())
    }

    /// Whether it is certain that something will change.
    pub fn is_certain(&self) -> bool {
        !self.requests.is_empty() || self.certain().next().is_some()
    }
}

impl Change {
    fn is_certain(&self) -> bool {
        self.before.is_known() && self.after.is_known()
    }
}

impl Side {
    fn is_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Text(text) => mark::unknown_origin(text).is_none(),
            _ => true,
        }
    }

    /// What was there as it may be shown: not what stood in the place of a
    /// secret.
    fn behind(self, after: &Self) -> Self {
        let hidden = || Self::Value(Value::from(mark::hidden()));
        match (&self, after) {
            (Self::Unknown(_), _) => self,
            // What is around an unknown part may be such a thing.
            (Self::Text(old), Self::Text(new)) if mark::has_secret(new) && !self.is_known() => {
                Self::Unknown(mark::unknown_origin(old).unwrap_or_default().to_owned())
            }
            (Self::Text(old), Self::Text(new)) => Self::Text(veil::behind(old, new).into_owned()),
            (Self::Value(Value::String(old)), Self::Value(Value::String(new))) => {
                let old = veil::behind(old, new);
                Self::Value(Value::from(old.strip_suffix('\n').unwrap_or(&old)))
            }
            (Self::Absent, _) => self,
            (_, Self::Text(new)) if mark::has_secret(new) => hidden(),
            (_, Self::Value(new)) if has_secret(new) => hidden(),
            _ => self,
        }
    }
}

fn has_secret(value: &Value) -> bool {
    let mut names = std::collections::BTreeSet::new();
    names_in(value, &mut names);
    !names.is_empty()
}

impl From<&Attribute> for Side {
    fn from(attribute: &Attribute) -> Self {
        match attribute {
            Attribute::Unknown(origin) => Self::Unknown(origin.clone()),
            Attribute::Value(Value::Null) => Self::Absent,
            Attribute::Value(Value::String(text)) => match mark::unknown_origin(text) {
                Some(origin) => Self::Unknown(origin.to_owned()),
                None => Self::Value(Value::String(text.clone())),
            },
            Attribute::Value(value) => Self::Value(value.clone()),
            Attribute::Content(content) => match &content.text {
                Some(text) => Self::Text(text.clone()),
                None => Self::Opaque {
                    sha256: content.sha256.clone(),
                    size: content.size,
                },
            },
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("nothing"),
            Self::Value(Value::String(text)) => write!(f, "{}", mark::show(text)),
            // A list may name each file of a directory.
            Self::Value(Value::Array(items)) if items.len() > ITEMS => {
                let first = Value::from(&items[..ITEMS]);
                write!(f, "{first} and {} more", items.len() - ITEMS)
            }
            Self::Value(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{} bytes of text", text.len()),
            Self::Opaque { size, sha256 } => write!(f, "{size} bytes with SHA-256 {sha256:.12}"),
            Self::Unknown(_) => f.write_str("something known only after apply"),
        }
    }
}

fn is_unknown(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Unknown(_) => true,
        Attribute::Value(Value::String(text)) => mark::unknown_origin(text).is_some(),
        Attribute::Value(_) => false,
        Attribute::Content(content) => content.unknown_origin().is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_attributes_are_compared() {
        let found = State::new().with("mode", "0644").with("owner", "root");
        let wanted = State::new().with("mode", "0600");
        let diff = Diff::between(&found, &wanted);
        assert_eq!(diff.changes.len(), 1);
        assert!(diff.has("mode") && diff.is_certain());
    }

    #[test]
    fn an_unknown_side_makes_a_difference_that_is_not_certain() {
        let mut found = State::new();
        found.set_unknown("mode", "package haproxy");
        let diff = Diff::between(&found, &State::new().with("mode", "0600"));
        assert!(diff.has("mode"));
        assert!(!diff.is_certain());
    }

    #[test]
    fn what_stood_in_the_place_of_a_secret_is_not_told() {
        let mut found = State::new()
            .with("value", "key=old")
            .with("list", vec!["old"]);
        found.set_content("content", Content::of(b"a\nkey=old\n"));
        let secret = format!("key={}", mark::secret("db"));
        let mut wanted = State::new()
            .with("value", secret.as_str())
            .with("list", vec![secret.as_str()]);
        wanted.set_content("content", Content::of(format!("a\n{secret}\n").as_bytes()));
        let diff = Diff::between(&found, &wanted);
        assert!(diff.is_certain());
        let told = format!("{:?}", diff.changes);
        assert!(!told.contains("old") && told.contains("key="), "{told}");
        let shown = Side::Value(Value::from(format!("key={}", mark::hidden())));
        assert_eq!(diff.changes[2].before, shown);
    }

    #[test]
    fn what_is_not_known_stays_so_beside_a_secret() {
        let mut wanted = State::new().with("value", mark::secret("db"));
        wanted.set_content("content", Content::of(mark::secret("db").as_bytes()));
        let mut found = State::new();
        found.set_unknown("value", "the moon");
        let text = format!("old {}", mark::unknown("the moon"));
        found.set_content("content", Content::of(text.as_bytes()));
        let diff = Diff::between(&found, &wanted);
        assert_eq!(diff.certain().count(), 0, "{diff:?}");
        let moon = Side::Unknown("the moon".into());
        assert!(diff.changes.iter().all(|change| change.before == moon));
    }

    #[test]
    fn texts_that_mean_the_same_are_equal() {
        let mut secrets = Table::default();
        secrets
            .add([("db".to_owned(), crate::secrets::Secret::new("hunter2!"))])
            .expect("it is long enough");
        let mut found = State::new().with("value", "hunter2!");
        found.set_content("content", Content::of(b"hunter2! and hunter2!"));
        let mut wanted = State::new().with("value", mark::secret("db"));
        let text = format!("{} and hunter2!", mark::secret("db"));
        wanted.set_content("content", Content::of(text.as_bytes()));
        let canonical = |state: State| state.canonical(&secrets);
        assert!(Diff::between(&canonical(found), &canonical(wanted)).is_empty());
    }

    #[test]
    fn a_request_is_a_difference_without_a_change() {
        let mut wanted = State::new();
        wanted.request("restart");
        let diff = Diff::between(&State::new(), &wanted);
        assert!(!diff.is_empty() && diff.requests("restart"));
        assert!(Diff::between(&State::new(), &wanted.without_requests()).is_empty());
    }

    #[test]
    fn routine_is_done_and_is_no_change() {
        let mut wanted = State::new();
        wanted.routine("reload");
        let diff = Diff::between(&State::new(), &wanted);
        assert!(!diff.is_empty() && diff.requests("reload") && diff.is_routine());
        wanted.request("restart");
        assert!(!Diff::between(&State::new(), &wanted).is_routine());
    }
}
