//! The one configuration of the script engine, for env files and roles alike.
//!
//! Constants are never folded: it would lose the positions of map keys, and
//! one case of it panics in Rhai 1.27. There is no `eval`, no file access and
//! no import beyond the project and the standard library.

use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{Dynamic, Engine, OptimizationLevel, Scope, Token};

use super::context::Tag;
use super::library::Library;
use super::lookups::{self, Lookup};
use super::resolver::Resolver;
use super::{calls, connect, declare, functions, options, unknown};
use crate::script::catalog::Catalog;

/// Words that Rhai keeps for its future and scripts of this field need.
const FREED: [&str; 27] = [
    "async",
    "await",
    "case",
    "default",
    "go",
    "goto",
    "is",
    "match",
    "module",
    "new",
    "package",
    "protected",
    "public",
    "shared",
    "spawn",
    "static",
    "super",
    "sync",
    "thread",
    "use",
    "var",
    "with",
    "yield",
    "exit",
    "each",
    "then",
    "begin",
];

/// An engine that only parses: names are not looked up.
pub(super) fn bare() -> Engine {
    let mut engine = Engine::new();
    configure(&mut engine);
    engine
}

/// The engine that runs the scripts of one playbook.
pub(super) fn complete(library: &Arc<Library>, tag: Tag) -> Engine {
    let mut engine = bare();
    let lenient = matches!(&tag, Tag::Declaring(declaring) if declaring.lenient);
    engine.set_strict_variables(!lenient);
    engine.set_default_tag(Dynamic::from(tag));
    register_all(&mut engine, &library.catalog);
    look_up_names(&mut engine, lenient);
    engine.set_module_resolver(Resolver::new(library.clone()));
    engine
}

/// The names that are known while a script is compiled.
pub(super) fn names() -> Scope<'static> {
    let mut scope = Scope::new();
    for name in lookups::NAMES {
        scope.push_constant(name, ());
    }
    scope
}

/// The names of all functions a script may call.
pub(super) fn function_names(catalog: &Catalog) -> BTreeSet<String> {
    let mut engine = bare();
    register_all(&mut engine, catalog);
    let is_public = |name: &str| name.starts_with(char::is_alphabetic) && !name.contains('$');
    functions_of(&engine)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| is_public(name))
        .collect()
}

/// All functions of an engine, with their numbers of arguments.
pub(super) fn functions_of(engine: &Engine) -> BTreeSet<(String, usize)> {
    let pair =
        |info: rhai::FuncInfo| Some((info.metadata.name.to_string(), info.metadata.num_params));
    engine
        .collect_fn_metadata(None, pair, true)
        .into_iter()
        .collect()
}

fn register_all(engine: &mut Engine, catalog: &Catalog) {
    // An unknown passes through the functions of plain values, so these must
    // be listed before any other is added.
    let is_method =
        |name: &str| name.starts_with(|c: char| c.is_alphabetic()) && !name.contains('$');
    let conversions = ["to_string", "to_debug", "type_of", "timestamp"];
    let methods: Vec<_> = functions_of(engine)
        .into_iter()
        .filter(|(name, _)| is_method(name) && !conversions.contains(&name.as_str()))
        .collect();
    unknown::register(engine, &methods);
    lookups::register(engine);
    functions::register(engine);
    options::register(engine);
    declare::register(engine);
    connect::register(engine);
    calls::register(engine, catalog.iter().cloned());
}

fn configure(engine: &mut Engine) {
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_fail_on_invalid_map_property(true)
        .set_max_operations(50_000_000)
        .set_max_call_levels(64)
        .set_max_expr_depths(128, 64)
        .set_max_string_size(16 << 20)
        .set_max_array_size(1_000_000)
        .set_max_map_size(200_000)
        .set_max_modules(1_000)
        .disable_symbol("eval")
        .disable_symbol("print")
        .disable_symbol("debug");
    free_words(engine);
}

#[expect(deprecated, reason = "the hook is only marked as not yet stable")]
fn free_words(engine: &mut Engine) {
    engine.on_parse_token(|token, _, _| match token {
        Token::Reserved(word) if FREED.contains(&word.as_str()) => Token::Identifier(word),
        other => other,
    });
}

#[expect(deprecated, reason = "the hook is only marked as not yet stable")]
fn look_up_names(engine: &mut Engine, lenient: bool) {
    engine.on_var(move |name, _, context| match Lookup::named(name) {
        // A variable of the script's own goes first: `for host in hosts`.
        Some(_) if context.scope().contains(name) => Ok(None),
        Some(lookup) => Ok(Some(Dynamic::from(lookup))),
        None if lenient && !context.scope().contains(name) => Ok(Some(Dynamic::UNIT)),
        None => Ok(None),
    });
}
