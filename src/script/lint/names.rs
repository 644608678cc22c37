//! Names that nothing defines: variables, functions, imported modules.

use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Namespace, Position, Stmt};

use super::literals::{self, Sight};
use super::{File, Lint};
use crate::schema::{closest, habits};
use crate::script::diagnostics::Problem;
use crate::script::library::Parsed;
use crate::script::lookups;
use crate::script::source::Source;
use crate::script::tokens::tokens;
use crate::script::tree::walk;

/// Functions of the engine that it lists nowhere.
const BUILT_IN: [&str; 8] = [
    "Fn",
    "call",
    "curry",
    "type_of",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "throw",
];

/// Reports all of a file's names that nothing defines.
pub(super) fn check(lint: &mut Lint, parsed: &Parsed, tree: &AST, file: &File) {
    let mut names = Names {
        lint,
        parsed,
        file,
        variables: variables(tree),
        sights: literals::sights(&parsed.source, tree),
        seen: BTreeSet::new(),
    };
    names.definitions(tree);
    walk(tree, &mut |path| match path {
        [.., ASTNode::Expr(Expr::Variable(variable, _, at))] => match variable.2.path.first() {
            Some(root) if root.name == "global" => names.constant(&variable.1, *at),
            Some(_) => drop(names.namespace(&variable.2)),
            None if variable.0.is_none() => names.variable(&variable.1, *at, *at),
            None => {}
        },
        [
            ..,
            ASTNode::Expr(Expr::Stmt(closure)),
            ASTNode::Stmt(Stmt::Share(shared)),
        ] => {
            for (variable, _) in shared.iter().filter(|(_, index)| index.is_none()) {
                names.variable(&variable.name, variable.pos, closure.position());
            }
        }
        [
            ..,
            ASTNode::Stmt(Stmt::FnCall(call, at)) | ASTNode::Expr(Expr::FnCall(call, at)),
        ] => {
            names.call(call, *at);
        }
        [.., ASTNode::Expr(Expr::MethodCall(call, at))] => names.method(call, *at),
        _ => {}
    });
}

/// All names that the file gives to variables, for suggestions.
pub(super) fn variables(tree: &AST) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = lookups::NAMES.map(str::to_owned).into();
    walk(tree, &mut |path| match path.last() {
        Some(ASTNode::Stmt(Stmt::Var(variable, ..))) => {
            found.insert(variable.0.name.to_string());
        }
        Some(ASTNode::Stmt(Stmt::For(each, _))) => {
            found.insert(each.0.name.to_string());
        }
        _ => {}
    });
    // The parameters of a closure include what it captures, misspelt or not.
    let parameters = tree
        .iter_fn_def()
        .filter(|definition| !definition.name.starts_with("anon$"))
        .flat_map(|definition| definition.params.iter());
    found.extend(parameters.map(ToString::to_string));
    found
}

struct Names<'a, 'b> {
    lint: &'a mut Lint<'b>,
    parsed: &'a Parsed,
    file: &'a File,
    variables: BTreeSet<String>,
    sights: Vec<Sight>,
    /// Places that have been reported: a captured variable is met twice.
    seen: BTreeSet<usize>,
}

