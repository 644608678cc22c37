use serde_json::{Value, json};

use crate::modules::testing::{
    RealHost, call, changes_once, host, refusal, text, unchanged, write,
};
use crate::outcome::Verdict;
use crate::system::overlay::Pending;

/// The file after a call that changes it once.
fn edited(before: &str, arguments: Value) -> String {
    let mut host = host(Pending::default());
    write(&mut host, "/etc/conf", before);
    changes_once(&mut host, "lineinfile", at(arguments));
    text(&host, "/etc/conf").expect("it is there")
}

fn at(mut arguments: Value) -> Value {
    arguments["path"] = json!("/etc/conf");
    arguments
}

#[test]
fn the_last_match_is_replaced_unless_the_first_is_asked_for() {
    let file = "#Port 22\nPort 22\nend\n";
    let port = |first: bool| json!({ "line": "Port 2", "regexp": "^#?Port ", "firstmatch": first });
    assert_eq!(edited(file, port(false)), "#Port 22\nPort 2\nend\n");
    assert_eq!(edited(file, port(true)), "Port 2\nPort 22\nend\n");
}

#[test]
fn a_new_line_goes_where_it_is_asked_for() {
    let file = "a\n[x]\nb\n[x]\nc";
    let spot = |key: &str, place: &str, first: bool| {
        edited(
            file,
            json!({ "line": "new", key: place, "firstmatch": first }),
        )
    };
    assert_eq!(
        edited(file, json!({ "line": "new" })),
        "a\n[x]\nb\n[x]\nc\nnew\n"
    );
    assert_eq!(
        spot("insertafter", r"^\[x\]", false),
        "a\n[x]\nb\n[x]\nnew\nc"
    );
    assert_eq!(
        spot("insertafter", r"^\[x\]", true),
        "a\n[x]\nnew\nb\n[x]\nc"
    );
    assert_eq!(
        spot("insertbefore", r"^\[x\]", false),
        "a\n[x]\nb\nnew\n[x]\nc"
    );
    assert_eq!(spot("insertbefore", "BOF", false), format!("new\n{file}"));
    assert_eq!(spot("insertafter", "EOF", false), format!("{file}\nnew\n"));
    assert_eq!(
        spot("insertafter", "nowhere", false),
        format!("{file}\nnew\n")
    );
    assert_eq!(spot("insertafter", "c", false), format!("{file}\nnew\n"));
}

#[test]
fn a_line_that_is_there_is_only_completed() {
    assert_eq!(edited("a\nb", json!({ "line": "b" })), "a\nb\n");
    let mut host = host(Pending::default());
    write(&mut host, "/etc/conf", "b\na\n");
    let below = json!({ "line": "b", "insertafter": "a" });
    unchanged(&mut host, "lineinfile", at(below));
}

#[test]
fn groups_stand_in_the_line_when_asked_for() {
    let heap =
        json!({ "regexp": r"^(.*)Xms\d+m(.*)$", "line": r"\1Xms512m\g<2>", "backrefs": true });
    assert_eq!(
        edited("opts=-Xms64m -v\n", heap.clone()),
        "opts=-Xms512m -v\n"
    );
    let mut host = host(Pending::default());
    write(&mut host, "/etc/conf", "nothing\n");
    unchanged(&mut host, "lineinfile", at(heap));
    let plain = json!({ "regexp": "^", "line": r"\1" });
    changes_once(&mut host, "lineinfile", at(plain));
    assert_eq!(text(&host, "/etc/conf").as_deref(), Some("\\1\n"));
}

#[test]
fn all_matching_lines_go() {
    let file = "a=1\nb\na=2\r\n";
    let absent = |mut by: Value| {
        by["state"] = json!("absent");
        edited(file, by)
    };
    assert_eq!(absent(json!({ "regexp": "^a" })), "b\n");
    assert_eq!(absent(json!({ "search_string": "=2" })), "a=1\nb\n");
    assert_eq!(absent(json!({ "line": "b" })), "a=1\na=2\r\n");
    let mut host = host(Pending::default());
    let nothing = json!({ "path": "/etc/none", "line": "x", "state": "absent" });
    unchanged(&mut host, "lineinfile", nothing);
}

#[test]
fn windows_line_ends_are_kept() {
    assert_eq!(
        edited("a\r\nb\r\n", json!({ "line": "c" })),
        "a\r\nb\r\nc\r\n"
    );
    assert_eq!(
        edited(
            "a\r\nb\r\n",
            json!({ "line": "c", "search_string": "a", "regexp": null })
        ),
        "c\r\nb\r\n"
    );
}

