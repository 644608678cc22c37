//! Rewrites the expressions of a template so that minijinja evaluates them as
//! Ansible does, and remembers where everything was.
//!
//! Some forms change. `a.b` becomes `(a|chain).b`, where the filter turns an
//! undefined `a` into a thing whose every attribute is undefined: undefined
//! values chain, and stay strict wherever they are used. `[a]` and `{…}` pass
//! through a filter that refuses undefined parts and makes them mutable, as
//! Python's are. `a % b` becomes a filter, which also formats text. `a < b`
//! becomes a test, which refuses what has no order or is not known yet. Sums
//! and slices of lists, which minijinja leaves lazy, become lists again.
//!
//! Nothing that is inserted holds a newline, so line numbers stay right, and
//! `original` maps a place in the new text back to the old one.

use std::ops::Range;

use super::header::Delimiters;
use super::rewritten::{Edit, Mention, Rewritten};
use super::scan::{Kind, Tag, Token, tags};

/// The name of the filter that makes an undefined value chainable.
pub const CHAIN: &str = "__chain";
/// The name of the filter that makes a list literal a Python list.
pub const LIST: &str = "__list";
/// The name of the filter that makes a map literal a Python dict.
pub const DICT: &str = "__dict";
/// The name of the filter that stands for the operator `%`.
pub const MODULO: &str = "__modulo";

/// The name of the filter that makes a list of what minijinja leaves lazy.
pub const SETTLE: &str = "__settle";

/// The name of the filter around a condition, which must be known.
pub const TRUTH: &str = "__truth";
/// The name of the filter around what a loop goes over, which must be known.
pub const EACH: &str = "__each";

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

/// Rewrites `text`.
pub fn rewrite(text: &str, delimiters: &Delimiters) -> Rewritten {
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

/// A rewriting under way; `expression` has the part that walks expressions.
pub(super) struct Rewriter<'t> {
    pub(super) text: &'t str,
    pub(super) out: Rewritten,
}

