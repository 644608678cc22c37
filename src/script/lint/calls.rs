//! Calls and what they carry: modules, declarations and roles, against their
//! schemas; project files that arguments name; handlers that are notified.

use std::ops::Range;
use std::sync::Arc;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::literals::{bodies, closure_bodies, is_closure, part};
use super::{File, Lint, Mention, Notified, templates};
use crate::schema::check::{Issue, Part, Shape};
use crate::schema::{Kind, Schema, SourceKind};
use crate::script::context::NOT_IN_MODULES;
use crate::script::diagnostics::Problem;
use crate::script::flow;
use crate::script::library::Parsed;
use crate::script::tree::walk;

/// Functions that a module cannot call.
const FOR_PLAYS: [&str; 6] = [
    "as_user",
    "flush_handlers",
    "handler",
    "on",
    "once",
    "retry",
];

/// Arguments with their names and places.
type Given = Vec<(String, Position, Part<Position>)>;

/// Reports everything that is wrong with what calls carry.
pub(super) fn check(lint: &mut Lint, parsed: &Arc<Parsed>, tree: &AST, file: &File) {
    let mut calls = Calls {
        bodies: bodies(&parsed.source, tree),
        closures: closure_bodies(&parsed.source, tree),
        ..Calls::new(lint, parsed, file)
    };
    walk(tree, &mut |path| {
        if let Some(ASTNode::Stmt(Stmt::FnCall(call, at)) | ASTNode::Expr(Expr::FnCall(call, at))) =
            path.last()
        {
            calls.call(call, *at);
        }
    });
}

/// The calls of a file.
pub(super) struct Calls<'a, 'b> {
    lint: &'a mut Lint<'b>,
    parsed: &'a Arc<Parsed>,
    file: &'a File,
    bodies: Vec<Range<usize>>,
    closures: Vec<Range<usize>>,
}

impl<'a, 'b> Calls<'a, 'b> {
    /// Those of a file, of which nothing is known yet.
    pub fn new(lint: &'a mut Lint<'b>, parsed: &'a Arc<Parsed>, file: &'a File) -> Self {
        Self {
            lint,
            parsed,
            file,
            bodies: Vec::new(),
            closures: Vec::new(),
        }
    }

    /// A call of a function of `host`.
    pub fn through_door(&mut self, schema: &Schema, call: &FnCallExpr, position: Position) {
        let arguments: Vec<_> = call.args.iter().collect();
        let (given, open) = self.given(schema, &arguments, position);
        self.against(schema, &given, position, open);
    }

    fn call(&mut self, call: &FnCallExpr, position: Position) {
        let name = call.name.as_str();
        if !call.namespace.is_empty() {
            return self.role(call, position);
        }
        if let Some(function) = self.file.functions.get(name)
            && function.counts.contains(&call.args.len())
        {
            let options = function.options.clone();
            return options
                .into_iter()
                .for_each(|schema| self.filled(&schema, call, position));
        }
        let in_module = self.lint.library.modules.is_module(self.parsed.source.id());
        if in_module && (FOR_PLAYS.contains(&name) || self.lint.library.catalog.get(name).is_some())
        {
            return self.refuse_in_module(name, position);
        }
        match name {
            "handler" => return self.handler(call, position),
            "secret" => return self.secret(call),
            "secrets" => self.secrets(call),
            _ => {}
        }
        if let Some(schema) = flow::schemas().iter().find(|schema| schema.name == name) {
            return self.flow(schema, call, position);
        }
        let module = self.lint.library.catalog.complete(name).cloned();
        let declaration = self.lint.declarations.get(name).cloned();
        match (module, declaration) {
            (Some(_), Some(schema)) if self.declares(call, position) => {
                self.declaration(&schema, call, position)
            }
            (Some(schema), _) => self.module(&schema, call, position),
            (None, Some(schema)) => self.declaration(&schema, call, position),
            (None, None) => {}
        }
    }

