//! The options of a role: declared once, then checked, completed and
//! documented like the arguments of a module.
//!
//! ```rhai
//! const OPTIONS = options(#{
//!     listen: port().or(80).doc("Where clients connect."),
//!     servers: list(#{ name: string().required(), weight: integer().or(1) }),
//! });
//! fn role(given) { let o = global::OPTIONS.fill(given); … }
//! ```
//!
//! `options("haproxy", #{ … })` are those of the role haproxy and some more.

use std::any::TypeId;
use std::cell::RefCell;
use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, ImmutableString, Map, NativeCallContext};
use serde_json::Value;

use super::context::{Tag, library, site, tag};
use super::error::{Failed, fail_script, raise};
use super::lint;
use super::secret::told;
use super::tasks::View;
use super::value::{self, Refused};
use crate::schema::check::{Issue, Part};
use crate::schema::{Field, Kind, Schema};

/// One option while it is described.
#[derive(Clone, Debug)]
struct Spec {
    field: Field,
    /// Whether a call of a module may give it without its name.
    positional: bool,
}

impl Spec {
    fn with(mut self, change: impl FnOnce(&mut Field)) -> Self {
        change(&mut self.field);
        self
    }
}

/// The options of a role.
#[derive(Clone, Debug)]
pub(super) struct Options(Arc<Schema>);

impl Options {
    /// What they are, for checks and documentation.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.0
    }
}

/// The most words a choice can list without brackets.
const MOST_WORDS: usize = 12;

/// Registers what describes options.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Spec>("option")
        .register_type_with_name::<Options>("options");
    register_kinds(engine);
    engine.register_fn(
        "or",
        |context: NativeCallContext, spec: Spec, default: Dynamic| or(&context, spec, &default),
    );
    engine.register_fn("required", |spec: Spec| {
        spec.with(|field| field.required = true)
    });
    engine.register_fn("doc", |spec: Spec, doc: ImmutableString| {
        spec.with(|field| field.doc = doc.into())
    });
    engine.register_fn("secret", |spec: Spec| match spec.field.kind {
        Kind::Boolean | Kind::Integer { .. } | Kind::Number => {
            Err("only a text can be kept secret: use string()".into())
        }
        _ => Ok::<_, Failed>(spec.with(|field| field.secret = true)),
    });
    engine.register_fn("positional", |spec: Spec| Spec {
        positional: true,
        ..spec
    });
    engine.register_fn("options", options);
    engine.register_fn("options", options_beside);
    engine.register_fn("arguments", arguments);
    engine.register_fn("fill", fill);
    engine.register_fn(
        "fill",
        |context: NativeCallContext, options: &mut Options, _: ()| {
            fill(context, options, Map::new())
        },
    );
}

fn register_kinds(engine: &mut Engine) {
    let plain = [
        ("string", Kind::String),
        ("integer", Kind::integer()),
        ("number", Kind::Number),
        ("boolean", Kind::Boolean),
        ("port", Kind::port()),
        ("path", Kind::Path),
        ("mode", Kind::Mode),
        ("duration", Kind::Duration),
        ("any", Kind::Any),
    ];
    for (name, kind) in plain {
        engine.register_fn(name, move || spec(kind.clone()));
    }
    engine.register_fn("integer", |min: i64, max: i64| {
        spec(Kind::Integer {
            min: Some(min),
            max: Some(max),
        })
    });
    engine.register_fn("list", |context: NativeCallContext, item: Dynamic| {
        several(&context, &item, Kind::List)
    });
    engine.register_fn("record", |context: NativeCallContext, keys: Map| {
        Ok::<_, Failed>(spec(Kind::Record(fields(&context, &keys)?)))
    });
    engine.register_fn("map", |context: NativeCallContext, item: Dynamic| {
        several(&context, &item, Kind::Map)
    });
    engine.register_fn("choice", |words: Array| {
        choice(&words.iter().collect::<Vec<_>>()).map(Dynamic::from)
    });
    for count in 1..=MOST_WORDS {
        let types = vec![TypeId::of::<ImmutableString>(); count];
        engine.register_raw_fn("choice", types, |_, words| {
            choice(&words.iter().map(|word| &**word).collect::<Vec<_>>()).map(Dynamic::from)
        });
    }
}

