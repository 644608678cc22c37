//! What a dry run cannot know.

use super::*;

fn dry(body: &str) -> (Vec<String>, Result<(), Stop>) {
    let tasks = FakeTasks {
        dry: true,
        ..FakeTasks::on("web1", json!({}))
    };
    run_with(tasks, body, &[])
}

#[test]
fn an_unknown_travels_into_texts_and_arguments() {
    let (lines, end) = dry(r#"let r = command("id");
           let s = `<${r.stdout}>`; s += "x"; let t = "a" + s;
           file(t, #{ owner: r.stdout.trim().to_upper() });
           log(is_known(r.stdout)); log(is_known([1, #{ a: t }])); log(is_known("x"));"#);
    end.expect("nothing had to be known");
    let mark = veza_agent::mark::unknown("`stdout` of command \"id\"");
    let expected = json!({ "path": format!("a<{mark}>x"), "owner": mark });
    assert_eq!(lines[1], format!("file {expected}"));
    assert!(
        lines[2].starts_with("log false")
            && lines[3].starts_with("log false")
            && lines[4].starts_with("log true"),
        "{lines:?}"
    );
}

#[test]
fn what_needs_an_unknown_stops_and_cannot_be_caught() {
    for body in [
        "if r.changed {}",
        "if r.stdout == \"x\" {}",
        "if \"x\" != `${r.stdout}` {}",
        "let x = r.stdout.len() + 1;",
        "for x in r.stdout { log(x); }",
        "switch r.stdout { \"x\" => 1, _ => 2 }",
        "while r.changed {}",
        "let x = !r.changed;",
        "assert(r.changed);",
        "if \"x\" in r.stdout {}",
        "let x = [\"a\"].contains(r.stdout);",
        "let x = \"a\".contains(r.stdout);",
    ] {
        let (lines, end) = dry(&format!(
            "let r = command(\"id\"); try {{ {body} }} catch {{ log(\"caught\"); }} log(\"went on\");"
        ));
        assert_eq!(lines.len(), 1, "{body}: {lines:?}");
        assert!(
            matches!(end, Err(Stop::Undecidable { site: Some(_), .. })),
            "{body}: {end:?}"
        );
    }
}
