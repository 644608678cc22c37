//! Names that a file's functions have for the file alone.
//!
//! Rhai resolves a call by name, and keeps what it found for the whole run of
//! a closure: after two roles with a function `check`, the third call of one
//! may reach the other's. So functions that their own file calls get names
//! that no other file has. What others call keeps its name too, as a function
//! that passes on.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};
use veza_agent::content;

use super::source::{Insertion, Source};
use super::tokens::token_end;

/// A function where it is defined.
struct Definition {
    /// Where `fn` is, or `private` before it.
    start: usize,
    is_private: bool,
    /// Where its name ends.
    name_end: usize,
    /// Its parameters, as they are written in a call.
    parameters: String,
}

/// What to insert for them.
pub fn insertions(source: &Source, ast: &AST) -> Vec<Insertion> {
    let definitions = definitions(source.text());
    let mut calls = BTreeMap::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::FnCall(call, at)) | ASTNode::Expr(Expr::FnCall(call, at))) =
            path.last()
            && let Some((name, end)) = mentioned(source, call, *at)
            && definitions.contains_key(&name)
        {
            calls.insert(end, name);
        }
        true
    });
    let called: BTreeSet<&String> = calls.values().collect();
    let suffix = format!("__{:.8}", content::digest(source.id().as_bytes()));
    let mut insertions = Vec::new();
    let mut insert = |offset, text| insertions.push(Insertion { offset, text });
    for (name, definitions) in &definitions {
        for definition in definitions.iter().filter(|_| called.contains(name)) {
            if !definition.is_private {
                let Definition { parameters, .. } = definition;
                let passes_on =
                    format!("fn {name}({parameters}){{{name}{suffix}({parameters})}}private ");
                insert(definition.start, passes_on);
            }
            insert(definition.name_end, suffix.clone());
        }
    }
    for end in calls.keys() {
        insert(*end, suffix.clone());
    }
    insertions
}

/// The function that a call may mean, and where its name ends: `Fn("name")`
/// means one too.
fn mentioned(source: &Source, call: &FnCallExpr, at: Position) -> Option<(String, usize)> {
    if !call.namespace.is_empty() {
        return None;
    }
    let (name, start) = match call.args.as_slice() {
        [Expr::StringConstant(name, at)] if call.name == "Fn" => {
            (name.as_str(), source.offset_of(*at) + 1)
        }
        _ => (call.name.as_str(), source.offset_of(at)),
    };
    let written = source.text().get(start..)?.starts_with(name);
    written.then(|| (name.to_owned(), start + name.len()))
}

/// The functions of a file by their names.
fn definitions(text: &str) -> BTreeMap<String, Vec<Definition>> {
    let mut found = BTreeMap::<String, Vec<Definition>>::new();
    let mut tokens = tokens(text).peekable();
    let mut before = (0, "");
    while let Some((start, token)) = tokens.next() {
        if token == "fn"
            && let Some((name_start, name)) = tokens.next()
            && tokens.next_if(|(_, token)| *token == "(").is_some()
        {
            let parameters: Vec<_> = tokens
                .by_ref()
                .map(|(_, token)| token)
                .take_while(|token| *token != ")")
                .filter(|token| *token != ",")
                .collect();
            let is_private = before.1 == "private";
            found.entry(name.to_owned()).or_default().push(Definition {
                start: if is_private { before.0 } else { start },
                is_private,
                name_end: name_start + name.len(),
                parameters: parameters.join(","),
            });
        }
        before = (start, token);
    }
    found
}

/// The tokens of a file but for spaces and comments, with their offsets.
fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let start = at;
            at = token_end(text, start);
            let token = text.get(start..at)?;
            let is_comment = token.starts_with("//") || token.starts_with("/*");
            if !is_comment && !token.trim().is_empty() {
                return Some((start, token));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::engine;

    #[test]
    fn functions_that_their_file_calls_get_names_of_their_own() {
        let text = "/// Doc.\nfn open(a, /* b */ b) { inner(a) + open(1, 2); x::inner(1); }\n\
                    private fn inner(a) { `${inner(1)}`; Fn(\"inner\"); \"fn inner(\" }\n\
                    fn role(o) { let inner = 1; o.inner(2); inner }";
        let source = Source::new("roles/a.rhai", text).expect("the text is short");
        let ast = engine::bare()
            .compile(source.script())
            .expect("it is right");
        let mut found = insertions(&source, &ast);
        found.sort_by_key(|insertion| insertion.offset);
        let made = source.with_insertions(found).instrumented();
        let suffix = format!("__{:.8}", content::digest(b"roles/a.rhai"));
        let expected = "/// Doc.\nfn open(a,b){open~(a,b)}private fn open~(a, /* b */ b) \
                        { inner~(a) + open~(1, 2); x::inner(1); }\n\
                        private fn inner~(a) { `${inner~(1)}`; Fn(\"inner~\"); \"fn inner(\" }\n\
                        fn role(o) { let inner = 1; o.inner(2); inner }";
        assert_eq!(made, expected.replace('~', &suffix));
        assert!(engine::bare().compile(made).is_ok());
    }
}
