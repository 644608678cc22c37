//! Secrets, as a team uses them: files that are encrypted, and runs that leave
//! no value behind. The last test looks at everything that a run on a real
//! host leaves, on both sides, and at every process while it runs.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use support::{Said, TestProject, has, lab};

const VAULT: &str = "secrets/prod.toml";

/// A project with a key, which is no default of anybody.
fn project() -> TestProject {
    let project = TestProject::new();
    keygen(&project, "key");
    project
}

fn keygen(project: &TestProject, name: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(project.root().join(name))
        .status();
    assert!(made.expect("ssh-keygen starts").success());
}

/// Sets a secret, whose value goes through standard input.
fn set(project: &TestProject, name: &str, value: &str) -> Said {
    let recipient: &[&str] = match project.root().join(VAULT).exists() {
        true => &[],
        false => &["--recipient", "key.pub"],
    };
    let words = [&["vault", "set", VAULT, name], recipient].concat();
    let mut command = project.command(project.root());
    let mut child = command
        .args(words)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("it reads");
    input.write_all(value.as_bytes()).expect("it takes all");
    drop(input);
    project.said(&child.wait_with_output().expect("it ends"))
}

fn file(project: &TestProject) -> String {
    fs::read_to_string(project.root().join(VAULT)).expect("the file is there")
}

#[test]
fn a_secret_is_set_shown_and_removed() {
    let project = project();
    let said = project.run(&["vault", "set", VAULT, "db"]).ended_with(1);
    said.says("--recipient");
    set(&project, "db_password", "hunter2 'x'\n").ended_with(0);
    set(&project, "api_token", "line one\nline two\n").ended_with(0);
    assert!(!file(&project).contains("hunter2"));
    let view = |name: &str| project.run(&["vault", "view", VAULT, name, "--identity", "key"]);
    // What is compared has its lines ended.
    assert_eq!(view("db_password").ended_with(0).out, "hunter2 'x'\n");
    assert_eq!(view("api_token").ended_with(0).out, "line one\nline two\n");
    view("db_pasword")
        .ended_with(1)
        .says("Did you mean \"db_password\"?");
    let names = project.run(&["vault", "list", VAULT]).ended_with(0).out;
    assert!(names.starts_with("api_token\ndb_password\n"), "{names}");
    set(&project, "pin", "1234").ended_with(1).says("6 bytes");
    project
        .run(&["vault", "rm", VAULT, "api_token"])
        .ended_with(0);
    let all = project.run(&["vault", "view", VAULT, "--identity", "key"]);
    assert_eq!(all.ended_with(0).out, "db_password = \"hunter2 'x'\"\n");
}

#[test]
fn only_whom_it_is_encrypted_for_can_read_it() {
    let project = project();
    keygen(&project, "other");
    set(&project, "db_password", "hunter2!").ended_with(0);
    let view = |key: &str| project.run(&["vault", "view", VAULT, "--identity", key]);
    let refused = view("other").ended_with(1);
    refused.says("no identity fits").says("ssh-ed25519");
    let rekey = [
        "vault",
        "rekey",
        VAULT,
        "--recipient",
        "other.pub",
        "--identity",
        "key",
    ];
    project.run(&rekey).ended_with(0);
    view("key").ended_with(1);
    view("other").ended_with(0).says("hunter2!");
}

