//! What is inserted into scripts changes nothing of what they do: each of
//! these runs as the engine runs the text itself, with the same words at the
//! same places.

use super::programs::{self, Mistake, Naming};
use super::*;

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
    // That calls wait in a `try` block is what some insertions are for.
    let said = tasks
        .said()
        .iter()
        .map(|line| line.replace(" (waits)", ""))
        .collect();
    Ok(Seen { said, end })
}

/// An env file whose play has this body, with what else is in the file.
fn env(top: &str, body: &str) -> String {
    format!("{top}\n{}", play_body(body))
}

fn same(files: &[(&str, &str)]) -> Option<String> {
    let plain = seen(files, true);
    let own = seen(files, false);
    let text = || {
        files
            .iter()
            .map(|(name, text)| format!("--- {name}\n{text}\n"))
            .collect::<String>()
    };
    (plain != own).then(|| format!("{}\nplain: {plain:?}\nown: {own:?}\n", text()))
}

#[test]
fn attacks() {
    let singles = [
        // the value of a try block
        ("fn f() { try { 7 } catch { 8 } }", "log(f());"),
        ("fn f() { try { throw 1 } catch { 8 } }", "log(f());"),
        (
            "fn f() { try { let x = 1; x + 1 } catch { 8 } } fn g() { try { return 5; } catch {} }",
            "log(f()); log(g()); for i in 0..3 { try { if i == 1 { break; } log(i); } catch {} }",
        ),
        // this
        (
            "private fn add(n) { this + n }",
            "let x = 1; log(x.add(2)); let p = Fn(\"add\"); log(x.call(p, 5));",
        ),
        (
            "private fn add(n) { n } fn other() { add(3) }",
            "let x = 1; log(x.add(2)); log(other());",
        ),
        (
            "fn add(n) { this + n } fn other(n) { if n > 5 { add(n) } else { 2 } }",
            "let x = 1; log(x.add(2)); log(other(1));",
        ),
        (
            "fn inc() { this += 1; } fn other() { inc() }",
            "let x = 1; x.inc(); log(x); let m = #{ a: 1 }; m.a.inc(); log(m.a);",
        ),
        // maps with functions go first
        (
            "fn go(n) { 1 + n } fn x() { go(2) }",
            "let m = #{ go: |n| n * 10 }; log(m.go(4)); log(x()); log(4.go(3));",
        ),
        // counts
        ("fn log(a, b) { log(`${a} ${b}`) }", "log(1, 2); log(3);"),
        (
            "fn push(a) { a * 2 } fn f() { push(4) }",
            "let l = [1]; push(l, 2); l.push(3); log(l); log(f());",
        ),
        (
            "fn f(a) { f(a, 1) } fn f(a, b) { `${a} ${b}` }",
            "log(f(1)); log(f(2, 3));",
        ),
        // characters
        (
            "fn f() { '\"' } fn g() { f() } fn h() { \"\\\"\" + '`' + '\\'' + f() + g() }",
            "log(h()); log('`'); log(`${'}'} ${f()} ${'`'}`);",
        ),
        (
            "private fn f() { '`' } fn g() { '`' + f() }",
            "log(g()); log(`a${1}`);",
        ),
        // doubled quotes
        (
            "fn f() { \"a\"\"b\" + `c``d${1}` }",
            "log(f()); log(`x``${2}``y`);",
        ),
        // escaped interpolation
        (
            "fn f(x) { x }",
            "log(`a \\${b} ${1}`); log(`\\${b}` + `${f(3)}` + f(`${4}`)); try { throw 2 } catch (e) { log(`${e}`); log(`\\${x}`); log(e) }",
        ),
        (
            "fn f(x) { x }",
            "let a = 2; let y = `\\${b}` + `\\${c}` + switch a { 2 => `is ${a}`, _ => 0 }; log(y); let z = `\\${b}` + nothing.x;",
        ),
        // switch
        (
            "",
            "let a = 2; log(switch { a + 1 } { 3 => \"three\", _ => \"other\" });",
        ),
        (
            "",
            "let a = 2; log(switch if a == 2 { 1 } else { 2 } { 1 => \"one\", _ => \"other\" }); log(switch a {});",
        ),
        (
            "",
            "let a = [1]; log(switch a[0] { 1 if a.len() == 1 => { \"one\" } 2..=5 => 3, _ => \"other\" });",
        ),
        // constants
        (
            "const A = [1, 2]; fn f() { global::A.len() + global::A[0] }",
            "log(f());",
        ),
        (
            "const A = [1, 2]; fn f() { let x = global::A; x.push(3); x }",
            "log(f()); log(f());",
        ),
        (
            "const A = [1, 2]; fn f() { global::A.push(3); global::A }",
            "log(f()); log(f());",
        ),
        (
            "const A = #{ b: 2 }; fn f() { global::A.b = 3; global::A }",
            "log(f()); log(f());",
        ),
        (
            "const A = 1; const B = A + 1; fn f() { global::A + global::B }",
            "log(f());",
        ),
        // errors caught
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
            "try { try { throw 1 } catch (e) { throw e + 1 } } catch (e) { log(e) }",
        ),
        ("fn f() { throw #{ message: \"no\" } }", "f();"),
        // is_def_fn, names
        (
            "fn f(a) { a } fn g() { f(1) } private fn p() {} fn h() { p() }",
            "log(is_def_fn(\"f\", 1)); log(is_def_fn(\"p\", 0)); log(is_def_fn(\"p\", 1)); ",
        ),
        // calls with the scope
        ("fn f() { x + 1 }", "let x = 2; log(f!());"),
        (
            "fn f(n) { let g = |a| a + n; g.call(2) } fn h() { let x = 3; let c = || f(x); x = 4; c.call() }",
            "log(h());",
        ),
        (
            "fn f(n) { n }",
            "let g = Fn(\"f\").curry(3); log(g.call()); let l = [1, 2].map(Fn(\"f\")); log(l); log([3, 1, 2].filter(|x| f(x) > 1));",
        ),
        (
            "fn fact(n) { if n < 2 { 1 } else { n * fact(n - 1) } }",
            "log(fact(5));",
        ),
        ("fn deep(n) { deep(n + 1) }", "deep(1);"),
        (
            "fn f(x) { `${`${x} ${`${x}`}`}` }",
            "log(f(1)); let s = \"${f(1)}\"; log(s);",
        ),
        (
            "/** f( */ fn /* a */ f /* b */ ( /* c */ x /* d */ , y ) { x + y } fn g() { f(1, 2) }",
            "log(g());",
        ),
        (
            "fn f(x) { /* fn f(y) { } */ x } // fn f(z) {}\nfn g() { f(1) }",
            "log(g());",
        ),
        (
            "const A = 1; fn f() { global /* a */ :: /* b */ A }",
            "log(f());",
        ),
        ("const A = 1; fn f() { global:: // a\n A }", "log(f());"),
        ("const A = 1; fn f() { global:: // */\n A }", "log(f());"),
        ("fn f(x) { x }", "let é = 1;"),
        (
            "fn f(x) { x }",
            "let x = \"é\u{1f600}\"; log(f(x) + `é${f(x)}` + f(\"\u{1f600}\")); let y = `é\u{1f600}${x}` - 1;",
        ),
        (
            "fn contains_it(a, b) { b in a }",
            "log(contains_it([1], 1));",
        ),
        (
            "fn to_text(x) { `${x}` }",
            "log(to_text(1)); log((1).to_text());",
        ),
        (
            "",
            "let x = do { 1 } while false; log(\"\"); let y = loop { break 3; }; log(y); let z = while true { break `a${1}`; }; log(z);",
        ),
        (
            "",
            "let f = |x| { try { x.nothing(); } catch (e) { return `${x}`; } }; log(f.call(2)); ",
        ),
        ("", "let l = #{ f: |x| this.n + x, n: 3 }; log(l.f(2));"),
        (
            "",
            "let x = if true { `a${1}` } else { \"b\" }; log(x[0]); log(`abc${1}`.len()); log(`abc${1}`[1]);",
        ),
    ];
    let mut bad = Vec::new();
    for (top, body) in singles {
        for crlf in [false, true] {
            let mut text = env(top, body);
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            bad.extend(same(&[("envs/test.rhai", &text)]));
            if crlf {
                continue;
            }
            // The same as a role.
            let role = format!("{top}\nfn role() {{ {body} }}");
            let main = env("import \"a\" as a;", "a::role();");
            bad.extend(same(&[("envs/test.rhai", &main), ("roles/a.rhai", &role)]));
        }
    }
    assert!(
        bad.is_empty(),
        "{} differ\n{}",
        bad.len(),
        bad.join("\n=====\n")
    );
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect()
}

