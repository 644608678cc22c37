//! Runs on a real host, and all that they leave on both sides: no value is where
//! nobody asked for it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::support::{Said, TestProject, lab};
use super::watch::{files_with, nothing_of, watched};
use super::{project, set};

/// Values that are as awkward as those that people make up.
const AWKWARD: &str = "pa ss'\"$HOME`\\ü/+=&?";
const KEY: &str = "-----BEGIN TEST KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n  c2VjcmV0IGxpbmUgbnVtYmVyIDI=\n-----END TEST KEY-----\n";
const TOKEN: &str = "tok-0123456789/abc+def==";
const HASH: &str = "$6$saltsalt$nZf9VqjJ1mQ0pN8r7sT6u5v4w3x2y1z0A9B8C7D6E5F4G3H2I1J0";
const OLD: &str = "the-value-of-yesterday";
const NEW: &str = "the-value-of-today-11";

const SITE: &str = r#"
secrets("secrets/prod.toml");
host("sec", #{ connection: incus("sec-1"), vars: #{ token: secret("token") } });
play("app", "sec", || {
    let awkward = secret("awkward");
    let vars = #{ awkward: awkward, key: secret("key"), rotated: secret("rotated") };
    template("app.conf.j2", "/etc/app.conf", #{ vars: vars, mode: 0o600 });
    copy("/etc/app.key", #{ content: secret("key"), mode: 0o600 });
    copy("/etc/app.json", #{ content: to_json(#{ password: awkward }), mode: 0o600 });
    let script = "umask 077; cat > /etc/app.stdin; printf %s \"$TOKEN\" > /etc/app.environment; echo \"$TOKEN\"; sleep 1";
    let ran = command(["sh", "-c", script], #{
        env: #{ TOKEN: awkward, GIVEN: "on-purpose" }, stdin: secret("rotated"), creates: "/etc/app.stdin",
    });
    if is_known(ran.changed) && ran.changed { log(`it printed ${ran.stdout}`); }
    user("app", #{ password: secret("hash") });
    cron("TOKEN", #{ env: true, job: vars_token(), user: "root" });
    log(`the token is ${vars_token()}`);
    if vars_noise() {
        try {
            command(["sh", "-c", "echo \"$TOKEN\" >&2; exit 3"], #{ env: #{ TOKEN: awkward, GIVEN: "on-purpose" } });
        } catch (e) { log(e.message); log(e.stderr); }
        try {
            copy("/etc/refused", #{ content: awkward, validate: ["sh", "-c", "cat \"$0\" >&2; exit 1", "%s"] });
        } catch (e) { log(e.message); }
        try { template("wrong.j2", "/etc/wrong", #{ vars: vars }); } catch (e) { log(e); }
        let seen = command(["cat", "/etc/app.conf", "/etc/app.key", "/etc/app.stdin"]);
        if is_known(seen.stdout) { log(seen.stdout); }
        fail(`nothing of ${awkward} is told`);
    }
});
fn vars_token() { vars.token }
fn vars_noise() { vars.get("noise", false) }
"#;

const TEMPLATE: &str = "\
# Plain lines stay readable.
listen = 8080
awkward = {{ awkward }}
base64 = {{ ('user:' ~ awkward) | b64encode }}
json = {{ awkward | to_json }}
url = https://x/?q={{ awkward | urlencode }}
shell = {{ awkward | quote }}
rotated={{ rotated }}
{% if awkward == 'other' %}other{% else %}same{% endif %}

key = |
{{ key | indent(2, true) }}
";

const ASKED: [&str; 8] = [
    "/etc/app.conf",
    "/etc/app.environment",
    "/etc/app.json",
    "/etc/app.key",
    "/etc/app.stdin",
    "/etc/shadow",
    "/etc/shadow-",
    "/var/spool/cron/crontabs/root",
];

#[test]
fn a_run_on_a_real_host_leaves_no_value_behind() {
    if !lab::is_up() {
        return;
    }
    lab::twins(&["sec-1"]);
    let project = project();
    let values = [AWKWARD, KEY, TOKEN, HASH, OLD];
    for (name, value) in ["awkward", "key", "token", "hash", "rotated"]
        .iter()
        .zip(values)
    {
        set(&project, name, value).ended_with(0);
    }
    project.write("site.rhai", SITE);
    project.write("templates/app.conf.j2", TEMPLATE);
    project.write("templates/wrong.j2", "{{ awkward | from_json }}\n");
    let temporary = project.root().join("temporary");
    fs::create_dir(&temporary).expect("made");
    let run = |options: &[&str]| {
        let mut command = project.command(project.root());
        command.env("TMPDIR", &temporary);
        let words = [&["site.rhai", "--identity", "key"], options].concat();
        let (output, seen) = watched(|| command.args(words).output().expect("it starts"));
        assert!(seen.contains("--identity"), "processes are seen");
        nothing_of(&[&values[..], &[NEW]].concat(), &seen, "a process");
        let said = project.said(&output);
        nothing_of(&[&values[..], &[NEW]].concat(), &said.out, "stdout");
        nothing_of(&[&values[..], &[NEW]].concat(), &said.err, "stderr");
        said
    };
    let plan = run(&["--check"]).ended_with(0);
    plan.says("+awkward = (secret awkward)")
        .says("+listen = 8080");
    assert_eq!(
        files_with("sec-1", &values),
        BTreeSet::new(),
        "a dry run leaves nothing"
    );
    run(&["-v"])
        .ended_with(0)
        .says("it printed (secret awkward)");
    let expected: BTreeSet<String> = ASKED.iter().map(|path| (*path).to_owned()).collect();
    assert!(
        files_with("sec-1", &values).is_subset(&expected),
        "{:?}",
        files_with("sec-1", &values)
    );
    assert!(
        files_with("sec-1", &values).contains("/etc/app.conf"),
        "what is there is found"
    );
    check_contents();
    let again = run(&["--output", "json"]).ended_with(0);
    assert!(!again.out.contains("\"changed\":1") && again.out.contains("run_finished"));
    run(&["--check", "--exit-code"]).ended_with(0);
    // What goes wrong tells nothing either.
    let noisy = run(&["--set", "noise=true", "-v"]).ended_with(3);
    noisy.says("nothing of (secret awkward) is told");
    run(&["--set", "noise=true", "--output", "json"]).ended_with(3);
    let found = files_with("sec-1", &values);
    assert!(found.is_subset(&expected), "{found:?}");
    rotate(&project, &run);
    for entry in ["temporary", "secrets"] {
        let grep = Command::new("grep")
            .args(["-rlF", TOKEN])
            .arg(project.root().join(entry))
            .output();
        assert!(grep.expect("grep starts").stdout.is_empty(), "{entry}");
    }
    lab::incus(&["delete", "-f", "sec-1"]);
}

/// The values did arrive, each in the form it was asked for.
fn check_contents() {
    let read = |path: &str| lab::inside("sec-1", &format!("cat {path}"));
    assert_eq!(read("/etc/app.key"), KEY);
    assert_eq!(read("/etc/app.stdin"), OLD);
    assert_eq!(read("/etc/app.environment"), AWKWARD);
    let json: serde_json::Value = serde_json::from_str(&read("/etc/app.json")).expect("JSON");
    assert_eq!(json["password"], AWKWARD);
    let conf = read("/etc/app.conf");
    let line = |key: &str| {
        let found = conf.lines().find_map(|line| line.strip_prefix(key));
        found
            .unwrap_or_else(|| panic!("no {key} in {conf}"))
            .to_owned()
    };
    assert_eq!(line("awkward = "), AWKWARD);
    assert_eq!(
        line("base64 = "),
        BASE64_STANDARD.encode(format!("user:{AWKWARD}"))
    );
    let json: String = serde_json::from_str(&line("json = ")).expect("JSON");
    assert_eq!(json, AWKWARD);
    let shell = lab::inside("sec-1", &format!("printf %s {}", line("shell = ")));
    assert_eq!(shell, AWKWARD);
    assert!(
        conf.contains("\nsame\n") && conf.contains("\n  MIIEvQIBADANBgkqhkiG9w0BAQEF\n"),
        "{conf}"
    );
    let shadow = lab::inside("sec-1", "getent shadow app | cut -d: -f2");
    assert_eq!(shadow.trim(), HASH);
    let cron = lab::inside("sec-1", "crontab -l");
    assert!(cron.contains(TOKEN), "{cron}");
}

/// A new value changes one line, and the old one is told to nobody.
fn rotate(project: &TestProject, run: &dyn Fn(&[&str]) -> Said) {
    set(project, "rotated", NEW).ended_with(0);
    let plan = run(&["--check"]).ended_with(0);
    plan.says("-rotated=(not shown)")
        .says("+rotated=(secret rotated)");
    run(&[]).ended_with(0).says("-rotated=(not shown)");
    let conf = lab::inside("sec-1", "cat /etc/app.conf");
    assert!(conf.contains(&format!("rotated={NEW}\n")), "{conf}");
    let old = files_with("sec-1", &[OLD]);
    assert_eq!(
        old,
        BTreeSet::from(["/etc/app.stdin".to_owned()]),
        "the old value"
    );
    run(&["--check", "--exit-code"]).ended_with(0);
}

/// A module as a team writes one: it is given secrets in a list and in a map,
/// and has them where they belong.
const VAULTED: &str = r#"
//! Keeps tokens and an account.
const ARGUMENTS = arguments(#{
    name: string().required().positional(),
    tokens: list(string()).secret(),
    db: record(#{ user: string(), password: string().secret() }),
});
fn text(args) { args.tokens.join(",") + ` ${args.db.user}:${args.db.password}` }
fn found(args, host) { #{ content: host.read("/etc/vaulted") } }
fn wanted(args, found) { #{ content: text(args) } }
fn fix(args, diff, host) {
    host.write("/etc/vaulted", text(args), #{ mode: "0600" });
    host.run(["sh", "-c", "printf %s \"$TOKEN\" | wc -c; echo \"$TOKEN\""], #{ environment: #{ TOKEN: args.db.password, GIVEN: "on-purpose" } });
}
fn values(args, state) { #{ kept: state.content } }
"#;

const ACCOUNTS: &str = r#"
secrets("secrets/prod.toml");
host("sec", #{ connection: incus("sec-2") });
play("app", "sec", || {
    package("postgresql");
    postgresql_user("app", #{ password: secret("pg") });
    let kept = vaulted("x", #{
        tokens: [secret("token"), "a-token-written-in-clear"],
        db: #{ user: "app-user", password: "a-password-in-clear" },
    });
    log(`it keeps ${kept.kept}`);
    if vars.get("wrong", false) { fail(`nothing of ${kept.kept} or ${secret("pg")}`); }
});
"#;

#[test]
fn secrets_reach_a_server_and_a_module_in_rhai_and_nobody_else() {
    if !lab::is_up() {
        return;
    }
    lab::twins(&["sec-2"]);
    let project = project();
    set(&project, "pg", AWKWARD).ended_with(0);
    set(&project, "token", TOKEN).ended_with(0);
    project.write("site.rhai", ACCOUNTS);
    project.write("modules/vaulted.rhai", VAULTED);
    let values = [
        AWKWARD,
        TOKEN,
        "a-token-written-in-clear",
        "a-password-in-clear",
    ];
    let run = |options: &[&str]| {
        let mut command = project.command(project.root());
        let words = [&["site.rhai", "--identity", "key"], options].concat();
        let (output, seen) = watched(|| command.args(words).output().expect("it starts"));
        nothing_of(&values, &seen, "a process");
        let said = project.said(&output);
        nothing_of(&values, &said.out, "stdout");
        nothing_of(&values, &said.err, "stderr");
        said
    };
    let kept = "(secret token),(secret tokens of vaulted) app-user:(secret db.password of vaulted)";
    run(&["--check"]).ended_with(0).says(kept);
    assert_eq!(files_with("sec-2", &values), BTreeSet::new());
    run(&["-v"]).ended_with(0).says(&format!("it keeps {kept}"));
    let expected = BTreeSet::from(["/etc/vaulted".to_owned()]);
    assert_eq!(files_with("sec-2", &values), expected);
    let vaulted = lab::inside("sec-2", "cat /etc/vaulted");
    let clear = format!("{TOKEN},a-token-written-in-clear app-user:a-password-in-clear");
    assert_eq!(vaulted, clear);
    let login = format!(
        "PGPASSWORD='{}' psql -h localhost -U app -d postgres -Atc 'select 41 + 1'",
        AWKWARD.replace('\'', r"'\''")
    );
    assert_eq!(lab::inside("sec-2", &login).trim(), "42");
    let again = run(&["--output", "json"]).ended_with(0);
    let summary = again
        .events()
        .into_iter()
        .find(|it| it["event"] == "summary");
    assert_eq!(summary.expect("one")["hosts"][0]["counts"]["changed"], 0);
    run(&["--set", "wrong=true", "-v"])
        .ended_with(3)
        .says("nothing of");
    run(&["--set", "wrong=true", "--output", "json"]).ended_with(3);
    assert_eq!(files_with("sec-2", &values), expected);
    lab::incus(&["delete", "-f", "sec-2"]);
}
