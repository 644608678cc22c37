//! Rewrites the expressions of a template so that minijinja evaluates them as
//! Ansible does, and remembers where everything was.
//!
//! Four forms change. `a.b` becomes `(a|chain).b`, where the filter turns an
//! undefined `a` into a thing whose every attribute is undefined: undefined
//! values chain, and stay strict wherever they are used. `[a]` and `{…}` pass
//! through a filter that refuses undefined parts and makes them mutable, as
//! Python's are. `a % b` becomes a filter, which also formats text. `a < b`
//! becomes a test, which refuses what has no order or is not known yet.
//!
//! Nothing that is inserted holds a newline, so line numbers stay right, and
//! `original` maps a place in the new text back to the old one.

use std::collections::BTreeSet;
use std::ops::Range;

use super::header::Delimiters;
use super::scan::{Kind, Tag, Token, tags};

/// The name of the filter that makes an undefined value chainable.
pub const CHAIN: &str = "__chain";
/// The name of the filter that makes a list literal a Python list.
pub const LIST: &str = "__list";
/// The name of the filter that makes a map literal a Python dict.
pub const DICT: &str = "__dict";
/// The name of the filter that stands for the operator `%`.
pub const MODULO: &str = "__modulo";

/// The operators that become tests, with the names of these.
pub const COMPARISONS: [(&str, &str); 8] = [
    ("in", "__in"),
    ("not", "__not_in"),
    ("==", "__eq"),
    ("!=", "__ne"),
    ("<", "__lt"),
    ("<=", "__le"),
    (">", "__gt"),
    (">=", "__ge"),
];

/// One step of a chain such as `a.b[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A name or a constant text.
    Name(String),
    /// A constant index.
    Index(usize),
    /// Something known only when it is evaluated.
    Dynamic,
}

/// A name with the attributes and indexes that follow it.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Where all of it stands.
    pub range: Range<usize>,
    /// Its steps, the variable first.
    pub steps: Vec<Step>,
}

/// A filter or a test that is used, or a template that is included.
#[derive(Debug, Clone)]
pub struct Mention {
    /// What is named.
    pub name: String,
    /// Where it is named.
    pub range: Range<usize>,
}

#[derive(Debug)]
struct Edit {
    at: usize,
    removed: usize,
    inserted: String,
    /// What the inserted text stands for in the original.
    stands_for: Range<usize>,
}

/// A rewritten template.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// The text for minijinja.
    pub text: String,
    /// The variables it reads.
    pub chains: Vec<Chain>,
    /// The filters it uses.
    pub filters: Vec<Mention>,
    /// The tests it uses.
    pub tests: Vec<Mention>,
    /// The templates it names with a constant.
    pub includes: Vec<Mention>,
    /// The names that it defines itself.
    pub assigned: BTreeSet<String>,
    edits: Vec<Edit>,
}

impl Rewritten {
    /// Rewrites `text`.
    pub fn new(text: &str, delimiters: &Delimiters) -> Rewritten {
        let mut rewriter = Rewriter {
            text,
            out: Rewritten::default(),
        };
        for tag in tags(text, delimiters) {
            rewriter.tag(&tag);
        }
        rewriter.out.apply_to(text);
        rewriter.out
    }

    /// The range of the original that `range` of the rewritten text shows.
    pub fn original(&self, range: Range<usize>) -> Range<usize> {
        let start = self.place(range.start, false);
        start..self.place(range.end, true).max(start)
    }

    fn apply_to(&mut self, text: &str) {
        // Stable: what was inserted first at one place stays first.
        self.edits.sort_by_key(|edit| edit.at);
        let mut done = 0;
        for edit in &self.edits {
            self.text.push_str(&text[done..edit.at]);
            self.text.push_str(&edit.inserted);
            done = edit.at + edit.removed;
        }
        self.text.push_str(&text[done..]);
    }

