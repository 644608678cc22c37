//! What is inserted into a script so that the run can follow it.
//!
//! - Task calls are pipelined: a call returns before its task is done. Inside
//!   `try` that would let a failure surface too late, so entering and leaving
//!   a `try` block is told to the host's context, and calls in between wait.
//! - `switch` takes its default branch for a value that is not known yet
//!   instead of refusing it, so its value passes through a check first.
//! - Rhai keeps the constants of a file behind one lock for all hosts, and
//!   panics when it does not get it in time. So constants are kept by the
//!   library instead, and `global::NAME` becomes a comment behind a call.
//! - Text that takes in an unknown value becomes unknown itself, which the
//!   engine cannot do for a back-quoted string alone.
//! - Functions get names of their own (`own_names.rs`).

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FlowControl, Position, Stmt};

use super::lint::literals::{constants, expression};
use super::own_names;
use super::source::{Insertion, Source};
use super::tokens::token_end;

/// Called first in a `try` block.
pub const ENTER_TRY: &str = "__try_enter";
/// Called last in a `try` block.
pub const LEAVE_TRY: &str = "__try_leave";
/// Called first in a `catch` block, with the error.
pub const CAUGHT: &str = "__try_caught";
/// Called with the value of a `switch`.
pub const DECIDED: &str = "__decided";
/// Called with the text of a back-quoted string.
pub const TEXT: &str = "__text";

/// Called with the name and value of a constant, once it has one.
pub const DEFINE: &str = "__define";
/// Called with the name of a constant.
pub const CONSTANT: &str = "__constant";

const ERROR: &str = "__error";

/// What to insert into a file, as its syntax tree shows it.
pub fn insertions(source: &Source, ast: &AST) -> Vec<Insertion> {
    let mut found = Found {
        source,
        insertions: Vec::new(),
        seen: BTreeSet::new(),
    };
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::TryCatch(flow, position))) => found.try_block(flow, *position),
            Some(ASTNode::Stmt(Stmt::Switch(_, position))) => found.switch(*position),
            Some(ASTNode::Expr(Expr::InterpolatedString(_, position))) => found.text(*position),
            Some(ASTNode::Expr(Expr::Variable(variable, _, position))) => {
                if let [root] = variable.2.path.as_slice()
                    && root.name == "global"
                {
                    found.constant(&variable.1, root.pos, *position);
                }
            }
            _ => {}
        }
        true
    });
    found.definitions(ast);
    found.insertions.extend(own_names::insertions(source, ast));
    found
        .insertions
        .sort_by_key(|insertion| (insertion.offset, rank(&insertion.text)));
    found.insertions
}

/// What closes comes before what follows it at the same place.
fn rank(text: &str) -> usize {
    match text {
        "*/" => 0,
        ")" => 1,
        _ => 2,
    }
}

struct Found<'a> {
    source: &'a Source,
    insertions: Vec<Insertion>,
    seen: BTreeSet<usize>,
}

impl Found<'_> {
    fn insert(&mut self, offset: usize, text: impl Into<String>) {
        self.insertions.push(Insertion {
            offset,
            text: text.into(),
        });
    }

    /// Whether the node that starts here is met for the first time.
    fn is_new(&mut self, position: Position) -> Option<usize> {
        let offset = self.source.offset_of(position);
        self.seen.insert(offset).then_some(offset)
    }

    fn try_block(&mut self, flow: &FlowControl, position: Position) {
        if self.is_new(position).is_none() {
            return;
        }
        let source = self.source;
        self.insert(
            source.offset_of(flow.body.position()) + 1,
            format!("{ENTER_TRY}();"),
        );
        self.insert(
            source.offset_of(flow.body.end_position()),
            format!(";{LEAVE_TRY}();"),
        );
        let branch = source.offset_of(flow.branch.position());
        let name = match &flow.expr {
            Expr::Variable(variable, ..) => variable.1.as_str(),
            _ => {
                self.insert(branch, format!("({ERROR})"));
                ERROR
            }
        };
        self.insert(branch + 1, format!("{CAUGHT}({name});"));
    }

    fn switch(&mut self, position: Position) {
        let Some(keyword) = self.is_new(position) else {
            return;
        };
        if let Some((start, end)) = switch_value(self.source.text(), keyword) {
            self.insert(start, format!(" {DECIDED}("));
            self.insert(end, ")");
        }
    }

    fn constant(&mut self, name: &str, start: Position, end: Position) {
        let Some(start) = self.is_new(start) else {
            return;
        };
        let end = self.source.offset_of(end) + name.len();
        self.insert(start, format!("{CONSTANT}(\"{name}\")/*"));
        self.insert(end, "*/");
    }

    /// Hands over the constants of the file's top level behind each of them.
    fn definitions(&mut self, ast: &AST) {
        for (name, value) in constants(ast) {
            let start = self.source.offset_of(value.start_position());
            let end = start + expression(self.source.text(), start).len();
            let call = format!("{DEFINE}(\"{name}\", {name});");
            match self.source.text()[end..].starts_with(';') {
                true => self.insert(end + 1, call),
                false => self.insert(end, format!(";{call}")),
            }
        }
    }

    fn text(&mut self, position: Position) {
        let Some(start) = self.is_new(position) else {
            return;
        };
        self.insert(start, format!("{TEXT}("));
        self.insert(token_end(self.source.text(), start), ")");
    }
}