#[test]
fn an_edit_changes_only_what_was_changed() {
    let project = project();
    set(&project, "one", "the first value").ended_with(0);
    set(&project, "two", "the second value").ended_with(0);
    let before = file(&project);
    let edit = |editor: &str, arguments: &[&str]| {
        project.write("editor", &format!("#!/bin/sh\n{editor}\n"));
        let editor = project.root().join("editor");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&editor, mode).expect("it can be run");
        let words = [&["vault", "edit", VAULT, "--identity", "key"], arguments].concat();
        let mut command = project.command(project.root());
        let output = command.args(words).env("EDITOR", &editor).output();
        project.said(&output.expect("the program starts"))
    };
    edit(
        "sed -i 's/the first/another/' \"$1\"; stat -c %a \"$1\" \"$PWD\" > /dev/stderr; pwd >&2",
        &[],
    )
    .ended_with(0)
    .says("600\n700\n")
    .says("Changed 1 secret");
    let after = file(&project);
    let changed = before.lines().zip(after.lines()).filter(|(a, b)| a != b);
    assert_eq!(changed.count(), 1);
    edit("true", &[]).ended_with(0).says("Nothing was changed");
    edit("printf 'not toml' > \"$1\"", &[])
        .ended_with(1)
        .says("TOML");
    let failed = edit("pwd >&2; exit 1", &[]).ended_with(1);
    let desk = failed.err.lines().find(|line| line.contains("veza-vault-"));
    assert!(!Path::new(desk.expect("the place")).exists());
    edit("printf 'quite new\\n' > \"$1\"", &["three"]).ended_with(0);
    let view = ["vault", "view", VAULT, "three", "--identity", "key"];
    assert_eq!(project.run(&view).out, "quite new\n");
    assert!(file(&project).starts_with(&after[..after.find("[secrets]").expect("a table")]));
}

/// The program at a terminal, where it asks and somebody types.
struct Terminal {
    child: std::process::Child,
    shown: String,
    screen: std::sync::mpsc::Receiver<Vec<u8>>,
}

impl Terminal {
    fn open(project: &TestProject, words: &[&str], editor: &str) -> Self {
        let program = project.command(project.root());
        let line = [&[program.get_program().to_str().expect("a path")], words].concat();
        let mut command = Command::new("script");
        command
            .args(["-qec", &line.join(" "), "/dev/null"])
            .current_dir(project.root())
            .env_clear()
            .envs(
                program
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .env("EDITOR", editor)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("script starts");
        let mut output = child.stdout.take().expect("it prints");
        let (sender, screen) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = std::io::Read::read(&mut output, &mut piece) {
                let _ = sender.send(piece[..count].to_vec());
            }
        });
        Self {
            child,
            shown: String::new(),
            screen,
        }
    }

    /// Waits until this is on the screen, and types that.
    #[track_caller]
    fn answers(&mut self, question: &str, answer: &str) {
        let from = self.shown.len();
        while !self.shown[from..].contains(question) {
            let piece = self.screen.recv_timeout(Duration::from_secs(20));
            let piece = piece.unwrap_or_else(|_| panic!("no {question:?} in {:?}", self.shown));
            self.shown += &String::from_utf8_lossy(&piece);
        }
        // What asks turns the echo off first, but says so before that.
        thread::sleep(Duration::from_millis(200));
        let input = self.child.stdin.as_mut().expect("it reads");
        input.write_all(answer.as_bytes()).expect("it is typed");
        input.flush().expect("it is typed");
    }

    /// All that was shown, and how it ended.
    fn ends(mut self) -> (String, i32) {
        while let Ok(piece) = self.screen.recv_timeout(Duration::from_secs(20)) {
            self.shown += &String::from_utf8_lossy(&piece);
        }
        let status = self.child.wait().expect("it ends");
        (self.shown, status.code().unwrap_or(-1))
    }
}

fn has_script() -> bool {
    has("script (util-linux)", Path::new("/usr/bin/script").exists())
}

#[test]
fn what_is_typed_at_a_prompt_is_not_shown() {
    if !has_script() {
        return;
    }
    let project = project();
    let words = ["vault", "set", VAULT, "db", "--recipient", "key.pub"];
    let mut terminal = Terminal::open(&project, &words, "false");
    terminal.answers("Value of db: ", "typed with care\r");
    terminal.answers("Once more: ", "typed with care\r");
    let (shown, code) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("Added db") && !shown.contains("care"),
        "{shown}"
    );
    let view = ["vault", "view", VAULT, "db", "--identity", "key"];
    assert_eq!(project.run(&view).ended_with(0).out, "typed with care\n");
    let mut terminal = Terminal::open(&project, &words[..4], "false");
    terminal.answers("Value of db: ", "one of two\r");
    terminal.answers("Once more: ", "two of two\r");
    let (shown, code) = terminal.ends();
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains("not the same") && !shown.contains("of two"),
        "{shown}"
    );
}

