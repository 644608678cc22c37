//! What is inserted into a script so that the run can follow it.
//!
//! - Task calls are pipelined: a call returns before its task is done. Inside
//!   `try` that would let a failure surface too late, so entering and leaving
//!   a `try` block is told to the host's context, and calls in between wait.
//!   A call around the block hands on its value.
//! - `switch` takes its default branch for a value that is not known yet
//!   instead of refusing it, so its value passes through a check first.
//! - Rhai keeps the constants of a file behind one lock for all hosts, and
//!   panics when it does not get it in time. So constants are kept by the
//!   library instead, and `global::NAME` becomes a comment behind a call.
//! - Text that takes in an unknown value becomes unknown itself, which the
//!   engine cannot do for a back-quoted string alone.
//! - Functions get names of their own (`own_names.rs`). Closures cannot, but
//!   the engine takes two for one that have the same text at the same place of
//!   two files, as in a role that was copied. So each names its file.

use rhai::{AST, ASTNode, Expr, FlowControl, Position, Stmt, SwitchCasesCollection};

use super::lint::literals::constants;
use super::own_names;
use super::source::{Insertion, Source};
use super::tokens::{token_end, tokens};
use super::tree::walk;

/// Called first in a `try` block.
pub const ENTER_TRY: &str = "__try_enter";
/// Called with the value of a `try` block.
pub const LEAVE_TRY: &str = "__try_leave";
/// Called first in a `catch` block, with the error.
pub const CAUGHT: &str = "__try_caught";
/// Called with the value of a `switch`.
pub const DECIDED: &str = "__decided";
/// Called with the text of a back-quoted string.
pub const TEXT: &str = "__text";

/// Called with the file, name and value of a constant, once it has one.
pub const DEFINE: &str = "__define";
/// Called with the file and name of a constant. The engine does not know for
/// certain which file it is in: that of a closure may be called by another.
pub const CONSTANT: &str = "__constant";

const ERROR: &str = "__error";

/// What to insert into a file, as its syntax tree shows it.
pub fn insertions(source: &Source, ast: &AST) -> Vec<Insertion> {
    let mut found = Found {
        source,
        insertions: Vec::new(),
    };
    walk(ast, &mut |path| match path.last() {
        Some(ASTNode::Stmt(Stmt::TryCatch(flow, _))) => found.try_block(flow),
        Some(ASTNode::Stmt(Stmt::Switch(switch, position))) => {
            found.switch(&switch.1, *position);
        }
        Some(ASTNode::Expr(Expr::InterpolatedString(_, position))) => found.text(*position),
        Some(ASTNode::Expr(Expr::DynamicConstant(value, position))) if value.is_fnptr() => {
            found.closure(*position);
        }
        Some(ASTNode::Expr(Expr::Variable(variable, _, position))) => {
            if let [root] = variable.2.path.as_slice()
                && root.name == "global"
            {
                found.constant(&variable.1, root.pos, *position);
            }
        }
        _ => {}
    });
    found.definitions(ast);
    found.insertions.extend(own_names::insertions(source, ast));
    found
        .insertions
        .sort_by_key(|insertion| (insertion.offset, rank(&insertion.text)));
    found.insertions
}

/// What closes comes before what follows it at the same place, and what opens
/// before what is in it.
fn rank(text: &str) -> usize {
    match text {
        "*/" => 0,
        ")" => 1,
        "}" => 2,
        _ if text.starts_with("{\"") || text.starts_with('"') => 3,
        _ => 4,
    }
}

struct Found<'a> {
    source: &'a Source,
    insertions: Vec<Insertion>,
}

impl Found<'_> {
    fn insert(&mut self, offset: usize, text: impl Into<String>) {
        self.insertions.push(Insertion {
            offset,
            text: text.into(),
        });
    }

    fn try_block(&mut self, flow: &FlowControl) {
        let source = self.source;
        self.insert(
            source.offset_of(flow.body.position()) + 1,
            format!("{LEAVE_TRY}({{{ENTER_TRY}();"),
        );
        self.insert(source.offset_of(flow.body.end_position()), "})");
        let branch = source.offset_of(flow.branch.position());
        let name = match &flow.expr {
            Expr::Variable(variable, ..) => variable.1.as_str(),
            _ => {
                self.insert(branch, format!("({ERROR})"));
                ERROR
            }
        };
        // The places that it names are those of the text as it runs.
        self.insert(branch + 1, format!("{name}={CAUGHT}({name});"));
    }

    fn switch(&mut self, cases: &SwitchCasesCollection, position: Position) {
        let keyword = self.source.offset_of(position);
        let text = self.source.text();
        let parts = cases
            .expressions
            .iter()
            .flat_map(|case| [&case.lhs, &case.rhs]);
        let parts = parts.map(|part| part.start_position());
        let parts = parts.filter(|position| !position.is_none());
        // Without a case the value decides nothing.
        if let Some(first) = parts.map(|part| self.source.offset_of(part)).min()
            && let Some(block) = outermost(text, keyword, first)
        {
            self.insert(keyword + "switch".len(), format!(" {DECIDED}("));
            self.insert(block, ")");
        }
    }

    fn constant(&mut self, name: &str, start: Position, end: Position) {
        let start = self.source.offset_of(start);
        let end = self.source.offset_of(end) + name.len();
        // What ends there would also end the comment that it gets into.
        if self.source.text()[start..end].contains("//") {
            return;
        }
        let file = own_names::mark(self.source.id());
        self.insert(start, format!("{CONSTANT}(\"{file}\",\"{name}\")/*"));
        self.insert(end, "*/");
    }

    /// Hands over the constants of the file's top level behind each of them.
    fn definitions(&mut self, ast: &AST) {
        let file = own_names::mark(self.source.id());
        for constant in constants(ast) {
            let name = constant.name;
            let end = constant.written(self.source).end;
            let call = format!("{DEFINE}(\"{file}\",\"{name}\",{name});");
            let semicolon = tokens(self.source.text(), end).next();
            match semicolon {
                Some((at, ";")) => self.insert(at + 1, call),
                _ => self.insert(end, format!(";{call}")),
            }
        }
    }

    fn closure(&mut self, position: Position) {
        let text = self.source.text();
        let at = self.source.offset_of(position);
        if !text[at..].starts_with('|') {
            return;
        }
        let file = own_names::mark(self.source.id());
        let body = body_of_closure(text, at);
        if text[body..].starts_with('{') {
            return self.insert(body + 1, format!("\"{file}\";"));
        }
        self.insert(body, format!("{{\"{file}\";"));
        self.insert(end_of_expression(text, body), "}");
    }

    fn text(&mut self, position: Position) {
        let start = self.source.offset_of(position);
        self.insert(start, format!("{TEXT}("));
        self.insert(token_end(self.source.text(), start), ")");
    }
}

