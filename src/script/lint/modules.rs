//! The files of modules: that each has what makes it one, and does through
//! `host` only what may be done there.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::calls::Calls;
use super::{File, Lint, literals, names};
use crate::schema::closest;
use crate::script::diagnostics::Problem;
use crate::script::library::Parsed;
use crate::script::module::door::{self, DoorFunction};
use crate::script::module::{self, ARGUMENTS, FIX, PARTS, Part};
use crate::script::project::ModuleFile;
use crate::script::source::Source;
use crate::script::tokens::tokens;
use crate::script::tree::walk;

/// Checks the modules of the project, and those that scripts call.
pub(super) fn check_all(lint: &mut Lint) {
    for file in lint.library.modules.to_check() {
        let visited = lint.visit(&file.id);
        let checked = visited.and_then(|functions| {
            let parsed = lint.library.parsed(&file.id)?;
            lint.refuse_name(&file, &parsed);
            if let Ok(tree) = &parsed.tree {
                lint.check_parts(&file, &parsed, tree);
                check_door(lint, &parsed, tree, &functions);
            }
            Ok(())
        });
        if let Err(why) = checked {
            lint.report(Problem::new("module", why));
        }
    }
}

/// Where a function is defined: the byte at which its name starts.
pub(in crate::script) fn definition(source: &Source, name: &str) -> Option<usize> {
    let mut before = "";
    let mut tokens = tokens(source.text(), 0);
    let (at, _) = tokens.find(|(_, token)| {
        let before = std::mem::replace(&mut before, token);
        before == "fn" && *token == name
    })?;
    Some(at)
}

impl Lint<'_> {
    fn refuse_name(&mut self, file: &ModuleFile, parsed: &Parsed) {
        let name = file.name.as_str();
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_callable = || self.engine.compile(format!("{name}();")).is_ok();
        let is_door = || door::functions().iter().any(|it| it.name == name);
        let why = if !name.chars().all(is_word) || !is_callable() {
            format!(
                "`{name}` cannot be called: a module's name is a word of small letters, digits and `_`"
            )
        } else if self.library.modules.is_taken(name) {
            format!("`{name}` is a module of veza-play already")
        } else if self.library.natives().contains_key(name) && !is_door() {
            format!("`{name}` is a function of scripts already")
        } else {
            return;
        };
        let source = &parsed.source;
        let problem = Problem::new("module", why)
            .at(source, source.span_at(0), "this module")
            .help("Give the file another name.");
        self.report(problem);
    }

    /// The constant and the functions that make a file a module.
    fn check_parts(&mut self, file: &ModuleFile, parsed: &Parsed, tree: &AST) {
        if !literals::constants(tree).any(|constant| constant.name == ARGUMENTS) {
            self.lacks(
                parsed,
                format!("the module {} does not say what it takes", file.name),
                format!("Write `const {ARGUMENTS} = arguments(#{{ name: string().required().positional() }});` at the top."),
            );
        } else if !self.library.modules.is_described(&file.name) {
            let problem = module::functions_of(self.library, self.engine, &file.id).err();
            let problem = problem.unwrap_or_else(|| not_arguments(parsed, tree));
            self.report(problem);
        }
        for part in &PARTS {
            self.check_part(part, file, parsed, tree);
        }
        self.refuse_hiding(parsed, tree);
    }

    /// A function of the file goes before one of `host` that has its name.
    fn refuse_hiding(&mut self, parsed: &Parsed, tree: &AST) {
        let source = &parsed.source;
        let hides = |name: &str| {
            let mut functions = door::functions().iter();
            functions.any(|it| it.name == name) || door::WITH_CLOSURES.contains(&name)
        };
        for definition in tree.iter_fn_def().filter(|it| hides(&it.name)) {
            let name = definition.name.as_str();
            let at = self::definition(source, name).unwrap_or_default();
            let problem = Problem::new(
                "module",
                format!("the function `{name}` hides `host.{name}`"),
            )
            .at(source, source.span_at(at), "also a function of host")
            .help("Give it another name.");
            self.report(problem);
        }
    }

    fn check_part(&mut self, part: &Part, file: &ModuleFile, parsed: &Parsed, tree: &AST) {
        let signature = format!("fn {}({})", part.name, part.parameters.join(", "));
        let mut counts = tree
            .iter_fn_def()
            .filter(|definition| definition.name == part.name)
            .map(|definition| definition.params.len())
            .peekable();
        if counts.peek().is_none() {
            if !part.optional {
                self.lacks(
                    parsed,
                    format!("the module {} has no function `{}`", file.name, part.name),
                    format!("Define `{signature} {{ … }}`."),
                );
            }
            return;
        }
        if counts.any(|count| count == part.parameters.len()) {
            return;
        }
        let source = &parsed.source;
        let at = definition(source, part.name).unwrap_or_default();
        let message = format!(
            "`{}` of a module takes `{}`",
            part.name,
            part.parameters.join("`, `")
        );
        let problem = Problem::new("module", message)
            .at(source, source.span_at(at), "takes something else")
            .help(format!("Write `{signature} {{ … }}`."));
        self.report(problem);
    }

    fn lacks(&mut self, parsed: &Parsed, message: String, help: String) {
        let source = &parsed.source;
        let problem = Problem::new("module", message)
            .at(source, source.span_at(0), "this module")
            .help(help);
        self.report(problem);
    }
}

