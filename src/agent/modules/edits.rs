//! Modules that edit texts, on texts that nobody foresaw: whatever is there, a
//! call is refused and does nothing, or does what it is asked for at once.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{call, host, write};
use crate::effect::Effect;
use crate::outcome::Verdict;
use crate::system::System;
use crate::system::overlay::{Overlay, Pending};

/// Texts of up to nine of these, with line ends of all kinds.
fn text(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(pieces);
    let end = prop::sample::select(&["\n", "\n", "\n", "\r\n", " ", ""][..]);
    prop::collection::vec((piece, end), 0..9).prop_map(|pairs| {
        let pieces = pairs.iter().flat_map(|(piece, end)| [*piece, *end]);
        pieces.collect()
    })
}

/// One of these, or nothing.
fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(values))
}

/// `true`, or nothing.
fn flag() -> impl Strategy<Value = Option<bool>> {
    prop::option::of(Just(true))
}

/// Arguments without those that are left out.
fn given(arguments: Value) -> Value {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are a map");
    };
    arguments
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Makes a call twice: once it has changed what it wants to change, it wants
/// nothing more, and what fails has done nothing.
fn settles(host: &mut Overlay, module: &str, arguments: &Value) -> Result<(), TestCaseError> {
    host.take_records();
    let first = call(host, module, arguments.clone());
    if first.verdict == Verdict::Failed {
        prop_assert!(
            first.effects.is_empty(),
            "it fails after {:?}: {:?}",
            first.effects,
            first.failure
        );
        return Ok(());
    }
    let second = call(host, module, arguments.clone());
    prop_assert_eq!(
        second.verdict,
        Verdict::Ok,
        "after {:?}: {:?} {:?}",
        first.effects,
        second.effects,
        second.failure
    );
    Ok(())
}

const PATH: &str = "/etc/conf";

const LINES: &[&str] = &[
    "a",
    "b",
    "#a",
    " a",
    "a=1",
    "a = 2",
    "[a]",
    "",
    "\t",
    "\\1",
    "ä",
    "# BEGIN ANSIBLE MANAGED BLOCK",
    "# END ANSIBLE MANAGED BLOCK",
    "\u{feff}a",
    "a\u{2028}b",
    "\0",
];

const CRONTAB: &[&str] = &[
    "#Ansible: x",
    "#Ansible: y",
    "#Ansible: None",
    "#Ansible: ",
    "* * * * * true",
    "#* * * * * true",
    "@daily true",
    "@daily root true",
    "0 3 * * 1 a%b",
    "A=1",
    "A = \"1\"",
    "'A'=1",
    "# A=1",
    "=",
    "",
    " ",
    "\u{85}",
];

const KEYS: &[&str] = &[
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ ops x",
    "no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ",
    "from=\"a b,\\\"c\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ other",
    "ssh-ed25519 AAAA",
    "ssh-ed25519",
    "# ssh-ed25519 AAAA",
    "from=\"",
    "",
    "\t",
];

const RULES: &[&str] = &[
    "local all all peer",
    "local all postgres peer map=x",
    "host all all 10.0.0.0/8 md5",
    "host all all 10.0.0.0 255.0.0.0 md5",
    "host \"a b\",c all ::1/128 trust",
    "host all \"open all md5",
    "hostssl all all .example.com cert \\",
    "include other",
    "# TYPE",
    "host all",
    "host\tall,\tb all samenet reject # no",
    "",
];

const PARAMETERS: &[&str] = &[
    "net.core.somaxconn=1",
    "net/core/somaxconn = 2",
    "-net.core.somaxconn = 3",
    "; net.core.somaxconn = 4",
    "net.core.somaxconn",
    "net.core.other = 1",
    "=",
    "#",
    "",
];

