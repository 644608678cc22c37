//! Syntax trees, seen whole.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Stmt};

/// Visits every node of a tree once, each with what it is in. The engine's own
/// way through a tree passes over the value of a `break`, and comes to a case
/// of a `switch` as often as it has patterns.
pub fn walk(tree: &AST, on_node: &mut dyn FnMut(&[ASTNode])) {
    let mut met = BTreeSet::new();
    let mut visit = |path: &[ASTNode]| {
        let is_new = path.last().is_some_and(|node| met.insert(identity(node)));
        if is_new {
            on_node(path);
        }
    };
    tree.walk(&mut |path: &[ASTNode]| {
        with_values_of_breaks(path, &mut visit);
        true
    });
}

/// What a node is told from others by: a statement may begin where the
/// expression that it consists of does.
fn identity(node: &ASTNode) -> (bool, usize) {
    match node {
        ASTNode::Stmt(statement) => (true, std::ptr::from_ref(*statement).addr()),
        ASTNode::Expr(expression) => (false, std::ptr::from_ref(*expression).addr()),
        // There are no others.
        _ => (false, 0),
    }
}

fn with_values_of_breaks(path: &[ASTNode], visit: &mut dyn FnMut(&[ASTNode])) {
    visit(path);
    if let Some(&ASTNode::Stmt(Stmt::BreakLoop(Some(value), ..))) = path.last() {
        let mut path = path.to_vec();
        value.walk(&mut path, &mut |path: &[ASTNode]| {
            with_values_of_breaks(path, visit);
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use rhai::Expr;

    use super::*;
    use crate::script::engine;

    #[test]
    fn each_node_is_visited_once() {
        let text =
            "fn f() { loop { break a(loop { break [b, || c]; }); } switch 1 { 1 | 2 => d() } }";
        let tree = engine::bare().compile(text).expect("it is right");
        let mut names = Vec::new();
        walk(&tree, &mut |path| match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _))) => names.push(call.name.to_string()),
            Some(ASTNode::Expr(Expr::Variable(variable, ..))) => {
                names.push(variable.1.to_string());
            }
            _ => {}
        });
        for name in ["a", "b", "d"] {
            assert_eq!(
                names.iter().filter(|known| *known == name).count(),
                1,
                "{names:?}"
            );
        }
        assert!(names.contains(&"c".to_owned()), "{names:?}");
    }
}
