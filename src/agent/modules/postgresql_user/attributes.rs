//! What a role is like, as properties.

use serde_json::{Map, Value, json};

use crate::module::Result;
use crate::outcome::Failure;
use crate::password::PasswordHash;
use crate::resource::{Known, Properties};

/// The rights a role has or has not, with the word of SQL for each.
pub const FLAGS: [(&str, &str); 7] = [
    ("login", "LOGIN"),
    ("superuser", "SUPERUSER"),
    ("createdb", "CREATEDB"),
    ("createrole", "CREATEROLE"),
    ("replication", "REPLICATION"),
    ("inherit", "INHERIT"),
    ("bypassrls", "BYPASSRLS"),
];

/// Settings that are lists of names.
const LISTS: [&str; 5] = [
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
];

/// Settings of a role, in one property of their own.
const CONFIGURATION: &str = "configuration";

/// What `CREATE ROLE` makes if it is not told otherwise.
pub fn of_new_role() -> Properties {
    let flag = |(name, _): &(&str, &str)| ((*name).to_owned(), json!(*name == "inherit"));
    let others = [
        ("connection_limit", json!(-1)),
        ("expires", json!("never")),
        ("member_of", json!([])),
        ("comment", json!("")),
        (CONFIGURATION, json!({})),
    ];
    let others = others.map(|(name, value)| (name.to_owned(), value));
    FLAGS.iter().map(flag).chain(others).collect()
}

/// What the server answered of a role.
pub fn understand(answer: Value) -> Result<Known> {
    let Value::Object(mut fields) = answer else {
        return Err(Failure::new(format!("psql answered {answer} for a role")));
    };
    let kept = fields.remove("password");
    let secret = kept.map(|kept| PasswordHash::new(kept.as_str().unwrap_or_default()));
    if let Some(Value::Object(settings)) = fields.get_mut(CONFIGURATION) {
        *settings = std::mem::take(settings)
            .into_iter()
            .map(|(name, value)| {
                let name = name.to_lowercase();
                let value = match (is_list(&name), value.as_str()) {
                    (true, Some(text)) => Value::from(items(text)),
                    _ => value,
                };
                (name, value)
            })
            .collect();
    }
    Ok(Known {
        properties: fields.into_iter().collect(),
        secret,
    })
}

/// The value of an attribute, if it is known; null for a setting not made.
pub fn get(properties: &Properties, name: &str) -> Option<Value> {
    let Some(setting) = name.strip_prefix("configuration.") else {
        return properties.get(name).cloned();
    };
    let settings = properties.get(CONFIGURATION)?.as_object()?;
    Some(settings.get(setting).cloned().unwrap_or_default())
}

/// Sets an attribute; null takes a setting away.
pub fn set(properties: &mut Properties, name: &str, value: Value) {
    let Some(setting) = name.strip_prefix("configuration.") else {
        properties.insert(name.to_owned(), value);
        return;
    };
    let settings = properties.entry(CONFIGURATION.to_owned());
    let settings = settings.or_insert_with(|| json!({})).as_object_mut();
    let Some(settings) = settings else { return };
    match value {
        Value::Null => drop(settings.remove(setting)),
        value => drop(settings.insert(setting.to_owned(), value)),
    }
}

/// The settings of a role.
pub fn settings(properties: &Properties) -> Map<String, Value> {
    let settings = properties.get(CONFIGURATION).and_then(Value::as_object);
    settings.cloned().unwrap_or_default()
}

/// A setting's value as it is kept: a text, or a list of names.
pub fn setting(name: &str, value: &Value) -> Result<Value> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Failure::new(format!("`{name}` is not a setting's name")));
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(if *on { "on" } else { "off" }.to_owned()),
        _ => None,
    };
    let texts = match value {
        Value::Null => return Ok(Value::Null),
        Value::Array(items) => items.iter().map(text).collect::<Option<Vec<_>>>(),
        one => text(one).map(|text| match is_list(name) {
            true => items(&text),
            false => vec![text],
        }),
    };
    let Some(texts) = texts else {
        return Err(Failure::new(format!(
            "{value} is not a value for the setting `{name}`"
        )));
    };
    Ok(match is_list(name) {
        true => texts.into(),
        false => texts.join(", ").into(),
    })
}

fn is_list(name: &str) -> bool {
    LISTS.iter().any(|list| list.eq_ignore_ascii_case(name))
}

/// The names of a list such as `"$user", public`.
fn items(list: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut quoted = false;
    for letter in list.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => items.push(String::new()),
            letter if letter.is_whitespace() && !quoted => {}
            letter => items.last_mut().expect("one at least").push(letter),
        }
    }
    items
}

/// The rights that Ansible's words name, such as `CREATEDB,NOSUPERUSER`.
pub fn flags(words: &str) -> Result<Properties> {
    let words = words.split(',').map(str::trim).filter(|it| !it.is_empty());
    words
        .map(|word| {
            let upper = word.to_uppercase();
            let known =
                |(_, flag): &&(&str, &str)| upper.strip_prefix("NO").unwrap_or(&upper) == *flag;
            match FLAGS.iter().find(known) {
                Some((name, flag)) => Ok(((*name).to_owned(), (upper == *flag).into())),
                None => Err(Failure::new(format!("`{word}` is not a right of a role"))
                    .hint(format!("There are {}, each also with NO before it.", all()))),
            }
        })
        .collect()
}

fn all() -> String {
    FLAGS.map(|(_, word)| word).join(", ")
}
