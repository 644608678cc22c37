//! Walks the tokens of an expression and rewrites it.
//!
//! It knows which token is an operand and which an operator, and how tightly
//! the operators bind; that tells where each part begins and ends. Parts are
//! put in parentheses before a filter or a test is applied to them.

use std::ops::Range;

use super::levels::{Bracket, Comparison, Level, constant_step, is_binary};
use super::rewrite::{CHAIN, COMPARISONS, DICT, LIST, MODULO, Rewriter, SETTLE, TRUTH};
use super::rewritten::{Chain, Edit, Step};
use super::scan::{Kind, Token};

impl Rewriter<'_> {
    /// Walks one expression, or several that commas or keywords separate.
    pub(super) fn expression(&mut self, tokens: &[Token], wants_operand: bool) {
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
            "not" => {
                level.decides = true;
                return 1;
            }
            "*" | "**" => return 1,
            "," | ":" | "=" => {
                level.has_colon |= text == ":";
                (level.term, level.side, level.condition) = (None, None, None);
                return 1;
            }
            "(" => Some(Bracket::Group),
            "[" => Some(Bracket::List),
            "{" => Some(Bracket::Dict),
            _ => None,
        };
        level.term.get_or_insert(start);
        level.side.get_or_insert(start);
        level.condition.get_or_insert(start);
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
        let step = if is_variable {
            Step::Name(text.to_owned())
        } else {
            Step::Dynamic
        };
        level.chain = Some(Chain {
            range: token.range.clone(),
            steps: vec![step],
        });
        1
    }

    /// Handles what follows an operand and returns how many tokens that is.
    fn operator(&mut self, levels: &mut Vec<Level>, tokens: &[Token], last_end: usize) -> usize {
        if let Some(taken) = self.postfix(levels, tokens) {
            return taken;
        }
        let Some(level) = levels.last_mut() else {
            return 1;
        };
        let token = &tokens[0];
        let text = self.str(token);
        if level.after_test && !is_binary(text) {
            // The operand of a test may follow it without parentheses.
            level.after_test = false;
            level.is_bare = true;
            return self.operand(levels, token);
        }
        // Two strings beside each other are one.
        if token.kind == Kind::Text {
            if let Some(chain) = &mut level.chain {
                chain.range.end = token.range.end;
            }
            return 1;
        }
        let taken = self.binary(level, tokens, last_end);
        let is_word = token.kind == Kind::Name && !is_binary(text);
        if is_word {
            self.operand(levels, token)
        } else {
            taken
        }
    }

    /// Handles what binds more tightly than any operator.
    fn postfix(&mut self, levels: &mut Vec<Level>, tokens: &[Token]) -> Option<usize> {
        let level = levels.last_mut()?;
        let start = tokens[0].range.start;
        match self.str(&tokens[0]) {
            "." if level.chain.is_some() => Some(self.attribute(level, tokens)),
            "[" if level.chain.is_some() => {
                self.make_chainable(level);
                levels.push(Level::new(Bracket::Index, start));
                Some(1)
            }
            "(" => {
                levels.push(Level::new(Bracket::Call, start));
                Some(1)
            }
            "|" => {
                self.end_chain(level);
                let length = self.dotted_name(&tokens[1..]);
                self.mention_filter(&tokens[1..=length]);
                Some(1 + length)
            }
            "is" => Some(self.test(level, tokens)),
            _ => None,
        }
    }

    /// Handles an operator between two operands: what it does not bind to
    /// ends here.
    fn binary(&mut self, level: &mut Level, tokens: &[Token], last_end: usize) -> usize {
        let token = &tokens[0];
        let text = self.str(token);
        self.end_chain(level);
        level.after_test = false;
        level.wants_operand = true;
        if text == "**" {
            return 1;
        }
        self.end_term(level, last_end);
        level.has_sum |= matches!(text, "+" | "*");
        level.has_colon |= text == ":";
        match text {
            "*" | "/" | "//" => return 1,
            "%" => self.modulo(level, token, last_end),
            "+" | "-" | "~" => level.term = None,
            _ => {
                self.end_sum(level, last_end);
                return self.loose(level, tokens, last_end);
            }
        }
        1
    }

    /// Handles an operator that binds less tightly than any sum.
    fn loose(&mut self, level: &mut Level, tokens: &[Token], last_end: usize) -> usize {
        let text = self.str(&tokens[0]);
        let Some((_, test)) = COMPARISONS.iter().find(|(operator, _)| *operator == text) else {
            let joins = matches!(text, "and" | "or");
            level.decides |= joins;
            self.end_condition(level, last_end);
            level.in_if = text == "if" || (joins && level.in_if);
            (level.term, level.side) = (None, None);
            return 1;
        };
        // `not` between operands goes on with `in`.
        let length = if text == "not" {
            tokens.len().min(2)
        } else {
            1
        };
        let operator = tokens[0].range.start..tokens[length - 1].range.end;
        level.compare(operator, last_end, test);
        length
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
            chain
                .steps
                .push(if is_method { Step::Dynamic } else { step });
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
        if let Some(chain) = level.chain.as_ref().filter(|_| !level.is_bare) {
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

    fn end_sum(&mut self, level: &mut Level, end: usize) {
        if let Some(start) = level.side.filter(|_| std::mem::take(&mut level.has_sum)) {
            self.insert(start, "((", start..start);
            self.insert(end, format!(")|{SETTLE})"), start..end);
        }
    }

    /// What decides must be known. Comparisons and tests see to that
    /// themselves.
    fn end_condition(&mut self, level: &mut Level, end: usize) {
        let compares = level.comparison.is_some();
        self.end_comparison(level, end);
        let decides = std::mem::take(&mut level.decides) || level.in_if;
        let start = level.condition.take();
        if let Some(start) = start.filter(|_| decides && !compares) {
            self.insert(start, "((", start..start);
            self.insert(end, format!(")|{TRUTH})"), start..end);
        }
    }

    fn end_comparison(&mut self, level: &mut Level, end: usize) {
        let Some(Comparison {
            start,
            operator,
            test: Some(test),
        }) = level.comparison.take()
        else {
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
        self.end_sum(level, end);
        self.end_condition(level, end);
        self.end_chain(level);
    }

    fn end_chain(&mut self, level: &mut Level) {
        level.is_bare = false;
        if let Some(chain) = level.chain.take()
            && matches!(chain.steps[..], [Step::Name(_), ..])
        {
            self.out.chains.push(chain);
        }
    }

    fn close(
        &mut self,
        levels: &mut Vec<Level>,
        token: &Token,
        last_end: usize,
        tokens: &[Token],
        at: usize,
    ) {
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
                if inner.has_colon && !outer.is_bare {
                    let whole = chain.range.clone();
                    self.wrap(&whole, SETTLE);
                }
            }
            (_, chain) => {
                *chain = Some(Chain {
                    range,
                    steps: vec![Step::Dynamic],
                })
            }
        }
    }

    fn wrap(&mut self, range: &Range<usize>, filter: &str) {
        self.insert(range.start, "(", range.start..range.start);
        self.insert(range.end, format!("|{filter})"), range.clone());
    }
}
