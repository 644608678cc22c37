//! What a script reads of `groups`, `vars` and `facts` by a name that is
//! written there: `groups.web`. Whether a group or a variable is declared is
//! known only afterwards.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use super::Lint;
use crate::script::library::Parsed;
use crate::script::lookups::{self, Lookup};
use crate::script::tree::walk;

/// Facts that are words in lower case, where Ansible's have capitals.
const LOWER: [&str; 3] = ["distribution", "distribution_release", "os_family"];

/// Notes what a file reads. A name for which it looks first with
/// `groups.contains` may be missing.
pub(super) fn note(lint: &mut Lint, parsed: &Parsed, tree: &AST) {
    for lookup in [Lookup::Groups, Lookup::Vars, Lookup::Facts] {
        if is_hidden(tree, lookup.name()) {
            continue;
        }
        for (at, name) in read(tree, lookup) {
            let site = lint.library.site(Some(parsed.source.id()), at);
            match lookup {
                Lookup::Facts => {
                    lint.problems
                        .extend(lookups::no_such_fact(lint.library, &site, &name))
                }
                _ => lint.lookups.push((lookup, site, name)),
            }
        }
    }
    if !is_hidden(tree, Lookup::Facts.name()) {
        compared(lint, parsed, tree);
    }
}

/// The names by which a file reads a stand-in.
fn read(tree: &AST, lookup: Lookup) -> Vec<(Position, String)> {
    let mut named: Vec<(Position, String)> = Vec::new();
    let mut looked_for = BTreeSet::new();
    walk(tree, &mut |path| {
        let Some(ASTNode::Expr(expression)) = path.last() else {
            return;
        };
        match key(expression, lookup) {
            Some(Expr::Property(name, at)) => named.push((*at, name.2.to_string())),
            Some(Expr::StringConstant(name, at)) => named.push((*at, name.to_string())),
            Some(Expr::MethodCall(call, _)) if call.name == "contains" => {
                if let Some(Expr::StringConstant(name, _)) = call.args.first() {
                    looked_for.insert(name.to_string());
                }
            }
            _ => {}
        }
    });
    named.retain(|(_, name)| !looked_for.contains(name));
    named
}

/// What an expression takes from a stand-in, if it does.
fn key(expression: &Expr, lookup: Lookup) -> Option<&Expr> {
    let (Expr::Dot(pair, ..) | Expr::Index(pair, ..)) = expression else {
        return None;
    };
    let stand_in = |expression: &Expr| matches!(expression, Expr::Variable(it, ..) if it.1 == lookup.name() && it.2.is_empty());
    // What follows a name is in a pair of its own, to the right.
    stand_in(&pair.lhs).then_some(match &pair.rhs {
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => &pair.lhs,
        key => key,
    })
}

/// Facts that are compared with a word that they never are.
fn compared(lint: &mut Lint, parsed: &Parsed, tree: &AST) {
    let mut found = Vec::new();
    walk(tree, &mut |path| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, _))) = path.last()
            && matches!(call.name.as_str(), "==" | "!=")
            && let [one, other] = call.args.as_slice()
        {
            for (fact, word) in [(one, other), (other, one)] {
                if let Some(Expr::Property(fact, _)) = key(fact, Lookup::Facts)
                    && let Expr::StringConstant(word, at) = word
                    && LOWER.contains(&fact.2.as_str())
                    && word.contains(char::is_uppercase)
                {
                    found.push((*at, fact.2.to_string(), word.to_lowercase()));
                }
            }
        }
    });
    for (at, fact, lower) in found {
        let site = lint.library.site(Some(parsed.source.id()), at);
        let message = format!("`facts.{fact}` is a word in lower case");
        let label = format!("write \"{lower}\"");
        let problem = lint
            .library
            .problem_at("wrong_value", message, &site, label);
        lint.report(problem.help("`veza-play doc facts` lists the facts"));
    }
}

/// Whether the file has a variable of this name: it then may mean that one.
fn is_hidden(tree: &AST, hidden: &str) -> bool {
    let (mut declared, mut captured) = (false, false);
    walk(tree, &mut |path| match path.last() {
        Some(ASTNode::Stmt(Stmt::Var(variable, ..))) => declared |= variable.0.name == hidden,
        Some(ASTNode::Stmt(Stmt::For(each, _))) => {
            declared |=
                each.0.name == hidden || each.1.as_ref().is_some_and(|it| it.name == hidden);
        }
        Some(ASTNode::Stmt(Stmt::Share(shared))) => {
            captured |= shared.iter().any(|(variable, _)| variable.name == hidden);
        }
        _ => {}
    });
    // What a closure captures is a parameter, too.
    let is_parameter = |name: &str, parameters: &[rhai::ImmutableString]| {
        let captures = name.starts_with("anon$") && captured;
        !captures && parameters.iter().any(|parameter| parameter == hidden)
    };
    declared
        || tree
            .iter_fn_def()
            .any(|definition| is_parameter(&definition.name, &definition.params))
}
