//! A piece of script that is kept and called later, on any thread.
//!
//! A function pointer alone is not enough: it needs the functions, imports
//! and constants that surround it, which the runtime state carries. Captured
//! values are locks inside Rhai; they are copied for every call, so that each
//! host has its own and none waits for another.

use std::sync::Arc;

use rhai::{
    Dynamic, EvalAltResult, FnPtr, GlobalRuntimeState, Module, NativeCallContext, Position,
};

use super::context::Tag;
use crate::report::event::Site;

/// A closure of a script with everything it needs to run.
#[derive(Clone)]
pub struct Closure(Arc<Kept>);

struct Kept {
    function: FnPtr,
    state: GlobalRuntimeState,
    position: Position,
    site: Site,
}

impl std::fmt::Debug for Closure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Closure")
            .field("site", &self.0.site)
            .finish()
    }
}

impl Closure {
    /// Keeps `function` as it is seen by the native function it was given to.
    pub(super) fn keep(context: &NativeCallContext, mut function: FnPtr, site: Site) -> Self {
        own(&mut function);
        Self(Arc::new(Kept {
            function,
            state: state(context),
            position: context.call_position(),
            site,
        }))
    }

    /// Keeps a function of the file that `context` is at the top of; it is
    /// defined at `site`.
    pub(super) fn of_file(context: &NativeCallContext, function: FnPtr, site: Site) -> Self {
        let at = |number: usize| u16::try_from(number).unwrap_or_default();
        Self(Arc::new(Kept {
            function,
            state: state(context),
            position: Position::new(at(site.line), at(site.column)),
            site,
        }))
    }

    /// Where the closure was handed over.
    pub fn site(&self) -> &Site {
        &self.0.site
    }

    /// Calls it with these arguments, and `tag` as what its native functions
    /// find.
    pub(super) fn call(
        &self,
        engine: &rhai::Engine,
        tag: Tag,
        arguments: Vec<Dynamic>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut state = self.0.state.clone();
        state.tag = Dynamic::from(tag);
        state.level = 0;
        let mut function = self.0.function.clone();
        own(&mut function);
        let source = state.source.clone();
        let context = NativeCallContext::new_with_all_fields(
            engine,
            "play",
            source.as_deref(),
            &state,
            self.0.position,
        );
        function.call_raw(&context, None, arguments)
    }
}

/// What surrounds a closure. The engine takes a short cut to the functions of
/// the first file there, and then does not notice that another file runs: so
/// the first one has none.
fn state(context: &NativeCallContext) -> GlobalRuntimeState {
    let mut state = context.global_runtime_state().clone();
    state.lib.insert(0, Module::new().into());
    state
}

/// Replaces captured values, which are shared, by copies.
fn own(function: &mut FnPtr) {
    for value in function.iter_curry_mut() {
        *value = std::mem::take(value).flatten();
    }
}
