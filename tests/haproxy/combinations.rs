//! Every combination of the role's options is accepted without a warning, by
//! the haproxy of the lab's Debian and by that of trixie.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::TestProject;
use super::support::lab::trixie;
use super::twin::{CERTIFICATE, Twin};

/// The full product of what the options allow, one virtual host for each.
const COMBINATIONS: &str = r#"
import "haproxy" as haproxy;

let certificates = [
    #{}, #{ tls_cert_path: "/root/site.pem" }, #{ tls_cert_dir: "/root/certificates" },
    #{ tls_cert_path: "/root/site.pem", tls_cert_dir: "/root/certificates" },
];
let letsencrypt = [#{}, #{ letsencrypt: true }];
let numbers = [#{}, #{
    listen_http: 8080, listen_https: 8443, listen_stats: 9101, health_check_interval_ms: 1, health_check_fall: 1,
    health_check_rise: 1, graceful_drain_seconds: 0, sticky_cookie_name: "x",
    healthcheck_paths: #{ backend: "/b", stream: "/s?x=1" }, dns_suffix: "",
}];
let forgejo = #{
    name: "forgejo", domains: ["forgejo.talas.group"], tls: true, verify: "none",
    servers: [#{ name: "forgejo", address: "10.0.20.105:3000" }], check_host: "forgejo.talas.group",
};
let others = [
    forgejo + #{ name: "trusted", verify: "required", sni: "x.org", timeout_server: 5, timeout_tunnel: "2h" },
    forgejo + #{ name: "own_ca", verify: "required", ca_file: "/root/site.pem", timeout_connect: "1m" },
    #{
        name: "plain", domains: ["a.org", "b.org"], check_method: "HEAD", check_uri: "/x", check_status: "^2\\d\\d 'x$#",
        servers: [#{ name: "a", address: "127.0.0.1:1" }, #{ name: "b", address: "localhost:2" }],
    },
];
let extra = [#{}, #{ extra_backends: [forgejo] }, #{ extra_backends: others }];

let many = [
    [#{}, #{ api_hosts: ["localhost"] }, #{ api_hosts: ["one"], addresses: #{ one: "127.0.0.1" } }],
    [#{}, #{ stream_hosts: ["localhost"] }, #{ stream_server_fallback: [] }],
];
let colors = [
    [#{ topology: "blue-green" }],
    [#{}, #{ active_color: "green" }],
    [#{}, #{ container_prefix: "veza-" }],
];

let number = 0;
for topology in [many, colors] {
    let all = [#{}];
    for axis in [certificates, letsencrypt, numbers, extra] + topology {
        let wider = [];
        for given in all { for choice in axis { wider.push(given + choice); } }
        all = wider;
    }
    for given in all {
        host(`c${number}`, #{ connection: local(), vars: #{ given: given } });
        number += 1;
    }
}

play("all combinations", "all", || { haproxy::role(vars.given); });
"#;

/// 4 certificates, 2 letsencrypt, 2 numbers, 3 extra backends, and of each
/// topology what is its own.
const COUNT: usize = 4 * 2 * 2 * 3 * (3 * 3 + 2 * 2);

/// Checks every file of /root/configurations, and tells what is said of one
/// that is refused or not welcome.
const CHECK: &str = r#"
for file in /root/configurations/*; do
    if ! said=$(haproxy -c -f "$file" 2>&1) || [ "$said" != "Configuration file is valid" -a -n "$said" ]; then
        echo "$file: $said"
    fi
    count=$((count + 1))
done
echo "checked $count"
"#;

/// What the configurations name: certificates, users, names of servers.
const SURROUNDINGS: &str = r#"
mkdir -p /etc/haproxy /etc/ssl/certs /root/certificates /usr/local/etc/tls/haproxy /var/lib/haproxy
cp /root/site.pem /root/certificates/a.pem
cp /root/site.pem /etc/haproxy/placeholder.pem
cp /root/site.pem /etc/ssl/certs/0.pem
echo 1 >/var/lib/haproxy/server-state
for name in backend-api-1 backend-api-2 stream-server-1 stream-server-2 localhost \
    backend-blue backend-green stream-blue stream-green web-blue web-green \
    veza-backend-blue veza-backend-green veza-stream-blue veza-stream-green veza-web-blue veza-web-green; do
    echo "127.0.0.1 $name $name.lxd"
done >>/etc/hosts
"#;

/// Renders all combinations in the sandbox, into one directory.
fn configurations() -> TestProject {
    let project = TestProject::new();
    project.write("all.rhai", COMBINATIONS);
    project
        .run(&["all.rhai", "--sandbox", "--no-diff"])
        .ended_with(0);
    for number in 0..COUNT {
        let text = project.host_file(&format!("c{number}"), "/etc/haproxy/haproxy.cfg");
        project.write(&format!("configurations/c{number}.cfg"), &text);
    }
    assert!(!project.root().join(format!(".sandbox/c{COUNT}")).exists());
    project
}

#[test]
fn every_combination_is_accepted_without_a_warning() {
    let project = configurations();
    let accepted = format!("checked {COUNT}\n");
    if let Some(said) = checked_by_this_debian(&project) {
        assert_eq!(said, accepted, "haproxy of this Debian");
    }
    if let Some(said) = checked_by_haproxy_3(&project) {
        assert_eq!(said, accepted, "haproxy 3.0");
    }
}

fn checked_by_this_debian(project: &TestProject) -> Option<String> {
    let twin = Twin::clean("veza-role-haproxy")?;
    run(Command::new("tar")
        .args(["-cf", "all.tar", "configurations"])
        .current_dir(project.root()));
    twin.push(&project.root().join("all.tar"), "/root/all.tar");
    twin.inside("apt-get -qq install --yes haproxy openssl && tar -C /root -xf /root/all.tar");
    twin.inside(CERTIFICATE);
    twin.inside(SURROUNDINGS);
    Some(twin.inside(CHECK))
}

fn checked_by_haproxy_3(project: &TestProject) -> Option<String> {
    let fetched = trixie("haproxy 3.0", &["haproxy", "dash", "coreutils", "openssl"])?;
    let root = project.root().join("trixie");
    run(Command::new("cp").arg("-a").arg(fetched).arg(&root));
    fs::create_dir_all(root.join("root")).expect("a directory can be made");
    run(Command::new("cp")
        .arg("-a")
        .arg(project.root().join("configurations"))
        .arg(root.join("root")));
    for (file, line) in [
        (
            "passwd",
            "haproxy:x:99:99::/var/lib/haproxy:/usr/sbin/nologin\n",
        ),
        ("group", "haproxy:x:99:\n"),
    ] {
        fs::write(root.join("etc").join(file), line).expect("a file can be written");
    }
    assert!(chroot(&root, "haproxy -v").starts_with("HAProxy version 3.0"));
    chroot(&root, CERTIFICATE);
    chroot(&root, SURROUNDINGS);
    Some(chroot(&root, CHECK))
}

fn chroot(root: &Path, shell: &str) -> String {
    let output = Command::new("chroot")
        .arg(root)
        .args(["/bin/sh", "-c", shell])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin")
        .output()
        .expect("chroot starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + String::from_utf8_lossy(&output.stderr).as_ref()
}

fn run(command: &mut Command) {
    let status = command.status().expect("it starts");
    assert!(status.success(), "{command:?}");
}
