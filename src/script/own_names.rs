//! Names that a file's functions have for the file alone.
//!
//! Rhai resolves a call by name, and keeps what it found for the whole run of
//! a closure: after two roles with a function `check`, the third call of one
//! may reach the other's. It also finds the functions of whoever called: one
//! `service` in an env file would hide the module from its roles. So each
//! function gets a name that no other file has, and its file calls that one.
//! Other files reach it as `role__`, a function that passes on, since in
//! `a::role(…)` the engine knows the file.
//!
//! `x.check(…)` may mean a function of the file or one that a map holds, which
//! is seen only when it is called: it gets a function that looks.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};
use veza_agent::content;

use super::source::{Insertion, Source};
use super::tokens::tokens;
use super::tree::walk;

/// Called with a value and a name: whether it is a map with a function of that
/// name.
pub const HOLDS: &str = "__holds";

/// What others call a function by: its name with this.
const FOR_OTHERS: &str = "__";

/// What follows in the name of a function that looks what is meant.
const BY_VALUE: &str = "_on";

/// What tells a file from all others in a name.
pub fn mark(file: &str) -> String {
    format!("{:.8}", content::digest(file.as_bytes()))
}

/// The name that a function has for its file.
pub fn own(name: &str, file: &str) -> String {
    format!("{name}__{}", mark(file))
}

/// The name that other files call a function by.
fn for_others(name: &str) -> String {
    format!("{name}{FOR_OTHERS}")
}

/// A name as the user wrote it.
pub fn written(name: &str) -> &str {
    let is_mark = |text: &str| text.len() == 8 && text.chars().all(|c| c.is_ascii_hexdigit());
    match name.rsplit_once(FOR_OTHERS) {
        Some((own, "")) => own,
        Some((own, rest)) if is_mark(rest.trim_end_matches(BY_VALUE)) => own,
        _ => name,
    }
}

/// A function where it is defined.
struct Definition {
    /// Where `fn` is, or `private` before it.
    start: usize,
    is_private: bool,
    /// Where its name ends.
    name_end: usize,
    /// Its parameters, as they are written in a call.
    parameters: Vec<String>,
}

/// The functions of a file by their names.
type Definitions = BTreeMap<String, Vec<Definition>>;

/// What to insert for them.
pub fn insertions(source: &Source, ast: &AST) -> Vec<Insertion> {
    let definitions = definitions(&source.script());
    let suffix = format!("__{}", mark(source.id()));
    let by_value = format!("{suffix}{BY_VALUE}");
    let mut inserted = BTreeMap::new();
    let mut methods = BTreeSet::new();
    walk(ast, &mut |path| match path.last() {
        Some(ASTNode::Stmt(Stmt::FnCall(call, at)) | ASTNode::Expr(Expr::FnCall(call, at))) => {
            let (name, start) = mentioned(source, call, *at);
            let end = end_of(source, &name, start);
            if !call.namespace.is_empty() {
                end.map(|end| inserted.insert(end, FOR_OTHERS.to_owned()));
            } else if is_meant(&definitions, call, &name) {
                end.map(|end| inserted.insert(end, suffix.clone()));
            }
        }
        Some(ASTNode::Expr(Expr::MethodCall(call, at))) => {
            let name = call.name.as_str();
            let end = end_of(source, name, source.offset_of(*at));
            if takes(&definitions, name, call.args.len())
                && let Some(end) = end
            {
                inserted.insert(end, by_value.clone());
                methods.insert((name.to_owned(), call.args.len()));
            }
        }
        _ => {}
    });
    let mut insertions: Vec<_> = inserted
        .into_iter()
        .map(|(offset, text)| Insertion { offset, text })
        .collect();
    for (name, definitions) in &definitions {
        for definition in definitions {
            let parameters = definition.parameters.join(",");
            let mut before = String::new();
            if methods.contains(&(name.clone(), definition.parameters.len())) {
                before = format!(
                    "private fn {name}{by_value}({parameters}){{if {HOLDS}(this,\"{name}\"){{this.{name}({parameters})}}else{{this.{name}{suffix}({parameters})}}}}"
                );
            }
            if !definition.is_private {
                let name_for_others = for_others(name);
                before += &format!(
                    "fn {name_for_others}({parameters}){{{name}{suffix}({parameters})}}private "
                );
            }
            let texts = [
                (definition.start, before),
                (definition.name_end, suffix.clone()),
            ];
            insertions.extend(texts.map(|(offset, text)| Insertion { offset, text }));
        }
    }
    insertions
}

