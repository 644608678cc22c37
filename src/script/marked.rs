//! Texts with marks, as scripts meet them: a value that nobody may see, or
//! that a dry run cannot know. They may be handed on and joined with other
//! texts; whatever would need the value behind the mark is refused.

use std::any::TypeId;

use rhai::{Dynamic, Engine, ImmutableString, NativeCallContext};

use super::error::Failed;
use super::secret::Secret;
use super::unknown::Unknown;
use super::value;

/// A text with at least one mark.
pub(super) trait Marked: Clone + Send + Sync + 'static {
    /// What the engine calls the type in its messages.
    const NAME: &'static str;

    /// The text with its marks.
    fn text(&self) -> &str;

    /// Why the script cannot go on if it needs the value.
    fn refuse(&self, context: &NativeCallContext) -> Failed;
}

/// The operators that need to know both sides.
const OPERATORS: [&str; 20] = [
    "==", "!=", "<", ">", "<=", ">=", "-", "*", "/", "%", "**", "&", "|", "^", "<<", ">>", "-=",
    "*=", "/=", "%=",
];

/// Teaches the engine what all texts with marks have in common.
pub(super) fn register<M: Marked>(engine: &mut Engine) {
    engine.register_type_with_name::<M>(M::NAME);
    let (marked, any) = (TypeId::of::<M>(), TypeId::of::<Dynamic>());
    for operator in OPERATORS {
        for types in [[marked, any], [any, marked]] {
            engine.register_raw_fn(operator, types, |context, arguments| {
                refuse::<M>(&context, arguments)
            });
        }
    }
    for operator in ["!", "-"] {
        engine.register_raw_fn(operator, [marked], |context, arguments| {
            refuse::<M>(&context, arguments)
        });
    }
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |value: &mut M| ImmutableString::from(value.text()));
    }
    // Rhai joins any value with a text, unless the very types are known.
    let text = TypeId::of::<ImmutableString>();
    let others = [
        text,
        TypeId::of::<char>(),
        TypeId::of::<Unknown>(),
        TypeId::of::<Secret>(),
    ];
    for types in others
        .iter()
        .flat_map(|other| [[marked, *other], [*other, marked]])
    {
        engine.register_raw_fn("+", types, |context, arguments| {
            join::<M>(&context, arguments)
        });
    }
    // To a list `+=` adds an item, whatever that is.
    for types in others
        .map(|other| [marked, other])
        .into_iter()
        .chain([[text, marked]])
    {
        engine.register_raw_fn("+=", types, |context, arguments| {
            *arguments[0] = join::<M>(&context, arguments)?;
            Ok(Dynamic::UNIT)
        });
    }
}

/// The text of a value that texts can be joined with.
pub(super) fn text(value: &Dynamic) -> Option<String> {
    if let Some(unknown) = value.read_lock::<Unknown>() {
        return Some(unknown.text().to_owned());
    }
    if let Some(secret) = value.read_lock::<Secret>() {
        return Some(secret.text().to_owned());
    }
    match value.is_string() || value.is_char() {
        true => Some(value.to_string()),
        false => None,
    }
}

fn join<M: Marked>(
    context: &NativeCallContext,
    arguments: &mut [&mut Dynamic],
) -> Result<Dynamic, Failed> {
    match (text(arguments[0]), text(arguments[1])) {
        (Some(one), Some(other)) => Ok(value::from_text(&format!("{one}{other}"))),
        _ => refuse::<M>(context, arguments),
    }
}

/// Ends the script because of the first argument of this type.
pub(super) fn refuse<M: Marked>(
    context: &NativeCallContext,
    arguments: &mut [&mut Dynamic],
) -> Result<Dynamic, Failed> {
    let marked = arguments
        .iter()
        .find_map(|value| value.read_lock::<M>().map(|marked| marked.clone()));
    match marked {
        Some(marked) => Err(marked.refuse(context)),
        None => Err(format!("this cannot be done with a {}", M::NAME).into()),
    }
}
