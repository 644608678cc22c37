//! What comes from hosts, and what goes to people: no value stands in it, and
//! no mark that was made up.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use veza_agent::mark::{self, Piece};
use veza_agent::outcome::Failure;
use veza_agent::secrets::{Masking, each_text};

use super::Secrets;

impl Secrets {
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
    pub fn passed(&self, masking: &mut Masking, text: &str) -> String {
        masking.pass(&self.table(), text.as_bytes())
    }

    /// What a stream brought last.
    pub fn rest(&self, masking: &mut Masking) -> String {
        masking.rest(&self.table())
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
        Piece::Secret(name) => format!("(secret {})", mark::shown_name(name)),
        Piece::Unknown(origin) => mark::unknown(origin),
        Piece::Hidden => mark::hidden(),
    });
    Cow::Owned(pieces.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::open;
    use super::*;

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
}
