//! The haproxy role against real ones: every combination of its options is
//! accepted without a warning by the haproxy of Debian bookworm and of trixie;
//! in a container of the lab requests go where they should.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::twin::{Twin, effects};
use support::{TestProject, checkout, has};

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

const CERTIFICATE: &str = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout /root/site.pem -out /root/site.pem 2>&1";

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
    let fetched = Command::new(checkout().join("tests/lab/trixie"))
        .args(["haproxy", "dash", "coreutils", "openssl"])
        .output()
        .expect("the script starts");
    let why = String::from_utf8_lossy(&fetched.stderr);
    let what = format!("haproxy 3.0 of Debian trixie (tests/lab/trixie: {why})");
    if !has(&what, fetched.status.success()) {
        return None;
    }
    let fetched = String::from_utf8_lossy(&fetched.stdout).trim().to_owned();
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
    text + &String::from_utf8_lossy(&output.stderr)
}

fn run(command: &mut Command) {
    let status = command.status().expect("it starts");
    assert!(status.success(), "{command:?}");
}

const MANY: &str = r#"
haproxy::role(#{
    addresses: #{
        "backend-api-1": "127.0.0.1", "backend-api-2": "127.0.0.1",
        "stream-server-1": "127.0.0.1", "stream-server-2": "127.0.0.1",
    },
    letsencrypt: true,
    health_check_fall: vars.get("fall", 3),
});
"#;

const COLORS: &str = r#"
let addresses = #{};
for server in ["backend", "stream", "web"] {
    for color in ["blue", "green"] { addresses[`${server}-${color}`] = "127.0.0.1"; }
}
haproxy::role(#{ topology: "blue-green", addresses: addresses, health_check_fall: vars.get("fall", 3) });
"#;

#[test]
fn both_topologies_keep_the_promise_on_clean_hosts() {
    let Some(mut twin) = Twin::clean("veza-role-haproxy-promise") else {
        return;
    };
    for (number, body) in [MANY, COLORS].iter().enumerate() {
        if number > 0 {
            twin.reset();
        }
        twin.play("import \"haproxy\" as haproxy;", body);
        twin.keeps_its_promise(&[]);
        let before = twin.inside("cat /etc/haproxy/haproxy.cfg");
        changes_only_the_configuration(&twin, &["--set", "fall=5"]);
        assert_ne!(twin.inside("cat /etc/haproxy/haproxy.cfg"), before);
        changes_only_the_configuration(&twin, &[]);
        assert_eq!(twin.inside("cat /etc/haproxy/haproxy.cfg"), before);
    }
}

fn changes_only_the_configuration(twin: &Twin, options: &[&str]) {
    let run = |fixed: &[&str]| effects(&twin.run(&[fixed, options].concat()).ended_with(0));
    let predicted = run(&["--check", "--output", "json"]);
    let performed = run(&["--output", "json"]);
    assert_eq!(predicted, performed);
    let [file, reload] = &performed[..] else {
        panic!("{performed:#?}")
    };
    assert_eq!(file["effect"]["path"], "/etc/haproxy/haproxy.cfg");
    assert_eq!(reload["effect"]["action"], "reload");
}

/// One machine is load balancer and all servers: they are told apart by port.
const ROUTES: &str = r#"
package("curl");
for server in [#{ name: "api", port: 8080 }, #{ name: "stream", port: 8082 }, #{ name: "web", port: 8081 }, #{ name: "git", port: 3000 }] {
    let directory = `/opt/${server.name}`;
    file(directory, #{ state: "directory" });
    copy(`${directory}/veza-api`, #{ src: "demo-api", mode: "0755" });
    backend_api::role(#{
        user: server.name,
        group: server.name,
        install_dir: directory,
        service_name: server.name,
        listen_port: server.port,
        env_file: `/etc/veza-${server.name}/env`,
        log_dir: `/var/log/${server.name}`,
    });
}
let health = "/api/v1/health";
haproxy::role(#{
    topology: vars.topology, dns_suffix: "", web_port: 8081,
    api_hosts: ["localhost"], stream_hosts: ["localhost"],
    addresses: #{
        localhost: "127.0.0.1", "backend-blue": "127.0.0.1", "backend-green": "127.0.0.2",
        "stream-blue": "127.0.0.1", "stream-green": "127.0.0.2", "web-blue": "127.0.0.1", "web-green": "127.0.0.2",
    },
    healthcheck_paths: #{ stream: health, web: health }, tls_cert_path: "/root/site.pem",
    health_check_rise: vars.get("rise", 2),
    extra_backends: [#{
        name: "git", domains: ["git.example.org"], servers: [#{ name: "git", address: "127.0.0.1:3000" }],
        check_uri: health, check_host: "git.example.org", check_status: "^[23]",
    }],
});
"#;