#[test]
fn a_key_with_a_passphrase_asks_for_it_once() {
    if !has_script() {
        return;
    }
    let project = project();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "open sesame", "-C", "", "-f"])
        .arg(project.root().join("locked"))
        .status();
    assert!(made.expect("ssh-keygen starts").success());
    set(&project, "db_password", "hunter2!").ended_with(0);
    set(&project, "api_token", "hunter3!").ended_with(0);
    let rekey = [
        "vault",
        "rekey",
        VAULT,
        "--recipient",
        "locked.pub",
        "--identity",
        "key",
    ];
    project.run(&rekey).ended_with(0);
    let view = ["vault", "view", VAULT, "--identity", "locked"];
    let refused = project.run(&view).ended_with(1);
    refused.says("the key locked has a passphrase, and there is no terminal");
    let typed = |passphrase: &str| {
        let mut terminal = Terminal::open(&project, &view, "false");
        terminal.answers("Passphrase of locked: ", &format!("{passphrase}\r"));
        terminal.ends()
    };
    let (shown, code) = typed("open sesame");
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("hunter2!") && shown.contains("hunter3!"),
        "{shown}"
    );
    assert!(!shown.contains("sesame"), "{shown}");
    let (shown, code) = typed("open says me");
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains("the passphrase of locked is wrong"),
        "{shown}"
    );
}

#[test]
fn a_mistaken_edit_can_be_given_up() {
    if !has_script() {
        return;
    }
    let project = project();
    set(&project, "db", "the value of before").ended_with(0);
    let before = file(&project);
    project.write(
        "editor",
        "#!/bin/sh\necho \"at $PWD.\"; echo 'not toml' > \"$1\"\n",
    );
    let editor = project.root().join("editor");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&editor, mode).expect("it can be run");
    let words = ["vault", "edit", VAULT, "--identity", "key"];
    // Ctrl-D and Ctrl-C, the first of them after one more try.
    for (keys, expected) in [("\r\u{4}", 1), ("\u{3}", 130)] {
        let mut terminal = Terminal::open(&project, &words, editor.to_str().expect("a path"));
        for key in keys.chars() {
            terminal.answers("to give it up.", &key.to_string());
        }
        let (shown, code) = terminal.ends();
        assert_eq!(code, expected, "{shown}");
        assert!(shown.contains("nothing was changed"), "{shown}");
        let desk = shown
            .split("at ")
            .nth(1)
            .and_then(|rest| rest.split('.').next());
        let desk = Path::new(desk.expect("the place"));
        assert!(desk.to_string_lossy().contains("veza-vault-"), "{shown}");
        assert!(!desk.exists(), "{shown}");
    }
    assert_eq!(file(&project), before);
}

#[test]
fn changes_at_the_same_time_all_come_in() {
    let project = project();
    set(&project, "first", "the first value").ended_with(0);
    // A link to the file that a team shares stays one.
    let shared = project.root().join("shared.toml");
    fs::rename(project.root().join(VAULT), &shared).expect("moved");
    std::os::unix::fs::symlink("../shared.toml", project.root().join(VAULT)).expect("linked");
    thread::scope(|scope| {
        for number in 0..8 {
            let project = &project;
            scope.spawn(move || {
                let name = format!("secret_{number}");
                set(project, &name, "a value of its own").ended_with(0);
            });
        }
    });
    let names = project.run(&["vault", "list", VAULT]).ended_with(0).out;
    assert_eq!(names.matches("secret_").count(), 8, "{names}");
    assert!(project.root().join(VAULT).is_symlink());
    assert!(
        fs::read_to_string(shared)
            .expect("read")
            .contains("secret_7")
    );
}

