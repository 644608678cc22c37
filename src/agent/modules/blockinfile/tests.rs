use serde_json::{Value, json};

use crate::modules::testing::{changes_once, host, refusal, text, unchanged, write};
use crate::system::overlay::Pending;

const BLOCK: &str = "# BEGIN ANSIBLE MANAGED BLOCK\nx\n# END ANSIBLE MANAGED BLOCK\n";

fn at(mut arguments: Value) -> Value {
    arguments["path"] = json!("/etc/conf");
    arguments
}

/// The file after a call that changes it once.
fn edited(before: &str, arguments: Value) -> String {
    let mut host = host(Pending::default());
    write(&mut host, "/etc/conf", before);
    changes_once(&mut host, "blockinfile", at(arguments));
    text(&host, "/etc/conf").expect("it is there")
}

#[test]
fn a_new_block_goes_where_it_is_asked_for() {
    assert_eq!(
        edited("a\nb", json!({ "block": "x" })),
        format!("a\nb\n{BLOCK}")
    );
    let spot = |key: &str, place: &str| edited("a\nb\n", json!({ "block": "x", key: place }));
    assert_eq!(spot("insertbefore", "BOF"), format!("{BLOCK}a\nb\n"));
    assert_eq!(spot("insertbefore", "^b"), format!("a\n{BLOCK}b\n"));
    assert_eq!(spot("insertafter", "^a"), format!("a\n{BLOCK}b\n"));
    assert_eq!(spot("insertafter", "nowhere"), format!("a\nb\n{BLOCK}"));
}

#[test]
fn a_block_is_replaced_where_it_is() {
    let block = json!({ "block": "y\nz\n", "insertbefore": "BOF" });
    assert_eq!(
        edited(&format!("a\n{BLOCK}b\n"), block),
        format!("a\n{}b\n", BLOCK.replace("x\n", "y\nz\n"))
    );
}

#[test]
fn a_block_goes_with_its_markers() {
    let file = format!("a\n{BLOCK}b\n");
    assert_eq!(
        edited(&file, json!({ "state": "absent", "block": "x" })),
        "a\nb\n"
    );
    assert_eq!(edited(&file, json!({})), "a\nb\n");
    let mut host = host(Pending::default());
    unchanged(&mut host, "blockinfile", at(json!({ "state": "absent" })));
}

#[test]
fn empty_lines_around_it_come_once() {
    let around = json!({ "block": "x", "insertafter": "a", "append_newline": true, "prepend_newline": true });
    assert_eq!(
        edited("a\nb\n", around.clone()),
        format!("a\n\n{BLOCK}\nb\n")
    );
    assert_eq!(edited("a\n", around), format!("a\n\n{BLOCK}"));
}

#[test]
fn windows_line_ends_are_kept() {
    let block = BLOCK.replace('\n', "\r\n");
    assert_eq!(
        edited("a\r\n", json!({ "block": "x\n" })),
        format!("a\r\n{block}")
    );
    let mut host = host(Pending::default());
    write(&mut host, "/etc/conf", &format!("a\r\n{block}"));
    unchanged(&mut host, "blockinfile", at(json!({ "block": "x" })));
}

#[test]
fn markers_must_differ_and_be_lines() {
    let mut host = host(Pending::default());
    write(&mut host, "/etc/conf", "a\n");
    let same = json!({ "block": "x", "marker": "# mine" });
    let why = refusal(&mut host, "blockinfile", at(same));
    assert!(why.contains("are the same"), "{why}");
    let two = json!({ "block": "x", "marker": "# {mark}\n#" });
    let why = refusal(&mut host, "blockinfile", at(two));
    assert!(why.contains("no newline"), "{why}");
    let inside = json!({ "block": "# BEGIN ANSIBLE MANAGED BLOCK\ny" });
    let why = refusal(&mut host, "blockinfile", at(inside));
    assert!(why.contains("each run"), "{why}");
}

#[test]
fn what_follows_a_block_that_goes_is_left_as_it_is() {
    assert_eq!(edited(&format!("{BLOCK}b"), json!({})), "b");
}