#[test]
fn programs() {
    let count: u64 = std::env::var("COUNT").map_or(100, |count| count.parse().unwrap());
    let from: u64 = std::env::var("FROM").map_or(0, |count| count.parse().unwrap());
    let mut well = 0;
    let mut bad = 0;
    for seed in from..from + count {
        let unique = programs::program(seed, Naming::Unique, None);
        let shared = programs::program(seed, Naming::Shared, None);
        let plain = seen(&borrowed(&unique.files), true);
        if plain
            .as_ref()
            .is_ok_and(|seen| seen.end.contains("too long"))
        {
            println!("LONG");
            continue;
        }
        well += usize::from(plain.as_ref().is_ok_and(|seen| seen.end == "well"));
        let texts: String = shared
            .files
            .iter()
            .map(|(name, text)| format!("--- {name}\n{text}\n"))
            .collect();
        if let Err(problems) = &plain {
            bad += 1;
            println!("LINT {seed} {problems}\n{texts}");
            continue;
        }
        let own = [
            seen(&borrowed(&unique.files), false),
            seen(&borrowed(&shared.files), false),
        ];
        for own in own {
            if own != plain {
                bad += 1;
                println!("DIFFERS {seed}\n{texts}\nplain {plain:#?}\nown {own:#?}");
                break;
            }
        }
        if bad > 5 {
            break;
        }
    }
    println!("WELL {well}");
    assert_eq!(bad, 0);
}