const SMALL: &str = r#"
secrets("secrets/prod.toml");
host("web", #{ connection: local() });
play("app", "web", || {
    copy("/etc/app.conf", #{ content: `password=${secret("db_password")}\n` });
});
"#;

#[test]
fn names_are_checked_without_a_key() {
    let project = project();
    set(&project, "db_password", "hunter2!").ended_with(0);
    project.write("site.rhai", SMALL);
    project.run(&["lint", "site.rhai"]).ended_with(0);
    project.write("wrong.rhai", &SMALL.replace("db_password", "db_pasword"));
    let said = project.run(&["lint", "wrong.rhai"]).ended_with(1);
    said.says("there is no secret \"db_pasword\"")
        .says("did you mean \"db_password\"?");
    project.write("none.rhai", &SMALL.replace("secrets(", "//"));
    project
        .run(&["lint", "none.rhai"])
        .ended_with(1)
        .says("secrets(");
    project.write("lost.rhai", &SMALL.replace("prod.toml", "lost.toml"));
    project
        .run(&["lint", "lost.rhai"])
        .ended_with(1)
        .says("there is no file secrets/lost.toml");
}

#[test]
fn a_sandbox_needs_no_key_and_gets_no_value() {
    let project = project();
    set(&project, "db_password", "hunter2!").ended_with(0);
    project.write("site.rhai", SMALL);
    let run = |options: &[&str]| project.run(&[&["site.rhai", "--sandbox"], options].concat());
    run(&[])
        .ended_with(0)
        .says("+password=(secret db_password)");
    run(&["--check", "--exit-code"]).ended_with(0);
    let stored = project.host_file("web", "/etc/app.conf");
    assert!(!stored.contains("hunter2"), "{stored}");
    let refused = project.run(&["site.rhai", "--check"]).ended_with(1);
    refused.says("no identity fits any of its recipients");
}

#[test]
fn a_script_cannot_look_into_a_secret() {
    let project = project();
    set(&project, "db_password", "hunter2!").ended_with(0);
    for (line, refusal) in [
        (
            r#"if secret("db_password") == "x" { log("y"); }"#,
            "cannot look into the secret db_password",
        ),
        (
            r#"log(secret("db_password").len());"#,
            "cannot look into the secret db_password",
        ),
        (
            r#"command("echo " + secret("db_password"));"#,
            "process list",
        ),
        (
            r#"file("/etc/" + secret("db_password"), #{ state: "directory" });"#,
            "everybody can read",
        ),
        (
            r#"file("/etc", #{ owner: secret("db_password") });"#,
            "everybody can read",
        ),
    ] {
        let script = SMALL.replace("copy(", &format!("{line}\n    copy("));
        project.write("site.rhai", &script);
        let said = project.run(&["site.rhai", "--sandbox", "--check"]);
        assert_ne!(said.code, 0, "{line}");
        said.says(refusal);
    }
    project.write(
        "site.rhai",
        &SMALL.replace(
            "copy(",
            "log(`it is ${secret(\"db_password\")}`);\n    copy(",
        ),
    );
    let said = project
        .run(&["site.rhai", "--sandbox", "--check"])
        .ended_with(0);
    said.says("it is (secret db_password)");
    // Whether there is one may be asked.
    let asked = r#"let s = secret("db_password"); if s != () { log("there"); }"#;
    let script = SMALL.replace("copy(", &format!("{asked}\n    copy("));
    project.write("site.rhai", &script);
    let said = project.run(&["site.rhai", "--sandbox", "--check"]);
    said.ended_with(0).says("there");
}

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

/// Every form in which a value must not be found.
fn forms(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let json = serde_json::to_string(value).expect("it is text");
    let mut url = String::new();
    for byte in bytes {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => {
                url.push(char::from(*byte));
            }
            byte => url += &format!("%{byte:02X}"),
        }
    }
    let mut forms = vec![
        value.trim_end().to_owned(),
        url.trim_end_matches("%0A").to_owned(),
        json.trim_matches('"').to_owned(),
        value.replace('\'', r"'\''"),
    ];
    for shift in 0..3 {
        let padded = [&b"xx"[..shift], bytes].concat();
        // What is around it has a part in the first and last digits.
        let digits = |text: String| {
            let text = text.trim_end_matches('=');
            text[shift * 8 / 6 + usize::from(shift > 0)..text.len() - 1].to_owned()
        };
        forms.push(digits(BASE64_STANDARD.encode(&padded)));
        forms.push(digits(BASE64_URL_SAFE.encode(&padded)));
    }
    let telling = |line: &&str| line.len() >= 16 && !line.starts_with("-----");
    forms.extend(
        value
            .lines()
            .map(str::trim)
            .filter(telling)
            .map(str::to_owned),
    );
    forms
}

#[track_caller]
fn nothing_of(values: &[&str], text: &str, place: &str) {
    for form in values.iter().flat_map(|value| forms(value)) {
        let lines = text
            .lines()
            .filter(|line| line.contains(&form) || form.contains('\n'));
        assert!(
            !text.contains(&form),
            "{form:?} is in {place}: {:?}",
            lines.take(3).collect::<Vec<_>>()
        );
    }
}

/// The words and environments of all processes of this machine and its
/// containers, while `run` runs.
fn watched<T>(run: impl FnOnce() -> T) -> (T, String) {
    let done = Arc::new(AtomicBool::new(false));
    let over = done.clone();
    let sampler = thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !over.load(Ordering::SeqCst) {
            sample(&mut seen);
            thread::sleep(Duration::from_millis(5));
        }
        seen
    });
    let result = run();
    done.store(true, Ordering::SeqCst);
    let seen = sampler.join().expect("it ends");
    (result, seen.into_iter().collect::<Vec<_>>().join("\n"))
}

