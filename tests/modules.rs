//! Modules that are written in Rhai, on a real host: a container of the lab,
//! with a real haproxy.

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

use support::lab::{inside, is_up, twins, wait_until};
use support::{Said, TestProject, checkout, promise};

/// The host is the same for all; tests take turns.
static TURN: Mutex<()> = Mutex::new(());

const HOST: &str = "veza-modules";

/// A clean container behind a user who becomes root, or nothing on a machine
/// without the lab.
fn clean_host() -> Option<Host> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_up() {
        return None;
    }
    let address = twins(&[HOST]).remove(0);
    let lab = checkout().join(".lab");
    let host = format!(
        "host(\"web\", #{{ connection: ssh(\"deploy@{address}\", #{{ identity_file: {:?}, known_hosts: {:?} }}), become: true }});\n",
        lab.join("id_ed25519"),
        lab.join("known_hosts"),
    );
    let world = TestProject::new();
    Some(Host {
        world,
        host,
        _turn: turn,
    })
}

struct Host {
    world: TestProject,
    host: String,
    _turn: MutexGuard<'static, ()>,
}

impl Host {
    fn play(&self, body: &str) -> &Self {
        let play = format!("{}play(\"test\", \"web\", || {{\n{body}\n}});\n", self.host);
        self.world.write("play.rhai", &play);
        self
    }

    fn run(&self, options: &[&str]) -> Said {
        self.world.run(&[&["play.rhai"], options].concat())
    }
}

/// Uses most of what `host` can do, and no world but the real one shows
/// whether that is true.
const EVERYTHING: &str = r##"
//! Keeps a bit of everything.

const ARGUMENTS = arguments(#{ name: string().required().positional().doc("A name.") });

fn found(args, host) {
    let home = `/srv/${args.name}`;
    let user = host.user(args.name);
    let link = host.stat(`${home}/link`);
    #{
        user: if user == () { () } else { user.home + " " + user.groups.join(" ") },
        content: host.read(`${home}/file`),
        link: if link == () { () } else { link.target },
        table: host.crontab("root"),
        cron: host.unit("cron").active,
        stamp: host.exists(`${home}/stamp`),
    }
}

fn wanted(args, found) {
    #{
        user: `/srv/${args.name} ${args.name}s`,
        content: `of ${args.name}` + "\n",
        link: "file",
        table: "# kept\n",
        cron: false,
        stamp: true,
    }
}