proptest! {
    #[test]
    fn a_line_settles(
        text in text(LINES),
        line in one_of(&["a", "a=3", "\\1x", "[a]", " a", "", "ä"]),
        regexp in one_of(&["^a", "a$", "^(#?)a=", "", "x*", "^\\[a\\]", "(?i)A"]),
        search_string in one_of(&["a", "["]),
        state in one_of(&["absent"]),
        backrefs in flag(),
        firstmatch in flag(),
        insertafter in one_of(&["EOF", "^\\[a\\]", "b"]),
        insertbefore in one_of(&["BOF", "^b"]),
    ) {
        let mut host = host(Pending::default());
        write(&mut host, PATH, &text);
        let arguments = given(json!({
            "path": PATH, "line": line, "regexp": regexp, "search_string": search_string,
            "state": state, "backrefs": backrefs, "firstmatch": firstmatch,
            "insertafter": insertafter, "insertbefore": insertbefore,
        }));
        settles(&mut host, "lineinfile", &arguments)?;
    }

    #[test]
    fn a_block_settles(
        text in text(LINES),
        block in one_of(&["a\nb", "a\n", "", "\n\n", "# END ANSIBLE MANAGED BLOCK", "a\r\nb"]),
        state in one_of(&["absent"]),
        marker in one_of(&["#{mark}", "a", "{mark}\n"]),
        insertafter in one_of(&["EOF", "^a"]),
        insertbefore in one_of(&["BOF", "b"]),
        append in flag(),
        prepend in flag(),
    ) {
        let mut host = host(Pending::default());
        write(&mut host, PATH, &text);
        let arguments = given(json!({
            "path": PATH, "block": block, "state": state, "marker": marker,
            "insertafter": insertafter, "insertbefore": insertbefore,
            "append_newline": append, "prepend_newline": prepend,
        }));
        settles(&mut host, "blockinfile", &arguments)?;
    }

    #[test]
    fn a_cron_job_settles(
        text in text(CRONTAB),
        name in prop::sample::select(vec!["x", "y", "A", "None", "", "a b"]),
        job in one_of(&["true", "a%b", "1", "a\nb", ""]),
        at in one_of(&["@daily", "0 3 * * 1", "* * *"]),
        in_file in any::<bool>(),
        state in one_of(&["absent"]),
        disabled in flag(),
        env in flag(),
        insertafter in one_of(&["A"]),
    ) {
        let mut host = host(Pending::default());
        match in_file {
            true => write(&mut host, "/etc/cron.d/own", &text),
            false => {
                let table = Effect::WriteCrontab { user: "root".into(), content: Some(text) };
                // Whether cron takes such a table is not asked here.
                prop_assume!(host.perform(table).is_ok());
            }
        }
        let arguments = given(json!({
            "name": name, "job": job, "at": at, "state": state, "disabled": disabled, "env": env,
            "insertafter": insertafter, "user": "root",
            "cron_file": in_file.then_some("own"),
        }));
        settles(&mut host, "cron", &arguments)?;
    }

    #[test]
    fn a_key_settles(
        text in text(KEYS),
        keys in prop::collection::vec(prop::sample::select(KEYS), 0..3),
        state in one_of(&["absent"]),
        exclusive in flag(),
        key_options in one_of(&["no-pty", "from=\"a b\"", "x y", ""]),
        comment in one_of(&["me", "", "a\nb"]),
    ) {
        let mut host = host(Pending::default());
        write(&mut host, "/root/.ssh/authorized_keys", &text);
        let arguments = given(json!({
            "user": "root", "key": keys, "state": state, "exclusive": exclusive,
            "key_options": key_options, "comment": comment,
        }));
        settles(&mut host, "authorized_key", &arguments)?;
    }

    #[test]
    fn rules_settle(
        text in text(RULES),
        kind in prop::sample::select(vec!["local", "host", "hostssl"]),
        databases in one_of(&["all", "b,\"a b\"", "", "a\nb"]),
        users in one_of(&["postgres", "+x"]),
        address in one_of(&["10.0.0.0/8", "10.0.0.1", "::1/128", "samenet", "a b"]),
        method in one_of(&["md5", "peer", "nonsense"]),
        option in one_of(&["x", "a b", "\"", "\\", "#"]),
        state in one_of(&["absent"]),
        position in one_of(&["last"]),
        overwrite in flag(),
    ) {
        let mut host = host(Pending::default());
        write(&mut host, PATH, &text);
        let rule = given(json!({
            "type": kind, "databases": databases, "users": users, "address": address, "method": method,
            "options": option.map(|option| json!({ "map": option })),
        }));
        let arguments = given(json!({
            "path": PATH, "rules": [rule], "state": state, "position": position, "overwrite": overwrite,
        }));
        settles(&mut host, "postgresql_pg_hba", &arguments)?;
    }

    #[test]
    fn a_parameter_settles(
        text in text(PARAMETERS),
        name in prop::sample::select(vec!["net.core.somaxconn", "net/core/somaxconn", "-x", "", "a=b"]),
        value in one_of(&["1", "1 2", "a\nb", ""]),
        state in one_of(&["absent"]),
    ) {
        let mut host = host(Pending::default());
        write(&mut host, PATH, &text);
        let arguments = given(json!({
            "name": name, "value": value, "state": state, "sysctl_file": PATH, "live": false,
        }));
        settles(&mut host, "sysctl", &arguments)?;
    }
}
