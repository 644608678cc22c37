//! Expressions at random that somebody could write.

/// Builds well-formed expressions; a seed always gives the same ones.
pub struct Grammar(pub u64);

impl Grammar {
    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        of[usize::try_from(self.0 >> 33).unwrap() % of.len()]
    }

    pub fn expression(&mut self, depth: usize) -> String {
        let kind = if depth == 0 {
            "atom"
        } else {
            self.pick(&[
                "atom", "filter", "binary", "binary", "unary", "if", "test", "group", "list",
            ])
        };
        let mut inner = || self.expression(depth - usize::from(depth > 0));
        match kind {
            "filter" => format!("{} | {}", inner(), self.pick(FILTERS)),
            "binary" => format!(
                "{} {} {}",
                inner(),
                self.pick(OPERATORS),
                self.expression(depth - 1)
            ),
            "unary" => format!(
                "{}{}",
                self.pick(&["not ", "-"]),
                self.expression(depth - 1)
            ),
            "if" => format!(
                "{} if {} else {}",
                inner(),
                self.expression(depth - 1),
                self.expression(depth - 1)
            ),
            "test" => format!("({} is {})", inner(), self.pick(TESTS)),
            "group" => format!("({}){}", inner(), self.pick(&["", "", ".x", "[0]"])),
            "list" => format!(
                "[{}, {}]{}",
                inner(),
                self.expression(depth - 1),
                self.pick(&["", "[0]", "[1:]"])
            ),
            _ => self.pick(ATOMS).into(),
        }
    }
}

const ATOMS: &[&str] = &[
    "d.b.c",
    "d['b']",
    "und",
    "und.x",
    "d.zz.y",
    "l",
    "l[0]",
    "l[1:]",
    "s",
    "s[1]",
    "'x'",
    "'1'",
    "0",
    "1",
    "2",
    "7",
    "2.5",
    "true",
    "false",
    "none",
    "[]",
    "{'k': s}",
    "{'k': 1}.k",
    "'a%sb'",
    "d.b.c",
    "s.upper()",
    "l.index(1)",
];

const FILTERS: &[&str] = &[
    "default('d')",
    "default(l)",
    "int",
    "string",
    "length",
    "upper",
    "first",
    "join(',')",
    "bool",
    "sort",
    "to_json",
    "unique",
    "float",
    "type_debug",
    "to_nice_yaml",
    "ternary(1, 2)",
    "flatten",
];

const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and",
    "or", "+", "==", "~", "and",
];

const TESTS: &[&str] = &[
    "defined",
    "not defined",
    "string",
    "number",
    "none",
    "in l",
    "mapping",
    "eq 1",
    "sameas true",
    "not none",
    "odd",
    "truthy",
];
