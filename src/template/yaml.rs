//! YAML as PyYAML writes it with libyaml, which is what Ansible uses: the
//! same order, quotes, folds and indents.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Error, Value};

use super::marks::Registry;
use super::yaml_write::{Flow, Style, document};

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.writer("to_yaml", |value: &Value, kwargs: Kwargs| {
        dump(value, &kwargs, None, 2)
    });
    registry.writer(
        "to_nice_yaml",
        |value: &Value, args: Rest<Value>, kwargs: Kwargs| {
            let indent = args.first().and_then(Value::as_usize);
            dump(value, &kwargs, Some(false), indent.unwrap_or(4))
        },
    );
}

fn dump(value: &Value, kwargs: &Kwargs, flow: Flow, indent: usize) -> Result<String, Error> {
    let flag = |name: &str| kwargs.get::<Option<Value>>(name);
    let flow = match flag("default_flow_style")? {
        Some(style) if style.is_none() => None,
        Some(style) => Some(style.is_true()),
        None => flow,
    };
    let indent = flag("indent")?
        .and_then(|indent| indent.as_usize())
        .unwrap_or(indent);
    let indent = if (2..10).contains(&indent) { indent } else { 2 };
    let width = match flag("width")?.and_then(|width| width.as_i64()) {
        Some(width) if width < 0 => usize::MAX,
        Some(width) => usize::try_from(width)
            .ok()
            .filter(|width| *width > indent * 2)
            .unwrap_or(80),
        None => 80,
    };
    let sort_keys = flag("sort_keys")?.is_none_or(|sort| sort.is_true());
    let explicit_start = flag("explicit_start")?.is_some_and(|start| start.is_true());
    flag("allow_unicode")?;
    kwargs.assert_all_used()?;
    document(
        value,
        Style {
            flow,
            indent,
            width,
            sort_keys,
            explicit_start,
        },
    )
}
