//! What can be read off a syntax tree: values as far as they are literal,
//! constants, and which of them a function fills.

use std::ops::Range;

use rhai::{AST, ASTNode, Expr, Position, ScriptFuncDef, Stmt};

use crate::schema::check::{Part, Shape};
use crate::script::source::Source;
use crate::script::tokens::tokens;
use crate::script::tree::walk;

/// A value as far as it is literal.
pub fn part(source: &Source, expression: &Expr) -> Part<Position> {
    let shape = match expression {
        Expr::BoolConstant(flag, _) => Shape::Boolean(*flag),
        Expr::IntegerConstant(value, at) => Shape::Integer {
            value: *value,
            plain: is_plain(source, *at),
        },
        Expr::FloatConstant(value, _) => Shape::Number(**value),
        Expr::CharConstant(..) => {
            Shape::Other("a character (strings are written in double quotes)".into())
        }
        Expr::StringConstant(text, _) => Shape::Text(Some(text.to_string())),
        Expr::InterpolatedString(..) => Shape::Text(None),
        Expr::Array(items, _) => Shape::List(items.iter().map(|item| part(source, item)).collect()),
        Expr::Map(map, _) => Shape::Map(
            map.0
                .iter()
                .map(|(key, value)| (key.name.to_string(), key.pos, part(source, value)))
                .collect(),
        ),
        Expr::Unit(_) => Shape::Nothing,
        Expr::DynamicConstant(value, _) if value.is_fnptr() => Shape::Function,
        _ => Shape::Open,
    };
    Part {
        at: expression.start_position(),
        shape,
    }
}

/// Whether a number is written in decimal.
fn is_plain(source: &Source, position: Position) -> bool {
    let text = &source.text()[source.offset_of(position)..];
    !["0o", "0O", "0x", "0X", "0b", "0B"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
}

/// Whether an expression makes a function.
pub fn is_closure(expression: &Expr) -> bool {
    match expression {
        Expr::DynamicConstant(value, _) => value.is_fnptr(),
        // A closure that captures is a block: share, then curry.
        Expr::Stmt(block) => matches!(block.statements().first(), Some(Stmt::Share(_))),
        Expr::FnCall(call, _) => call.name == "Fn",
        _ => false,
    }
}

/// A constant of a file's top level.
pub struct Constant<'a> {
    pub name: &'a str,
    pub value: &'a Expr,
    /// Where `const` is.
    at: Position,
}

/// The constants of a file's top level.
pub fn constants(tree: &AST) -> impl Iterator<Item = Constant<'_>> {
    tree.statements()
        .iter()
        .filter_map(|statement| match statement {
            Stmt::Var(variable, flags, at) if flags.contains(rhai::ASTFlags::CONSTANT) => {
                Some(Constant {
                    name: variable.0.name.as_str(),
                    value: &variable.1,
                    at: *at,
                })
            }
            _ => None,
        })
}

impl Constant<'_> {
    /// The bytes of its value, as it is written.
    pub fn written(&self, source: &Source) -> Range<usize> {
        let mut tokens = tokens(source.text(), source.offset_of(self.at));
        let equals = tokens.find(|(_, token)| *token == "=");
        let start = equals.map_or(0, |(at, _)| at + 1);
        let mut end = start;
        let mut depth = 0usize;
        for (at, token) in tokens {
            match token {
                ";" if depth == 0 => break,
                "(" | "[" | "{" | "#{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            end = at + token.len();
        }
        start..end
    }
}