fn spec(kind: Kind) -> Spec {
    Spec {
        field: Field::new("", kind),
        positional: false,
    }
}

/// Several values of one kind; if each is a secret, they all are.
fn several(
    context: &NativeCallContext,
    item: &Dynamic,
    make: fn(Box<Kind>) -> Kind,
) -> Result<Spec, Failed> {
    let item_spec = item.read_lock::<Spec>();
    let secret = item_spec.is_some_and(|spec| spec.field.secret);
    let several = spec(make(Box::new(kind(context, item)?)));
    Ok(several.with(|field| field.secret = secret))
}

fn choice(words: &[&Dynamic]) -> Result<Spec, Failed> {
    let word = |word: &&Dynamic| match (*word).clone().into_string() {
        Ok(word) => Ok((word, String::new())),
        Err(got) => Err(Failed::from(format!(
            "a choice is between strings, not a {got}"
        ))),
    };
    Ok(spec(Kind::Choice(
        words.iter().map(word).collect::<Result<_, _>>()?,
    )))
}

/// The kind that `string()` stands for; a map describes a map with these keys.
fn kind(context: &NativeCallContext, item: &Dynamic) -> Result<Kind, Failed> {
    if let Some(spec) = item.read_lock::<Spec>() {
        return Ok(spec.field.kind.clone());
    }
    match item.read_lock::<Map>() {
        Some(map) => Ok(Kind::Record(fields(context, &map)?)),
        None => Err(format!(
            "this takes a kind of value such as string(), not a {}",
            item.type_name()
        )
        .into()),
    }
}

fn fields(context: &NativeCallContext, map: &Map) -> Result<Vec<Field>, Failed> {
    let field = |(name, item): (&rhai::Identifier, &Dynamic)| {
        let name = name.to_string();
        match item.read_lock::<Spec>() {
            Some(spec) => Ok(Field {
                name,
                ..spec.field.clone()
            }),
            None => Ok(Field::new(name, kind(context, item)?)),
        }
    };
    map.iter().map(field).collect()
}

fn or(context: &NativeCallContext, spec: Spec, default: &Dynamic) -> Result<Spec, Failed> {
    let json = json(context, "default", default, None)?;
    let field = Field {
        name: "default".into(),
        ..spec.field.clone()
    };
    let schema = Schema {
        name: "the option".into(),
        fields: vec![field],
        ..Schema::default()
    };
    let given = [("default".to_owned(), (), Part::of(&json))];
    match schema.check(&given, &(), false).into_iter().next() {
        Some(issue) => Err(refuse(context, issue)),
        None => Ok(spec.with(|field| {
            field.default = Some(json);
            field.required = false;
        })),
    }
}

fn options(context: NativeCallContext, map: Map) -> Result<Options, Failed> {
    let options = declare(&context, &map)?;
    match options.0.positional.first() {
        None => Ok(options),
        Some(name) => Err(format!(
            "the option `{name}` cannot be positional: only arguments of modules are"
        )
        .into()),
    }
}

/// What a module takes: like options, and some of it without names.
fn arguments(context: NativeCallContext, map: Map) -> Result<Options, Failed> {
    declare(&context, &map)
}

fn declare(context: &NativeCallContext, map: &Map) -> Result<Options, Failed> {
    let name = context
        .call_source()
        .map_or_else(|| "options".into(), role_name);
    let fields = fields(context, map)?;
    let is_positional = |value: &Dynamic| {
        value
            .read_lock::<Spec>()
            .is_some_and(|spec| spec.positional)
    };
    let positional = map.iter().filter(|(_, value)| is_positional(value));
    Ok(Options(Arc::new(Schema {
        name,
        fields,
        positional: positional.map(|(name, _)| name.to_string()).collect(),
        ..Schema::default()
    })))
}