#[test]
fn a_file_is_made_with_its_directory_only_when_asked_for() {
    let mut host = host(Pending::default());
    let mut line = json!({ "path": "/etc/new/conf", "line": "x" });
    let why = refusal(&mut host, "lineinfile", line.clone());
    assert!(
        why.contains("/etc/new/conf does not exist") && why.contains("create"),
        "{why}"
    );
    line["create"] = json!(true);
    line["mode"] = json!("0600");
    changes_once(&mut host, "lineinfile", line);
    assert_eq!(text(&host, "/etc/new/conf").as_deref(), Some("x\n"));
}

#[test]
fn a_line_that_the_next_run_would_not_know_is_refused() {
    let mut host = host(Pending::default());
    write(&mut host, "/etc/conf", "opt=a\n");
    let grows = json!({ "regexp": "^(opt=.*)$", "line": r"\1 b", "backrefs": true });
    let why = refusal(&mut host, "lineinfile", at(grows));
    assert!(why.contains("would change with each run"), "{why}");
    write(&mut host, "/etc/conf", "#a\n#a\n");
    let why = refusal(
        &mut host,
        "lineinfile",
        at(json!({ "regexp": "^#a", "line": "a" })),
    );
    assert!(why.contains("would change with each run"), "{why}");
}

#[test]
fn what_contradicts_itself_is_refused() {
    let mut host = host(Pending::default());
    write(&mut host, "/etc/conf", "a\n");
    for (arguments, part) in [
        (json!({}), "`line` is missing"),
        (json!({ "line": "x", "backrefs": true }), "needs `regexp`"),
        (
            json!({ "line": "x", "regexp": "x", "search_string": "x" }),
            "exclude each other",
        ),
        (json!({ "line": "x", "search_string": "" }), "every line"),
        (
            json!({ "line": "x", "insertafter": "a", "insertbefore": "a" }),
            "exclude each other",
        ),
        (json!({ "state": "absent" }), "which lines go"),
        (json!({ "line": "x", "regexp": "(" }), "regular expression"),
    ] {
        let why = refusal(&mut host, "lineinfile", at(arguments));
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn a_file_that_nobody_knows_yet_may_change() {
    let mut host = host(Pending::default());
    let unknown = crate::mark::unknown("stdout of `id`");
    write(&mut host, "/etc/conf", &format!("{unknown}\n"));
    let outcome = call(&mut host, "lineinfile", at(json!({ "line": "x" })));
    assert_eq!(outcome.verdict, Verdict::Unknown, "{:?}", outcome.failure);
    assert_eq!(text(&host, "/etc/conf"), Some(format!("{unknown}\nx\n")));
}

#[test]
fn texts_with_secrets_are_found_however_they_are_written() {
    use crate::mark;
    use crate::secrets::{Secret, Shared};
    let real = RealHost::new();
    let file = "key=hunter22-x\nend\n";
    std::fs::write(real.at("conf"), file).unwrap();
    let secrets = Shared::default();
    let known = [("a", "hunter22"), ("b", "hunter22-x")];
    secrets
        .add(known.map(|(name, value)| (name.to_owned(), Secret::new(value))))
        .unwrap();
    // The longer secret is what is found in the file.
    let line = format!("key={}-x", mark::secret("a"));
    for (module, arguments) in [
        ("lineinfile", json!({ "line": line })),
        ("lineinfile", json!({ "line": line, "search_string": line })),
        ("lineinfile", json!({ "line": "key=hunter22-x" })),
    ] {
        let mut arguments = arguments;
        arguments["path"] = json!(real.at("conf"));
        let mut live = real.live().with_secrets(secrets.clone());
        let outcome = (crate::modules::find(module).unwrap().call)(arguments, &mut live);
        assert_eq!(outcome.verdict, Verdict::Ok, "{:?}", outcome.failure);
    }
    let mut live = real.live().with_secrets(secrets.clone());
    let gone = json!({ "path": real.at("conf"), "line": line, "state": "absent" });
    let outcome = (crate::modules::find("lineinfile").unwrap().call)(gone, &mut live);
    assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
    assert_eq!(std::fs::read_to_string(real.at("conf")).unwrap(), "end\n");
    // A marker may hold one, too.
    for _ in 0..2 {
        let mut live = real.live().with_secrets(secrets.clone());
        let block = json!({
            "path": real.at("conf"), "block": "x", "marker": format!("# {{mark}} {}-x", mark::secret("a")),
        });
        let outcome = (crate::modules::find("blockinfile").unwrap().call)(block, &mut live);
        assert_ne!(outcome.verdict, Verdict::Failed, "{:?}", outcome.failure);
    }
    let text = std::fs::read_to_string(real.at("conf")).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
}