    fn refuse_in_module(&mut self, name: &str, position: Position) {
        let source = &self.parsed.source;
        let message = format!("a module cannot call `{name}`: only plays and roles may");
        let problem = Problem::new("module", message)
            .at(source, source.span(position), "not in a module")
            .help(NOT_IN_MODULES);
        self.lint.report(problem);
    }

    /// Whether `group` declares here, and is not the module: at the top of a
    /// file, and with a list of members in a function, which env files share.
    fn declares(&self, call: &FnCallExpr, position: Position) -> bool {
        let offset = self.parsed.source.offset_of(position);
        let within = |bodies: &[Range<usize>]| bodies.iter().any(|body| body.contains(&offset));
        let lists = matches!(call.args.get(1), Some(Expr::Array(..)));
        !within(&self.bodies) || lists && !within(&self.closures)
    }

    fn role(&mut self, call: &FnCallExpr, position: Position) {
        let alias = call.namespace.path.first().map(|root| root.name.as_str());
        let id = alias
            .and_then(|alias| self.file.imports.get(alias))
            .cloned()
            .flatten();
        let file = id.and_then(|id| self.lint.files.get(&id).cloned());
        let function = file
            .as_ref()
            .and_then(|file| file.functions.get(call.name.as_str()));
        if let Some(schema) = function.and_then(|function| function.options.clone()) {
            self.filled(&schema, call, position);
        }
    }

    /// A call to a function that fills options with its only argument.
    fn filled(&mut self, schema: &Schema, call: &FnCallExpr, position: Position) {
        if let [Expr::Map(..)] = call.args.as_slice()
            && let Shape::Map(given) = part(&self.parsed.source, &call.args[0]).shape
        {
            self.against(schema, &given, position, false);
        }
    }

    fn handler(&mut self, call: &FnCallExpr, position: Position) {
        if let [_, body] = call.args.as_slice()
            && self.is_no_closure(body)
        {
            self.no_closure("handler", body.start_position(), position);
        }
        match call.args.first() {
            Some(Expr::StringConstant(name, _)) => {
                if let Some(handlers) = &mut self.lint.handlers {
                    handlers.insert(name.to_string());
                }
            }
            _ => self.lint.handlers = None,
        }
    }

    /// A call to a function that runs a closure: what it takes before that.
    fn flow(&mut self, schema: &Schema, call: &FnCallExpr, position: Position) {
        let Some((last, first)) = call.args.split_last() else {
            return;
        };
        if self.is_no_closure(last) {
            self.no_closure(&schema.name, last.start_position(), position);
        }
        let source = &self.parsed.source;
        let parts = first.iter().map(|argument| part(source, argument));
        let given: Given = match schema.positional.as_slice() {
            [] => {
                let mut given = Given::new();
                for part in parts {
                    match part.shape {
                        Shape::Map(entries) => given.extend(entries),
                        Shape::Open => {}
                        _ => self.too_many(schema, part.at, position),
                    }
                }
                given
            }
            names => {
                let named = names.iter().zip(parts);
                named
                    .map(|(name, part)| (name.clone(), part.at, part))
                    .collect()
            }
        };
        for (_, at, value) in given.iter().filter(|(name, ..)| name == "host") {
            if let Shape::Text(Some(host)) = &value.shape {
                let site = self.lint.library.site(Some(source.id()), *at);
                self.lint.hosts.push((site, host.clone()));
            }
        }
        // Too few arguments are a problem of their own.
        self.against(schema, &given, position, true);
    }

    /// What a play runs is a closure, behind all else.
    fn body_of_play(&mut self, call: &FnCallExpr, position: Position) {
        let source = &self.parsed.source;
        let Some((last, first)) = call.args.split_last() else {
            return;
        };
        if is_closure(last) {
            return;
        }
        if let Some(closure) = first.iter().find(|argument| is_closure(argument)) {
            let problem = Problem::new("wrong_type", "the closure of a play stands last")
                .at(
                    source,
                    source.span(closure.start_position()),
                    "not the last",
                )
                .help("Write play(NAME, PATTERN, #{ … }, || { … })");
            return self.lint.report(problem);
        }
        if self.is_no_closure(last) {
            self.no_closure("play", last.start_position(), position);
        }
    }

