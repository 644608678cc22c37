//! The very door: here, and nowhere before, marks become the values of
//! secrets. What is made here is used at once and never told.

use std::borrow::Cow;

use crate::content::Content;
use crate::effect::{Account, Command, Effect};
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
        Effect::RunCommand { command: run, .. } => *run = command(run, secrets)?.into_owned(),
        Effect::AddUser { account, .. } | Effect::ChangeUser { account, .. } => {
            password(account, secrets)?;
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

fn password(account: &mut Account, secrets: &Table) -> Result<()> {
    if let Some(hash) = &account.password {
        let hash = secrets.reveal(hash.reveal())?;
        account.password = Some(PasswordHash::new(&hash));
    }
    Ok(())
}
