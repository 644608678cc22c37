//! The one configuration of the script engine, for env files and roles alike.
//!
//! Constants are never folded: it would lose the positions of map keys, and
//! one case of it panics in Rhai 1.27. There is no `eval`, no file access and
//! no import beyond the project and the standard library.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use rhai::{Dynamic, Engine, EvalContext, OptimizationLevel, Scope, Token};

use super::context::Tag;
use super::library::{Functions, Library};
use super::lookups::{self, Lookup};
use super::resolver::Resolver;
use super::{calls, connect, declare, flow, functions, module, options, retry, secret, unknown};

/// Words that Rhai keeps for its future and scripts of this field need.
const FREED: [&str; 23] = [
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
];

/// How deep a script may nest expressions and blocks.
const DEPTH: usize = 128;

/// The same in functions, which call each other.
const DEPTH_IN_FUNCTIONS: usize = 64;

/// How deep functions may call each other.
const CALLS: usize = 64;

/// How many of the calls may be on their way to another file: each of these is
/// two to the engine (`own_names.rs`).
const CALLS_PASSED_ON: usize = 16;

thread_local! {
    /// Whether the token before this one, of the text that this thread parses,
    /// is one after which a map's key may stand.
    static A_KEY_MAY_FOLLOW: Cell<bool> = const { Cell::new(false) };
}

/// An engine that only parses: names are not looked up.
pub(super) fn bare() -> Engine {
    let mut engine = Engine::new();
    configure(&mut engine);
    engine
}

/// An engine that knows what options and arguments are made of, and nothing
/// of hosts.
pub(super) fn describing() -> Engine {
    let mut engine = bare();
    options::register(&mut engine);
    engine
}

/// The engine that runs the scripts of one playbook.
pub(super) fn complete(library: &Arc<Library>, tag: Tag) -> Engine {
    let mut engine = bare();
    // What is inserted into a script has depth, too.
    engine
        .set_max_expr_depths(3 * DEPTH, 3 * DEPTH_IN_FUNCTIONS)
        .set_max_call_levels(CALLS + CALLS_PASSED_ON);
    engine.set_default_tag(Dynamic::from(tag));
    register_all(&mut engine);
    library.note_functions(functions_of(&engine));
    calls::register(&mut engine, library.catalog.iter().cloned());
    look_up_names(&mut engine);
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

/// All functions of an engine, with their numbers of arguments.
fn functions_of(engine: &Engine) -> Functions {
    let pair =
        |info: rhai::FuncInfo| Some((info.metadata.name.to_string(), info.metadata.num_params));
    let mut functions = Functions::new();
    for (name, count) in engine.collect_fn_metadata(None, pair, true) {
        functions.entry(name).or_default().insert(count);
    }
    functions
}

/// The functions of plain values, which are the same for every engine.
fn methods() -> &'static [(String, usize)] {
    static METHODS: LazyLock<Vec<(String, usize)>> = LazyLock::new(|| {
        let is_method = |name: &str| name.starts_with(char::is_alphabetic) && !name.contains('$');
        // `log` is a logarithm of numbers, but here it tells what it is given.
        let others = ["to_string", "to_debug", "type_of", "timestamp", "log"];
        functions_of(&bare())
            .into_iter()
            .filter(|(name, _)| is_method(name) && !others.contains(&name.as_str()))
            .flat_map(|(name, counts)| counts.into_iter().map(move |count| (name.clone(), count)))
            .collect()
    });
    &METHODS
}

/// Registers all but the modules of the catalog.
fn register_all(engine: &mut Engine) {
    unknown::register(engine, methods());
    secret::register(engine, methods());
    lookups::register(engine);
    functions::register(engine);
    flow::register(engine);
    retry::register(engine);
    options::register(engine);
    declare::register(engine);
    connect::register(engine);
    module::register(engine);
}

fn configure(engine: &mut Engine) {
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_fail_on_invalid_map_property(true)
        .set_max_operations(50_000_000)
        .set_max_call_levels(CALLS)
        .set_max_expr_depths(DEPTH, DEPTH_IN_FUNCTIONS)
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
    engine.on_parse_token(|token, _, _| {
        let before = match &token {
            Token::Comment(_) => A_KEY_MAY_FOLLOW.get(),
            Token::MapStart | Token::Comma | Token::Period => A_KEY_MAY_FOLLOW.replace(true),
            _ => A_KEY_MAY_FOLLOW.replace(false),
        };
        match token {
            Token::Reserved(word) if FREED.contains(&word.as_str()) => Token::Identifier(word),
            // Elsewhere it ends a `do` loop.
            Token::Until if before => Token::Identifier(Box::new("until".into())),
            other => other,
        }
    });
}

#[expect(deprecated, reason = "the hook is only marked as not yet stable")]
fn look_up_names(engine: &mut Engine) {
    engine.on_var(|name, _, context| match Lookup::named(name) {
        // A variable of the script's own goes first: `for host in hosts`.
        Some(_) if context.scope().contains(name) => Ok(None),
        Some(lookup) => Ok(Some(Dynamic::from(lookup))),
        None if is_lenient(&context) && !context.scope().contains(name) => Ok(Some(Dynamic::UNIT)),
        None => Ok(None),
    });
}

/// Whether problems are known, so that a missing variable is none of them.
fn is_lenient(context: &EvalContext) -> bool {
    let tag = context.tag().read_lock::<Tag>();
    tag.is_some_and(|tag| matches!(&*tag, Tag::Declaring(declaring) if declaring.is_lenient()))
}