/// The constant of a module that holds something else.
fn not_arguments(parsed: &Parsed, tree: &AST) -> Problem {
    let message = format!("`{ARGUMENTS}` is not made by `arguments(#{{ … }})`");
    let problem = Problem::new("module", message);
    let mut constants = literals::constants(tree);
    match constants.find(|constant| constant.name == ARGUMENTS) {
        Some(constant) => {
            let source = &parsed.source;
            let at = source.span(constant.value.start_position());
            problem.at(source, at, "something else")
        }
        None => problem,
    }
}

/// A call of a function of the door, in a function of the file.
struct Use<'a> {
    name: &'a str,
    function: Option<&'static DoorFunction>,
    call: &'a FnCallExpr,
    position: Position,
}

/// Checks what is done with `host`.
fn check_door(lint: &mut Lint, parsed: &Arc<Parsed>, tree: &AST, file: &File) {
    let hosts = hosts(tree);
    let mut uses = Vec::new();
    let mut properties = Vec::new();
    walk(tree, &mut |path| {
        if let Some(ASTNode::Expr(Expr::Dot(dot, ..))) = path.last()
            && let Expr::Variable(variable, ..) = &dot.lhs
            && hosts.contains(variable.1.as_str())
        {
            match first(&dot.rhs) {
                Expr::MethodCall(call, position) => uses.push((call.clone(), *position)),
                Expr::Property(property, position) => {
                    properties.push((property.2.to_string(), *position));
                }
                _ => {}
            }
        }
    });
    for (name, position) in properties {
        if !door::PROPERTIES.contains(&name.as_str()) {
            report_unknown(lint, parsed, &name, position);
        }
    }
    let reading = Reading::of(parsed, tree, file);
    for (call, position) in &uses {
        let name = call.name.as_str();
        let used = Use {
            name,
            function: door::functions().iter().find(|it| it.name == name),
            call,
            position: *position,
        };
        check_use(lint, parsed, file, &reading, &used);
    }
}

fn check_use(lint: &mut Lint, parsed: &Arc<Parsed>, file: &File, reading: &Reading, used: &Use) {
    let Use {
        name,
        function,
        call,
        position,
    } = *used;
    let changes = function.is_some_and(|function| function.is_effect) || name == door::WAIT;
    if function.is_none() && !door::WITH_CLOSURES.contains(&name) {
        // What no value at all can do has been reported.
        if names::is_known_method(lint, &parsed.source, file, name) {
            report_unknown(lint, parsed, name, position);
        }
        return;
    }
    if let (true, Some((root, within))) = (changes, reading.at(parsed, position)) {
        let source = &parsed.source;
        let mut problem = Problem::new("module", door::only_in_fix(name, root)).at(
            source,
            source.span(position),
            format!("only in `{FIX}`"),
        );
        if root != within {
            problem = problem.help(format!("`{within}` is called by `{root}`."));
        }
        lint.report(problem);
    }
    if let Some(function) = function {
        Calls::new(lint, parsed, file).through_door(&function.schema, call, position);
    }
}