/// The keys of the map that is the only argument of a call, as written.
pub fn keys_of_argument(expression: &Expr) -> Vec<&str> {
    match expression {
        Expr::FnCall(call, _) => match call.args.as_slice() {
            [Expr::Map(map, _)] => map.0.iter().map(|(key, _)| key.name.as_str()).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// What a closure sees: its bytes in the file, and the names that are given
/// to it or that it captures.
pub struct Sight {
    extent: Range<usize>,
    names: Vec<String>,
}

/// The bytes of the bodies of all closures of a file.
pub fn closure_bodies(source: &Source, tree: &AST) -> Vec<Range<usize>> {
    let seen = sights(source, tree).into_iter();
    seen.map(|sight| sight.extent).collect()
}

/// What the closures of a file see. The engine does not resolve a captured
/// name where it is used, only where the closure is made.
pub fn sights(source: &Source, tree: &AST) -> Vec<Sight> {
    let definitions = tree.iter_fn_def();
    let closures = definitions.filter(|definition| definition.name.starts_with("anon$"));
    closures
        .map(|definition| Sight {
            extent: body(source, tree, definition),
            names: definition.params.iter().map(ToString::to_string).collect(),
        })
        .collect()
}

/// The bytes of the bodies of all functions and closures of a file.
pub fn bodies(source: &Source, tree: &AST) -> Vec<Range<usize>> {
    tree.iter_fn_def()
        .map(|definition| body(source, tree, definition))
        .collect()
}

/// The functions of a file that have a name, and the bytes of their bodies.
pub fn named_bodies(source: &Source, tree: &AST) -> Vec<(String, Range<usize>)> {
    tree.iter_fn_def()
        .filter(|definition| !definition.name.starts_with("anon$"))
        .map(|definition| (definition.name.to_string(), body(source, tree, definition)))
        .collect()
}

fn body(source: &Source, tree: &AST, definition: &ScriptFuncDef) -> Range<usize> {
    let body = &definition.body;
    if !body.end_position().is_none() {
        return source.offset_of(body.start_position())..source.offset_of(body.end_position());
    }
    // That of a closure without braces has no end in the tree, and for its
    // start the operator, which may stand behind what it is applied to.
    let mut places = Vec::new();
    let mut alone = tree.clone_functions_only();
    alone.retain_functions(|_, _, name, _| name == definition.name.as_str());
    walk(&alone, &mut |path| {
        let place = path.last().map_or(Position::NONE, ASTNode::position);
        if !place.is_none() {
            places.push(source.offset_of(place));
        }
    });
    let start = places.iter().min().copied().unwrap_or_default();
    start..places.iter().max().map_or(start, |last| last + 1)
}

impl Sight {
    /// Whether the closure is around this byte and sees the name.
    pub fn has(&self, name: &str, offset: usize) -> bool {
        self.extent.contains(&offset) && self.names.iter().any(|known| known == name)
    }
}

/// `global::OPTIONS.fill(given)`, somewhere in a file.
pub struct Filling {
    constant: String,
    given: String,
    at: Position,
}

/// All places where options are filled with a variable.
pub fn fillings(tree: &AST) -> Vec<Filling> {
    let mut found = Vec::new();
    walk(tree, &mut |path| {
        if let Some(ASTNode::Expr(Expr::Dot(dot, ..))) = path.last()
            && let Expr::Variable(constant, _, at) = &dot.lhs
            && constant
                .2
                .path
                .first()
                .is_some_and(|root| root.name == "global")
            && let Expr::MethodCall(call, _) = &dot.rhs
            && call.name == "fill"
            && let Some(Expr::Variable(given, ..)) = call.args.first()
        {
            let (constant, given) = (constant.1.to_string(), given.1.to_string());
            found.push(Filling {
                constant,
                given,
                at: *at,
            });
        }
    });
    found
}

/// The constants whose options a function fills with its only argument.
pub fn filled_constants<'a>(
    definition: &'a ScriptFuncDef,
    fillings: &'a [Filling],
) -> impl Iterator<Item = &'a str> {
    let parameter = match definition.params.as_slice() {
        [only] => only.as_str(),
        _ => "",
    };
    let body = definition.body.start_position()..=definition.body.end_position();
    fillings
        .iter()
        .filter(move |filling| body.contains(&filling.at) && filling.given == parameter)
        .map(|filling| filling.constant.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_braces_is_as_long_as_what_is_in_it() {
        let text = "fn f(a) { let one = |x| (a + 1) * x; let two = || g(#{ a: [a] }); one }";
        let source = Source::new("test", text).expect("it is short");
        let engine = crate::script::engine::describing();
        let tree = engine.compile(text).expect("it is right");
        let bodies = closure_bodies(&source, &tree);
        let mut texts: Vec<_> = bodies.into_iter().map(|body| &text[body]).collect();
        texts.sort_unstable();
        assert_eq!(texts, ["a + 1) * x", "g(#{ a: [a"]);
    }
}