#[test]
fn requests_go_where_they_should() {
    let Some(twin) = Twin::clean("veza-role-haproxy-routes") else {
        return;
    };
    twin.project
        .copy_into(&checkout().join("envs/files"), "files");
    twin.inside("apt-get -qq install --yes openssl");
    twin.inside(CERTIFICATE);
    let imports = "import \"haproxy\" as haproxy;\nimport \"backend_api\" as backend_api;";
    twin.play(imports, ROUTES);
    let request = |path: &str, host: &str| {
        twin.inside(&format!(
            "curl -ski --resolve '*:443:127.0.0.1' https://{host}{path}"
        ))
    };
    let served_by = |path: &str, host: &str, port: &str| {
        let answer = request(path, host);
        let right = answer.ends_with(&format!(":{port}\n"));
        assert!(right, "{host}{path} of {port}: {answer}");
    };
    let common = [
        ("/api/v1/x", "localhost", "8080"),
        ("/tracks/1/x.m3u8", "localhost", "8082"),
        ("/tracks/1/x.ts?quality=high", "localhost", "8082"),
        ("/tracks/1", "git.example.org", "3000"),
        ("/api/v1", "GIT.example.org", "3000"),
    ];
    let many = ["/", "/tracks/1", "/other/x.m3u8", "/stream"];
    let many = many.map(|path| (path, "localhost", "8080"));
    let colors = [
        ("/", "localhost", "8081"),
        ("/tracks/1", "localhost", "8081"),
        ("/stream", "localhost", "8082"),
        ("/hls/1", "localhost", "8082"),
    ];
    for (topology, own) in [("multi-instance", many), ("blue-green", colors)] {
        let topology = format!("topology={topology}");
        twin.run(&["--no-diff", "--set", &topology]).ended_with(0);
        let again = twin.run(&["--set", &topology]).ended_with(0);
        again.says("No changes");
        twin.inside("until echo 'show stat' | socat - /run/haproxy/admin.sock | grep -q git,.*L7OK; do sleep 0.2; done");
        for (path, host, port) in common.iter().chain(&own) {
            served_by(path, host, port);
        }
    }

    twin.run(&["--no-diff", "--set", "topology=multi-instance"])
        .ended_with(0);
    let answer = request("/", "localhost");
    for part in [
        "HTTP/2 200",
        "strict-transport-security: max-age=",
        "set-cookie: VEZA_SERVERID=localhost; path=/; HttpOnly; Secure",
    ] {
        assert!(answer.contains(part), "`{part}` is missing in\n{answer}");
    }
    let answer = twin.inside("curl -si http://localhost/x");
    let redirected = answer.contains("301") && answer.contains("https://localhost/x");
    assert!(redirected, "{answer}");

    // A drained server stays drained over a reload.
    twin.inside(
        "echo 'set server api_pool/localhost state drain' | socat - /run/haproxy/admin.sock",
    );
    let ran = twin
        .run(&["--set", "topology=multi-instance", "--set", "rise=3"])
        .ended_with(0);
    ran.says("haproxy.service (reloaded)");
    let states = twin
        .inside("echo 'show stat' | socat - /run/haproxy/admin.sock | grep ^api_pool,localhost");
    assert!(states.contains("DRAIN"), "{states}");
}
