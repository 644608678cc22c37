//! Texts that look as if something were filled in, and are not: what one
//! kind of quotes fills in, another leaves as it stands.

use std::collections::BTreeSet;

use miette::SourceSpan;

use super::Lint;
use crate::schema::habits;
use crate::script::diagnostics::Problem;
use crate::script::library::Parsed;
use crate::script::lookups;
use crate::script::tokens::token_end;

/// Reports the texts of a file that are not what they look like. `variables`
/// are the names that the file gives.
pub(super) fn check(lint: &mut Lint, parsed: &Parsed, variables: &BTreeSet<String>) {
    let text = parsed.source.text();
    let keys = lint.library.words(parsed.source.id());
    let mut at = 0;
    while at < text.len() {
        let end = token_end(text, at);
        let token = &text[at..end];
        let found = match token.chars().next() {
            Some('"') => unfilled(token, variables).or_else(|| jinja(token, variables, &keys)),
            Some('`') => ends_unbroken(token).or_else(|| jinja(token, variables, &keys)),
            _ => None,
        };
        if let Some(Found { range, what, help }) = found {
            let span = SourceSpan::from((at + range.start, range.len()));
            let problem = Problem::new("text", what).at(&parsed.source, span, "left as it stands");
            lint.report(problem.help(help));
        }
        at = end;
    }
}

struct Found {
    range: std::ops::Range<usize>,
    what: &'static str,
    help: &'static str,
}

/// `${name}` between double quotes, where the name is one of the script.
fn unfilled(token: &str, variables: &BTreeSet<String>) -> Option<Found> {
    let opened = token.match_indices("${").map(|(at, _)| at);
    let range = opened.filter_map(|at| {
        let inside = &token[at + 2..];
        let (name, rest) = inside.split_at(word(inside));
        let known = match rest.chars().next()? {
            '.' | '[' => lookups::NAMES.contains(&name) || variables.contains(name),
            '}' => variables.contains(name) && !lookups::NAMES.contains(&name),
            _ => false,
        };
        known.then_some(at..at + 2 + inside.find('}').map_or(name.len(), |end| end + 1))
    });
    Some(Found {
        range: range.min_by_key(|range| range.start)?,
        what: "`${…}` is filled in between back-quotes only",
        help: "Write the text in back-quotes; where `${` is meant, write \"\\x24{\".",
    })
}

/// `\n` as the end of a text between back-quotes, which know no escapes.
fn ends_unbroken(token: &str) -> Option<Found> {
    let end = token.len().checked_sub(1)?;
    token[..end].ends_with("\\n").then(|| Found {
        range: end - 2..end,
        what: "`\\n` is a line break between double quotes only",
        help: "Add it: `…` + \"\\n\", or break the line in the text itself.",
    })
}

/// `{{ name }}`, which only templates fill in, where the name is one of the
/// script or of Ansible.
fn jinja(token: &str, variables: &BTreeSet<String>, keys: &BTreeSet<String>) -> Option<Found> {
    let opened = token.match_indices("{{").map(|(at, _)| at);
    let range = opened.filter_map(|at| {
        let inside = &token[at + 2..];
        let start = inside.len() - inside.trim_start().len();
        let (name, rest) = inside[start..].split_at(word(&inside[start..]));
        let known = variables.contains(name)
            || keys.contains(name)
            || lookups::NAMES.contains(&name)
            || habits::variable(name).is_some();
        let ends = rest.trim_start().starts_with(['.', '[', '|', '}']);
        (known && ends).then_some(at..at + 2 + inside.find("}}")? + 2)
    });
    Some(Found {
        range: range.min_by_key(|range| range.start)?,
        what: "`{{ … }}` is filled in by templates only",
        help: "Write `${…}` between back-quotes, or render a file with `template(…)`.",
    })
}

fn word(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}
