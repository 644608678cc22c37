//! `incus_instance` against the lab's Incus: containers that a run makes,
//! changes and removes, and hosts that it makes and configures in one go.

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

use support::lab::{incus, inside, is_up};
use support::{Said, TestProject, checkout, promise};

/// The instances are the same for all; tests take turns.
static TURN: Mutex<()> = Mutex::new(());

const INSTANCES: [&str; 2] = ["inc-1", "inc-2"];

struct Lab {
    project: TestProject,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// The lab without the instances, or nothing on a machine without it.
    fn clean() -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_up() {
            return None;
        }
        let lab = Self {
            project: TestProject::new(),
            _turn: turn,
        };
        lab.remove();
        Some(lab)
    }

    fn remove(&self) {
        let there = incus(&["list", "--format", "csv", "--columns", "n"]);
        for name in INSTANCES {
            if there.lines().any(|line| line == name) {
                incus(&["delete", "--force", name]);
            }
        }
    }

    /// Writes an env file whose one play makes containers on this machine.
    fn play(&self, body: &str) -> &Self {
        let play = format!(
            "host(\"here\", #{{ connection: local() }});\nplay(\"test\", \"here\", || {{\n{body}\n}});\n"
        );
        self.project.write("play.rhai", &play);
        self
    }

    fn run(&self, options: &[&str]) -> Said {
        self.project.run(&[&["play.rhai"], options].concat())
    }

    fn keeps_its_promise(&self) -> Said {
        promise::keep(|options| self.run(options))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.remove();
    }
}

fn status() -> String {
    let columns = "n,s,limits.cpu,user.note,S";
    incus(&["list", "^inc-1$", "--format", "csv", "--columns", columns])
        .trim()
        .to_owned()
}