thread_local! {
    /// The roles whose options are being read on this thread, outermost first.
    static OPEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The options of another role, and those of `map`, which come first and win.
fn options_beside(
    context: NativeCallContext,
    role: ImmutableString,
    map: Map,
) -> Result<Options, Failed> {
    let own = declare(&context, &map)?;
    let theirs = declared(&context, &role)?;
    let mut schema = (*own.0).clone();
    let others = theirs.0.fields.iter();
    let others: Vec<_> = others
        .filter(|field| schema.field(&field.name).is_none())
        .cloned()
        .collect();
    schema.fields.extend(others);
    Ok(Options(Arc::new(schema)))
}

/// What a role declares as its `OPTIONS`.
fn declared(context: &NativeCallContext, role: &str) -> Result<Options, Failed> {
    let library = library(context)?;
    let refuse = |message: String, help: Option<String>| {
        let at = site(context, &library);
        let problem = library.problem_at("import", message, &at, "its options".into());
        let problem = match help {
            Some(help) => problem.help(help),
            None => problem,
        };
        fail_script(problem, context.call_position())
    };
    let id = library
        .resolve(role, context.call_source())
        .map_err(|error| refuse(error.message, error.help))?;
    if OPEN.with_borrow(|open| open.contains(&id)) {
        return Err(refuse(format!("{id} takes over its own options"), None));
    }
    let parsed = library.parsed(&id).map_err(|why| refuse(why, None))?;
    let Ok(tree) = &parsed.tree else {
        return Err(refuse(format!("{id} cannot be read"), None));
    };
    OPEN.with_borrow_mut(|open| open.push(id.clone()));
    let found = lint::options(context.engine(), &parsed, tree);
    OPEN.with_borrow_mut(|open| open.pop());
    match found.get("OPTIONS") {
        Some(schema) => Ok(Options(schema.clone())),
        None => Err(refuse(
            format!("{id} has no options that can be taken over"),
            Some("A role declares them as `const OPTIONS = options(#{ … });`.".into()),
        )),
    }
}

/// `haproxy` for `roles/haproxy/role.rhai` and `roles/haproxy.rhai`.
pub(super) fn role_name(id: &str) -> String {
    let path = id.trim_end_matches(".rhai").trim_end_matches("/role");
    path.rsplit('/').next().unwrap_or(path).into()
}

/// The values given, checked, with defaults for those that are not and marks
/// for those that are secret. An option without a default that is not given is
/// `()`.
fn fill(context: NativeCallContext, options: &mut Options, given: Map) -> Result<Map, Failed> {
    let schema = options.schema();
    let tag = tag(&context)?;
    let view = match &tag {
        Tag::Running(running) => Some(running.tasks.view()),
        Tag::Declaring(_) => None,
    };
    let mut values = serde_json::Map::new();
    for (name, value) in &given {
        values.insert(name.to_string(), json(&context, name, value, view)?);
    }
    let part = |(name, value): (&String, &Value)| (name.clone(), (), Part::of(value));
    let parts: Vec<_> = values.iter().map(part).collect();
    if let Some(issue) = schema.check(&parts, &(), false).into_iter().next() {
        return Err(refuse(&context, issue));
    }
    let mut filled = schema.completed(values);
    let concealed = tag.library().secrets.conceal_within(schema, &mut filled);
    concealed.map_err(|failure| told(&context, failure.into()))?;
    Ok(value::from_map(&filled))
}

fn json(
    context: &NativeCallContext,
    name: &str,
    value: &Dynamic,
    view: Option<&View>,
) -> Result<Value, Failed> {
    value::to_json(value, view).map_err(|refused| match refused {
        Refused::Stop(stop) => raise(stop, context.call_position()),
        Refused::Type(got) => format!("the option `{name}` cannot be {got}").into(),
    })
}

fn refuse(context: &NativeCallContext, issue: Issue<()>) -> Failed {
    let problem = match library(context) {
        Ok(library) => library.issue_problem(&site(context, &library), issue),
        Err(why) => return why,
    };
    fail_script(problem, context.call_position())
}
