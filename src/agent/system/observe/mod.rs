//! What is there before an effect, and what would take the effect back. Both
//! are found through reads alone, so they are the same in every world.

use super::{FileKind, Reads, visible};
use crate::effect::{Before, Effect, Inverse, Record};
use crate::mark;
use crate::module::Result;
use crate::veil;

mod before;

mod inverse;

use before::before;
use inverse::inverse;

/// The effect with what is there before it and its inverse.
pub fn record(effect: Effect, reads: &dyn Reads) -> Result<Record> {
    visible::check_effect(&effect)?;
    let before = before(&effect, reads)?;
    let (before, inverse) = match before {
        Before::Unknown(reason) => (Before::Unknown(reason.clone()), Inverse::None(reason)),
        known if replaces_secret(&effect, &known, reads)? => (
            without_content(known),
            Inverse::None("What stood in the place of a secret is not kept.".to_owned()),
        ),
        known => {
            let inverse = inverse(&effect, &known, reads)?;
            (known, inverse)
        }
    };
    Ok(Record {
        effect,
        before,
        inverse,
    })
}

/// Whether what is there may hold an older value of a secret: then it is
/// neither told nor written down.
fn replaces_secret(effect: &Effect, before: &Before, reads: &dyn Reads) -> Result<bool> {
    let secrets = reads.secrets();
    Ok(match (effect, before) {
        (Effect::WriteFile { path, content, .. }, Before::File { kind, .. })
            if content.has_secret() && kind == FileKind::File.name() =>
        {
            let found = reads.content_at(path)?.present();
            let found = found.map(|content| secrets.canonical_content(&content));
            let text = found.as_ref().and_then(|content| content.text.as_deref());
            let new = content.text.as_deref().unwrap_or_default();
            veil::hides(text, &secrets.canonical(new))
        }
        (
            Effect::WriteCrontab {
                content: Some(new), ..
            },
            Before::Crontab(old),
        ) => veil::hides(Some(&secrets.canonical(old)), &secrets.canonical(new)),
        _ => false,
    })
}

fn without_content(before: Before) -> Before {
    match before {
        Before::File {
            kind,
            attributes,
            target,
            ..
        } => Before::File {
            kind,
            attributes,
            sha256: None,
            target,
        },
        Before::Crontab(_) => Before::Crontab(mark::hidden()),
        other => other,
    }
}
