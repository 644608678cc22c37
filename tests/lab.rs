//! The program against real hosts: Incus containers with systemd, reached
//! through `incus exec` and over SSH. `tests/lab/up` brings them up.

mod support;

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use support::lab::{self, inside, wait_until};
use support::{Said, TestProject, checkout, promise};

const HOSTS: [&str; 3] = ["veza-haproxy", "veza-backend-api-1", "veza-backend-api-2"];

/// The lab is one; tests that change it take turns.
static TURN: Mutex<()> = Mutex::new(());

struct Lab {
    world: TestProject,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// Clean hosts, or nothing on a machine without the lab.
    fn clean() -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !lab::is_up() {
            return None;
        }
        lab::script("clean", &HOSTS);
        Some(Self {
            world: TestProject::new(),
            _turn: turn,
        })
    }

    /// The three hosts, each reached in another way: through incus, over SSH
    /// as root, and over SSH as a user who becomes root.
    fn hosts(&self) -> String {
        let lab = checkout().join(".lab");
        let ssh = format!(
            "#{{ identity_file: {:?}, known_hosts: {:?} }}",
            lab.join("id_ed25519"),
            lab.join("known_hosts")
        );
        format!(
            r#"
            host("incus", #{{ connection: incus("veza-haproxy") }});
            host("root", #{{ connection: ssh("root@10.155.0.11", {ssh}) }});
            host("deploy", #{{ connection: ssh("deploy@10.155.0.12", {ssh}), become: true }});
            "#
        )
    }

    /// Writes an env file whose one play runs `body` on `pattern`.
    fn play(&self, pattern: &str, body: &str) -> &Self {
        let play = format!(
            "{}\nplay(\"test\", {pattern:?}, || {{\n{body}\n}});\n",
            self.hosts()
        );
        self.world.write("envs/lab.rhai", &play);
        self
    }

    fn run(&self, options: &[&str]) -> Said {
        self.world.run(&[&["envs/lab.rhai"], options].concat())
    }

    /// Runs envs/lab.rhai of this checkout.
    fn run_its_env_file(&self, options: &[&str]) -> Said {
        let words = [&["envs/lab.rhai"], options].concat();
        self.world.run_in(&checkout(), &words)
    }

    fn keeps_its_promise(&self) {
        promise::keep(|options| self.run(options));
    }

    fn inside(&self, host: &str, shell: &str) -> String {
        inside(host, shell)
    }
}

#[test]
fn files_on_all_three_ways_to_a_host() {
    let Some(lab) = Lab::clean() else { return };
    lab.world.write(
        "templates/x.j2",
        "port = {{ port }}\nhost = {{ host.name }}\n",
    );
    lab.world.write(
        "files/tree/a.txt",
        "a
",
    );
    lab.world.write("files/tree/below/b.txt", "b\n");
    std::fs::write(lab.world.root().join("files/large.bin"), vec![7; 3_000_000]).expect("a file");
    lab.play(
        "all",
        r#"
        file("/srv/veza/deep", #{ state: "directory", mode: "0750", owner: "daemon" });
        template("x.j2", "/srv/veza/x.conf", #{ vars: #{ port: 8080 }, mode: "u=rw,g=r,o=" });
        copy("/srv/veza/large.bin", #{ src: "large.bin", mode: 0o600 });
        copy("/srv/veza/", #{ src: "tree", group: "adm" });
        copy("/etc/motd", #{ content: "Welcome.\n", backup: true });
        file("/srv/veza/link", #{ state: "link", src: "x.conf" });
        file("/srv/veza/hard", #{ state: "hard", src: "/srv/veza/x.conf" });
        file("/etc/issue.net", #{ state: "absent" });
        file("/srv/veza/tree", #{ recurse: true, owner: "daemon", mode: "u=rwX,g=rX,o=" });
        "#,
    );
    lab.keeps_its_promise();
    for host in HOSTS {
        let listing = lab.inside(
            host,
            "stat -c '%n %A %U:%G %s' /srv/veza/x.conf /srv/veza/deep /srv/veza/large.bin \
             /srv/veza/tree/below/b.txt; readlink /srv/veza/link; ls /etc/issue.net 2>&1; \
             ls /etc/motd.* | wc -l; stat -c %h /srv/veza/hard",
        );
        let expected = [
            "/srv/veza/x.conf -rw-r----- root:root",
            "/srv/veza/deep drwxr-x--- daemon:root",
            "/srv/veza/large.bin -rw------- root:root 3000000",
            "/srv/veza/tree/below/b.txt -rw-r----- daemon:adm 2",
            "x.conf",
            "No such file",
        ];
        for line in expected {
            assert!(
                listing.contains(line),
                "{host}: `{line}` is missing in\n{listing}"
            );
        }
        assert!(
            listing.trim_end().ends_with("1\n2"),
            "{host}: backup and hard link\n{listing}"
        );
    }
}

#[test]
fn parts_of_files_and_of_the_kernel_on_all_three_ways() {
    let Some(lab) = Lab::clean() else { return };
    for host in HOSTS {
        lab.inside(host, "echo '# mine' >/etc/sysctl.d/99-veza.conf");
    }
    lab.play(
        "all",
        r#"
        sysctl("net.ipv4.conf.all.rp_filter", 2);
        sysctl("net/ipv4/ip_local_port_range", "20000 60000");
        authorized_key("daemon", #{ key: KEY, path: "/etc/ssh/keys/daemon", manage_dir: true, key_options: "no-pty" });
        authorized_key("deploy", #{ key: KEY, comment: "second" });
        hostname("node-" + host.name);
        timezone("Europe/Paris");
        lineinfile("/etc/ssh/sshd_config", #{ regexp: "^#?MaxAuthTries", line: "MaxAuthTries 4", validate: ["/usr/sbin/sshd", "-t", "-f", "%s"] });
        blockinfile("/etc/hosts", "192.0.2.1 one\n192.0.2.2 two\n", #{ insertafter: "^127" });
        "#
        .replace("KEY", &format!("{:?}", KEY))
        .as_str(),
    );
    lab.keeps_its_promise();
    for (host, name) in HOSTS.iter().zip(["incus", "root", "deploy"]) {
        let seen = lab.inside(
            host,
            "cat /etc/sysctl.d/99-veza.conf /proc/sys/net/ipv4/conf/all/rp_filter \
             /proc/sys/net/ipv4/ip_local_port_range /etc/ssh/keys/daemon; hostname; date +%Z; \
             grep -c second /home/deploy/.ssh/authorized_keys; /usr/sbin/sshd -T | grep maxauthtries",
        );
        let expected = [
            "# mine",
            "2\n20000\t60000\n",
            &format!("no-pty {KEY}"),
            &format!("node-{name}\nCE"),
            "\n1\nmaxauthtries 4",
        ];
        for text in expected {
            assert!(
                seen.contains(text),
                "{host}: {text:?} is missing in\n{seen}"
            );
        }
    }
}

/// A public key; nobody has the other half any more.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAme9JgpSRdsUO+xqErPvf413ATZDJWOKIwfq9rk5FG";

#[test]
fn a_refused_file_leaves_the_old_one() {
    let Some(lab) = Lab::clean() else { return };
    let before = lab.inside("veza-haproxy", "cat /etc/sudoers");
    lab.play(
        "incus",
        r#"copy("/etc/sudoers", #{ content: "broken(\n", validate: ["visudo", "-cf", "%s"] });"#,
    );
    lab.run(&["--check"]).ended_with(3).says("refused");
    lab.run(&[]).ended_with(3).says("refused").says("untouched");
    assert_eq!(lab.inside("veza-haproxy", "cat /etc/sudoers"), before);
    assert_eq!(
        lab.inside("veza-haproxy", "ls -A /etc | grep -c veza")
            .trim(),
        "0"
    );
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let Some(lab) = Lab::clean() else { return };
    inside(
        "veza-haproxy",
        "mkdir /small && mount -t tmpfs -o size=64k none /small && echo old > /small/file",
    );
    std::fs::create_dir_all(lab.world.root().join("files")).expect("a directory");
    std::fs::write(lab.world.root().join("files/big"), vec![b'x'; 200_000]).expect("a file");
    lab.play("incus", r#"copy("/small/file", #{ src: "big" });"#);
    lab.run(&[])
        .ended_with(3)
        .says("no space left on device")
        .says("disk is full");
    assert_eq!(
        lab.inside("veza-haproxy", "cat /small/file; ls -A /small"),
        "old\nfile\n"
    );
}

#[test]
fn an_agent_killed_in_mid_task_is_a_lost_host_and_the_next_run_goes_on() {
    let Some(lab) = Lab::clean() else { return };
    lab.play(
        "incus",
        r#"file("/srv/done", #{ state: "touch" }); command("sleep 30");"#,
    );
    let mut run = lab.world.command(lab.world.root());
    let child = run
        .arg("envs/lab.rhai")
        .spawn()
        .expect("the program starts");
    wait_until("the command runs", || {
        !inside("veza-haproxy", "pgrep -x sleep").is_empty()
    });
    inside("veza-haproxy", "pkill -9 -f veza-agent");
    let ran = lab.world.said(&child.wait_with_output().expect("it ends"));
    ran.ended_with(4).says("lost").says("incus");
    lab.play("incus", r#"file("/srv/after", #{ state: "directory" });"#);
    lab.run(&[]).ended_with(0);
}

/// Each file has its old text or the new one, at whatever moment the agent dies.
#[test]
fn an_agent_killed_while_it_unpacks_leaves_whole_files() {
    let Some(lab) = Lab::clean() else { return };
    inside(
        "veza-haproxy",
        "mkdir -p /srv/new /srv/old && cd /srv/new && for i in $(seq 4000); do \
         echo new new $i > $i; echo old $i > /srv/old/$i; done && tar cf /srv/new.tar .",
    );
    lab.play(
        "incus",
        r#"unarchive("/srv/new.tar", "/srv/old", #{ remote_src: true });"#,
    );
    let mut run = lab.world.command(lab.world.root());
    let child = run
        .arg("envs/lab.rhai")
        .spawn()
        .expect("the program starts");
    wait_until("some files are new", || {
        !inside("veza-haproxy", "grep -l new /srv/old/1*").is_empty()
    });
    inside("veza-haproxy", "pkill -9 -f veza-agent");
    let ran = lab.world.said(&child.wait_with_output().expect("it ends"));
    ran.ended_with(4).says("lost");
    let torn = "cd /srv/old && for i in $(seq 4000); do \
                read -r text < $i; [ \"$text\" = \"old $i\" ] || [ \"$text\" = \"new new $i\" ] || echo $i; done";
    assert_eq!(inside("veza-haproxy", torn), "");
    let old = inside("veza-haproxy", "grep -l old /srv/old/*");
    assert!(!old.is_empty(), "it was killed too late to tell");
    let begun = "grep -c '\"entry\":\"begin\"' /var/lib/veza-play/journal/*.jsonl";
    assert_eq!(inside("veza-haproxy", begun), "4000\n");
    lab.run(&[]).ended_with(0);
    assert_eq!(inside("veza-haproxy", "grep -l old /srv/old/*"), "");
    let again = lab.run(&[]).ended_with(0);
    again.says("No changes. The hosts are as the scripts ask.");
}

/// The change is made by another user than the play's, so that the agent that
/// makes it is not the one that remembers the handler.
#[test]
fn a_handler_outlives_a_controller_killed_before_it() {
    let Some(lab) = Lab::clean() else { return };
    let change = |host: &str, options: &str| {
        lab.play(
            host,
            &format!(
                r#"handler("tell", || command(["sh", "-c", "echo told >> /srv/told"]));
                   copy("/var/tmp/changed", #{{ content: "new\n", notify: "tell"{options} }});
                   command("sleep 60", #{{ creates: "/srv/slept" }});"#
            ),
        );
    };
    for (host, container, options) in [
        ("incus", "veza-haproxy", ""),
        ("deploy", "veza-backend-api-2", ", become: false"),
    ] {
        change(host, options);
        let mut run = lab.world.command(lab.world.root());
        let mut child = run
            .arg("envs/lab.rhai")
            .spawn()
            .expect("the program starts");
        wait_until("the task after the change runs", || {
            !inside(container, "pgrep -x sleep").is_empty()
        });
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        let noted = || inside(container, "cat /var/lib/veza-play/handlers.json");
        assert!(noted().contains("\"tell\""), "{}", noted());
        inside(container, "touch /srv/slept");

        let is_due = "handler \"tell\" is due since an earlier run";
        lab.run(&["--check"]).ended_with(0).says(is_due);
        assert_eq!(inside(container, "cat /srv/told"), "");
        lab.run(&[]).ended_with(0).says(is_due);
        assert_eq!(inside(container, "cat /srv/told"), "told\n");
        assert_eq!(noted(), "", "it is due no more");
        let again = lab.run(&[]).ended_with(0);
        again.says("No changes. The hosts are as the scripts ask.");
        assert_eq!(inside(container, "cat /srv/told"), "told\n");
    }
}

#[test]
fn a_dry_run_goes_on_as_a_user_whom_it_only_plans() {
    let Some(lab) = Lab::clean() else { return };
    lab.play(
        "root,deploy",
        r#"user("app", #{ home: "/srv/app" });
           as_user("app", || {
               file("/srv/app/data", #{ state: "directory" });
               copy("/srv/app/data/text", #{ content: "x" });
               command("touch /srv/app/touched", #{ creates: "/srv/app/touched" });
               try { copy("/etc/app", #{ content: "x" }); } catch (error) { log(error.message); }
           });
           copy("/srv/app/data/text", #{ content: "x", owner: "app", group: "app" });"#,
    )
    .keeps_its_promise();
    assert_eq!(
        lab.inside("veza-backend-api-1", "stat -c %U /srv/app/data/text")
            .trim(),
        "app"
    );
}

#[test]
fn a_users_own_units_run_in_the_run_that_enables_lingering() {
    let Some(lab) = Lab::clean() else { return };
    lab.play(
        "root,deploy",
        r#"package(["libpam-systemd", "dbus-user-session"]);
           user("app", #{ home: "/srv/app" });
           as_user("app", || {
               file("/srv/app/.config/systemd/user", #{ state: "directory" });
               copy("/srv/app/.config/systemd/user/own.service", #{
                   content: "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=default.target\n",
               });
           });
           command("loginctl enable-linger app", #{ creates: "/var/lib/systemd/linger/app" });
           as_user("app", || systemd("own", #{ scope: "user", state: "started", enabled: true }));"#,
    )
    .keeps_its_promise();
    let state = "XDG_RUNTIME_DIR=/run/user/$(id -u app) setpriv --reuid app --regid app \
        --clear-groups systemctl --user is-active own; \
        readlink /srv/app/.config/systemd/user/default.target.wants/own.service";
    assert_eq!(
        lab.inside("veza-backend-api-1", state),
        "active\n/srv/app/.config/systemd/user/own.service\n"
    );
}

#[test]
fn a_user_whom_nobody_may_become_fails_the_task_and_not_the_host() {
    let Some(lab) = Lab::clean() else { return };
    lab.play(
        "root",
        r#"try { copy("/srv/a", #{ content: "x", become_user: "nobody-here" }); }
           catch (error) { log(`caught: ${error.message}`); }
           copy("/srv/b", #{ content: "x" });
           copy("/srv/c", #{ content: "x", become_user: "nobody-here" });"#,
    );
    for options in [&["--check"][..], &[]] {
        lab.run(options)
            .ended_with(3)
            .says("caught: ")
            .says("cannot become nobody-here: there is no such user on the host")
            .says("/srv/b")
            .says("envs/lab.rhai:8");
    }
}

#[test]
fn a_host_that_is_down_is_told_apart_and_the_others_go_on() {
    let Some(lab) = Lab::clean() else { return };
    let stopped = Command::new("incus")
        .args(["stop", "--force", "veza-backend-api-1"])
        .status();
    assert!(stopped.expect("incus starts").success());
    lab.play("all", r#"file("/srv/veza", #{ state: "directory" });"#);
    let ran = lab.run(&[]).ended_with(4);
    ran.says("root").says("10.155.0.11");
    assert_eq!(
        lab.inside("veza-haproxy", "ls -d /srv/veza").trim(),
        "/srv/veza"
    );
    assert_eq!(
        lab.inside("veza-backend-api-2", "ls -d /srv/veza").trim(),
        "/srv/veza"
    );
}

#[test]
fn what_a_user_may_not_do_is_refused_by_the_dry_run_in_the_same_words() {
    let Some(lab) = Lab::clean() else { return };
    inside("veza-backend-api-2", "echo root > /tmp/roots");
    let refused = [
        r#"copy("/etc/veza", #{ content: "x", become: false });"#,
        r#"copy("/tmp/roots", #{ content: "x", become: false });"#,
        r#"file("/etc/veza.d", #{ state: "directory", become: false });"#,
        r#"file("/etc/passwd", #{ mode: "0600", become: false });"#,
        r#"file("/etc/motd", #{ state: "absent", become: false });"#,
        r#"copy("/home/deploy/given", #{ content: "x", owner: "root", become: false });"#,
        r#"package("socat", #{ become: false });"#,
        r#"user("veza", #{ become: false });"#,
        r#"group("veza", #{ become: false });"#,
    ];
    for call in refused {
        lab.play("deploy", call);
        let message = |options: &[&str]| {
            let ran = lab.run(&[options, &["--output", "json"]].concat());
            let mut events = ran.ended_with(3).events().into_iter();
            let failed = events.find(|event| event["event"] == "host_failed");
            failed.expect("a host fails")["failure"]["message"].clone()
        };
        assert_eq!(message(&["--check"]), message(&[]), "{call}");
    }
    lab.play(
        "deploy",
        r#"file("/srv/deploys", #{ state: "directory", owner: "deploy" });
           copy("/srv/deploys/file", #{ content: "x", become: false });
           copy("/home/deploy/file", #{ content: "x", become: false });"#,
    )
    .keeps_its_promise();
}

#[test]
fn accounts_of_a_name_service_may_own_files() {
    let Some(lab) = Lab::clean() else { return };
    let prepare = "apt-get install -qq -y libnss-extrausers >&2 &&
        sed -i '/^\\(passwd\\|group\\):/s/$/ extrausers/' /etc/nsswitch.conf &&
        echo 'remote:x:7001:7002::/home/remote:/bin/sh' > /var/lib/extrausers/passwd &&
        echo 'remotes:x:7002:' > /var/lib/extrausers/group && getent passwd remote";
    assert_ne!(lab.inside("veza-haproxy", prepare), "");
    lab.play(
        "incus",
        r#"copy("/srv/file", #{ content: "x", owner: "remote", group: "remotes" });"#,
    )
    .keeps_its_promise();
    assert_eq!(
        lab.inside("veza-haproxy", "stat -c %U:%G /srv/file").trim(),
        "remote:remotes"
    );
}

#[test]
fn a_changed_host_key_is_refused() {
    let Some(lab) = Lab::clean() else { return };
    let known = std::fs::read_to_string(checkout().join(".lab/known_hosts")).expect("known hosts");
    let keys: Vec<&str> = known
        .lines()
        .filter(|line| line.contains("10.155.0.12"))
        .filter_map(|line| line.split_once(' '))
        .map(|(_, key)| key)
        .collect();
    assert!(!keys.is_empty(), "the lab's known_hosts names 10.155.0.12");
    let wrong: String = keys
        .iter()
        .map(|key| format!("10.155.0.11 {key}\n"))
        .collect();
    lab.world.write("known_hosts", &wrong);
    let key = checkout().join(".lab/id_ed25519");
    lab.world.write(
        "envs/lab.rhai",
        &format!(
            r#"host("root", #{{ connection: ssh("root@10.155.0.11", #{{ identity_file: {key:?}, known_hosts: "known_hosts" }}) }});
            play("test", "all", || {{ file("/srv/veza", #{{ state: "directory" }}); }});"#
        ),
    );
    lab.run(&[]).ended_with(4).says("key").says("known_hosts");
    assert_eq!(
        lab.inside(
            "veza-backend-api-1",
            "ls -d /srv/veza 2>&1 | grep -c cannot"
        )
        .trim(),
        "1"
    );
}

#[test]
fn an_interrupt_ends_the_command_and_leaves_no_orphan() {
    let Some(lab) = Lab::clean() else { return };
    lab.play("root", r#"command("sleep 300");"#);
    let child = lab
        .world
        .command(lab.world.root())
        .arg("envs/lab.rhai")
        .spawn()
        .expect("the program starts");
    wait_until("the command runs", || {
        !inside("veza-backend-api-1", "pgrep -x sleep").is_empty()
    });
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .expect("kill starts")
            .success()
    );
    lab.world
        .said(&child.wait_with_output().expect("it ends"))
        .ended_with(130);
    wait_until("the command is gone", || {
        inside("veza-backend-api-1", "pgrep -x sleep").is_empty()
    });
    wait_until("the agent is gone", || {
        inside("veza-backend-api-1", "pgrep -f '[v]eza-agent'").is_empty()
    });
}

#[test]
fn the_lab_env_file_keeps_its_promise() {
    let Some(lab) = Lab::clean() else { return };
    promise::keep(|options| lab.run_its_env_file(options));
}

/// Gives the lab its hosts back, whatever became of them.
struct Rebuilt;

impl Drop for Rebuilt {
    fn drop(&mut self) {
        lab::script("up", &[]);
    }
}

#[test]
fn the_lab_env_file_makes_the_containers_that_are_missing() {
    let Some(lab) = Lab::clean() else { return };
    let _rebuilt = Rebuilt;
    lab::incus(&[&["delete", "--force"][..], &HOSTS].concat());
    let plan = lab
        .run_its_env_file(&["--check", "--exit-code"])
        .ended_with(2);
    for host in ["haproxy", "backend-api-1", "backend-api-2"] {
        plan.says(&format!(
            "{host} does not exist yet: planned as a fresh Debian"
        ));
    }
    lab.run_its_env_file(&[]).ended_with(0);
    lab.run_its_env_file(&["--check", "--exit-code"])
        .ended_with(0)
        .says("No changes");
    let seen = lab.inside("veza-haproxy", "cat /etc/haproxy/haproxy.cfg");
    for host in ["10.155.0.11", "10.155.0.12"] {
        for address in [format!("{host}:8080"), format!("{host}:8082")] {
            assert!(seen.contains(&address), "{address} is missing in\n{seen}");
        }
    }
    let ask = "curl -s http://127.0.0.1/tracks/7/1.ts";
    wait_until("the streaming servers answer", || {
        lab.inside("veza-haproxy", ask).ends_with(":8082\n")
    });
}