fn sample(seen: &mut BTreeSet<String>) {
    let me = std::process::id().to_string();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy() == me.as_str() {
            continue;
        }
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace('\0', "\n");
        let environment = text(read("environ"));
        // Such a command was given the secret, and only its user may see it.
        if !environment.contains("GIVEN=on-purpose") {
            seen.insert(environment);
        }
        seen.insert(text(read("cmdline")));
    }
}

/// The files of a container that hold one of the values in any form.
fn files_with(host: &str, values: &[&str]) -> BTreeSet<String> {
    let patterns: Vec<String> = values
        .iter()
        .flat_map(|value| forms(value))
        .flat_map(|form| form.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.len() >= 8 && !line.starts_with("-----"))
        .collect();
    let mut grep = Command::new("incus")
        .args(["exec", host, "--", "grep", "-rlasF", "-f", "-"])
        .args([
            "/etc", "/var", "/tmp", "/root", "/home", "/run", "/opt", "/srv", "/dev/shm",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("incus starts");
    let mut input = grep.stdin.take().expect("it reads");
    input
        .write_all(patterns.join("\n").as_bytes())
        .expect("it takes all");
    drop(input);
    let found = grep.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&found.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

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

#[test]
fn files_of_ansible_vault_are_used_as_they_are() {
    let project = TestProject::new();
    let venv = std::env::var("VEZA_ANSIBLE").map(std::path::PathBuf::from);
    let vault = venv.map(|venv| venv.join("bin/ansible-vault"));
    let vault = vault.unwrap_or_default();
    if !has("ansible-vault (VEZA_ANSIBLE)", vault.exists()) {
        return;
    }
    project.write("password", "open sesame\n");
    project.write(
        "secrets/prod.toml",
        "db_password: 'a pass: \"word\"'\nshort: abc\n",
    );
    let path = project.root().join("secrets/prod.toml");
    let encrypted = Command::new(&vault)
        .args(["encrypt", "--vault-password-file"])
        .arg(project.root().join("password"))
        .arg(&path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("it starts");
    assert!(
        encrypted.status.success(),
        "{}",
        String::from_utf8_lossy(&encrypted.stderr)
    );
    project.write("site.rhai", SMALL);
    project.run(&["lint", "site.rhai"]).ended_with(0);
    let view = [
        "vault",
        "view",
        VAULT,
        "db_password",
        "--vault-password-file",
        "password",
    ];
    assert_eq!(project.run(&view).ended_with(0).out, "a pass: \"word\"\n");
    project
        .run(&["site.rhai", "--sandbox"])
        .ended_with(0)
        .says("(secret db_password)");
    project
        .run(&["site.rhai", "--check"])
        .ended_with(1)
        .says("--vault-password-file");
    set(&project, "x", "a new value")
        .ended_with(1)
        .says("ansible-vault edit");
}
