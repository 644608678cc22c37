//! The very door: here, and nowhere before, marks become the values of
//! secrets. What is made here is used at once and never told.

use std::borrow::Cow;

use serde_json::Value;

use crate::content::Content;
use crate::effect::{Command, Effect};
use crate::http::{Body, HttpRequest};
use crate::module::Result;
use crate::password::PasswordHash;
use crate::secrets::Table;

/// An effect as it is carried out.
pub fn effect<'a>(effect: &'a Effect, secrets: &Table) -> Result<Cow<'a, Effect>> {
    let mut revealed = effect.clone();
    match &mut revealed {
        Effect::WriteFile { content: text, .. } => *text = content(text, secrets)?.into_owned(),
        Effect::WriteCrontab {
            content: Some(table),
            ..
        } => *table = secrets.reveal(table)?.into_owned(),
        Effect::Download { request: asked, .. } | Effect::SendRequest { request: asked } => {
            *asked = request(asked, secrets)?;
        }
        Effect::RunCommand { command: run, .. } => *run = command(run, secrets)?.into_owned(),
        Effect::ChangeResource(change) => {
            change.command = command(&change.command, secrets)?.into_owned();
            change.secret = hash(change.secret.as_ref(), secrets)?;
        }
        Effect::AddUser { account, .. } | Effect::ChangeUser { account, .. } => {
            account.password = hash(account.password.as_ref(), secrets)?;
        }
        _ => return Ok(Cow::Borrowed(effect)),
    }
    Ok(Cow::Owned(revealed))
}

/// A content as it is written.
pub fn content<'a>(content: &'a Content, secrets: &Table) -> Result<Cow<'a, Content>> {
    let Some(text) = content.text.as_deref().filter(|_| content.has_secret()) else {
        return Ok(Cow::Borrowed(content));
    };
    Ok(Cow::Owned(Content {
        text: Some(secrets.reveal(text)?.into_owned()),
        ..content.clone()
    }))
}

/// A command as it is run.
pub fn command<'a>(command: &'a Command, secrets: &Table) -> Result<Cow<'a, Command>> {
    let mut revealed = command.clone();
    for value in revealed.environment.values_mut().chain(&mut revealed.input) {
        *value = secrets.reveal(value)?.into_owned();
    }
    Ok(Cow::Owned(revealed))
}

/// A request as it is sent. A URL is shown in logs on the way, so a secret in
/// it was refused before.
pub fn request(request: &HttpRequest, secrets: &Table) -> Result<HttpRequest> {
    let mut revealed = request.clone();
    let login = [&mut revealed.user, &mut revealed.password];
    let texts = login.into_iter().flatten();
    for text in texts.chain(revealed.headers.values_mut()) {
        reveal_in(text, secrets)?;
    }
    match &mut revealed.body {
        None => {}
        Some(Body::Text(text)) => reveal_in(text, secrets)?,
        Some(Body::Json(value)) => reveal_in_json(value, secrets)?,
        Some(Body::Form(fields)) => {
            for text in fields.values_mut() {
                reveal_in(text, secrets)?;
            }
        }
    }
    Ok(revealed)
}

fn reveal_in(text: &mut String, secrets: &Table) -> Result<()> {
    *text = secrets.reveal(text)?.into_owned();
    Ok(())
}

fn reveal_in_json(value: &mut Value, secrets: &Table) -> Result<()> {
    match value {
        Value::String(text) => reveal_in(text, secrets),
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| reveal_in_json(item, secrets)),
        Value::Object(fields) => fields
            .values_mut()
            .try_for_each(|field| reveal_in_json(field, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn hash(hash: Option<&PasswordHash>, secrets: &Table) -> Result<Option<PasswordHash>> {
    let Some(hash) = hash else {
        return Ok(None);
    };
    let revealed = secrets.reveal(hash.reveal())?;
    Ok(Some(PasswordHash::new(&revealed)))
}
