//! A secret as scripts meet it: a text that can be handed on and not looked
//! into. Its value never comes into a script; it is a mark all the way.

use std::any::TypeId;

use rhai::{Dynamic, Engine, ImmutableString, NativeCallContext};
use veza_agent::mark;

use super::context::{Tag, tag};
use super::declare;
use super::error::{Failed, fail_script};
use super::marked::{self, Marked};
use super::value;
use crate::secrets::Trouble;

/// A text of which at least a part is a secret.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    text: ImmutableString,
}

impl Secret {
    /// A text with at least one mark of a secret.
    pub fn of_text(text: &str) -> Self {
        Self { text: text.into() }
    }
}

impl Marked for Secret {
    const NAME: &'static str = "secret";

    fn text(&self) -> &str {
        &self.text
    }

    fn refuse(&self, context: &NativeCallContext) -> Failed {
        let name = mark::secrets(&self.text).next().unwrap_or_default();
        let name = mark::shown_name(name);
        let message = format!("a script cannot look into the secret {name}");
        let problem = declare::fault(context, "secret", message, "this needs its value");
        let help =
            "Hand it on: to arguments, to templates (whose filters may use it) and into texts.";
        fail_script(problem.help(help), context.call_position())
    }
}

/// Registers the type and the function that gives one. `methods` are the
/// functions of plain values with their numbers of arguments.
pub(super) fn register(engine: &mut Engine, methods: &[(String, usize)]) {
    marked::register::<Secret>(engine);
    for (name, count) in methods.iter().filter(|(_, count)| (1..=4).contains(count)) {
        let any = TypeId::of::<Dynamic>();
        let types: Vec<_> = std::iter::once(TypeId::of::<Secret>())
            .chain(std::iter::repeat_n(any, count - 1))
            .collect();
        engine.register_raw_fn(name, &types, |context, arguments| {
            marked::refuse::<Secret>(&context, arguments)
        });
    }
    // Whether one was given at all is no secret.
    engine.register_fn("==", |_: Secret, (): ()| false);
    engine.register_fn("!=", |_: Secret, (): ()| true);
    engine.register_fn("secret", secret);
}

fn secret(context: NativeCallContext, name: ImmutableString) -> Result<Dynamic, Failed> {
    let tag = tag(&context)?;
    let lenient = matches!(&tag, Tag::Declaring(declaring) if declaring.is_lenient());
    match tag.library().secrets.mark(&name) {
        Ok(mark) => Ok(value::from_text(&mark)),
        // It has been found already.
        Err(_) if lenient => Ok(value::from_text(&mark::secret(&name))),
        Err(trouble) => Err(told(&context, trouble)),
    }
}

/// Trouble with a secret, at the call that met it.
pub(super) fn told(context: &NativeCallContext, trouble: Trouble) -> Failed {
    let problem = declare::fault(context, "secret", trouble.message, "in this call");
    let problem = match trouble.help {
        Some(help) => problem.help(help),
        None => problem,
    };
    fail_script(problem, context.call_position())
}