#[test]
fn an_instance_is_made_changed_stopped_and_removed() {
    let Some(lab) = Lab::clean() else { return };
    lab.play(
        r##"
        let made = incus_instance("inc-1", #{
            image: "veza-lab", type: "container", profiles: ["veza-lab"], description: "One of a test.",
            config: #{ "limits.cpu": 1, "user.note": "first", "user.script": "#cloud-config\nhostname: x\n" },
            devices: #{ eth0: #{ "ipv4.address": "10.155.0.231" }, data: #{ type: "disk", source: "/usr/share", path: "/mnt/share", readonly: true } },
            snapshots: ["fresh"],
        });
        log(`it has ${made.ipv4}`);
        "##,
    );
    let said = lab.keeps_its_promise();
    said.says("it has 10.155.0.231");
    assert_eq!(status(), "inc-1,RUNNING,1,first,1");
    let up = inside(
        "inc-1",
        "systemctl is-system-running; ls /mnt/share | head -1",
    );
    assert!(up.lines().count() == 2, "{up}");
    let script = incus(&["config", "get", "inc-1", "user.script"]);
    assert_eq!(script, "#cloud-config\nhostname: x\n\n");
    lab.play(
        r#"
        incus_instance("inc-1", #{
            profiles: ["veza-lab", "default"], description: "", config: #{ "limits.cpu": 2, "user.note": () },
            devices: #{ eth0: #{ "ipv4.address": "10.155.0.232" }, doc: #{ type: "disk", source: "/usr/share", path: "/mnt/doc" } }, absent_devices: ["data"],
            snapshots: ["later"], absent_snapshots: ["fresh"], state: "stopped", force_stop: true,
        });
        "#,
    );
    lab.keeps_its_promise();
    assert_eq!(status(), "inc-1,STOPPED,2,,1");
    lab.play(r#"incus_instance("inc-1", #{ state: "frozen" });"#);
    lab.keeps_its_promise();
    assert!(status().contains("FROZEN"));
    lab.play(r#"incus_instance("inc-1");"#);
    lab.keeps_its_promise();
    lab.play(r#"incus_instance("inc-1", #{ state: "restarted", force_stop: true });"#);
    lab.run(&["--check"]).ended_with(0).says("would change");
    lab.run(&[]).ended_with(0).says("changed");
    assert!(status().contains("RUNNING"));
    lab.play(r#"incus_instance("inc-1", #{ state: "absent", force_stop: true });"#);
    lab.keeps_its_promise();
    assert_eq!(status(), "");
}

#[test]
fn what_incus_refuses_is_told_and_a_short_patience_ends() {
    let Some(lab) = Lab::clean() else { return };
    lab.play(r#"incus_instance("inc-1", #{ image: "no-such-image-here" });"#);
    lab.run(&[])
        .ended_with(3)
        .says("incus refused")
        .says("not found");
    lab.play(r#"incus_instance("inc-1");"#);
    for options in [&["--check"][..], &[]] {
        lab.run(options).ended_with(3).says("no `image` says");
    }
    lab.play(
        r#"incus_instance("inc-1", #{ image: "veza-lab", profiles: ["veza-lab"], wait_timeout: 0 });"#,
    );
    lab.run(&[]).ended_with(3).says("after 0 seconds");
    lab.run(&[]).ended_with(0);
}

/// Two containers and what is in them: one is reached through Incus, the other
/// over SSH, once its own key was put there through Incus.
const SITE: &str = r#"
let login = #{ identity_file: "id", known_hosts: "known_hosts" };
host("here", #{ connection: local() });
host("one", #{ connection: incus("inc-1") });
host("two-inside", #{ connection: incus("inc-2") });
host("two", #{ connection: ssh("root@10.155.0.234", login) });

play("containers", "here", || {
    let common = #{ image: "veza-lab", profiles: ["veza-lab"] };
    incus_instance("inc-1", common + #{ hosts: ["one"], devices: #{ eth0: #{ "ipv4.address": "10.155.0.233" } } });
    incus_instance("inc-2", common + #{ hosts: ["two-inside", "two"], devices: #{ eth0: #{ "ipv4.address": "10.155.0.234" } } });
});
play("keys", "two-inside", || {
    file("/root/.ssh", #{ state: "directory", mode: "0700" });
    copy("/root/.ssh/authorized_keys", #{ src: "id.pub", mode: "0600" });
});
play("inside", "one,two", || {
    file("/srv/app", #{ state: "directory", mode: "0750" });
    copy("/srv/app/motd", #{ content: "I am " + host.name + ".\n" });
});
"#;

const PACKAGE: &str = r#"
play("packages", "one,two", || package("bc"));
"#;

#[test]
fn hosts_are_made_and_configured_in_one_run() {
    let Some(lab) = Lab::clean() else { return };
    let whole = SITE.to_owned() + PACKAGE;
    lab.project.write("play.rhai", &whole);
    let key = |name: &str| {
        std::fs::read_to_string(checkout().join(".lab").join(name)).expect("the lab's key")
    };
    lab.project.write("id", &key("id_ed25519"));
    lab.project.write("files/id.pub", &key("id_ed25519.pub"));
    let id = lab.project.root().join("id");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(id, private).expect("a key is private");

    // Without the play that makes them they are what they are: not there.
    let alone = lab.run(&["--check", "--limit", "one"]).ended_with(4);
    alone.says("does not exist");
    let planned = lab.run(&["--check", "--exit-code"]).ended_with(2);
    planned
        .says("one does not exist yet: planned as a fresh Debian")
        .says("two does not exist yet: planned as a fresh Debian")
        .says("I am two.")
        .says("bc: absent -> (known after apply: the package lists of the new host)");
    let known = lab.project.root().join("known_hosts");
    assert!(!known.exists(), "a dry run wrote the known hosts");

    // What is predicted of hosts that are not there is what is then done. The
    // lab's image has a directory for keys, which a fresh Debian has not.
    let ssh = r#"ssh("root@10.155.0.234", login)"#;
    let through_incus = SITE.replace(ssh, r#"incus("inc-2")"#);
    let (before, keys) = through_incus.split_once("play(\"keys\"").expect("a play");
    let (_, after) = keys.split_once("\n});\n").expect("its end");
    lab.project.write("play.rhai", &format!("{before}{after}"));
    promise::keep(|options| lab.run(options));

    incus(&["delete", "--force", "inc-2"]);
    lab.project.write("play.rhai", &whole);
    lab.run(&[])
        .ended_with(0)
        .says("the host keys of two are now in");
    lab.run(&[]).ended_with(0).says("No changes");
    lab.run(&["--check", "--exit-code"]).ended_with(0);
    assert_eq!(
        inside("inc-2", "cat /srv/app/motd; echo 2+3 | bc"),
        "I am two.\n5\n"
    );
    let known = std::fs::read_to_string(known).expect("known hosts");
    let own = inside("inc-2", "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub");
    assert!(
        known.contains(&format!("10.155.0.234 {}", own.trim())),
        "{known}"
    );
    // They are known from now on, whether that play runs or not.
    lab.run(&["--limit", "two"])
        .ended_with(0)
        .says("No changes");

    // The instance is made anew: its new keys take the place of the old ones.
    incus(&["delete", "--force", "inc-2"]);
    lab.run(&[])
        .ended_with(0)
        .says("the host keys of two are now in");
    lab.run(&["--check", "--exit-code"]).ended_with(0);

    // It is there, but does not run: what it holds cannot be planned.
    incus(&["stop", "--force", "inc-1"]);
    lab.run(&["--check"]).says("what one holds once it runs");
    lab.run(&[]).ended_with(0);
}