    fn place(&self, offset: usize, is_end: bool) -> usize {
        let (mut added, mut removed) = (0, 0);
        for edit in &self.edits {
            let start = edit.at + added - removed;
            let end = start + edit.inserted.len();
            if offset < start || (is_end && offset == start) {
                break;
            }
            if offset < end || (is_end && offset == end) {
                let Range { start, end } = edit.stands_for;
                return if is_end { end } else { start };
            }
            added += edit.inserted.len();
            removed += edit.removed;
        }
        offset + removed - added
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    None,
    Group,
    Call,
    Index,
    List,
    Dict,
}

/// What is known of the expression inside one pair of brackets.
struct Level {
    bracket: Bracket,
    open: usize,
    wants_operand: bool,
    /// The operand just read, while attributes and calls may follow it.
    chain: Option<Chain>,
    /// The start of the current product, which is what `%` applies to.
    term: Option<usize>,
    in_modulo: bool,
    /// The start of the current operand of a comparison.
    side: Option<usize>,
    comparison: Option<Comparison>,
    after_test: bool,
}

/// A comparison whose right side is being read.
struct Comparison {
    start: usize,
    operator: Range<usize>,
    /// Its test; none for one of several in a row.
    test: Option<&'static str>,
}

impl Level {
    fn new(bracket: Bracket, open: usize) -> Level {
        Level {
            bracket,
            open,
            wants_operand: true,
            chain: None,
            term: None,
            in_modulo: false,
            side: None,
            comparison: None,
            after_test: false,
        }
    }
}

struct Rewriter<'t> {
    text: &'t str,
    out: Rewritten,
}

