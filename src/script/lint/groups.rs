//! Groups whose hosts a script asks for by a name that is written there:
//! `groups.web`. Whether they are declared is known only afterwards.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use super::Lint;
use crate::script::library::Parsed;
use crate::script::tree::walk;

const GROUPS: &str = "groups";

/// Notes the groups that a file asks for. One for which it looks first with
/// `groups.contains` may be missing.
pub(super) fn note(lint: &mut Lint, parsed: &Parsed, tree: &AST) {
    if is_hidden(tree) {
        return;
    }
    let mut named: Vec<(Position, String)> = Vec::new();
    let mut looked_for = BTreeSet::new();
    walk(tree, &mut |path| {
        let Some(ASTNode::Expr(Expr::Dot(pair, ..) | Expr::Index(pair, ..))) = path.last() else {
            return;
        };
        if !matches!(&pair.lhs, Expr::Variable(it, ..) if it.1 == GROUPS && it.2.is_empty()) {
            return;
        }
        // What follows a name is in a pair of its own, to the right.
        let key = match &pair.rhs {
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) => &pair.lhs,
            key => key,
        };
        match key {
            Expr::Property(name, at) => named.push((*at, name.2.to_string())),
            Expr::StringConstant(name, at) => named.push((*at, name.to_string())),
            Expr::MethodCall(call, _) if call.name == "contains" => {
                if let Some(Expr::StringConstant(name, _)) = call.args.first() {
                    looked_for.insert(name.to_string());
                }
            }
            _ => {}
        }
    });
    let source = parsed.source.id();
    let unguarded = named
        .into_iter()
        .filter(|(_, name)| !looked_for.contains(name));
    for (at, name) in unguarded {
        let site = lint.library.site(Some(source), at);
        lint.groups.push((site, name));
    }
}

/// Whether the file has a variable of this name: it then may mean that one.
fn is_hidden(tree: &AST) -> bool {
    let (mut declared, mut captured) = (false, false);
    walk(tree, &mut |path| match path.last() {
        Some(ASTNode::Stmt(Stmt::Var(variable, ..))) => declared |= variable.0.name == GROUPS,
        Some(ASTNode::Stmt(Stmt::For(each, _))) => {
            declared |=
                each.0.name == GROUPS || each.1.as_ref().is_some_and(|it| it.name == GROUPS);
        }
        Some(ASTNode::Stmt(Stmt::Share(shared))) => {
            captured |= shared.iter().any(|(variable, _)| variable.name == GROUPS);
        }
        _ => {}
    });
    // What a closure captures is a parameter, too.
    let is_parameter = |name: &str, parameters: &[rhai::ImmutableString]| {
        let captures = name.starts_with("anon$") && captured;
        !captures && parameters.iter().any(|parameter| parameter == GROUPS)
    };
    declared
        || tree
            .iter_fn_def()
            .any(|definition| is_parameter(&definition.name, &definition.params))
}
