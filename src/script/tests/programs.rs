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

impl Kind {
    /// Whether one may stand where the other does.
    fn is_like(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Map(_), Self::Map(_)))
    }
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
        let all = self.variables.iter();
        let found: Vec<_> = all.filter(|(_, of)| of.is_like(kind)).collect();
        match found.len() {
            0 => None,
            count => Some(found[self.dice.below(count)].0.clone()),
        }
    }

    fn fresh(&mut self) -> String {
        self.made += 1;
        // Some hide others.
        format!("v{}", self.made % 7)
    }

    fn declare(&mut self, name: String, kind: Kind) {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, kind));
    }

    /// Writes a form with its holes filled: `n` is a number, `t` a text, `b` a
    /// block, `c` a closure and `_` a space.
    fn form(&mut self, form: &str, depth: usize) {
        let mut rest = form;
        while let Some((before, after)) = rest.split_once('«') {
            let (hole, after) = after.split_once('»').expect("a hole ends");
            self.put(before);
            match hole {
                "n" => self.number(depth),
                "t" => self.text(depth),
                "b" => self.block(2),
                "c" => self.closure(depth),
                "_" => self.space(),
                other => panic!("there is no hole `{other}`"),
            }
            rest = after;
        }
        self.put(rest);
    }

    /// The same about a variable, which is called `X` in the form; another
    /// form where there is none.
    fn about(&mut self, kind: Kind, form: &str, otherwise: &str, depth: usize) {
        match self.variable(kind) {
            Some(name) => self.form(&form.replace('X', &name), depth),
            None => self.form(otherwise, depth),
        }
    }

    /// The same about a new variable, which is there once it is made.
    fn making(&mut self, form: &str, kind: Option<Kind>, is_loop: bool) {
        let name = self.fresh();
        let outside = self.variables.clone();
        self.variables.retain(|(other, _)| *other != name);
        let outer = self.in_loop;
        self.in_loop |= is_loop;
        self.form(&form.replace('X', &name), 2);
        self.in_loop = outer;
        self.variables = outside;
        if let Some(kind) = kind {
            self.declare(name, kind);
        }
    }

    fn statement(&mut self) {
        const SWITCH: &str =
            "switch «n» { 1 | 10 => {«b»}, 2..=9 if «n» > 1 => log(«t»), _ => {«b»} }";
        self.depth += 1;
        let choice = match self.depth > 3 {
            true => self.dice.below(4),
            false => self.dice.below(19),
        };
        match choice {
            0 | 1 => self.variable_made(),
            2 => self.form("log(«t»);", 3),
            3 => self.about(Kind::Number, "X += «n»;", ";", 2),
            4 | 5 => self.attempt(),
            6 => self.form("if «n» > 3 {«b»} else {«b»}", 2),
            7 => self.making("for X in 0..3 { log(`${X}`);«b»}", None, true),
            8 if self.in_loop => self.put("if 1 > 0 { break; }"),
            9 if self.in_function => self.form("if «n» == 3 { return «t»; }", 2),
            10 => self.form(SWITCH, 2),
            11 if self.dice.often(1, 4) => self.failure(),
            12 if self.uses_natives => self.put("template(\"a.j2\", \"/a\");"),
            13 => {
                let form = "let X = 0; while X < 2 { X += 1;«b»}";
                self.making(form, Some(Kind::Number), true);
            }
            14 => {
                // Another `break` has no value.
                let form = "let X = loop {«b»break «t»; }; X = `${X}`;";
                self.making(form, Some(Kind::Text), true);
            }
            15 => self.about(Kind::Map(0), "X.n = «n»; X[\"n\"] += 1;", ";", 2),
            16 => {
                let form = "X[0] = «t»; X.insert(0, \"more\");";
                self.about(Kind::List, form, "do { } while 1 > 2;", 2);
            }
            17 => self.making("const X = «t»;", Some(Kind::Text), false),
            18 => {
                let form = "let f = |x| { X += 1; x }; f.call(1); log(`${X}`);";
                self.about(Kind::Number, form, ";", 2);
            }
            _ => self.form("{«b»}", 2),
        }
        self.depth -= 1;
    }

    fn attempt(&mut self) {
        self.form("try«_»{«b»", 2);
        if self.dice.often(1, 3) {
            self.failure();
        }
        let caught = [
            "}«_»catch {«b»",
            "}«_»catch (e) { log(`${type_of(e)}`);«b»",
            "} catch«_»(x) { log(`${type_of(x)}`);«b»",
        ];
        let caught = self.dice.one(&caught);
        self.form(caught, 2);
        let end = if self.dice.often(1, 12) {
            "throw;}"
        } else {
            "}"
        };
        self.put(end);
    }

    /// Something that the engine refuses, or a script throws.
    fn failure(&mut self) {
        let forms = [
            "throw «t»;",
            "log(«t» - «n»);",
            "[1][«n» + 5];",
            "#{ a: 1 }.b;",
        ];
        let form = self.dice.one(&forms);
        self.form(form, 2);
    }

    fn variable_made(&mut self) {
        let key = self.dice.below(NAMES.len());
        let map = format!(
            "let X = #{{ n: «n», {}: «c» }};",
            self.function_name(self.file, key)
        );
        let forms = [
            (Kind::Number, "let X = «n»;"),
            (Kind::Text, "let X = «t»;"),
            (Kind::List, "let X = [«t», «t»];"),
            (Kind::Map(key), map.as_str()),
            (Kind::Closure, "let X = «c»;"),
        ];
        let (kind, form) = self.dice.one(&forms);
        self.making(form, Some(kind), false);
    }

    fn closure(&mut self, depth: usize) {
        let name = self.dice.one(&["x", "v1", "v2"]).to_owned();
        self.form(&format!("|{name}|«_»"), 0);
        let outside = self.variables.clone();
        self.variables.retain(|(_, kind)| *kind != Kind::Closure);
        self.declare(name, Kind::Text);
        let outer = (self.has_value, self.in_loop, self.in_function);
        (self.has_value, self.in_loop, self.in_function) = (false, false, true);
        self.depth += 1;
        match depth < 2 || self.depth > 3 || self.dice.often(1, 2) {
            true => self.text(depth),
            false => {
                self.put("{");
                self.statements(2);
                self.form("«t»}", depth);
            }
        }
        self.depth -= 1;
        (self.has_value, self.in_loop, self.in_function) = outer;
        self.variables = outside;
    }

    fn number(&mut self, depth: usize) {
        let digit = self.dice.below(9).to_string();
        if depth == 0 {
            return self.about(Kind::Number, "X", &digit, 0);
        }
        let constant = match self.constants {
            0 => digit.clone(),
            count => {
                let space = self.dice.one(&["", " ", " /* a */ ", "\n"]);
                format!("global{space}::{space}C{}", self.dice.below(count))
            }
        };
        match self.dice.below(10) {
            0 | 1 => self.about(Kind::Number, "X", &digit, 0),
            2 | 3 => self.put(&constant),
            4 if self.uses_natives => {
                self.receiver(depth - 1);
                self.put(".len()");
            }
            5 if self.uses_natives => self.form("len(«t»)", depth - 1),
            6 => self.form("(«n»«_»+«_»«n»)", depth - 1),
            7 => {
                let values = ["«t»", "{«t»}", "if true {«t»} else { 1 }"];
                let value = self.dice.one(&values);
                let form = format!("switch {value} {{ \"a\" => 1, _ => «n» }}");
                self.form(&form, depth - 1);
            }
            8 => self.about(Kind::Map(0), "X.n", &digit, 0),
            _ => self.put(&digit),
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
        if let Some((name, parameters)) = self.imported() {
            self.put(&name);
            return self.arguments(parameters, depth);
        }
        let own = self.files[self.file].clone();
        if own.is_empty() {
            return self.put("\"none\"");
        }
        let function = &own[self.dice.below(own.len())];
        let name = self.function_name(self.file, function.name);
        let mut parameters = function.parameters;
        let on_map = self.variables.iter().find_map(|(map, kind)| match kind {
            Kind::Map(key) if *key == function.name => Some(format!("{map}.{name}")),
            _ => None,
        });
        let choice = if function.on_value {
            0
        } else {
            self.dice.below(6)
        };
        match (choice, on_map) {
            (0, _) => {
                self.receiver(depth);
                self.put(&format!(".{name}"));
            }
            (1, _) => self.put(&format!("Fn(\"{name}\").call")),
            (2, _) if parameters > 0 => {
                self.form(&format!("Fn(\"{name}\").curry(«t»).call"), depth);
                parameters -= 1;
            }
            (3, Some(held)) if parameters == 1 => self.put(&held),
            _ => {
                let space = self.dice.one(&["", "", " "]);
                self.put(&format!("{name}{space}"));
            }
        }
        self.arguments(parameters, depth);
    }

    /// A function of another file and how many parameters it has, by chance.
    fn imported(&mut self) -> Option<(String, usize)> {
        let imports = self.imports[self.file].clone();
        if imports.is_empty() || self.dice.often(1, 2) {
            return None;
        }
        let (alias, file) = imports[self.dice.below(imports.len())].clone();
        let open = self.files[file].iter();
        let open = open.filter(|function| !function.is_private && !function.on_value);
        let open: Vec<_> = open.cloned().collect();
        if open.is_empty() {
            return None;
        }
        let function = &open[self.dice.below(open.len())];
        let name = self.function_name(file, function.name);
        Some((format!("{alias}::{name}"), function.parameters))
    }

    fn receiver(&mut self, depth: usize) {
        match self.variable(Kind::Text) {
            Some(name) if self.dice.often(1, 2) => self.put(&name),
            _ => self.form("(«t»)", depth),
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
        let written = self.dice.one(&WRITTEN);
        if depth == 0 {
            return self.about(Kind::Text, "X", written, 0);
        }
        let choice = self.dice.below(18);
        match choice {
            0 => self.about(Kind::Text, "X", written, 0),
            1..=3 if !self.in_function || choice == 1 => self.call(depth - 1),
            4 | 5 => self.interpolated(depth - 1),
            6 => self.form("if «n» > 2 { «t» } else { «t» }", depth - 1),
            7 => self.about(Kind::Closure, "X.call(«t»)", written, depth - 1),
            8 => self.about(Kind::List, "X[1 - 1]", "[«t»][0]", depth - 1),
            9 => {
                let outside = std::mem::take(&mut self.variables);
                self.variables.push(("x".to_owned(), Kind::Number));
                self.form("`${[1, 2].map(|x| «t»)}`", depth - 1);
                self.variables = outside;
            }
            10 if self.has_value => self.put("`${this}`"),
            11 => {
                let form = "if «n» > 9 { \"\" } else { try { «t» } catch { } }";
                self.form(form, depth - 1);
            }
            12 => {
                let sums = ["X + \"b\"", "\"b\" + X", "(X)"];
                let sum = self.dice.one(&sums);
                self.about(Kind::Text, sum, written, 0);
            }
            13 => {
                let twice = self.function_name(self.file, TWICE);
                self.form(&format!("{twice}(«c»)"), depth - 1);
            }
            14 => {
                let form = "if X in [\"a\", «t»] && !(X == \"b\") || false { X } else { «t» }";
                self.about(Kind::Text, form, written, depth - 1);
            }
            15 => self.about(Kind::Text, "(X ?? «t»)", written, depth - 1),
            _ => self.put(written),
        }
    }

    fn interpolated(&mut self, depth: usize) {
        const BETWEEN: [&str; 8] = ["a ", "é", "``", "\\${", "\n", "\" } ", "$", "// "];
        self.put("`");
        for _ in 0..1 + self.dice.below(3) {
            let between = self.dice.one(&BETWEEN);
            self.put(between);
            let value = self.dice.one(&["${«n»}", "${«t»}", "${«t»}"]);
            self.form(value, depth);
        }
        self.put("`");
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
