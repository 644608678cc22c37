//! What is inserted into scripts changes nothing of what they do: each of
//! these runs as the engine runs the text itself, with the same words at the
//! same places.

use super::programs::{self, Mistake, Naming};
use super::*;

/// How many programs are made by chance.
const PROGRAMS: u64 = 100;

/// What a run said, and how it ended.
#[derive(Debug, PartialEq)]
struct Seen {
    said: Vec<String>,
    end: String,
}

/// Runs a project with what is inserted into its scripts, or without.
fn seen(files: &[(&str, &str)], is_plain: bool) -> Result<Seen, String> {
    let project = TestProject::new(files);
    let path = project.path().join("envs/test.rhai");
    let (project, main) = Project::of(&path).expect("it is there");
    let catalog = Arc::new(Catalog::new(samples::all()));
    let mut library = Library::new(project, main, catalog, engine::describing());
    if is_plain {
        library.insertions = |_, _| Vec::new();
    }
    module::discover(&mut library);
    let playbook = guarded(|| Playbook::evaluate(Arc::new(library), &Overrides::default()))
        .unwrap_or_else(|panic| Err(vec![panic]))
        .map_err(|problems| rendered(&problems))?;
    let tasks = Arc::new(FakeTasks::on("web1", json!({ "port": 80 })));
    let end = match playbook.call(first_body(&playbook), tasks.clone()) {
        Ok(()) => "well".to_owned(),
        Err(Stop::Script(problem)) => format!("{problem} at {:?}", problem.site()),
        Err(other) => format!("{other:?}"),
    };
    let said = tasks.said();
    // That calls wait in a `try` block is what some insertions are for.
    let said = said.iter().map(|line| line.replace(" (waits)", ""));
    let said = said.map(|line| without_names(&line)).collect();
    Ok(Seen { said, end })
}

/// A text without the names that the engine gives to closures.
fn without_names(text: &str) -> String {
    let mut parts = text.split("anon$");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.trim_start_matches(|c: char| c.is_ascii_hexdigit())
    })
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    let files = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    files.collect()
}

fn texts(files: &[(String, String)]) -> String {
    let texts = files
        .iter()
        .map(|(name, text)| format!("--- {name}\n{text}\n"));
    texts.collect()
}

/// Runs the top of a file and the body of a play both ways; how they differ.
/// They are an env file, the same with other line ends, or a role.
fn difference(top: &str, body: &str) -> Option<String> {
    let env = format!("{top}\n{}", play_body(body));
    let role = format!("{top}\nfn role() {{ {body} }}");
    let user = format!("import \"a\" as a;\n{}", play_body("a::role();"));
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let ways = [
        vec![file("envs/test.rhai", &env)],
        vec![file("envs/test.rhai", &env.replace('\n', "\r\n"))],
        vec![file("envs/test.rhai", &user), file("roles/a.rhai", &role)],
    ];
    ways.iter().find_map(|files| {
        let plain = seen(&borrowed(files), true);
        let own = seen(&borrowed(files), false);
        let is_told = plain.is_err() || plain != own;
        is_told.then(|| format!("{}plain: {plain:#?}\nrewritten: {own:#?}\n", texts(files)))
    })
}

