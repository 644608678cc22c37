//! What is known of an expression inside one pair of brackets while
//! `expression` walks over it.

use std::ops::Range;

use super::rewritten::{Chain, Step};

/// What opened a level.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bracket {
    /// The tag itself.
    None,
    /// Parentheses around an operand.
    Group,
    /// Parentheses after one.
    Call,
    /// Brackets after one.
    Index,
    /// A list literal.
    List,
    /// A map literal.
    Dict,
}

/// What is known of the expression inside one pair of brackets.
pub struct Level {
    /// What opened it.
    pub bracket: Bracket,
    /// Where that stands.
    pub open: usize,
    /// Whether an operand comes next, or an operator.
    pub wants_operand: bool,
    /// The operand just read, while attributes and calls may follow it.
    pub chain: Option<Chain>,
    /// The start of the current product, which is what `%` applies to.
    pub term: Option<usize>,
    /// The right side of a `%` is being read.
    pub in_modulo: bool,
    /// The start of the current operand of a comparison.
    pub side: Option<usize>,
    /// The comparison whose right side is being read.
    pub comparison: Option<Comparison>,
    /// The start of the current operand of `and`, `or`, `not` or `if`.
    pub condition: Option<usize>,
    /// Whether that operand decides something by itself.
    pub decides: bool,
    /// The operand stands behind the `if` within an expression.
    pub in_if: bool,
    /// That operand of a comparison holds `+` or `*`, which may make a list.
    pub has_sum: bool,
    /// A colon was seen, so brackets hold a slice.
    pub has_colon: bool,
    /// A test was named, and its operand may follow.
    pub after_test: bool,
    /// The operand follows a test without parentheses, and may get none:
    /// they would be taken for the list of its arguments.
    pub is_bare: bool,
}

/// A comparison whose right side is being read.
pub struct Comparison {
    /// Where its left side starts.
    pub start: usize,
    /// Where its operator stands.
    pub operator: Range<usize>,
    /// Its test; none for one of several in a row.
    pub test: Option<&'static str>,
}

impl Level {
    /// A level that has just begun.
    pub fn new(bracket: Bracket, open: usize) -> Level {
        Level {
            bracket,
            open,
            wants_operand: true,
            chain: None,
            term: None,
            in_modulo: false,
            side: None,
            comparison: None,
            condition: None,
            decides: false,
            in_if: false,
            has_sum: false,
            has_colon: false,
            after_test: false,
            is_bare: false,
        }
    }

    /// Begins a comparison, or finds that there are several in a row, which
    /// minijinja evaluates itself.
    pub fn compare(&mut self, operator: Range<usize>, last_end: usize, test: &'static str) {
        let test = self.comparison.is_none().then_some(test);
        let start = self.side.take().unwrap_or(last_end);
        self.comparison = Some(Comparison {
            start,
            operator,
            test,
        });
        self.term = None;
    }
}

/// Whether `text` stands between two operands.
pub fn is_binary(text: &str) -> bool {
    matches!(
        text,
        "and"
            | "or"
            | "if"
            | "else"
            | "in"
            | "not"
            | "is"
            | "+"
            | "-"
            | "*"
            | "/"
            | "//"
            | "%"
            | "**"
            | "~"
            | "=="
            | "!="
            | "<"
            | "<="
            | ">"
            | ">="
            | ","
            | ":"
            | "="
    )
}

/// A subscript that is a constant.
pub fn constant_step(text: &str) -> Step {
    if let Ok(index) = text.parse() {
        return Step::Index(index);
    }
    let is_text = text.len() >= 2 && text.starts_with(['"', '\'']) && !text.contains('\\');
    if is_text {
        Step::Name(text[1..text.len() - 1].to_owned())
    } else {
        Step::Dynamic
    }
}
