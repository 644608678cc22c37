//! A value that a dry run cannot know, as scripts meet it.
//!
//! It may be handed on: into arguments, templates, texts and fields. Whatever
//! would need its value - a comparison, a branch, a loop, arithmetic - ends
//! the script of this host instead of guessing, and no `catch` hides that.

use std::any::TypeId;

use rhai::{Dynamic, Engine, ImmutableString, NativeCallContext};
use veza_agent::mark;

use super::context::{self, Tag};
use super::error::{Failed, terminate};
use super::marked::{self, Marked};
use super::tasks::Stop;

/// A text of which at least a part is not known yet.
#[derive(Clone, Debug)]
pub(super) struct Unknown {
    text: ImmutableString,
}

impl Unknown {
    /// Whether the engine speaks of this type, by either of its names.
    pub fn is_named_in(text: &str) -> bool {
        text.contains(Self::NAME) || text.contains(std::any::type_name::<Self>())
    }

    /// The value that `origin` will bring.
    pub fn new(origin: &str) -> Self {
        Self {
            text: mark::unknown(origin).into(),
        }
    }

    /// A text with at least one mark.
    pub fn of_text(text: &str) -> Self {
        Self { text: text.into() }
    }

    /// Where the value will come from.
    pub fn origin(&self) -> &str {
        mark::unknown_origin(&self.text).unwrap_or(Self::NAME)
    }
}

impl Marked for Unknown {
    const NAME: &'static str = "value that is known only after apply";

    fn text(&self) -> &str {
        &self.text
    }

    fn refuse(&self, context: &NativeCallContext) -> Failed {
        undecidable(context, self)
    }
}

/// Whether a value and all its parts are known.
pub(super) fn is_known(value: &Dynamic) -> bool {
    if let Some(items) = value.read_lock::<rhai::Array>() {
        return items.iter().all(is_known);
    }
    if let Some(map) = value.read_lock::<rhai::Map>() {
        return map.values().all(is_known);
    }
    !value.is::<Unknown>()
}

/// Stops the script because it would have to guess.
pub(super) fn undecidable(context: &NativeCallContext, unknown: &Unknown) -> Failed {
    let site = match context::tag(context) {
        Ok(Tag::Running(running)) => Some(context::site(context, &running.library)),
        _ => None,
    };
    let origin = unknown.origin().into();
    terminate(Stop::Undecidable { origin, site }, context.call_position())
}

/// Teaches the engine what may be done with an unknown. `methods` are the
/// functions of plain values with their numbers of arguments; on an unknown
/// they give another one.
pub(super) fn register(engine: &mut Engine, methods: &[(String, usize)]) {
    marked::register::<Unknown>(engine);
    for (name, count) in methods.iter().filter(|(_, count)| (1..=4).contains(count)) {
        let any = TypeId::of::<Dynamic>();
        let types: Vec<_> = std::iter::once(TypeId::of::<Unknown>())
            .chain(std::iter::repeat_n(any, count - 1))
            .collect();
        engine.register_raw_fn(name, &types, |_, arguments| Ok(arguments[0].clone()));
    }
    engine.register_indexer_get(|value: &mut Unknown, _: Dynamic| value.clone());
    engine.register_iterator_result::<Unknown, Dynamic>();
}

/// `for x in unknown` ends at once with the reason.
impl IntoIterator for Unknown {
    type Item = Result<Dynamic, Failed>;
    type IntoIter = std::iter::Once<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        let origin = self.origin().into();
        std::iter::once(Err(terminate(
            Stop::Undecidable { origin, site: None },
            context::NOWHERE,
        )))
    }
}