impl<'t> Rewriter<'t> {
    fn str(&self, token: &Token) -> &'t str {
        &self.text[token.range.clone()]
    }

    fn insert(&mut self, at: usize, inserted: impl Into<String>, stands_for: Range<usize>) {
        let inserted = inserted.into();
        self.out.edits.push(Edit { at, removed: 0, inserted, stands_for });
    }

    fn tag(&mut self, tag: &Tag) {
        match tag {
            // Jinja keeps the newline after this tag, minijinja only when told.
            Tag::Raw(end) => self.insert(*end, "+", *end..*end),
            Tag::Variable(tokens) => self.expression(tokens, true),
            Tag::Block(tokens) => {
                if let Some((keyword, rest)) = tokens.split_first() {
                    self.block(self.str(keyword), rest);
                }
            }
        }
    }

    fn block(&mut self, keyword: &str, tokens: &[Token]) {
        let position = |word: &str| tokens.iter().position(|token| self.str(token) == word);
        match keyword {
            "set" => {
                let equals = position("=").unwrap_or(tokens.len());
                self.assign(&tokens[..equals]);
                self.expression(tokens.get(equals + 1..).unwrap_or_default(), true);
            }
            "for" => {
                let target = position("in").unwrap_or(tokens.len());
                self.assign(&tokens[..target]);
                self.out.assigned.insert("loop".into());
                self.expression(tokens.get(target + 1..).unwrap_or_default(), true);
            }
            "macro" | "call" => {
                self.assign(tokens);
                self.out.assigned.insert("caller".into());
                self.expression(tokens, true);
            }
            "with" => {
                self.assign(tokens);
                self.expression(tokens, true);
            }
            "include" | "extends" => {
                self.include(tokens);
                self.expression(tokens, true);
            }
            "import" | "from" => {
                self.include(tokens);
                self.assign(tokens);
            }
            "filter" => self.filter_block(tokens),
            "if" | "elif" | "do" => self.expression(tokens, true),
            _ => {}
        }
    }

    /// Takes every name as defined; it only decides what errors suggest.
    fn assign(&mut self, tokens: &[Token]) {
        let names = tokens.iter().filter(|token| token.kind == Kind::Name);
        let names: Vec<String> = names.map(|token| self.str(token).to_owned()).collect();
        self.out.assigned.extend(names);
    }

    fn include(&mut self, tokens: &[Token]) {
        let constant = |token: &&Token| matches!(self.str(token), "[" | "," | "]") || token.kind == Kind::Text;
        let names: Vec<Mention> = tokens
            .iter()
            .take_while(constant)
            .filter(|token| token.kind == Kind::Text)
            .map(|token| Mention {
                name: self.str(token)[1..token.range.len() - 1].to_owned(),
                range: token.range.clone(),
            })
            .collect();
        self.out.includes.extend(names);
    }

    fn filter_block(&mut self, tokens: &[Token]) {
        let length = self.dotted_name(tokens);
        self.mention_filter(&tokens[..length]);
        self.expression(&tokens[length..], false);
    }

    /// Walks one expression, or several that commas or keywords separate.
    fn expression(&mut self, tokens: &[Token], wants_operand: bool) {
        let start = tokens.first().map_or(0, |token| token.range.start);
        let mut levels = vec![Level::new(Bracket::None, start)];
        levels[0].wants_operand = wants_operand;
        let mut at = 0;
        let mut last_end = start;
        while let (Some(token), Some(level)) = (tokens.get(at), levels.last_mut()) {
            let text = self.str(token);
            let taken = match text {
                ")" | "]" | "}" => {
                    if levels.len() == 1 {
                        return;
                    }
                    self.close(&mut levels, token, last_end, tokens, at);
                    1
                }
                _ if level.wants_operand => self.operand(&mut levels, token),
                _ => self.operator(&mut levels, &tokens[at..], last_end),
            };
            at += taken;
            last_end = tokens[at.min(tokens.len()) - 1].range.end;
        }
        while let Some(mut level) = levels.pop() {
            self.end_level(&mut level, last_end);
        }
    }

    fn operand(&mut self, levels: &mut Vec<Level>, token: &Token) -> usize {
        let Some(level) = levels.last_mut() else {
            return 1;
        };
        let text = self.str(token);
        let start = token.range.start;
        let bracket = match text {
            "not" | "*" | "**" => return 1,
            "," | ":" | "=" => {
                (level.term, level.side) = (None, None);
                return 1;
            }
            "(" => Some(Bracket::Group),
            "[" => Some(Bracket::List),
            "{" => Some(Bracket::Dict),
            _ => None,
        };
        level.term.get_or_insert(start);
        level.side.get_or_insert(start);
        if let Some(bracket) = bracket {
            levels.push(Level::new(bracket, start));
            return 1;
        }
        if token.kind == Kind::Sign {
            return 1;
        }
        level.wants_operand = false;
        let is_variable = token.kind == Kind::Name
            && !matches!(text, "true" | "True" | "false" | "False" | "none" | "None");
        let step = if is_variable { Step::Name(text.to_owned()) } else { Step::Dynamic };
        level.chain = Some(Chain { range: token.range.clone(), steps: vec![step] });
        1
    }

    /// Handles what follows an operand and returns how many tokens that is.
    fn operator(&mut self, levels: &mut Vec<Level>, tokens: &[Token], last_end: usize) -> usize {
        let Some(level) = levels.last_mut() else {
            return 1;
        };
        let token = &tokens[0];
        let text = self.str(token);
        match text {
            "." if level.chain.is_some() => return self.attribute(level, tokens),
            "[" if level.chain.is_some() => {
                self.make_chainable(level);
                levels.push(Level::new(Bracket::Index, token.range.start));
                return 1;
            }
            "(" => {
                levels.push(Level::new(Bracket::Call, token.range.start));
                return 1;
            }
            "|" => {
                self.end_chain(level);
                let length = self.dotted_name(&tokens[1..]);
                self.mention_filter(&tokens[1..=length]);
                return 1 + length;
            }
            "is" => return self.test(level, tokens),
            _ => {}
        }
        if level.after_test && !is_binary(text) {
            // The operand of a test may follow it without parentheses.
            level.after_test = false;
            return self.operand(levels, token);
        }
        // Two strings beside each other are one.
        if token.kind == Kind::Text {
            if let Some(chain) = &mut level.chain {
                chain.range.end = token.range.end;
            }
            return 1;
        }
        self.end_chain(level);
        level.after_test = false;
        if text == "**" {
            level.wants_operand = true;
            return 1;
        }
        self.end_term(level, last_end);
        level.wants_operand = true;
        match text {
            "*" | "/" | "//" => {}
            "%" => self.modulo(level, token, last_end),
            "+" | "-" | "~" => level.term = None,
            _ => match COMPARISONS.iter().find(|(operator, _)| *operator == text) {
                Some((_, test)) => {
                    // `not` between operands goes on with `in`.
                    let length = if text == "not" { tokens.len().min(2) } else { 1 };
                    let end = tokens[length - 1].range.end;
                    compare(level, token.range.start..end, last_end, test);
                    return length;
                }
                None => {
                    self.end_comparison(level, last_end);
                    (level.term, level.side) = (None, None);
                }
            },
        }
        let is_word = token.kind == Kind::Name && !is_binary(text);
        if is_word { self.operand(levels, token) } else { 1 }
    }

    fn attribute(&mut self, level: &mut Level, tokens: &[Token]) -> usize {
        let Some(name) = tokens.get(1) else {
            return 1;
        };
        // A method of an undefined value must fail as such.
        let is_method = tokens.get(2).is_some_and(|token| self.str(token) == "(");
        if !is_method {
            self.make_chainable(level);
        }
        let text = self.str(name);
        if let Some(chain) = &mut level.chain {
            let name_step = Step::Name(text.to_owned());
            let step = text.parse().map_or(name_step, Step::Index);
            if is_method {
                // What is undefined, if anything, is the value before it.
                self.out.chains.push(chain.clone());
            }
            chain.steps.push(if is_method { Step::Dynamic } else { step });
            chain.range.end = name.range.end;
        }
        2
    }

    fn test(&mut self, level: &mut Level, tokens: &[Token]) -> usize {
        self.end_chain(level);
        let negated = tokens.get(1).is_some_and(|token| self.str(token) == "not");
        let start = 1 + usize::from(negated);
        let rest = tokens.get(start..).unwrap_or_default();
        let length = self.dotted_name(rest);
        if let Some(mention) = self.mention(&rest[..length]) {
            self.out.tests.push(mention);
        }
        level.after_test = true;
        (start + length).min(tokens.len())
    }

    fn make_chainable(&mut self, level: &Level) {
        if let Some(chain) = &level.chain {
            let range = chain.range.clone();
            self.insert(range.start, "(", range.start..range.start);
            self.insert(range.end, format!("|{CHAIN})"), range);
        }
    }

    fn modulo(&mut self, level: &mut Level, token: &Token, last_end: usize) {
        let start = level.term.unwrap_or(last_end);
        self.insert(start, "((", start..start);
        self.out.edits.push(Edit {
            at: token.range.start,
            removed: 1,
            inserted: format!(")|{MODULO}("),
            stands_for: start..token.range.end,
        });
        level.in_modulo = true;
    }

    fn end_term(&mut self, level: &mut Level, end: usize) {
        if std::mem::take(&mut level.in_modulo) {
            self.insert(end, "))", end..end);
        }
    }

    fn end_comparison(&mut self, level: &mut Level, end: usize) {
        let Some(Comparison { start, operator, test: Some(test) }) = level.comparison.take() else {
            return;
        };
        self.insert(start, "((", start..start);
        self.out.edits.push(Edit {
            at: operator.start,
            removed: operator.len(),
            inserted: format!(") is {test}("),
            stands_for: start..end,
        });
        self.insert(end, "))", end..end);
    }

    fn end_level(&mut self, level: &mut Level, end: usize) {
        self.end_term(level, end);
        self.end_comparison(level, end);
        self.end_chain(level);
    }

    fn end_chain(&mut self, level: &mut Level) {
        if let Some(chain) = level.chain.take()
            && matches!(chain.steps[..], [Step::Name(_), ..])
        {
            self.out.chains.push(chain);
        }
    }

    fn close(&mut self, levels: &mut Vec<Level>, token: &Token, last_end: usize, tokens: &[Token], at: usize) {
        let Some(mut inner) = levels.pop() else {
            return;
        };
        self.end_level(&mut inner, last_end);
        let Some(outer) = levels.last_mut() else {
            return;
        };
        outer.wants_operand = false;
        let range = inner.open..token.range.end;
        match inner.bracket {
            Bracket::List => self.wrap(&range, LIST),
            Bracket::Dict => self.wrap(&range, DICT),
            _ => {}
        }
        match (inner.bracket, &mut outer.chain) {
            (Bracket::Call | Bracket::Index, None) | (Bracket::None, _) => {}
            (Bracket::Call, Some(chain)) => {
                chain.steps.push(Step::Dynamic);
                chain.range.end = range.end;
            }
            (Bracket::Index, Some(chain)) => {
                let constant = at >= 2 && tokens[at - 2].range.start == inner.open;
                let index = constant.then(|| self.str(&tokens[at - 1]));
                chain.steps.push(index.map_or(Step::Dynamic, constant_step));
                chain.range.end = range.end;
            }
            (_, chain) => *chain = Some(Chain { range, steps: vec![Step::Dynamic] }),
        }
    }

    fn wrap(&mut self, range: &Range<usize>, filter: &str) {
        self.insert(range.start, "(", range.start..range.start);
        self.insert(range.end, format!("|{filter})"), range.clone());
    }

    /// How many of the first tokens form a name with dots.
    fn dotted_name(&self, tokens: &[Token]) -> usize {
        let mut length = usize::from(tokens.first().is_some_and(|token| token.kind == Kind::Name));
        while length > 0
            && tokens.get(length).is_some_and(|token| self.str(token) == ".")
            && tokens.get(length + 1).is_some_and(|token| token.kind == Kind::Name)
        {
            length += 2;
        }
        length
    }

    fn mention_filter(&mut self, tokens: &[Token]) {
        if let Some(mention) = self.mention(tokens) {
            self.out.filters.push(mention);
        }
    }

    /// The name itself; a collection before it, as in `ansible.builtin.bool`,
    /// is dropped.
    fn mention(&mut self, tokens: &[Token]) -> Option<Mention> {
        let (first, last) = (tokens.first()?, tokens.last()?);
        if tokens.len() > 1 {
            self.out.edits.push(Edit {
                at: first.range.start,
                removed: last.range.start - first.range.start,
                inserted: String::new(),
                stands_for: first.range.clone(),
            });
        }
        Some(Mention {
            name: self.str(last).to_owned(),
            range: first.range.start..last.range.end,
        })
    }
}