fn report_unknown(lint: &mut Lint, parsed: &Parsed, name: &str, position: Position) {
    let known = door::functions().iter().map(|function| function.name);
    let near = closest(
        name,
        known.chain(door::PROPERTIES).chain(door::WITH_CLOSURES),
    );
    let label = near.map_or("not a function of host".into(), |near| {
        format!("did you mean `{near}`?")
    });
    let source = &parsed.source;
    let problem = Problem::new("unknown_function", format!("`host` has no `{name}`"))
        .at(source, source.span(position), label)
        .help("`veza-play doc host` lists what it has.");
    lint.report(problem);
}

/// What the functions of the file call their host.
fn hosts(tree: &AST) -> BTreeSet<String> {
    let mut hosts = BTreeSet::from(["host".to_owned()]);
    for definition in tree.iter_fn_def() {
        let part = PARTS.iter().find(|part| definition.name == part.name);
        let place = part.and_then(|part| part.parameters.iter().position(|name| *name == "host"));
        hosts.extend(
            place
                .and_then(|place| definition.params.get(place))
                .map(ToString::to_string),
        );
    }
    hosts
}

/// What is done first with what is before a dot.
fn first(expression: &Expr) -> &Expr {
    match expression {
        Expr::Dot(chain, ..) | Expr::Index(chain, ..) => first(&chain.lhs),
        other => other,
    }
}

/// The functions of a file that run while nothing may change: where they are,
/// and the part of the module that leads to them.
struct Reading(Vec<(String, Range<usize>, &'static str)>);

impl Reading {
    fn of(parsed: &Parsed, tree: &AST, file: &File) -> Self {
        let bodies = literals::named_bodies(&parsed.source, tree);
        let around = |position: Position| {
            let offset = parsed.source.offset_of(position);
            let mut bodies = bodies.iter();
            let (name, _) = bodies.find(|(_, body)| body.contains(&offset))?;
            Some(name.clone())
        };
        let mut calls: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        walk(tree, &mut |path| {
            if let Some(
                ASTNode::Stmt(Stmt::FnCall(call, at)) | ASTNode::Expr(Expr::FnCall(call, at)),
            ) = path.last()
                && call.namespace.is_empty()
                && file.functions.contains_key(call.name.as_str())
                && let Some(caller) = around(*at)
            {
                calls
                    .entry(caller)
                    .or_default()
                    .insert(call.name.to_string());
            }
        });
        let mut roots: BTreeMap<String, &'static str> = BTreeMap::new();
        for part in PARTS.iter().filter(|part| part.name != FIX) {
            let mut open = vec![part.name.to_owned()];
            while let Some(name) = open.pop() {
                if let Entry::Vacant(root) = roots.entry(name) {
                    open.extend(calls.get(root.key()).into_iter().flatten().cloned());
                    root.insert(part.name);
                }
            }
        }
        let rooted = |(name, body): (String, Range<usize>)| {
            let root = *roots.get(&name)?;
            Some((name, body, root))
        };
        Self(bodies.into_iter().filter_map(rooted).collect())
    }

    /// The part that leads to this place, and the function that it is in.
    fn at(&self, parsed: &Parsed, position: Position) -> Option<(&'static str, &str)> {
        let offset = parsed.source.offset_of(position);
        let mut functions = self.0.iter();
        let (name, _, root) = functions.find(|(_, body, _)| body.contains(&offset))?;
        Some((root, name))
    }
}