fn fix(args, diff, host) {
    let home = `/srv/${args.name}`;
    if diff.contains("user") {
        host.add_group(args.name + "s", #{ system: true });
        host.add_user(args.name, #{ home: home, groups: [args.name + "s"], create_home: true, shell: "/bin/sh" });
    }
    if diff.contains("content") {
        host.write(home + "/file", #{ content: diff.content.after, owner: args.name, mode: "u=rw,g=r,o=", validate: ["grep", "-q", "of", "%s"] });
    }
    if diff.contains("link") { host.link(home + "/link", "file"); }
    if diff.contains("table") { host.write_crontab("root", "# kept\n"); }
    if diff.contains("cron") { host.unit_action("cron", "stop"); }
    if diff.contains("stamp") {
        host.run(["sh", "-c", `cat > ${home}/stamp`], #{ input: "it ran", user: args.name, creates: home + "/stamp" });
    }
}
"##;

#[test]
fn a_dry_run_foretells_what_a_module_does() {
    let Some(host) = clean_host() else { return };
    host.world.write("modules/everything.rhai", EVERYTHING);
    host.play("package(\"cron\"); everything(\"ann\"); everything(\"ann\");");
    promise::keep(|options| host.run(options));
    let seen = inside(
        HOST,
        "stat -c '%U %a' /srv/ann/file; cat /srv/ann/file /srv/ann/stamp; id -nG ann; \
         crontab -l; systemctl is-active cron",
    );
    for line in [
        "ann 640", "of ann", "it ran", "ann anns", "# kept", "inactive",
    ] {
        assert!(seen.contains(line), "`{line}` is missing in\n{seen}");
    }
}

/// Under another user, inside `try`, with effects before the failure.
const FAILS: &str = r#"
//! Writes a file, and then what it may not.

const ARGUMENTS = arguments(#{ path: path().required().positional().doc("What it may not write.") });

fn found(args, host) { #{ content: host.read(args.path) } }

fn wanted(args, found) { #{ content: "new\n" } }

fn fix(args, diff, host) {
    host.write("/tmp/written", "first\n");
    host.write(args.path, "new\n");
}
"#;

#[test]
fn a_failure_as_another_user_is_caught_and_the_play_goes_on() {
    let Some(host) = clean_host() else { return };
    host.world.write("modules/fails.rhai", FAILS);
    host.play(
        r#"
        file("/srv/before", #{ state: "directory" });
        try {
            fails("/etc/denied", #{ become: false });
        } catch (error) {
            log(`caught ${error.module}: ${error.message}`);
        }
        fails("/srv/before/allowed");
        "#,
    );
    host.run(&[])
        .ended_with(0)
        .says("caught fails: ")
        .says("denied");
    let owners = inside(
        HOST,
        "stat -c '%U %n' /tmp/written /srv/before/allowed; ls /etc/denied",
    );
    assert!(owners.contains("root /srv/before/allowed"), "{owners}");
    assert!(!owners.contains("/etc/denied"), "{owners}");
    let journal = inside(
        HOST,
        "grep -l /tmp/written /var/lib/veza-play/journal/* | wc -l",
    );
    assert_ne!(journal.trim(), "0", "what a module does is in the journal");
}

const WAITS: &str = r#"
//! Waits for what never comes, with a command.

const ARGUMENTS = arguments(#{ name: string().required().positional().doc("Anything.") });

fn found(args, host) { #{ done: host.exists("/srv/" + args.name) } }

fn wanted(args, found) { #{ done: true } }

fn fix(args, diff, host) { host.run(["sleep", "300"]); }
"#;

#[test]
fn a_controller_that_goes_leaves_nothing_running() {
    let Some(host) = clean_host() else { return };
    host.world.write("modules/waits.rhai", WAITS);
    host.play("waits(\"never\");");
    for signal in ["-INT", "-KILL"] {
        let mut command = host.world.command(host.world.root());
        let child = command
            .arg("play.rhai")
            .spawn()
            .expect("the program starts");
        wait_until("the command runs", || {
            !inside(HOST, "pgrep -x sleep").is_empty()
        });
        let pid = child.id().to_string();
        let killed = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(killed.expect("kill starts").success());
        child.wait_with_output().expect("it ends");
        wait_until("the command is gone", || {
            inside(HOST, "pgrep -x sleep").is_empty()
        });
        wait_until("the agent is gone", || {
            inside(HOST, "pgrep -f '[v]eza-agent'").is_empty()
        });
    }
}

const HAPROXY: &str = r#"
global
    stats socket /run/haproxy/admin.sock mode 660 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
backend api
    server api-1 127.0.0.1:8081
    server api-2 127.0.0.1:8082 disabled
    server api-3 127.0.0.1:8083 check inter 1s
"#;

#[test]
fn servers_of_a_real_haproxy_are_drained_and_made_ready() {
    let Some(host) = clean_host() else { return };
    host.world.write("files/haproxy.cfg", HAPROXY);
    let install = r#"
        package(["haproxy", "socat"], #{ update_cache: true });
        copy("/etc/haproxy/haproxy.cfg", #{ src: "haproxy.cfg", notify: "restart" });
        handler("restart", || systemd("haproxy", #{ state: "restarted" }));
        flush_handlers();
        let server = haproxy_server("api", "api-1", #{ state: "ready" });
        log(`changed: ${server.changed}`);
    "#;
    host.play(install);
    // Before haproxy is there nothing is known of its servers, which is no error.
    host.run(&["--check"]).ended_with(0).says("may change");
    host.run(&[]).ended_with(0).says("changed: false");
    for (server, state, mask) in [
        ("api-1", "drain", "8"),
        ("api-1", "maint", "1"),
        ("api-1", "ready", "0"),
        // The configuration's own mark stays with the forced state.
        ("api-2", "ready", "4"),
    ] {
        host.play(&format!(
            "haproxy_server(\"api\", \"{server}\", #{{ state: \"{state}\", weight: 7, wait: \"20s\" }});"
        ));
        promise::keep(|options| host.run(options));
        let ask = "echo 'show servers state api' | socat stdio /run/haproxy/admin.sock";
        let states = inside(HOST, ask);
        let row = states
            .lines()
            .find(|line| line.contains(&format!(" {server} ")));
        let fields: Vec<_> = row.expect("the server is there").split(' ').collect();
        assert_eq!(
            (fields[6], fields[7]),
            (mask, "7"),
            "{server} {state}: {states}"
        );
    }
    host.play("haproxy_server(\"api\", \"api-3\", #{ state: \"ready\", wait: 2 });");
    host.run(&[]).ended_with(3).says("waited 2 s in vain");
    host.play("haproxy_server(\"api\", \"api-4\", #{ state: \"ready\" });");
    host.run(&["--check"])
        .ended_with(3)
        .says("no server api-4")
        .says("api-1, api-2, api-3");
    host.play("haproxy_server(\"app\", \"api-1\", #{ state: \"ready\" });");
    host.run(&[])
        .ended_with(3)
        .says("no backend app")
        .says("api");
}

#[test]
fn the_time_zone_is_kept() {
    let Some(host) = clean_host() else { return };
    host.play("package(\"tzdata\"); timezone(\"Europe/Lisbon\");");
    promise::keep(|options| host.run(options));
    let seen = inside(HOST, "date +%Z; cat /etc/timezone; readlink /etc/localtime");
    assert!(seen.starts_with("WE"), "Western European time: {seen}");
    assert!(
        seen.contains("Europe/Lisbon\n/usr/share/zoneinfo/Europe/Lisbon"),
        "{seen}"
    );
    host.play("timezone(\"Europe/Lisbin\");");
    host.run(&["--check"])
        .ended_with(3)
        .says("no time zone Europe/Lisbin")
        .says("Europe/Lisbon");
}