    /// Whether an argument that should be a closure is certainly none: a value,
    /// a block, or a call that has no closure to give.
    fn is_no_closure(&self, argument: &Expr) -> bool {
        match argument {
            _ if is_closure(argument) => false,
            Expr::Stmt(_) => true,
            Expr::FnCall(call, _) if call.namespace.is_empty() => {
                let name = call.name.as_str();
                let is_own = self.file.functions.contains_key(name);
                let acts = ["log", "fail", "assert", "flush_handlers"].contains(&name);
                !is_own && (acts || self.lint.library.catalog.get(name).is_some())
            }
            _ => !matches!(part(&self.parsed.source, argument).shape, Shape::Open),
        }
    }

    fn no_closure(&mut self, name: &str, at: Position, call: Position) {
        let source = &self.parsed.source;
        let message = format!("`{name}` takes a closure as its last argument");
        let problem = Problem::new("wrong_type", message)
            .at(source, source.span(at), "not a closure")
            .also(source.span(call), "in this call")
            .help("Write `|| { … }` around what it is to run.");
        self.lint.report(problem);
    }

    fn secret(&mut self, call: &FnCallExpr) {
        if let [Expr::StringConstant(name, position)] = call.args.as_slice() {
            self.lint.secrets.push(Mention {
                name: name.to_string(),
                parsed: self.parsed.clone(),
                position: *position,
            });
        }
    }

    fn secrets(&mut self, call: &FnCallExpr) {
        match call.args.as_slice() {
            [Expr::StringConstant(file, position)] => {
                let Err(trouble) = self.lint.library.declare_secrets(file) else {
                    return;
                };
                let source = &self.parsed.source;
                let span = source.span(*position);
                let problem =
                    Problem::new("secrets", trouble.message).at(source, span, "this file");
                self.lint.report(match trouble.help {
                    Some(help) => problem.help(help),
                    None => problem,
                });
            }
            // Which names there are is known only when it has been computed.
            _ => self.lint.secret_files_computed = true,
        }
    }

    fn declaration(&mut self, schema: &Schema, call: &FnCallExpr, position: Position) {
        if schema.name == "play" {
            self.body_of_play(call, position);
        }
        let arguments: Vec<_> = call
            .args
            .iter()
            .filter(|argument| !is_closure(argument))
            .collect();
        let (given, open) = self.given(schema, &arguments, position);
        self.against(schema, &given, position, open);
    }

    fn module(&mut self, schema: &Schema, call: &FnCallExpr, position: Position) {
        self.lint.library.modules.note_use(&schema.name);
        if !self.lint.library.modules.is_described(&schema.name) {
            return;
        }
        let arguments: Vec<_> = call.args.iter().collect();
        let (given, open) = self.given(schema, &arguments, position);
        self.against(schema, &given, position, open);
        self.sources(schema, &given);
        if schema.name == "command" {
            self.shell_words(&given);
        }
        for (_, _, value) in given.iter().filter(|(name, ..)| name == "notify") {
            self.notify(value);
        }
    }

    /// What a shell would understand, in a command that runs without one.
    fn shell_words(&mut self, given: &Given) {
        const WORDS: [&str; 8] = ["|", "||", "&&", ">", ">>", "<", "2>&1", "&"];
        for (name, at, value) in given {
            let Shape::Text(Some(line)) = &value.shape else {
                continue;
            };
            let found = line.split_whitespace().find(|word| WORDS.contains(word));
            if let (Some(word), "cmd") = (found, name.as_str()) {
                let source = &self.parsed.source;
                let message = format!("`command` runs no shell, so `{word}` is a word like others");
                let problem = Problem::new("wrong_value", message)
                    .at(source, source.span(*at), "one command and its words")
                    .help(
                        "Write `shell(…)`; where the word itself is meant, give a list of words.",
                    );
                self.lint.report(problem);
            }
        }
    }