/// The function that a call names, and where: `Fn("name")` names one too.
fn mentioned(source: &Source, call: &FnCallExpr, at: Position) -> (String, usize) {
    match call.args.first() {
        Some(Expr::StringConstant(name, at))
            if call.namespace.is_empty() && ["Fn", "is_def_fn"].contains(&call.name.as_str()) =>
        {
            (name.to_string(), source.offset_of(*at) + 1)
        }
        _ => (call.name.to_string(), source.offset_of(at)),
    }
}

/// Whether a call means a function of the file.
fn is_meant(definitions: &Definitions, call: &FnCallExpr, name: &str) -> bool {
    match call.name == name {
        true => takes(definitions, name, call.args.len()),
        false => definitions.contains_key(name),
    }
}

/// Whether the file has a function of this name with so many parameters.
fn takes(definitions: &Definitions, name: &str, count: usize) -> bool {
    let mut found = definitions.get(name).into_iter().flatten();
    found.any(|definition| definition.parameters.len() == count)
}

/// Where a name ends that is written at a place.
fn end_of(source: &Source, name: &str, start: usize) -> Option<usize> {
    let rest = source.text().get(start..)?;
    rest.starts_with(name).then_some(start + name.len())
}

/// The functions of a file. Those of a type are refused by the static check.
fn definitions(text: &str) -> Definitions {
    let mut found = Definitions::new();
    let mut tokens = tokens(text, 0).peekable();
    let mut before = (0, "");
    while let Some((start, token)) = tokens.next() {
        if token == "fn"
            && let Some((name_start, name)) = tokens.next()
            && tokens.next_if(|(_, token)| *token == "(").is_some()
        {
            let parameters = tokens
                .by_ref()
                .map(|(_, token)| token)
                .take_while(|token| *token != ")")
                .filter(|token| *token != ",");
            let is_private = before.1 == "private";
            found.entry(name.to_owned()).or_default().push(Definition {
                start: if is_private { before.0 } else { start },
                is_private,
                name_end: name_start + name.len(),
                parameters: parameters.map(str::to_owned).collect(),
            });
        }
        before = (start, token);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::engine;

    #[test]
    fn functions_get_names_of_their_own() {
        let text = "/// Doc.\nfn open(a, /* b */ b) { inner(a) + open(1, 2); x::inner(1); open(1) }\n\
                    private fn inner(a) { `${inner(1)}`; Fn(\"inner\"); \"fn inner(\" + '\"' }\n\
                    fn role(o) { let inner = 1; o.inner(2); o.inner(); inner; is_def_fn(\"inner\", 1) }";
        let source = Source::new("roles/a.rhai", text).expect("the text is short");
        let ast = engine::bare()
            .compile(source.script())
            .expect("it is right");
        let mut found = insertions(&source, &ast);
        found.sort_by_key(|insertion| insertion.offset);
        let made = source.with_insertions(found).instrumented();
        let suffix = format!("__{:.8}", content::digest(b"roles/a.rhai"));
        let expected = "/// Doc.\nfn open__(a,b){open~(a,b)}private fn open~(a, /* b */ b) \
                        { inner~(a) + open~(1, 2); x::inner__(1); open(1) }\n\
                        private fn inner~_on(a){if __holds(this,\"inner\"){this.inner(a)}else{this.inner~(a)}}\
                        private fn inner~(a) { `${inner~(1)}`; Fn(\"inner~\"); \"fn inner(\" + '\"' }\n\
                        fn role__(o){role~(o)}private fn role~(o) { let inner = 1; o.inner~_on(2); \
                        o.inner(); inner; is_def_fn(\"inner~\", 1) }";
        assert_eq!(made, expected.replace('~', &suffix));
        assert!(engine::bare().compile(made).is_ok());
        for (name, wanted) in [
            (format!("open{suffix}"), "open"),
            (format!("open{suffix}_on"), "open"),
            (for_others("x::a__b"), "x::a__b"),
            ("__decided".to_owned(), "__decided"),
        ] {
            assert_eq!(written(&name), wanted);
        }
    }
}