impl Names<'_, '_> {
    fn report(
        &mut self,
        code: &'static str,
        position: Position,
        message: String,
        label: String,
        help: Option<String>,
    ) {
        let source = &self.parsed.source;
        if !self.seen.insert(source.offset_of(position)) {
            return;
        }
        let problem = Problem::new(code, message).at(source, source.span(position), label);
        self.lint.report(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    /// Functions that no file may define. The engine would find `fn int.double()`
    /// in other files, too.
    fn definitions(&mut self, tree: &AST) {
        for definition in tree.iter_fn_def() {
            let name = &definition.name;
            let (message, help) = match &definition.this_type {
                Some(_) => (
                    format!("the function `{name}` is one of a type"),
                    format!(
                        "Write `fn {name}(…)`: it is called as `{name}(value)`, or as `value.{name}()` with the value as `this`."
                    ),
                ),
                None if name.starts_with("__") => (
                    format!("the name `{name}` is kept for what a run adds to scripts"),
                    "Give it a name that does not begin with `__`.".to_owned(),
                ),
                None => continue,
            };
            let source = &self.parsed.source;
            let body = source.offset_of(definition.body.start_position());
            let before = tokens(source.text(), 0).take_while(|(at, _)| *at < body);
            let start = before.filter(|(_, token)| *token == "fn").last();
            let at = source.span_at(start.map_or(body, |(at, _)| at));
            let problem = Problem::new("function_name", message);
            self.lint
                .report(problem.at(source, at, "defined here").help(help));
        }
    }

    /// A name that the engine does not resolve. What a closure captures is
    /// looked up where the closure is made: at `needed`.
    fn variable(&mut self, name: &str, position: Position, needed: Position) {
        let offset = self.parsed.source.offset_of(needed);
        if lookups::NAMES.contains(&name) || self.sights.iter().any(|sight| sight.has(name, offset))
        {
            return;
        }
        let habit = habits::variable(name);
        let others = self.variables.iter().filter(|known| *known != name);
        let near = closest(name, others.map(String::as_str)).filter(|_| habit.is_none());
        let label = near.map_or("not defined".into(), |near| {
            format!("did you mean `{near}`?")
        });
        let help = match (
            self.file.constants.contains(name),
            self.variables.contains(name),
        ) {
            (true, _) => Some(format!(
                "A function sees a constant of its file as `global::{name}`."
            )),
            (_, true) => {
                Some("A function sees its parameters only, not the variables around it.".into())
            }
            _ => habit.map(str::to_owned),
        };
        self.report(
            "undefined_variable",
            position,
            format!("there is no variable `{name}`"),
            label,
            help,
        );
    }

    fn constant(&mut self, name: &str, position: Position) {
        if self.file.constants.contains(name) {
            return;
        }
        let near = closest(name, self.file.constants.iter().map(String::as_str));
        let label = near.map_or("not defined".into(), |near| {
            format!("did you mean `{near}`?")
        });
        let message = format!("there is no constant `{name}` at the top of this file");
        self.report("undefined_variable", position, message, label, None);
    }

    fn call(&mut self, call: &FnCallExpr, position: Position) {
        let name = call.name.as_str();
        if call.op_token.is_some()
            || name.starts_with("anon$")
            || !name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        {
            return;
        }
        if !call.namespace.is_empty() {
            return self.qualified(call, position);
        }
        if BUILT_IN.contains(&name) {
            return self.pointer(call);
        }
        let count = call.args.len();
        match (self.file.functions.get(name), self.lint.native(name)) {
            (Some(function), _) if function.counts.contains(&count) => {}
            // The arguments of modules and declarations are checked by schemas.
            _ if self.lint.library.catalog.get(name).is_some() => {}
            (None, _) if self.lint.declarations.contains_key(name) => {}
            (_, Some(counts)) if counts.contains(&count) => {}
            (Some(function), _) => {
                self.wrong_count(name, &function.counts.clone(), count, position)
            }
            (None, Some(counts)) => self.wrong_count(name, &counts, count, position),
            (None, None) => self.unknown_function(name, position),
        }
    }

    fn unknown_function(&mut self, name: &str, position: Position) {
        let own = self.file.functions.keys().map(String::as_str);
        let public = self.lint.library.functions();
        let roles = self.lint.library.project.roles();
        let is_role = self.file.imports.contains_key(name) || roles.iter().any(|it| it == name);
        let role = is_role.then(|| {
            format!("It is a role: import \"{name}\" as {name}; then {name}::role(#{{ … }})")
        });
        let habit = role.or(habits::function(name).map(str::to_owned));
        let near = closest(name, own.chain(public)).filter(|_| habit.is_none());
        let label = near.map_or("no module or function of this name".into(), |near| {
            format!("did you mean `{near}`?")
        });
        let listed = || "`veza-play doc` lists modules and functions".to_owned();
        let help = habit.or_else(|| near.is_none().then(listed));
        self.report(
            "unknown_function",
            position,
            format!("there is no module or function `{name}`"),
            label,
            help,
        );
    }

    fn wrong_count(
        &mut self,
        name: &str,
        counts: &BTreeSet<usize>,
        given: usize,
        position: Position,
    ) {
        let message = format!("`{name}` takes {}, not {given}", arguments(counts));
        self.report(
            "wrong_count",
            position,
            message,
            "wrong number of arguments".into(),
            None,
        );
    }

    /// `Fn("name")` is checked like a call, but for how many arguments it gets.
    fn pointer(&mut self, call: &FnCallExpr) {
        if let [Expr::StringConstant(name, at)] = call.args.as_slice()
            && call.name == "Fn"
            && !is_known_method(self.lint, &self.parsed.source, self.file, name)
        {
            self.unknown_function(name, *at);
        }
    }

    fn qualified(&mut self, call: &FnCallExpr, position: Position) {
        let name = call.name.as_str();
        let Some((id, file)) = self.namespace(&call.namespace) else {
            return;
        };
        let public = |counts: &BTreeSet<usize>| counts.contains(&call.args.len());
        match file.functions.get(name) {
            Some(function) if public(&function.public) => {}
            Some(function) if public(&function.counts) || function.public.is_empty() => {
                let message = format!("`{name}` is private in {id}");
                self.report(
                    "unknown_function",
                    position,
                    message,
                    "cannot be called from here".into(),
                    None,
                );
            }
            Some(function) => self.wrong_count(
                &format!("{}::{name}", written(&call.namespace)),
                &function.public,
                call.args.len(),
                position,
            ),
            None => {
                let public = file
                    .functions
                    .iter()
                    .filter(|(_, function)| !function.public.is_empty())
                    .map(|(name, _)| name.as_str());
                let near = closest(name, public);
                let label = near.map_or("not in this file".into(), |near| {
                    format!("did you mean `{}::{near}`?", written(&call.namespace))
                });
                let message = format!("{id} has no function `{name}`");
                self.report("unknown_function", position, message, label, None);
            }
        }
    }

    /// The file that a namespace means, if it could be read.
    fn namespace(&mut self, namespace: &Namespace) -> Option<(String, Arc<File>)> {
        let mut found: Option<(String, Arc<File>)> = None;
        for part in &namespace.path {
            let file = found.as_ref().map_or(self.file, |(_, file)| file);
            let Some(id) = file.imports.get(part.name.as_str()).cloned() else {
                match found {
                    None if part.name == "global" => {}
                    None => self.unknown_import(&part.name, part.pos),
                    Some((id, _)) => {
                        let message = format!("{id} imports nothing as `{}`", part.name);
                        self.report("import", part.pos, message, "not imported".into(), None);
                    }
                }
                return None;
            };
            // What could not be found or read has been said.
            let id = id?;
            let file = self
                .lint
                .files
                .get(&id)
                .filter(|file| file.is_read)?
                .clone();
            found = Some((id, file));
        }
        found
    }

    fn unknown_import(&mut self, alias: &str, position: Position) {
        let near = closest(alias, self.file.imports.keys().map(String::as_str));
        let label = near.map_or("not imported".into(), |near| {
            format!("did you mean `{near}`?")
        });
        let help = format!("Import it at the top: import \"{alias}\" as {alias};");
        self.report(
            "import",
            position,
            format!("nothing is imported as `{alias}`"),
            label,
            Some(help),
        );
    }

    /// The type of the value before the dot is not known, so a method is only
    /// wrong if no type has it and no map here has a function of that name.
    fn method(&mut self, call: &FnCallExpr, position: Position) {
        let name = call.name.as_str();
        if is_known_method(self.lint, &self.parsed.source, self.file, name) {
            return;
        }
        let near = closest(name, self.lint.library.functions()).map(str::to_owned);
        let label = near.map_or("no value has this function".into(), |near| {
            format!("did you mean `{near}`?")
        });
        self.report(
            "unknown_function",
            position,
            format!("there is no function `{name}`"),
            label,
            None,
        );
    }
}

/// Whether any value may have a function of this name.
pub(super) fn is_known_method(lint: &Lint, source: &Source, file: &File, name: &str) -> bool {
    file.functions.contains_key(name)
        || lint.native(name).is_some()
        || lint.library.catalog.get(name).is_some()
        || BUILT_IN.contains(&name)
        || lint.library.words(source.id()).contains(name)
}

/// A namespace as it is written, without spaces.
fn written(namespace: &Namespace) -> String {
    let parts = namespace.path.iter().map(|part| part.name.as_str());
    parts.collect::<Vec<_>>().join("::")
}

fn arguments(counts: &BTreeSet<usize>) -> String {
    let texts: Vec<_> = counts.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [one] if one == "1" => "1 argument".into(),
        [one] => format!("{one} arguments"),
        _ => format!("{} arguments", texts.join(" or ")),
    }
}
