//! Writes YAML step by step as libyaml does: it keeps the column, the indent
//! and whether white space was written last, and folds by them.

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::json::{pairs, sort_pairs};
use super::python;
use super::yaml_scalar::{
    Analysis, Meaning, analyze, escaped, is_break, is_printable, meaning, scalar_text,
};

/// How a collection is written: in brackets, in lines, or the first only
/// when it holds scalars alone.
pub type Flow = Option<bool>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    Value,
    SimpleKey,
}

/// How it is written.
pub struct Style {
    /// How collections are.
    pub flow: Flow,
    /// The blanks of one level.
    pub indent: usize,
    /// Beyond this column lines are folded.
    pub width: usize,
    /// Whether keys are sorted.
    pub sort_keys: bool,
    /// Whether `---` comes first.
    pub explicit_start: bool,
}

/// `value` as a YAML document.
pub fn document(value: &Value, style: Style) -> Result<String, Error> {
    let mut emitter = Emitter {
        out: String::new(),
        column: 0,
        indent: None,
        whitespace: true,
        indention: true,
        flow_level: 0,
        style,
    };
    if emitter.style.explicit_start {
        emitter.indicator("---", true, false, false);
    }
    emitter.node(value, Place::Root)?;
    emitter.indent = Some(0);
    emitter.write_indent();
    Ok(emitter.out)
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
    style: Style,
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
                if self.style.sort_keys {
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
        self.style.flow.unwrap_or_else(|| parts.all(is_scalar))
    }

    /// Runs `write` one level deeper.
    fn deeper<T>(&mut self, flow: bool, indentless: bool, write: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.indent;
        self.indent = match outer {
            None => Some(if flow { self.style.indent } else { 0 }),
            Some(indent) if indentless => Some(indent),
            Some(indent) => Some(indent + self.style.indent),
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
        if self.column > self.style.width {
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
        let allowed = if in_flow {
            analysis.flow_plain
        } else {
            analysis.block_plain
        };
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
            let folds =
                may_fold && !spaces && self.column > self.style.width && chars.peek() != Some(&' ');
            if folds {
                self.write_indent()
            } else {
                self.put(c)
            }
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
                let folds = may_fold && !spaces && self.column > self.style.width && inside;
                if folds {
                    self.write_indent()
                } else {
                    self.put(c)
                }
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
                let folds = may_fold
                    && !spaces
                    && self.column > self.style.width
                    && index > 0
                    && next.is_some();
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

fn is_scalar(value: &Value) -> bool {
    !matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map
    )
}

fn is_simple_key(key: &Value) -> bool {
    if !is_scalar(key) {
        return key.len() == Some(0);
    }
    let text = python::text(key);
    text.len() <= 128 && !text.chars().any(is_break)
}
