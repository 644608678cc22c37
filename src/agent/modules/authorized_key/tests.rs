use serde_json::{Value, json};

use crate::modules::testing::{changes_once, host, refusal, text, unchanged, write};
use crate::system::overlay::{Overlay, Pending};
use crate::system::{Reads, System};

const ONE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ";
const TWO: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPwtHUgkHeRCVZmvRIDiHFMNtzBUkxCxNgHUjbSmrw2q";
const FILE: &str = "/root/.ssh/authorized_keys";

fn with_file(lines: &str) -> Overlay {
    let mut host = host(Pending::default());
    write(&mut host, FILE, lines);
    host
}

fn root(mut arguments: Value) -> Value {
    arguments["user"] = json!("root");
    arguments
}

fn edited(before: &str, arguments: Value) -> String {
    let mut host = with_file(before);
    changes_once(&mut host, "authorized_key", root(arguments));
    text(&host, FILE).expect("it is there")
}

#[test]
fn the_file_and_its_directory_are_private() {
    let mut host = host(Pending::default());
    changes_once(
        &mut host,
        "authorized_key",
        root(json!({ "key": format!("{ONE} me") })),
    );
    let mode = |path: &str| {
        let stat = host.stat(path.as_ref()).expect("stat").present();
        stat.expect("it is there").mode
    };
    assert_eq!((mode("/root/.ssh"), mode(FILE)), (0o700, 0o600));
    assert_eq!(text(&host, FILE), Some(format!("{ONE} me\n")));
}

#[test]
fn exclusive_says_nothing_of_keys_that_go() {
    let mut host = with_file(&format!("{ONE} me\nmalformed\n"));
    let gone = json!({ "key": ONE, "state": "absent", "exclusive": true });
    let said = refusal(&mut host, "authorized_key", root(gone));
    assert!(said.contains("`exclusive` does not go with"), "{said}");
}

#[test]
fn a_key_is_known_whatever_its_comment() {
    let mut host = with_file(&format!("# mine\n{ONE} old comment\n"));
    changes_once(
        &mut host,
        "authorized_key",
        root(json!({ "key": format!("{ONE} me") })),
    );
    let file = format!("# mine\n{ONE} old comment\n");
    assert_eq!(text(&host, FILE), Some(file), "only the modes change");
    let new = json!({ "key": ONE, "comment": "new" });
    changes_once(&mut host, "authorized_key", root(new));
    assert_eq!(text(&host, FILE), Some(format!("# mine\n{ONE} new\n")));
}

#[test]
fn several_keys_come_in_one_call() {
    let keys = json!({ "key": [format!("# a comment\n{ONE} a\n\n"), format!("{TWO} b")] });
    assert_eq!(
        edited("foreign\n", keys),
        format!("foreign\n{ONE} a\n{TWO} b\n")
    );
    let src = json!({ "src": "keys", "sources": [
        { "path": "", "mode": 420, "content": crate::content::Content::of(ONE.as_bytes()) }
    ] });
    assert_eq!(edited("", src), format!("{ONE}\n"));
}

#[test]
fn options_are_part_of_what_is_asked_for() {
    let options = r#"from="192.0.2.*,10.0.0.1",command="echo \"a b\"""#;
    let limited = json!({ "key": format!("{ONE} me"), "key_options": options });
    let before = format!("no-pty {ONE} old\n{TWO}\n");
    assert_eq!(
        edited(&before, limited),
        format!("{options} {ONE} old\n{TWO}\n")
    );
    let given = json!({ "key": format!("{options} {ONE} me") });
    assert_eq!(
        edited(&format!("{ONE}\n"), given),
        format!("{options} {ONE}\n")
    );
    let open = json!({ "key": ONE });
    assert_eq!(
        edited(&format!("{options} {ONE}\n"), open),
        format!("{ONE}\n")
    );
}

#[test]
fn keys_go_and_others_stay() {
    let before = format!("{ONE} a\nno-pty {ONE} b\n{TWO}");
    assert_eq!(
        edited(&before, json!({ "key": ONE, "state": "absent" })),
        TWO
    );
    let mut host = host(Pending::default());
    unchanged(
        &mut host,
        "authorized_key",
        root(json!({ "key": ONE, "state": "absent" })),
    );
}

#[test]
fn exclusive_leaves_only_what_is_given() {
    let before = format!("# comment\nnonsense\n{TWO} b\n{ONE} a\n");
    assert_eq!(
        edited(&before, json!({ "key": ONE, "exclusive": true })),
        format!("# comment\n{ONE} a\n")
    );
}

#[test]
fn a_path_of_its_own_leaves_its_directory_alone() {
    let mut host = host(Pending::default());
    let keys = root(json!({ "key": ONE, "path": "/etc/ssh/keys" }));
    let outcome = changes_once(&mut host, "authorized_key", keys);
    assert_eq!(outcome.effects.len(), 1, "{:?}", outcome.effects);
}

#[test]
fn links_are_not_followed() {
    let mut host = with_file("x\n");
    for (path, target) in [("/root/.ssh/link", FILE), ("/root/dir", "/root/.ssh")] {
        let effect = crate::effect::Effect::Link {
            path: path.into(),
            target: target.into(),
        };
        host.perform(effect).expect("linked");
    }
    host.take_records();
    let link = root(json!({ "key": ONE, "path": "/root/.ssh/link" }));
    assert!(refusal(&mut host, "authorized_key", link).contains("is a link"));
    let below = root(json!({ "key": ONE, "path": "/root/dir/keys", "manage_dir": true }));
    assert!(refusal(&mut host, "authorized_key", below).contains("is a link"));
}

#[test]
fn what_is_no_key_or_no_user_is_refused() {
    let mut host = host(Pending::default());
    for (arguments, part) in [
        (json!({ "user": "nosuch", "key": ONE }), "no user nosuch"),
        (json!({ "user": "root" }), "no key is given"),
        (
            json!({ "user": "root", "key": "ssh-ed25519 AAAA" }),
            "not an SSH public key",
        ),
        (
            json!({ "user": "root", "key": "https://example.org/keys" }),
            "not an SSH public key",
        ),
    ] {
        let why = refusal(&mut host, "authorized_key", arguments);
        assert!(why.contains(part), "{why}");
    }
}