    fn notify(&mut self, value: &Part<Position>) {
        match &value.shape {
            Shape::Text(Some(handler)) => self.lint.notified.push(Notified {
                handler: handler.clone(),
                parsed: self.parsed.clone(),
                position: value.at,
            }),
            Shape::List(items) => items.iter().for_each(|item| self.notify(item)),
            _ => {}
        }
    }

    /// The arguments of a call by name, and whether there may be more: the
    /// last value may turn out to be a map of options.
    fn given(&mut self, schema: &Schema, arguments: &[&Expr], position: Position) -> (Given, bool) {
        let source = &self.parsed.source;
        let mut parts: Vec<_> = arguments
            .iter()
            .map(|argument| part(source, argument))
            .collect();
        let mut given = Given::new();
        let mut open = false;
        if let Some(last) = parts.pop() {
            match last.shape {
                Shape::Map(entries) => given.extend(entries),
                Shape::Open if parts.len() >= schema.positional.len() => open = true,
                Shape::Open => {
                    open = true;
                    parts.push(last);
                }
                _ => parts.push(last),
            }
        }
        if let Some(extra) = parts.get(schema.positional.len()) {
            self.too_many(schema, extra.at, position);
        }
        let named = schema
            .positional
            .iter()
            .zip(parts)
            .map(|(name, part)| (name.clone(), part.at, part));
        given.splice(0..0, named);
        (given, open)
    }

    fn too_many(&mut self, schema: &Schema, at: Position, call: Position) {
        let source = &self.parsed.source;
        let message = match schema.positional.as_slice() {
            [] => format!("{} takes its arguments in a map only", schema.name),
            names => format!(
                "{} takes only `{}` without a name",
                schema.name,
                names.join("` and `")
            ),
        };
        let first = schema
            .positional
            .first()
            .and_then(|name| schema.field(name));
        let several = first.is_some_and(|field| matches!(field.kind, Kind::OneOrMany(_)));
        let name = &schema.name;
        let help = match several && schema.positional.len() == 1 {
            true => format!("Give several in a list, {name}([…]), and options in a map."),
            false => format!("Give the others in a map: {name}(…, #{{ name: value }})"),
        };
        let problem = Problem::new("wrong_count", message)
            .at(source, source.span(at), "one too many")
            .also(source.span(call), "in this call")
            .help(help);
        self.lint.report(problem);
    }

    fn against(&mut self, schema: &Schema, given: &Given, call: Position, open: bool) {
        for issue in schema.check(given, &call, open) {
            self.report(issue, call);
        }
    }

    fn report(&mut self, issue: Issue<Position>, call: Position) {
        let source = &self.parsed.source;
        let mut problem =
            Problem::new(issue.code, issue.message).at(source, source.span(issue.at), issue.label);
        // The call is shown too where it is not next to the mistake.
        if issue.at.line() != call.line() {
            problem = problem.also(source.span(call), "in this call");
        }
        self.lint.report(match issue.help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    /// Templates and files that the arguments name.
    fn sources(&mut self, schema: &Schema, given: &Given) {
        let on_host = given.iter().any(|(name, _, value)| {
            name == "remote_src" && !matches!(value.shape, Shape::Boolean(false))
        });
        if on_host {
            return;
        }
        for (name, _, value) in given {
            let kind = schema.field(name).and_then(|field| field.source);
            let (Some(kind), Shape::Text(Some(path))) = (kind, &value.shape) else {
                continue;
            };
            let source = &self.parsed.source;
            let found = self.lint.library.project.source(kind, path, source.id());
            if let (Ok((id, _)), SourceKind::Template) = (&found, kind) {
                templates::check(self.lint, source.id(), id);
            }
            if let Err(error) = found {
                let help = error.help.unwrap_or_default();
                let (label, help) = match help.strip_prefix("did you mean") {
                    Some(_) => (help, None),
                    None => ("not in the project".into(), Some(help)),
                };
                let problem = Problem::new("missing_source", error.message).at(
                    source,
                    source.span(value.at),
                    label,
                );
                self.lint.report(match help {
                    Some(help) => problem.help(help),
                    None => problem,
                });
            }
        }
    }
}