/// Start and end of the value between `switch` and its block.
fn switch_value(text: &str, keyword: usize) -> Option<(usize, usize)> {
    if !text.get(keyword..)?.starts_with("switch") {
        return None;
    }
    let start = keyword + "switch".len();
    let mut depth = 0usize;
    let mut at = start;
    loop {
        let token = text
            .get(at..token_end(text, at))
            .filter(|token| !token.is_empty())?;
        match token {
            "{" if depth == 0 => return Some((start, at)),
            "(" | "[" | "{" | "#{" => depth += 1,
            ")" | "]" | "}" => depth = depth.checked_sub(1)?,
            // A block as the value cannot be told from the cases.
            "if" | "switch" | "loop" | "while" | "do" | "for" if depth == 0 => return None,
            _ => {}
        }
        at += token.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::engine;

    fn instrumented(text: &str) -> String {
        let source = Source::new("test.rhai", text).expect("the text is short");
        let ast = engine::bare()
            .compile(source.script())
            .expect("the script is right");
        let insertions = insertions(&source, &ast);
        source.with_insertions(insertions).instrumented()
    }

    #[test]
    fn try_blocks_are_surrounded_also_in_closures() {
        let text = "let f = || { try { a() } catch { b() } };\nfn g() { try { try {} catch (e) {} } catch (e) { } }";
        let expected = "let f = || { try {__try_enter(); a() ;__try_leave();} \
                        catch (__error){__try_caught(__error); b() } };\n\
                        fn g() { try {__try_enter(); try {__try_enter();;__try_leave();} \
                        catch (e) {__try_caught(e);} ;__try_leave();} catch (e) {__try_caught(e); } }";
        assert_eq!(instrumented(text), expected);
        assert!(engine::bare().compile(expected).is_ok());
    }

    #[test]
    fn constants_are_kept_by_the_library() {
        let text = "const A = [1; 2];\nfn f() { try {global::A} catch {} `${global :: A.b}` }"
            .replace("1; 2", "1, 2");
        let expected = "const A = [1, 2];__define(\"A\", A);\nfn f() { try {__try_enter();\
                        __constant(\"A\")/*global::A*/;__try_leave();} catch (__error){__try_caught(__error);} \
                        __text(`${__constant(\"A\")/*global :: A*/.b}`) }";
        assert_eq!(instrumented(&text), expected);
        assert!(engine::bare().compile(expected).is_ok());
    }

    #[test]
    fn switch_values_are_checked() {
        let text = "let x = switch m[\"{\"].a(#{ b: 1 }) { 1 => 2, _ => switch y { _ => 3 } };";
        let expected = "let x = switch __decided( m[\"{\"].a(#{ b: 1 }) ){ 1 => 2, \
                        _ => switch __decided( y ){ _ => 3 } };";
        assert_eq!(
            instrumented(&format!("let m = #{{}}; let y = 1; {text}")),
            format!("let m = #{{}}; let y = 1; {expected}")
        );
    }
}