fn all_alike(scripts: &[(&str, &str)]) {
    let found = scripts
        .iter()
        .filter_map(|(top, body)| difference(top, body));
    let found: Vec<_> = found.collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn blocks_have_the_values_they_have() {
    all_alike(&[
        ("fn f() { try { 7 } catch { 8 } }", "log(f());"),
        ("fn f() { try { throw 1 } catch { 8 } }", "log(f());"),
        (
            "fn f() { try { let x = 1; x + 1 } catch { 8 } } fn g() { try { return 5; } catch {} }",
            "log(f()); log(g()); for i in 0..3 { try { if i == 1 { break; } log(i); } catch {} }",
        ),
        (
            "",
            "let f = |x| { try { x.pop(); } catch (e) { return `${x}`; } }; log(f.call(2));",
        ),
        (
            "",
            "try { try { throw 1 } catch (e) { throw e + 1 } } catch (e) { log(e) }",
        ),
        ("", "try { throw 1 } catch { throw; }"),
        (
            "",
            "let y = loop { break `${3}`.len(); }; log(y); let z = while true { break `a${1}`; }; log(z);",
        ),
        (
            "",
            "let x = if true { `a${1}` } else { \"b\" }; log(x[0]); log(`abc${1}`.len());",
        ),
    ]);
}

#[test]
fn functions_are_the_ones_that_are_meant() {
    all_alike(&[
        (
            "private fn add(n) { this + n }",
            "let x = 1; log(x.add(2)); let p = Fn(\"add\"); log(x.call(p, 5));",
        ),
        (
            "private fn add(n) { n } fn other() { add(3) }",
            "let x = 1; log(x.add(2)); log(other());",
        ),
        (
            "fn inc() { this += 1; } fn other() { inc() }",
            "let x = 1; x.inc(); log(x); let m = #{ a: 1 }; m.a.inc(); log(m.a);",
        ),
        (
            "fn run(n) { 1 + n } fn x() { run(2) }",
            "let m = #{ run: |n| n * 10 }; log(m.run(4)); log(x()); log(4.run(3));",
        ),
        (
            "fn run(n) { 1 + n }",
            "let m = #{ run: |n| this.a + n, a: 3 }; log(m.run(4)); let n = #{ run: 1 }; log(n.run(3));",
        ),
        ("fn log(a, b) { log(`${a} ${b}`) }", "log(1, 2); log(3);"),
        (
            "fn push(a) { a * 2 } fn f() { push(4) }",
            "let l = [1]; push(l, 2); l.push(3); log(l); log(f());",
        ),
        (
            "fn template(a) { template(a, `${a}.d`) }",
            "template(\"a.j2\"); template(\"a.j2\", \"/b\");",
        ),
        (
            "fn f(a) { f(a, 1) } fn f(a, b) { `${a} ${b}` }",
            "log(f(1)); log(f(2, 3));",
        ),
        (
            "fn f(a) { a } fn g() { f(1) } private fn p() {} fn h() { p() }",
            "log(is_def_fn(\"f\", 1)); log(is_def_fn(\"p\", 0)); log(is_def_fn(\"p\", 1));",
        ),
        (
            "fn f(n) { n }",
            "let g = Fn(\"f\").curry(3); log(g.call()); log([1, 2].map(Fn(\"f\")));",
        ),
        (
            "fn f(n) { let g = |a| a + n; g.call(2) } fn h() { let x = 3; let c = || f(x); x = 4; c.call() }",
            "log(h());",
        ),
        ("fn f(n) { n }", "let x = 2; log(f!(x));"),
        (
            "fn fact(n) { if n < 2 { 1 } else { n * fact(n - 1) } }",
            "log(fact(5));",
        ),
        ("fn deep(n) { deep(n + 1) }", "deep(1);"),
        (
            "/** f( */ fn /* a */ f /* b */ ( /* c */ x /* d */ , y ) { x + y } fn g() { f(1, 2) }",
            "log(g());",
        ),
    ]);
}

#[test]
fn texts_and_comments_hide_nothing() {
    all_alike(&[
        (
            "fn f() { '\"' } fn g() { f() } fn h() { \"\\\"\" + '`' + '\\'' + f() + g() }",
            "log(h()); log('`'); log(`${'}'} ${f()} ${'`'}`);",
        ),
        (
            "fn f() { \"a\"\"b\" + `c``d${1}` }",
            "log(f()); log(`x``${2}``y`);",
        ),
        (
            "fn f(x) { x }",
            "log(`a \\${b} ${1}`); log(`\\${b}` + `${f(3)}` + f(`${4}`)); \
             try { throw 2 } catch (e) { log(`${e}`); log(`\\${x}`); log(e) }",
        ),
        (
            "",
            "let a = 2; let y = `\\${b}` + `\\${c}` + switch a { 2 => `is ${a}`, _ => 0 }; \
             log(y); let z = `\\${b}`.len() + y;",
        ),
        (
            "fn f(x) { `${`${x} ${`${x}`}`}` }",
            "log(f(1)); let s = \"${f(1)}\"; log(s);",
        ),
        (
            "fn f(x) { /* fn f(y) { } */ x } // fn f(z) {}\nfn g() { f(1) }",
            "log(g());",
        ),
        (
            "fn f(x) { x }",
            "let x = \"é\u{1f600}\"; log(f(x) + `é${f(x)}` + f(\"\u{1f600}\")); let y = `é\u{1f600}${x}` - 1;",
        ),
    ]);
}

#[test]
fn switches_and_constants_are_what_they_are() {
    all_alike(&[
        (
            "",
            "let a = 2; log(switch { a + 1 } { 3 => \"three\", _ => \"other\" });",
        ),
        (
            "",
            "let a = 2; log(switch if a == 2 { 1 } else { 2 } { 1 => \"one\", _ => 0 }); log(switch a {});",
        ),
        (
            "",
            "let a = [1]; log(switch a[0] { 1 if a.len() == 1 => { \"one\" } 2..=5 => 3, _ => 0 });",
        ),
        (
            "const A = [1, 2]; fn f() { global::A.len() + global::A[0] }",
            "log(f());",
        ),
        (
            "const A = [1, 2]; fn f() { let x = global::A; x.push(3); x }",
            "log(f()); log(f());",
        ),
        ("const A = [1, 2]; fn f() { global::A.push(3); }", "f();"),
        (
            "const A = (1 + 2) * 3; const B = [A + 1][0]; fn f() { global::A + global::B }",
            "log(f());",
        ),
        (
            "const A = 1; const B = global::A + 1; fn f() { global::B }",
            "log(f());",
        ),
        (
            "const A = 1; fn f() { global /* a */ :: /* b */ A } fn g() { global:: // */\n A }",
            "log(f()); log(g());",
        ),
    ]);
}

#[test]
fn caught_errors_name_the_original_place() {
    all_alike(&[
        (
            "",
            "try { let x = `a${1}`; let y = `${x}` - 1; } catch (e) { log(e.line); log(e.position); log(e); }",
        ),
        (
            "fn f(a) { a } ",
            "try { f(1); let y = `${f(1)}` + f(\"a\") - f(2); } catch (e) { log(e); }",
        ),
        (
            "fn f(a) { a } ",
            "try { f(1); let y = `${f(1)}` + f(\"a\") - f(2); } catch { throw; }",
        ),
        (
            "",
            "try { throw #{ error: 1, line: 2 } } catch (e) { log(e) }",
        ),
        ("fn f() { throw #{ message: \"no\" } }", "f();"),
    ]);
}

#[test]
fn scripts_may_be_as_deep_as_without() {
    let nested = |depth: usize| {
        let (open, close) = ("try { ".repeat(depth), " } catch { }".repeat(depth));
        let deep = format!("fn f(n) {{ if n < 60 {{ {open}f(n + 1){close} }} else {{ n }} }}");
        let texts = |inner: &str| format!("{}{inner}{}", "`${".repeat(depth), "}`".repeat(depth));
        (
            deep,
            format!("log(f(0)); log({});", texts("[1].map(|x| x)")),
        )
    };
    let is_read = |depth: &usize| {
        let (top, body) = nested(*depth);
        let script = format!("import \"a\" as a;\n{}", play_body("a::role();"));
        let role = format!("{top}\nfn role() {{ {body} }}");
        let files = [("envs/test.rhai", script.as_str()), ("roles/a.rhai", &role)];
        seen(&files, true).is_ok()
    };
    let deepest = (1..).take_while(is_read).last().expect("one is read");
    assert!(deepest > 10, "{deepest}");
    // Half of it is what a main thread has, which loads.
    let thread = std::thread::Builder::new().stack_size(STACK_SIZE / 2);
    let run = thread.spawn(move || {
        let (top, body) = nested(deepest);
        all_alike(&[(&top, &body)]);
    });
    run.expect("a thread starts")
        .join()
        .expect("they are alike");
}

/// Here the engine alone would be wrong.
#[test]
fn what_runs_knows_its_own_file() {
    let shared = "fn each(list, f) { for x in list { f.call(x); } }\n\
                  fn template(path) { log(`shared ${path}`); }\n\
                  const A = \"of shared\";";
    let role = |name: &str| {
        format!(
            "import \"shared\" as shared;\n\
             const A = \"of {name}\";\n\
             fn role() {{ shared::each([1], |x| {{ log(`${{x}} ${{global::A}}`); }});\n\
             let f = |x| {{ log(x); }}; f.call(global::A); f.call(2); }}\n\
             fn inner() {{ log(global::A); }}"
        )
    };
    let (one, two) = (role("one"), role("two"));
    let script = format!(
        "import \"one\" as one;\nimport \"two\" as two;\nimport \"shared\" as shared;\n\
         const A = \"of the env\";\nfn template(a, b) {{ log(a); }}\n{}",
        play_body(
            "for n in 1..=3 { one::role(); two::role(); }\n\
             shared::each([1], |x| log(global::A));\n\
             one::shared::each([1], |x| { log(global::A); two::inner() });"
        )
    );
    let files = [
        ("envs/test.rhai", script.as_str()),
        ("roles/shared.rhai", shared),
        ("roles/one.rhai", &one),
        ("roles/two.rhai", &two),
    ];
    let seen = seen(&files, false).expect("it is right");
    let roles = (1..=3).flat_map(|_| {
        ["one", "two"].map(|name| {
            [
                format!("log 1 of {name} at roles/{name}.rhai:3:37"),
                format!("log of {name} at roles/{name}.rhai:4:15"),
                format!("log 2 at roles/{name}.rhai:4:15"),
            ]
        })
    });
    let mut expected: Vec<_> = roles.flatten().collect();
    expected.extend([
        "log of the env at envs/test.rhai:11:23".to_owned(),
        "log of the env at envs/test.rhai:12:30".to_owned(),
        "log of two at roles/two.rhai:5:14".to_owned(),
    ]);
    assert_eq!(seen.said, expected, "{}", seen.end);
}

/// Whatever a program is made of, and however its functions are called.
#[test]
fn programs_do_what_they_do_without() {
    for seed in 0..PROGRAMS {
        let unique = programs::program(seed, Naming::Unique, None).files;
        let shared = programs::program(seed, Naming::Shared, None).files;
        let plain = seen(&borrowed(&unique), true);
        assert!(plain.is_ok(), "{seed}: {plain:#?}\n{}", texts(&unique));
        for files in [unique, shared] {
            let own = seen(&borrowed(&files), false);
            assert_eq!(own, plain, "{seed}\n{}", texts(&files));
        }
    }
}

/// The check finds a mistake where it is, and nothing else.
#[test]
fn mistakes_in_programs_are_found() {
    for (seed, mistake) in (0..PROGRAMS).zip(Mistake::ALL.iter().cycle()) {
        let program = programs::program(seed, Naming::Shared, Some(*mistake));
        let Some((file, offset)) = &program.mistake else {
            continue;
        };
        let project = TestProject::new(&borrowed(&program.files));
        let problems = project.load().err().unwrap_or_default();
        let mut files = program.files.iter();
        let (_, text) = files.find(|(name, _)| name == file).expect("it is there");
        let source = source::Source::new(file.clone(), text.clone()).expect("it is short");
        let (line, column) = source.line_and_column(*offset);
        let sites = problems.iter().filter_map(Problem::site);
        let sites: Vec<_> = sites
            .map(|site| format!("{}:{}:{}", site.file, site.line, site.column))
            .collect();
        let wanted = format!("{file}:{line}:{column}");
        let said = rendered(&problems);
        let texts = texts(&program.files);
        assert_eq!(sites, [wanted], "{seed} {mistake:?}\n{said}\n{texts}");
    }
}