#[test]
fn mistakes() {
    let count: u64 = std::env::var("COUNT").map_or(100, |count| count.parse().unwrap());
    let from: u64 = std::env::var("FROM").map_or(0, |count| count.parse().unwrap());
    use Mistake::*;
    let mut bad = 0;
    let mut made = 0;
    for seed in from..from + count {
        for mistake in [
            Variable, Function, Count, Constant, Import, Imported, Method,
        ] {
            let program = programs::program(seed, Naming::Shared, Some(mistake));
            let Some((file, offset)) = &program.mistake else {
                continue;
            };
            made += 1;
            let problems = TestProject::new(&borrowed(&program.files))
                .load()
                .err()
                .unwrap_or_default();
            let (_, text) = program.files.iter().find(|(name, _)| name == file).unwrap();
            let source = source::Source::new(file.clone(), text.clone()).unwrap();
            let wanted = source.line_and_column(*offset);
            let sites: Vec<_> = problems
                .iter()
                .filter_map(Problem::site)
                .map(|site| (site.file.clone(), (site.line, site.column)))
                .collect();
            if sites != [(file.clone(), wanted)] {
                bad += 1;
                println!(
                    "MISTAKE {seed} {mistake:?} at {file} {wanted:?}: {}\n{text}",
                    rendered(&problems)
                );
            }
        }
        if bad > 5 {
            break;
        }
    }
    println!("MADE {made}");
    assert_eq!(bad, 0);
}
