//! YAML as PyYAML writes it with libyaml, which is what Ansible uses: the
//! same order, quotes, folds and indents.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, Value};

use super::builtins::invalid;
use super::json::{pairs, sort_pairs};
use super::marks::Registry;
use super::python;
use super::yaml_scalar::{Analysis, Meaning, analyze, is_break, is_printable, meaning};

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.mover("to_yaml", |value: &Value, kwargs: Kwargs| dump(value, &kwargs, None, 2));
    registry.mover("to_nice_yaml", |value: &Value, args: Rest<Value>, kwargs: Kwargs| {
        let indent = args.first().and_then(Value::as_usize);
        dump(value, &kwargs, Some(false), indent.unwrap_or(4))
    });
}

/// How a collection is written: in brackets, in lines, or the first only
/// when it holds scalars alone.
type Flow = Option<bool>;

fn dump(value: &Value, kwargs: &Kwargs, flow: Flow, indent: usize) -> Result<String, Error> {
    let flag = |name: &str| kwargs.get::<Option<Value>>(name);
    let flow = match flag("default_flow_style")? {
        Some(style) if style.is_none() => None,
        Some(style) => Some(style.is_true()),
        None => flow,
    };
    let indent = flag("indent")?.and_then(|indent| indent.as_usize()).unwrap_or(indent);
    let indent = if (2..10).contains(&indent) { indent } else { 2 };
    let width = match flag("width")?.and_then(|width| width.as_i64()) {
        Some(width) if width < 0 => usize::MAX,
        Some(width) => usize::try_from(width).ok().filter(|width| *width > indent * 2).unwrap_or(80),
        None => 80,
    };
    let sort_keys = flag("sort_keys")?.is_none_or(|sort| sort.is_true());
    let explicit_start = flag("explicit_start")?.is_some_and(|start| start.is_true());
    flag("allow_unicode")?;
    kwargs.assert_all_used()?;
    let mut emitter = Emitter {
        out: String::new(),
        column: 0,
        indent: None,
        whitespace: true,
        indention: true,
        flow_level: 0,
        best_indent: indent,
        best_width: width,
        flow,
        sort_keys,
    };
    if explicit_start {
        emitter.indicator("---", true, false, false);
    }
    emitter.node(value, Place::Root)?;
    emitter.indent = Some(0);
    emitter.write_indent();
    Ok(emitter.out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    Value,
    SimpleKey,
}

struct Emitter {
    out: String,
    column: usize,
    indent: Option<usize>,
    /// The last character was white space.
    whitespace: bool,
    /// Only indentation stands on the line so far.
    indention: bool,
    flow_level: usize,
    best_indent: usize,
    best_width: usize,
    flow: Flow,
    sort_keys: bool,
}

impl Emitter {
    fn node(&mut self, value: &Value, place: Place) -> Result<(), Error> {
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                if self.in_brackets(items.iter()) {
                    self.flow_list(&items)
                } else {
                    self.block_list(&items, place)
                }
            }
            ValueKind::Map => {
                let mut pairs = pairs(value)?;
                if self.sort_keys {
                    // Keys without a common order stay as they are.
                    sort_pairs(&mut pairs);
                }
                if self.in_brackets(pairs.iter().flat_map(|(key, value)| [key, value])) {
                    self.flow_map(&pairs)
                } else {
                    self.block_map(&pairs)
                }
            }
            ValueKind::Undefined => Err(minijinja::ErrorKind::UndefinedError.into()),
            _ => self.scalar(value, place),
        }
    }

    fn in_brackets<'v>(&self, mut parts: impl Iterator<Item = &'v Value>) -> bool {
        let mut parts = parts.by_ref().peekable();
        if self.flow_level > 0 || parts.peek().is_none() {
            return true;
        }
        self.flow.unwrap_or_else(|| parts.all(is_scalar))
    }

    /// Runs `write` one level deeper.
    fn deeper<T>(&mut self, flow: bool, indentless: bool, write: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.indent;
        self.indent = match outer {
            None => Some(if flow { self.best_indent } else { 0 }),
            Some(indent) if indentless => Some(indent),
            Some(indent) => Some(indent + self.best_indent),
        };
        let result = write(self);
        self.indent = outer;
        result
    }

    fn flow_list(&mut self, items: &[Value]) -> Result<(), Error> {
        self.indicator("[", true, true, false);
        self.flow_level += 1;
        self.deeper(true, false, |this| {
            for (index, item) in items.iter().enumerate() {
                this.flow_separator(index);
                this.node(item, Place::Item)?;
            }
            Ok::<_, Error>(())
        })?;
        self.flow_level -= 1;
        self.indicator("]", false, false, false);
        Ok(())
    }

    fn flow_map(&mut self, pairs: &[(Value, Value)]) -> Result<(), Error> {
        self.indicator("{", true, true, false);
        self.flow_level += 1;
        self.deeper(true, false, |this| {
            for (index, (key, value)) in pairs.iter().enumerate() {
                this.flow_separator(index);
                if is_simple_key(key) {
                    this.node(key, Place::SimpleKey)?;
                    this.indicator(":", false, false, false);
                } else {
                    this.indicator("?", true, false, false);
                    this.node(key, Place::Value)?;
                    this.fold_if_long();
                    this.indicator(":", true, false, false);
                }
                this.node(value, Place::Value)?;
            }
            Ok::<_, Error>(())
        })?;
        self.flow_level -= 1;
        self.indicator("}", false, false, false);
        Ok(())
    }

    fn flow_separator(&mut self, index: usize) {
        if index > 0 {
            self.indicator(",", false, false, false);
        }
        self.fold_if_long();
    }

    fn fold_if_long(&mut self) {
        if self.column > self.best_width {
            self.write_indent();
        }
    }

    fn block_list(&mut self, items: &[Value], place: Place) -> Result<(), Error> {
        let indentless = place == Place::Value && !self.indention;
        self.deeper(false, indentless, |this| {
            for item in items {
                this.write_indent();
                this.indicator("-", true, false, true);
                this.node(item, Place::Item)?;
            }
            Ok(())
        })
    }

    fn block_map(&mut self, pairs: &[(Value, Value)]) -> Result<(), Error> {
        self.deeper(false, false, |this| {
            for (key, value) in pairs {
                this.write_indent();
                if is_simple_key(key) {
                    this.node(key, Place::SimpleKey)?;
                    this.indicator(":", false, false, false);
                } else {
                    this.indicator("?", true, false, true);
                    this.node(key, Place::Value)?;
                    this.write_indent();
                    this.indicator(":", true, false, true);
                }
                this.node(value, Place::Value)?;
            }
            Ok(())
        })
    }

    fn scalar(&mut self, value: &Value, place: Place) -> Result<(), Error> {
        let text = scalar_text(value)?;
        let analysis = analyze(&text);
        let is_text = value.kind() == ValueKind::String;
        let reads_back = !is_text || meaning(&text) == Meaning::Text;
        let simple_key = place == Place::SimpleKey;
        let plain = reads_back && self.allows_plain(&analysis, text.is_empty(), simple_key);
        self.deeper(true, false, |this| {
            if plain {
                this.plain(&text, !simple_key);
            } else if analysis.single_quoted && !(simple_key && analysis.multiline) {
                this.single_quoted(&text, !simple_key);
            } else {
                this.double_quoted(&text, !simple_key);
            }
        });
        Ok(())
    }

    fn allows_plain(&self, analysis: &Analysis, empty: bool, simple_key: bool) -> bool {
        let in_flow = self.flow_level > 0;
        let allowed = if in_flow { analysis.flow_plain } else { analysis.block_plain };
        allowed && !(empty && (in_flow || simple_key)) && !(simple_key && analysis.multiline)
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn put_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
    }

    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or_default();
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        (self.whitespace, self.indention) = (true, true);
    }

    fn indicator(&mut self, text: &str, needs_space: bool, is_space: bool, is_indention: bool) {
        if needs_space && !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|c| self.put(c));
        self.whitespace = is_space;
        self.indention = self.indention && is_indention;
    }

    fn plain(&mut self, text: &str, may_fold: bool) {
        if !self.whitespace && (!text.is_empty() || self.flow_level > 0) {
            self.put(' ');
        }
        let mut spaces = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c != ' ' {
                self.put(c);
                (self.indention, spaces) = (false, false);
                continue;
            }
            let folds = may_fold && !spaces && self.column > self.best_width && chars.peek() != Some(&' ');
            if folds { self.write_indent() } else { self.put(c) }
            spaces = true;
        }
        (self.whitespace, self.indention) = (false, false);
    }

    fn single_quoted(&mut self, text: &str, may_fold: bool) {
        self.indicator("'", true, false, false);
        let (mut spaces, mut breaks) = (false, false);
        let mut chars = text.chars().enumerate().peekable();
        while let Some((index, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if c == ' ' {
                let inside = index > 0 && next.is_some_and(|next| next != ' ');
                let folds = may_fold && !spaces && self.column > self.best_width && inside;
                if folds { self.write_indent() } else { self.put(c) }
                spaces = true;
            } else if is_break(c) {
                if !breaks && c == '\n' {
                    self.put_break('\n');
                }
                self.put_break(c);
                (self.indention, breaks) = (true, true);
            } else {
                if breaks {
                    self.write_indent();
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.indention = false;
                (spaces, breaks) = (false, false);
            }
        }
        if breaks {
            self.write_indent();
        }
        self.indicator("'", false, false, false);
        (self.whitespace, self.indention) = (false, false);
    }

    fn double_quoted(&mut self, text: &str, may_fold: bool) {
        self.indicator("\"", true, false, false);
        let mut spaces = false;
        let mut chars = text.chars().enumerate().peekable();
        while let Some((index, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                escaped(c).chars().for_each(|c| self.put(c));
                spaces = false;
            } else if c == ' ' {
                let folds = may_fold && !spaces && self.column > self.best_width && index > 0 && next.is_some();
                if folds {
                    self.write_indent();
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                spaces = true;
            } else {
                self.put(c);
                spaces = false;
            }
        }
        self.indicator("\"", false, false, false);
        (self.whitespace, self.indention) = (false, false);
    }
}

fn escaped(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' | '\\' => c,
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c if (c as u32) <= 0xff => return format!("\\x{:02X}", c as u32),
        c if (c as u32) <= 0xffff => return format!("\\u{:04X}", c as u32),
        c => return format!("\\U{:08X}", c as u32),
    };
    format!("\\{short}")
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
}

fn is_simple_key(key: &Value) -> bool {
    if !is_scalar(key) {
        return key.len() == Some(0);
    }
    let text = python::text(key);
    text.len() <= 128 && !text.chars().any(is_break)
}

fn scalar_text(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::String => python::text(value),
        ValueKind::None => "null".into(),
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.into(),
        ValueKind::Number => match python::number(value).as_str() {
            "inf" => ".inf".into(),
            "-inf" => "-.inf".into(),
            "nan" => ".nan".into(),
            // YAML wants a point in a float.
            number if !number.contains('.') => number.replacen('e', ".0e", 1),
            number => number.into(),
        },
        _ => return Err(invalid(format!("a value of type {} cannot become YAML", python::type_name(value)))),
    })
}