/// Begins a comparison, or finds that there are several in a row, which
/// minijinja evaluates itself.
fn compare(level: &mut Level, operator: Range<usize>, last_end: usize, test: &'static str) {
    let test = level.comparison.is_none().then_some(test);
    let start = level.side.take().unwrap_or(last_end);
    level.comparison = Some(Comparison { start, operator, test });
    level.term = None;
}

fn is_binary(text: &str) -> bool {
    matches!(
        text,
        "and" | "or" | "if" | "else" | "in" | "not" | "is" | "+" | "-" | "*" | "/" | "//" | "%"
            | "**" | "~" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "," | ":" | "="
    )
}

fn constant_step(text: &str) -> Step {
    if let Ok(index) = text.parse() {
        return Step::Index(index);
    }
    let is_text = text.len() >= 2 && text.starts_with(['"', '\'']) && !text.contains('\\');
    if is_text { Step::Name(text[1..text.len() - 1].to_owned()) } else { Step::Dynamic }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(text: &str) -> Rewritten {
        Rewritten::new(text, &Delimiters::default())
    }

    #[test]
    fn chains_lists_and_modulo_are_rewritten() {
        for (template, expected) in [
            ("{{ a }}", "{{ a }}"),
            ("{{ a == 1 and b<2 }}", "{{ ((a ) is __eq( 1)) and ((b) is __lt(2)) }}"),
            ("{{ 1 < a < 3 or 'x' not in a == b }}", "{{ 1 < a < 3 or 'x' not in a == b }}"),
            ("{{ not a in b }}", "{{ not ((a ) is __in( b)) }}"),
            ("{{ a not  in b.c and d }}", "{{ ((a ) is __not_in( (b|__chain).c)) and d }}"),
            ("{{ a.b % 2 == [1] }}", "{{ (((((a|__chain).b )|__modulo( 2)) ) is __eq( ([1]|__list))) }}"),
            ("{{ a.b.c }}", "{{ ((a|__chain).b|__chain).c }}"),
            ("{{ a['x'].c | default(1) }}", "{{ ((a|__chain)['x']|__chain).c | default(1) }}"),
            ("{{ a.b.split('x')[0] }}", "{{ ((a|__chain).b.split('x')|__chain)[0] }}"),
            ("{{ (a or b).c }}", "{{ ((a or b)|__chain).c }}"),
            ("{{ [a, 1] }}", "{{ ([a, 1]|__list) }}"),
            ("{{ '%s' % x }}", "{{ (('%s' )|__modulo( x)) }}"),
            ("{{ 1 + a*2 % b + 3 }}", "{{ 1 + ((a*2 )|__modulo( b)) + 3 }}"),
            ("{{ x % y|int and z }}", "{{ ((x )|__modulo( y|int)) and z }}"),
            ("{% set n.x = a.b %}", "{% set n.x = (a|__chain).b %}"),
            ("{{ x | ansible.builtin.bool }}", "{{ x | bool }}"),
            ("{{ x is divisibleby 3 and a.b }}", "{{ x is divisibleby 3 and (a|__chain).b }}"),
            ("{% raw %}\nx{% endraw %}", "{% raw +%}\nx{% endraw %}"),
            ("{% for h in g.x if h.y recursive %}", "{% for h in (g|__chain).x if (h|__chain).y recursive %}"),
        ] {
            assert_eq!(rewrite(template).text, expected);
        }
    }

    #[test]
    fn places_are_mapped_back() {
        let template = "é {{ a.b.c }} {{ d }}";
        let rewritten = rewrite(template);
        let at = rewritten.text.find("d }}").unwrap();
        assert_eq!(&template[rewritten.original(at..at + 1)], "d");
        let inserted = rewritten.text.find("|__chain).c").unwrap();
        assert_eq!(&template[rewritten.original(inserted..inserted + 8)], "a.b");
    }

    #[test]
    fn chains_are_remembered_with_their_steps() {
        let rewritten = rewrite("{{ a.b['c'][0] }}");
        let chain = &rewritten.chains[0];
        assert_eq!(chain.range, 3..14);
        let name = |text: &str| Step::Name(text.into());
        assert_eq!(chain.steps, [name("a"), name("b"), name("c"), Step::Index(0)]);
    }
}
