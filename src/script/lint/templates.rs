//! Templates that scripts name, with all that they include: what is wrong
//! with them whatever their variables are.

use std::collections::BTreeSet;

use super::Lint;
use crate::schema::SourceKind;
use crate::script::diagnostics::Problem;
use crate::template::{Source, Templates};

/// The templates that have been checked.
#[derive(Default)]
pub(super) struct Checked {
    templates: Templates,
    /// By the script that names them, which is where includes are looked for.
    seen: BTreeSet<(String, String)>,
}

/// Reports what is wrong with a template that `script` names.
pub(super) fn check(lint: &mut Lint, script: &str, id: &str) {
    if !lint.templates.seen.insert((script.into(), id.into())) {
        return;
    }
    let text = match lint.library.project.read(id) {
        Ok(text) => text,
        Err(why) => return lint.report(Problem::new("template", why)),
    };
    let source = Source {
        name: id.into(),
        text,
    };
    let includes = match lint.templates.templates.check(&source) {
        Ok(checked) => checked.includes,
        Err(errors) => {
            let problems = errors.iter().map(Problem::of_template);
            return lint.problems.extend(problems);
        }
    };
    for include in includes {
        // One that is not there may be optional: `ignore missing`.
        let found = lint
            .library
            .project
            .source(SourceKind::Template, &include.name, script);
        if let Ok((id, _)) = found {
            check(lint, script, &id);
        }
    }
}