impl<'t> Rewriter<'t> {
    pub(super) fn str(&self, token: &Token) -> &'t str {
        &self.text[token.range.clone()]
    }

    pub(super) fn insert(
        &mut self,
        at: usize,
        inserted: impl Into<String>,
        stands_for: Range<usize>,
    ) {
        let inserted = inserted.into();
        self.out.edits.push(Edit {
            at,
            removed: 0,
            inserted,
            stands_for,
        });
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
                let rest = tokens.get(target + 1..).unwrap_or_default();
                self.expression(rest, true);
                self.guard(self.iterated(rest), EACH);
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
            "if" | "elif" => {
                self.expression(tokens, true);
                self.guard(tokens, TRUTH);
            }
            "do" => self.expression(tokens, true),
            _ => {}
        }
    }

    /// Puts a filter around the whole of an expression.
    fn guard(&mut self, tokens: &[Token], filter: &str) {
        if let (Some(first), Some(last)) = (tokens.first(), tokens.last()) {
            let range = first.range.start..last.range.end;
            self.insert(range.start, "(", range.start..range.start);
            self.insert(range.end, format!(")|{filter}"), range);
        }
    }

    /// What a loop goes over, without its condition.
    fn iterated<'k>(&self, tokens: &'k [Token]) -> &'k [Token] {
        let mut depth = 0i32;
        let end = tokens.iter().position(|token| {
            match self.str(token) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                "if" | "recursive" => return depth == 0,
                _ => {}
            }
            false
        });
        &tokens[..end.unwrap_or(tokens.len())]
    }

    /// Takes every name as defined; it only decides what errors suggest.
    fn assign(&mut self, tokens: &[Token]) {
        let names = tokens.iter().filter(|token| token.kind == Kind::Name);
        let names: Vec<String> = names.map(|token| self.str(token).to_owned()).collect();
        self.out.assigned.extend(names);
    }

    fn include(&mut self, tokens: &[Token]) {
        let constant =
            |token: &&Token| matches!(self.str(token), "[" | "," | "]") || token.kind == Kind::Text;
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

    /// How many of the first tokens form a name with dots.
    pub(super) fn dotted_name(&self, tokens: &[Token]) -> usize {
        let mut length = usize::from(tokens.first().is_some_and(|token| token.kind == Kind::Name));
        while length > 0
            && tokens
                .get(length)
                .is_some_and(|token| self.str(token) == ".")
            && tokens
                .get(length + 1)
                .is_some_and(|token| token.kind == Kind::Name)
        {
            length += 2;
        }
        length
    }

    pub(super) fn mention_filter(&mut self, tokens: &[Token]) {
        if let Some(mention) = self.mention(tokens) {
            self.out.filters.push(mention);
        }
    }

    /// The name itself; a collection before it, as in `ansible.builtin.bool`,
    /// is dropped.
    pub(super) fn mention(&mut self, tokens: &[Token]) -> Option<Mention> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::rewritten::Step;
    use super::*;

    fn rewrite(text: &str) -> Rewritten {
        super::rewrite(text, &Delimiters::default())
    }

    #[test]
    fn chains_lists_and_modulo_are_rewritten() {
        for (template, expected) in [
            ("{{ a }}", "{{ a }}"),
            (
                "{{ a == 1 and b<2 }}",
                "{{ ((a ) is __eq( 1)) and ((b) is __lt(2)) }}",
            ),
            (
                "{{ 1 < a < 3 or 'x' not in a == b }}",
                "{{ 1 < a < 3 or 'x' not in a == b }}",
            ),
            ("{{ not a in b }}", "{{ not ((a ) is __in( b)) }}"),
            (
                "{{ a not  in b.c and d }}",
                "{{ ((a ) is __not_in( (b|__chain).c)) and d }}",
            ),
            (
                "{{ a.b % 2 == [1] }}",
                "{{ (((((a|__chain).b )|__modulo( 2)) ) is __eq( ([1]|__list))) }}",
            ),
            (
                "{{ a if not b.c else d }}",
                "{{ a if not (((b|__chain).c)|__truth) else d }}",
            ),
            ("{{ a.b.c }}", "{{ ((a|__chain).b|__chain).c }}"),
            (
                "{{ a['x'].c | default(1) }}",
                "{{ ((a|__chain)['x']|__chain).c | default(1) }}",
            ),
            (
                "{{ a.b.split('x')[0] }}",
                "{{ ((a|__chain).b.split('x')|__chain)[0] }}",
            ),
            ("{{ (a or b).c }}", "{{ ((((a)|__truth) or b)|__chain).c }}"),
            ("{{ [a, 1] }}", "{{ ([a, 1]|__list) }}"),
            ("{{ '%s' % x }}", "{{ (('%s' )|__modulo( x)) }}"),
            (
                "{{ 1 + a*2 % b + 3 }}",
                "{{ ((1 + ((a*2 )|__modulo( b)) + 3)|__settle) }}",
            ),
            (
                "{{ x % y|int and z }}",
                "{{ ((((x )|__modulo( y|int)))|__truth) and z }}",
            ),
            ("{% set n.x = a.b %}", "{% set n.x = (a|__chain).b %}"),
            (
                "{{ a + b == c[1:] }}",
                "{{ ((((a + b)|__settle) ) is __eq( ((c|__chain)[1:]|__settle))) }}",
            ),
            ("{{ x | ansible.builtin.bool }}", "{{ x | bool }}"),
            (
                "{{ x is divisibleby 3 and a.b }}",
                "{{ ((x is divisibleby 3)|__truth) and (a|__chain).b }}",
            ),
            (
                "{{ x is sameas y.z and a.b }}",
                "{{ ((x is sameas y.z)|__truth) and (a|__chain).b }}",
            ),
            (
                "{% if a.b == 1 %}",
                "{% if ((((a|__chain).b ) is __eq( 1)))|__truth %}",
            ),
            ("{% raw %}\nx{% endraw %}", "{% raw +%}\nx{% endraw %}"),
            (
                "{% for h in g.x if h.y recursive %}",
                "{% for h in ((g|__chain).x)|__each if (((h|__chain).y)|__truth) recursive %}",
            ),
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
        assert_eq!(
            chain.steps,
            [name("a"), name("b"), name("c"), Step::Index(0)]
        );
    }
}
