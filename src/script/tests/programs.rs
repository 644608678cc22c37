//! Scripts made by chance, of all that the language has and that a rewriting
//! may trip over. They say what they do with `log`, and where.

/// Small, fast and always the same.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("it is below the limit")
    }

    fn one<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn often(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }
}

/// How a program is written. Whatever the choice, it is as long, and does the
/// same unless the engine confuses functions of several files.
#[derive(Clone, Copy, PartialEq)]
pub enum Naming {
    /// Functions of several files, of the engine and modules share names.
    Shared,
    /// No function has the name of another.
    Unique,
}

/// What is wrong with a program, if something is meant to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mistake {
    Variable,
    Function,
    Count,
    Constant,
    Import,
    Imported,
    Method,
    Pointer,
}

impl Mistake {
    pub const ALL: [Self; 8] = [
        Self::Variable,
        Self::Function,
        Self::Count,
        Self::Constant,
        Self::Import,
        Self::Imported,
        Self::Method,
        Self::Pointer,
    ];
}

/// The files of a project, and where the mistake is in which of them.
pub struct Program {
    pub files: Vec<(String, String)>,
    pub mistake: Option<(String, usize)>,
}

/// All but the last letter of the names of functions, and that letter where
/// names are shared.
const NAMES: [(&str, char); 8] = [
    ("chec", 'k'),
    ("le", 'n'),
    ("urlencod", 'e'),
    ("pus", 'h'),
    ("to_strin", 'g'),
    ("templat", 'e'),
    ("ru", 'n'),
    ("twic", 'e'),
];

/// The one that each file has, which calls what it is given.
const TWICE: usize = 7;

/// Those of them that are used without being defined.
const NATIVE: [usize; 3] = [1, 2, 5];

#[derive(Clone)]
struct Function {
    name: usize,
    parameters: usize,
    is_private: bool,
    /// It is called on a value only, and uses it.
    on_value: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Text,
    List,
    /// A map with `n`, a number, and a function of one parameter.
    Map(usize),
    /// A closure with one parameter.
    Closure,
}

struct Maker<'a> {
    dice: &'a mut Dice,
    naming: Naming,
    text: String,
    file: usize,
    /// The functions of each file that is finished, or begun.
    files: Vec<Vec<Function>>,
    /// The imports of each file: alias and file.
    imports: Vec<Vec<(String, usize)>>,
    constants: usize,
    variables: Vec<(String, Kind)>,
    made: usize,
    /// The file uses functions of the engine and modules by names that other
    /// files give to functions of their own.
    uses_natives: bool,
    has_value: bool,
    in_loop: bool,
    in_function: bool,
    depth: usize,
    mistake: Option<Mistake>,
    mistaken_at: Option<usize>,
}

/// A program of one to three files.
pub fn program(seed: u64, naming: Naming, mistake: Option<Mistake>) -> Program {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let count = 1 + dice.below(3);
    let mut maker = Maker {
        dice: &mut dice,
        naming,
        text: String::new(),
        file: 0,
        files: Vec::new(),
        imports: Vec::new(),
        constants: 0,
        variables: Vec::new(),
        made: 0,
        uses_natives: false,
        has_value: false,
        in_loop: false,
        in_function: false,
        depth: 0,
        mistake,
        mistaken_at: None,
    };
    let mut files = Vec::new();
    let mut mistaken = None;
    for file in 0..count {
        let name = match file + 1 == count {
            true => "envs/test.rhai".to_owned(),
            false => format!("roles/role{file}.rhai"),
        };
        maker.file(file, file + 1 == count);
        if let Some(at) = maker.mistaken_at.take() {
            mistaken = Some((name.clone(), at));
        }
        files.push((name, std::mem::take(&mut maker.text)));
    }
    if maker.dice.often(1, 4) && mistake.is_none() {
        for (_, text) in &mut files {
            *text = text.replace('\n', "\r\n");
        }
    }
    Program {
        files,
        mistake: mistaken,
    }
}

