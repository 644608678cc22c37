//! Secrets that no file holds: texts that were written in clear where only a
//! secret belongs, and what is made of other secrets.

use std::sync::Arc;

use serde_json::{Map, Value};
use veza_agent::mark::{self, Piece};
use veza_agent::outcome::Failure;
use veza_agent::secrets::{Secret, check_length, each_text};
use zeroize::Zeroizing;

use super::Secrets;
use crate::schema::Schema;

impl Secrets {
    /// Makes secrets of the texts that were given for secret arguments or
    /// options, wherever in them they stand.
    ///
    /// # Errors
    /// When one is too short to be hidden.
    pub fn conceal_within(
        &self,
        schema: &Schema,
        values: &mut Map<String, Value>,
    ) -> Result<(), Failure> {
        schema.each_secret(values, &mut |path, text| {
            if !mark::is_marked(text) && !tells_nothing(text) {
                *text = self.conceal(&format!("{path} of {}", schema.name), text)?;
            }
            Ok(())
        })
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
        let of = mark::shown_name(of);
        let mut name = format!("{how} of {of}");
        // The same thing made of other texts is another secret. What tells
        // them apart holds no value, and is the same in every run.
        let shown = mark::show(source);
        if shown != mark::show(&mark::secret(of)) {
            let digest = veza_agent::content::digest(shown.as_bytes());
            name = format!("{name} ({digest:.4})");
        }
        let Some(value) = value else {
            return Ok(mark::secret(&name));
        };
        check_length(&name, value)?;
        self.named(&name, value)
    }

    /// The mark of a value, under this name if no other value has it. Hosts
    /// name values in any order, so their numbers are never shown.
    fn named(&self, name: &str, value: &str) -> Result<String, Failure> {
        let mut state = self.state();
        if let Some(known) = state.table.name_of(value) {
            return Ok(mark::secret(known));
        }
        if state.by_name {
            return Ok(mark::secret(name));
        }
        let numbered = (2..).map(|number| mark::numbered(name, number));
        let name = std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| state.table.get(name).is_none())
            .unwrap_or_default();
        Arc::make_mut(&mut state.table).add([(name.clone(), Secret::new(value))])?;
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
}

/// Whether a text stands for no secret at all, as the fields of a password
/// file have it: `*` and `!` let nobody in.
fn tells_nothing(text: &str) -> bool {
    text.trim_matches(['*', '!']).is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::open;
    use super::*;

    #[test]
    fn one_value_has_one_name() {
        let secrets = open(&[("password", "hunter2!")]);
        let again = secrets.conceal("token", "hunter2!").expect("concealed");
        assert_eq!(again, mark::secret("password"));
        let other = secrets.conceal("password", "another").expect("concealed");
        assert_ne!(other, again);
        assert_eq!(
            mark::show(&other),
            mark::show(&again),
            "chance is not shown"
        );
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
    fn what_is_made_of_secrets_of_one_name_is_named_alike() {
        let secrets = open(&[("db", "hunter2!"), ("db", "hunter3!")]);
        let upper = |text: &str| text.to_uppercase();
        let made = |name: &str| {
            let made = secrets.transform("upper", &mark::secret(name), upper);
            made.expect("made")
        };
        let (one, other) = (made("db"), made("db~2"));
        assert_ne!(one, other);
        assert_eq!(mark::show(&one), mark::show(&other));
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
}
