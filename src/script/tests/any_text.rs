//! Whatever the text, the loader answers and does not break down.

use super::programs::Dice;
use super::*;

/// Loads a text on a thread as a program's main thread has it.
fn load_text(text: String) -> Vec<Problem> {
    let thread = std::thread::Builder::new().stack_size(STACK_SIZE);
    let run = thread.spawn(move || {
        let project = TestProject::new(&[("envs/test.rhai", &text), ("roles/a.rhai", &text)]);
        project.load().err().unwrap_or_default()
    });
    run.expect("a thread starts")
        .join()
        .expect("no text makes the loader panic")
}

#[test]
fn no_text_makes_the_loader_panic() {
    const PIECES: [&str; 48] = [
        "host(",
        "play(",
        "\"",
        "`",
        "${",
        "}",
        "{",
        "#{",
        "(",
        ")",
        "[",
        "]",
        ";",
        ",",
        "||",
        "|x|",
        "try",
        "catch",
        "switch",
        "=>",
        "_",
        "if",
        "let x =",
        "const M = ",
        "M.a = 2;",
        "fn f(a)",
        "import \"a\" as a;",
        "a::f(1)",
        "package(",
        "mode: 0644",
        "global::M",
        ".fill(x)",
        "options(",
        "é\u{1f600}",
        "\n",
        "\r\n",
        "//",
        "/*",
        "*/",
        "#\"",
        "\"#",
        "'c'",
        "0x",
        "1.5",
        "vars.x",
        "notify: \"a\"",
        "\0",
        "return",
    ];
    let fixture = include_str!("../fixtures/mistakes/envs/site.rhai");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..300 {
        let text = if round % 2 == 0 {
            (0..dice.below(40))
                .map(|_| PIECES[dice.below(PIECES.len())])
                .collect::<Vec<_>>()
                .join(" ")
        } else {
            let mut letters: Vec<char> = fixture.chars().collect();
            for _ in 0..=dice.below(4) {
                let at = dice.below(letters.len());
                let piece: Vec<char> = PIECES[dice.below(PIECES.len())].chars().collect();
                letters.splice(at..(at + dice.below(5)).min(letters.len()), piece);
            }
            letters.into_iter().collect()
        };
        let problems = load_text(text.clone());
        let bug = problems.iter().find(|problem| problem.kind() == "bug");
        assert!(bug.is_none(), "{text}\n{}", rendered(&problems));
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("`${", "}`"),
        ("#{ a: ", "}"),
        ("if true {", "}"),
        ("|| ", ""),
    ] {
        for depth in [20, 200, 20_000] {
            let text = format!("let x = {}1{};", open.repeat(depth), close.repeat(depth));
            let problems = load_text(text);
            assert!(depth < 200 || !problems.is_empty(), "{open} {depth}");
            assert!(
                problems.iter().all(|problem| problem.kind() != "bug"),
                "{}",
                rendered(&problems)
            );
        }
    }
}