impl Maker<'_> {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A space, or what counts as one.
    fn space(&mut self) {
        const COMMENTS: [&str; 8] = [
            " /* } \" ` fn f( */ ",
            "/* é /* ' */ ${ */",
            " // ` \" fn check(a) { \n",
            "\n",
            "\t",
            "  ",
            " // it's\n",
            " /* */ ",
        ];
        let space = match self.dice.often(1, 8) {
            true => self.dice.one(&COMMENTS),
            false => " ",
        };
        self.put(space);
    }

    fn function_name(&self, file: usize, name: usize) -> String {
        let (start, last) = NAMES[name];
        match self.naming {
            Naming::Shared => format!("{start}{last}"),
            Naming::Unique => format!("{start}{file}"),
        }
    }

    fn file(&mut self, file: usize, is_main: bool) {
        self.file = file;
        self.constants = 0;
        self.uses_natives = self.dice.often(1, 2);
        self.files.push(Vec::new());
        let mut imports = Vec::new();
        for other in 0..file {
            if is_main || self.dice.often(1, 2) {
                let alias = format!("{}{other}", self.dice.one(&["a", "b"]));
                self.put(&format!("import \"role{other}\" as {alias};\n"));
                imports.push((alias, other));
            }
        }
        self.imports.push(imports);
        for _ in 0..self.dice.below(3) {
            let name = format!("C{}", self.constants);
            self.put(&format!("const {name} ="));
            self.space();
            let (open, close) = self
                .dice
                .one(&[("", ""), ("(", " + 1) * 2"), ("[1][0] + ", "")]);
            let number = self.dice.below(9);
            self.put(&format!("{open}{number}{close}"));
            self.space();
            self.put(";\n");
            self.constants += 1;
        }
        let twice = self.function_name(file, TWICE);
        self.put(&format!("fn {twice}(f) {{ f.call(f.call(\"t\")) }}\n"));
        for _ in 0..1 + self.dice.below(4) {
            self.function();
        }
        if is_main {
            self.put(super::PRELUDE);
            self.put("play(\"test\", \"web\", || {");
            self.block(6);
            self.mistake_at_last();
            self.put("});\n");
        }
    }

    /// Defines a function that calls those before it.
    fn function(&mut self) {
        let made = Function {
            name: self.dice.below(TWICE),
            parameters: self.dice.below(3),
            is_private: self.dice.often(1, 3),
            on_value: self.dice.often(1, 4),
        };
        if self.uses_natives && NATIVE.contains(&made.name) {
            return;
        }
        let is_taken = |other: &Function| {
            other.name == made.name
                && (other.parameters == made.parameters || other.on_value || made.on_value)
        };
        if self.files[self.file].iter().any(is_taken) {
            return;
        }
        if self.dice.often(1, 4) {
            self.put("/// Says `fn check(\n");
        }
        if made.is_private {
            self.put("private");
            self.space();
        }
        self.put("fn");
        self.space();
        let name = self.function_name(self.file, made.name);
        self.put(&name);
        self.space();
        self.put("(");
        let outside = std::mem::take(&mut self.variables);
        for number in 0..made.parameters {
            let name = format!("p{number}");
            if number > 0 {
                self.put(",");
            }
            self.space();
            self.put(&name);
            self.variables.push((name, Kind::Text));
        }
        self.put(")");
        self.space();
        self.put("{");
        (self.has_value, self.in_function) = (made.on_value, true);
        self.statements(2);
        self.text(2);
        (self.has_value, self.in_function) = (false, false);
        self.put(" }\n");
        self.variables = outside;
        self.files[self.file].push(made);
    }

    /// Statements, with variables of their own.
    fn block(&mut self, count: usize) {
        let outside = self.variables.clone();
        self.statements(count);
        self.variables = outside;
    }

    fn statements(&mut self, count: usize) {
        for _ in 0..1 + self.dice.below(count) {
            self.space();
            self.statement();
        }
        self.space();
    }

    fn variable(&mut self, kind: Kind) -> Option<String> {
        let found: Vec<_> = self
            .variables
            .iter()
            .filter(|(_, of)| *of == kind)
            .collect();
        match found.len() {
            0 => None,
            count => Some(found[self.dice.below(count)].0.clone()),
        }
    }

    fn map(&self) -> Option<String> {
        let mut all = self.variables.iter();
        let found = all.find(|(_, kind)| matches!(kind, Kind::Map(_)));
        found.map(|(name, _)| name.clone())
    }

    fn statement(&mut self) {
        self.depth += 1;
        let choice = if self.depth > 3 {
            self.dice.below(4)
        } else {
            self.dice.below(19)
        };
        match choice {
            0 | 1 => self.variable_made(),
            2 => {
                self.put("log(");
                self.text(3);
                self.put(");");
            }
            3 => match self.variable(Kind::Number) {
                Some(name) => {
                    self.put(&format!("{name} += "));
                    self.number(2);
                    self.put(";");
                }
                None => self.put(";"),
            },
            4 | 5 => self.attempt(),
            6 => {
                self.put("if ");
                self.number(2);
                self.put(" > 3 {");
                self.block(2);
                self.put("} else {");
                self.block(2);
                self.put("}");
            }
            7 => {
                let name = self.fresh();
                self.put(&format!("for {name} in 0..3 {{"));
                let outside = self.variables.clone();
                self.declare(name, Kind::Number);
                let outer = std::mem::replace(&mut self.in_loop, true);
                self.block(3);
                self.in_loop = outer;
                self.variables = outside;
                self.put("}");
            }
            8 if self.in_loop => self.put("if 1 > 0 { break; }"),
            9 if self.in_function => {
                self.put("if ");
                self.number(1);
                self.put(" == 3 { return ");
                self.text(2);
                self.put("; }");
            }
            10 => {
                self.put("switch ");
                self.number(2);
                self.put(" { 1 => {");
                self.block(2);
                self.put("}, 2..=9 if ");
                self.number(1);
                self.put(" > 1 => log(");
                self.text(1);
                self.put("), _ => {");
                self.block(1);
                self.put("} }");
            }
            11 if self.dice.often(1, 4) => self.failure(),
            13 => {
                let name = self.fresh();
                self.put(&format!("let {name} = 0; while {name} < 2 {{ {name} += 1;"));
                let outer = std::mem::replace(&mut self.in_loop, true);
                let outside = self.variables.clone();
                self.variables.retain(|(other, _)| *other != name);
                self.statement();
                self.variables = outside;
                self.in_loop = outer;
                self.put("}");
                self.declare(name, Kind::Number);
            }
            14 => {
                let name = self.fresh();
                self.put(&format!("let {name} = loop {{ "));
                let outer = std::mem::replace(&mut self.in_loop, true);
                self.block(1);
                self.in_loop = outer;
                self.put("break ");
                self.text(2);
                self.put("; };");
                // Another `break` has no value.
                self.put(&format!("{name} = `${{{name}}}`;"));
                self.declare(name, Kind::Text);
            }
            15 => match self.map() {
                Some(name) => {
                    self.put(&format!("{name}.n = "));
                    self.number(2);
                    self.put("; ");
                    self.put(&format!("{name}[\"n\"] += 1;"));
                }
                None => self.put(";"),
            },
            16 => match self.variable(Kind::List) {
                Some(name) => {
                    self.put(&format!("{name}[0] = "));
                    self.text(2);
                    self.put("; ");
                    self.put(&format!("{name}.insert(0, \"more\");"));
                }
                None => self.put("do { } while 1 > 2;"),
            },
            17 => {
                let name = format!("k{}", self.made);
                self.made += 1;
                self.put(&format!("const {name} = "));
                self.text(2);
                self.put(";");
                self.declare(name, Kind::Text);
            }
            18 => match self.variable(Kind::Number) {
                Some(name) => {
                    let made = self.fresh();
                    if made != name {
                        self.put(&format!("let {made} = |x| {{ {name} += 1; x }};"));
                        self.put(&format!("{made}.call(1); log(`${{{name}}}`);"));
                        self.variables.retain(|(other, _)| *other != made);
                    }
                }
                None => self.put(";"),
            },
            12 if self.uses_natives => self.put("template(\"a.j2\", \"/a\");"),
            _ => {
                self.put("{");
                self.block(2);
                self.put("}");
            }
        }
        self.depth -= 1;
    }

    fn attempt(&mut self) {
        let name = self.dice.one(&["", "(e)", "(x)"]);
        self.put("try");
        self.space();
        self.put("{");
        self.block(3);
        if self.dice.often(1, 3) {
            self.failure();
        }
        self.put("}");
        self.space();
        self.put(&format!("catch {name} {{"));
        if !name.is_empty() {
            self.put(&format!("log(`${{type_of({})}}`);", &name[1..2]));
        }
        self.block(2);
        if self.dice.often(1, 12) {
            self.put("throw;");
        }
        self.put("}");
    }

    /// Something that the engine refuses, or a script throws.
    fn failure(&mut self) {
        match self.dice.below(4) {
            0 => {
                self.put("throw ");
                self.text(2);
                self.put(";");
            }
            1 => {
                self.put("log(");
                self.text(2);
                self.put(" - ");
                self.number(2);
                self.put(");");
            }
            2 => {
                self.put("[1][");
                self.number(1);
                self.put(" + 5];");
            }
            _ => self.put("#{ a: 1 }.b;"),
        }
    }

    fn fresh(&mut self) -> String {
        self.made += 1;
        // Some hide others.
        format!("v{}", self.made % 7)
    }

    fn variable_made(&mut self) {
        let map = Kind::Map(self.dice.below(NAMES.len()));
        let kinds = [
            Kind::Number,
            Kind::Text,
            Kind::Text,
            Kind::List,
            map,
            Kind::Closure,
        ];
        let kind = self.dice.one(&kinds);
        let name = self.fresh();
        self.put(&format!("let {name} = "));
        match kind {
            Kind::Number => self.number(3),
            Kind::Text => self.text(3),
            Kind::List => {
                self.put("[");
                self.text(2);
                self.put(", ");
                self.text(2);
                self.put("]");
            }
            Kind::Map(key) => {
                let key = self.function_name(self.file, key);
                self.put("#{ n: ");
                self.number(2);
                self.put(&format!(", {key}: "));
                self.closure(2);
                self.put(" }");
            }
            Kind::Closure => self.closure(2),
        }
        self.put(";");
        self.declare(name, kind);
    }

    fn declare(&mut self, name: String, kind: Kind) {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, kind));
    }

    fn closure(&mut self, depth: usize) {
        let name = self.dice.one(&["x", "v1", "v2"]).to_owned();
        self.put(&format!("|{name}|"));
        self.space();
        let outside = self.variables.clone();
        self.variables.retain(|(_, kind)| *kind != Kind::Closure);
        self.declare(name, Kind::Text);
        let outer = (self.has_value, self.in_loop, self.in_function);
        (self.has_value, self.in_loop, self.in_function) = (false, false, true);
        self.depth += 1;
        match depth < 2 || self.dice.often(1, 2) {
            true => self.text(depth),
            false => {
                self.put("{");
                self.statements(2);
                self.text(depth);
                self.put("}");
            }
        }
        self.depth -= 1;
        (self.has_value, self.in_loop, self.in_function) = outer;
        self.variables = outside;
    }

    fn number(&mut self, depth: usize) {
        let choice = if depth == 0 {
            self.dice.below(2)
        } else {
            self.dice.below(10)
        };
        match (choice, self.variable(Kind::Number)) {
            (1 | 2, Some(name)) => self.put(&name),
            (3, _) if self.constants > 0 => {
                let space = self.dice.one(&["", " ", " /* a */ ", "\n"]);
                let number = self.dice.below(self.constants);
                self.put(&format!("global{space}::{space}C{number}"));
            }
            (4, _) if self.uses_natives => {
                self.receiver(depth - 1);
                self.put(".len()");
            }
            (5, _) if self.uses_natives => {
                self.put("len(");
                self.text(depth - 1);
                self.put(")");
            }
            (6, _) => {
                self.put("(");
                self.number(depth - 1);
                self.space();
                self.put("+");
                self.space();
                self.number(depth - 1);
                self.put(")");
            }
            (7, _) => {
                self.put("switch ");
                let (open, close) =
                    self.dice
                        .one(&[("", ""), ("{", "}"), ("if true {", "} else { 1 }")]);
                self.put(open);
                self.text(depth - 1);
                self.put(close);
                self.put(" { \"a\" => 1, _ => ");
                self.number(depth - 1);
                self.put(" }");
            }
            (8, _) => match self.map() {
                Some(name) => self.put(&format!("{name}.n")),
                None => self.put("3"),
            },
            _ => {
                let number = self.dice.below(9);
                self.put(&number.to_string());
            }
        }
    }

    fn arguments(&mut self, count: usize, depth: usize) {
        self.put("(");
        for number in 0..count {
            if number > 0 {
                self.put(",");
            }
            self.space();
            self.text(depth);
        }
        self.put(")");
    }

    /// A call of a function that is there.
    fn call(&mut self, depth: usize) {
        let own = self.files[self.file].clone();
        let imports = self.imports[self.file].clone();
        if !imports.is_empty() && self.dice.often(1, 2) {
            let (alias, file) = imports[self.dice.below(imports.len())].clone();
            let of_file = self.files[file].clone();
            let open = of_file
                .iter()
                .filter(|function| !function.is_private && !function.on_value);
            let open: Vec<_> = open.collect();
            if !open.is_empty() {
                let function = open[self.dice.below(open.len())];
                let name = self.function_name(file, function.name);
                self.put(&format!("{alias}::{name}"));
                return self.arguments(function.parameters, depth);
            }
        }
        if own.is_empty() {
            return self.put("\"none\"");
        }
        let function = &own[self.dice.below(own.len())];
        let name = self.function_name(self.file, function.name);
        let on_map = self.variables.iter().find_map(|(map, kind)| match kind {
            Kind::Map(key) if *key == function.name => Some(map.clone()),
            _ => None,
        });
        match self.dice.below(6) {
            _ if function.on_value => {
                self.receiver(depth);
                self.put(&format!(".{name}"));
                self.arguments(function.parameters, depth);
            }
            0 => {
                self.receiver(depth);
                self.put(&format!(".{name}"));
                self.arguments(function.parameters, depth);
            }
            1 => {
                self.put(&format!("Fn(\"{name}\").call"));
                self.arguments(function.parameters, depth);
            }
            2 if function.parameters > 0 => {
                self.put(&format!("Fn(\"{name}\").curry("));
                self.text(depth);
                self.put(").call");
                self.arguments(function.parameters - 1, depth);
            }
            3 if on_map.is_some() && function.parameters == 1 => {
                self.put(&format!("{}.{name}", on_map.unwrap_or_default()));
                self.arguments(1, depth);
            }
            _ => {
                self.put(&name);
                let space = self.dice.one(&["", "", " "]);
                self.put(space);
                self.arguments(function.parameters, depth);
            }
        }
    }

    fn receiver(&mut self, depth: usize) {
        match self.variable(Kind::Text) {
            Some(name) if self.dice.often(1, 2) => self.put(&name),
            _ => {
                self.put("(");
                self.text(depth);
                self.put(")");
            }
        }
    }

    /// A text, or what is as good as one.
    fn text(&mut self, depth: usize) {
        const WRITTEN: [&str; 14] = [
            "\"a\"",
            "\"é \u{1f600}\"",
            "\"fn check(a) { \\\" } ${x}\"",
            "\"a\"\"b\"",
            "#\"raw \" ` fn len(\"#",
            "'\"'",
            "'`'",
            "'}'",
            "'\\''",
            "`plain`",
            "`a``b`",
            "`\\${x}`",
            "\"// no comment /*\"",
            "``",
        ];
        self.mistake_by_chance();
        let choice = if depth == 0 {
            self.dice.below(3)
        } else {
            self.dice.below(18)
        };
        match (choice, self.variable(Kind::Text)) {
            (1 | 2, Some(name)) => self.put(&name),
            (3..=5, _) if !self.in_function || choice == 3 => self.call(depth - 1),
            (6 | 7, _) => {
                self.put("`");
                for _ in 0..1 + self.dice.below(3) {
                    let between = self
                        .dice
                        .one(&["a ", "é", "``", "\\${", "\n", "\" } ", "$", "// "]);
                    self.put(between);
                    self.put("${");
                    match self.dice.often(1, 3) {
                        true => self.number(depth - 1),
                        false => self.text(depth - 1),
                    }
                    self.put("}");
                }
                self.put("`");
            }
            (8, _) => {
                self.put("if ");
                self.number(depth - 1);
                self.put(" > 2 { ");
                self.text(depth - 1);
                self.put(" } else { ");
                self.text(depth - 1);
                self.put(" }");
            }
            (9, _) => match self.variable(Kind::Closure) {
                Some(name) => {
                    self.put(&format!("{name}.call"));
                    self.arguments(1, depth - 1);
                }
                None => self.put("\"no closure\""),
            },
            (10, _) => match self.variable(Kind::List) {
                Some(name) => {
                    self.put(&format!("{name}["));
                    self.put("1 - 1]");
                }
                None => self.put("[\"list\"][0]"),
            },
            (11, _) => {
                self.put("`${[1, 2].map(|x| ");
                let outside = std::mem::take(&mut self.variables);
                self.variables.push(("x".to_owned(), Kind::Number));
                self.text(depth - 1);
                self.variables = outside;
                self.put(")}`");
            }
            (12, _) if self.has_value => self.put("`${this}`"),
            (13, _) => {
                self.put("if ");
                self.number(depth - 1);
                self.put(" > 9 { \"\" } else { try { ");
                self.text(depth - 1);
                self.put(" } catch { } }");
            }
            (15, _) => {
                let twice = self.function_name(self.file, TWICE);
                self.put(&format!("{twice}("));
                self.closure(depth - 1);
                self.put(")");
            }
            (16, Some(name)) => {
                self.put(&format!("if {name} in [\"a\", "));
                self.text(depth - 1);
                self.put(&format!(
                    "] && !({name} == \"b\") || false {{ {name} }} else {{ "
                ));
                self.text(depth - 1);
                self.put(" }");
            }
            (17, Some(name)) => {
                self.put(&format!("({name} ?? "));
                self.text(depth - 1);
                self.put(")");
            }
            (14, Some(name)) => {
                let (left, right) =
                    self.dice
                        .one(&[("", " + \"b\""), ("\"b\" + ", ""), ("(", ")")]);
                self.put(&format!("{left}{name}{right}"));
            }
            _ => {
                let written = self.dice.one(&WRITTEN);
                self.put(written);
            }
        }
    }

    fn mistake_by_chance(&mut self) {
        if self.mistake.is_some() && self.dice.often(1, 12) {
            self.mistake_here();
        }
    }

    fn mistake_at_last(&mut self) {
        if self.mistake.is_some() {
            self.put("log(");
            self.mistake_here();
            self.put("\"\");");
        }
    }

    /// Makes the mistake, as the left side of a sum that follows.
    fn mistake_here(&mut self) {
        let (before, wrong, after) = match self.mistake {
            Some(Mistake::Variable) => ("", "nowhere".to_owned(), ""),
            Some(Mistake::Function) => ("", "no_function".to_owned(), "(1)"),
            Some(Mistake::Count) => ("", "urlencode".to_owned(), "(1, 2, 3)"),
            Some(Mistake::Constant) => ("global::", "NONE".to_owned(), ""),
            Some(Mistake::Import) => ("", "none".to_owned(), "::check(1)"),
            Some(Mistake::Method) => ("\"\".", "no_method".to_owned(), "()"),
            Some(Mistake::Pointer) => ("Fn(", "\"no_such\"".to_owned(), ").call()"),
            Some(Mistake::Imported) => match self.imports[self.file].first() {
                Some((alias, _)) => {
                    let alias = format!("{alias}::");
                    self.put(&alias);
                    ("", "no_such".to_owned(), "()")
                }
                None => return,
            },
            None => return,
        };
        self.mistake = None;
        self.put(before);
        self.mistaken_at = Some(self.text.len());
        self.put(&wrong);
        self.put(after);
        self.put(" + ");
    }
}