/// Where the body of a closure starts.
fn body_of_closure(text: &str, at: usize) -> usize {
    let mut start = at + 1;
    while start < text.len() && !text[start..].starts_with('|') {
        start = token_end(text, start);
    }
    tokens(text, (start + 1).min(text.len()))
        .next()
        .map_or(text.len(), |(start, _)| start)
}

/// Where an expression ends: before what closes or parts it from the next.
fn end_of_expression(text: &str, start: usize) -> usize {
    let mut depth = 0usize;
    let mut end = start;
    for (at, token) in tokens(text, start) {
        match token {
            ";" | "," | ")" | "]" | "}" if depth == 0 => break,
            "(" | "[" | "{" | "#{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        end = at + token.len();
    }
    end
}

/// The outermost of the blocks that begin behind `from` and that `inside` is in.
fn outermost(text: &str, from: usize, inside: usize) -> Option<usize> {
    let mut open = Vec::new();
    let mut at = from;
    while at < inside {
        let end = token_end(text, at);
        match &text[at..end] {
            "(" | "[" | "{" | "#{" => open.push(at),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
        at = end;
    }
    open.first().copied()
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
        let made = source.with_insertions(insertions).instrumented();
        engine::bare().compile(&made).expect("it still is");
        made
    }

    fn mark() -> String {
        own_names::mark("test.rhai")
    }

    #[test]
    fn try_blocks_and_closures_are_surrounded() {
        let text = "let f = || { try { a() } catch { b() } }; try { try {} catch (e) {} } catch (e) { }\n\
                    let g = [|x, /* | */ y| x || y // )\n, || || `${f}`, |x| global::A, |x| try { |y| y } catch {}];";
        let expected = "let f = || {\"~\"; try {__try_leave({__try_enter(); a() })} \
                        catch (__error){__error=__try_caught(__error); b() } }; \
                        try {__try_leave({__try_enter(); try {__try_leave({__try_enter();})} \
                        catch (e) {e=__try_caught(e);} })} catch (e) {e=__try_caught(e); }\n\
                        let g = [|x, /* | */ y| {\"~\";x || y} // )\n, || {\"~\";|| {\"~\";__text(`${f}`)}}, \
                        |x| {\"~\";__constant(\"~\",\"A\")/*global::A*/}, \
                        |x| {\"~\";try {__try_leave({__try_enter(); |y| {\"~\";y} })} \
                        catch (__error){__error=__try_caught(__error);}}];";
        assert_eq!(instrumented(text), expected.replace('~', &mark()));
    }

    #[test]
    fn constants_are_kept_by_the_library() {
        let text = "const A = (1 + 2) * 3;\n`${global :: A.b}` + global::A;\nglobal:: // */\nA;\n\
                    const B = |x| x + 1 // b";
        let expected = "const A = (1 + 2) * 3;__define(\"~\",\"A\",A);\n\
                        __text(`${__constant(\"~\",\"A\")/*global :: A*/.b}`) + \
                        __constant(\"~\",\"A\")/*global::A*/;\nglobal:: // */\nA;\n\
                        const B = |x| {\"~\";x + 1};__define(\"~\",\"B\",B); // b";
        assert_eq!(instrumented(text), expected.replace('~', &mark()));
    }

    #[test]
    fn switch_values_are_checked() {
        let text = "let x = switch m[\"{\"].a(#{ b: 1 }) { 1 => 2, _ => switch y { _ => 3 } };\
                    switch if x == 1 { y } else { 2 } // {\n { 1 if x > 2 => {} }; switch { x } { _ => 1 + 1 }";
        let expected = "let x = switch __decided( m[\"{\"].a(#{ b: 1 }) ){ 1 => 2, \
                        _ => switch __decided( y ){ _ => 3 } };\
                        switch __decided( if x == 1 { y } else { 2 } // {\n ){ 1 if x > 2 => {} }; \
                        switch __decided( { x } ){ _ => 1 + 1 }";
        assert_eq!(
            instrumented(&format!("let m = #{{}}; let y = 1; {text}")),
            format!("let m = #{{}}; let y = 1; {expected}")
        );
    }
}
