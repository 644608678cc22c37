//! The haproxy role against a real haproxy, in a container of the lab: every
//! combination of its options is accepted without a warning, and requests go
//! where they should.

mod support;

use std::process::Command;

use support::{TestProject, checkout, has};

const HOST: &str = "veza-role-haproxy";

/// A clean container, or nothing on a machine without the lab.
fn clean_host() -> Option<TestProject> {
    let up = Command::new("incus").arg("list").output();
    if !has(
        "the lab of real hosts (tests/lab/up)",
        up.is_ok_and(|list| list.status.success()),
    ) {
        return None;
    }
    let twin = Command::new(checkout().join("tests/lab/twin"))
        .arg(HOST)
        .output();
    let twin = twin.expect("the script starts");
    assert!(
        twin.status.success(),
        "{}",
        String::from_utf8_lossy(&twin.stderr)
    );
    let project = TestProject::new();
    project.copy_into(&checkout().join("envs/files"), "files");
    Some(project)
}

/// What a command in the container says, with what goes wrong.
fn inside(shell: &str) -> String {
    let output = Command::new("incus")
        .args([
            "exec",
            HOST,
            "-T",
            "--",
            "sh",
            "-c",
            &format!("{{ {shell}\n}} 2>&1"),
        ])
        .output()
        .expect("incus starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All topologies, with and without a certificate, and with servers given by
/// group, by fallback, by name and by address. One run renders them all.
const COMBINATIONS: &str = r#"
import "haproxy" as haproxy;
host("lb", #{ connection: incus("veza-role-haproxy") });

fn addresses(names) {
    let known = #{};
    for name in names { known[name] = "127.0.0.1"; }
    known
}

play("all combinations", "lb", || {
    let fallbacks = ["backend-api-1", "backend-api-2", "stream-server-1", "stream-server-2"];
    let pairs = ["backend-blue", "backend-green", "stream-blue", "stream-green", "web-blue", "web-green"];
    let variants = [
        #{ addresses: addresses(fallbacks) },
        #{ addresses: addresses(fallbacks), stream_server_fallback: [] },
        #{ api_hosts: ["localhost"], stream_hosts: ["localhost"], dns_suffix: "" },
        #{ addresses: addresses(fallbacks), health_check_fall: 1, health_check_rise: 1, graceful_drain_seconds: 0 },
        #{ topology: "blue-green", addresses: addresses(pairs) },
        #{ topology: "blue-green", addresses: addresses(pairs), active_color: "green" },
    ];
    for variant in variants {
        for certificate in ["", "/root/site.pem"] {
            let given = variant;
            given.tls_cert_path = certificate;
            haproxy::role(given);
            let check = command(["haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"], #{ read_only: true });
            assert(!check.stderr.contains("WARNING"), `${given}: ${check.stderr}`);
            log("accepted");
        }
    }
});
"#;

/// One machine is load balancer and all servers: pools are told apart by port.
const ROUTES: &str = r#"
import "haproxy" as haproxy;
import "backend_api" as backend_api;
host("lb", #{ connection: incus("veza-role-haproxy") });

play("one machine", "lb", || {
    package("curl");
    for pool in [#{ name: "api", port: 8080 }, #{ name: "stream", port: 8082 }] {
        let directory = `/opt/${pool.name}`;
        file(directory, #{ state: "directory" });
        copy(`${directory}/veza-api`, #{ src: "demo-api", mode: "0755" });
        backend_api::role(#{
            user: pool.name,
            group: pool.name,
            install_dir: directory,
            service_name: pool.name,
            listen_port: pool.port,
            env_file: `/etc/veza-${pool.name}/env`,
            log_dir: `/var/log/${pool.name}`,
        });
    }
    haproxy::role(#{
        api_hosts: ["localhost"], stream_hosts: ["localhost"], addresses: #{ localhost: "127.0.0.1" },
        stream_health_path: "/api/v1/health", tls_cert_path: "/root/site.pem",
        health_check_rise: vars.get("rise", 2),
    });
});
"#;

const CERTIFICATE: &str = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout /root/key -out /root/site.pem && cat /root/key >>/root/site.pem";

#[test]
fn a_real_haproxy_takes_what_the_role_renders() {
    let Some(project) = clean_host() else { return };
    inside(CERTIFICATE);

    project.write("combinations.rhai", COMBINATIONS);
    let ran = project
        .run(&["combinations.rhai", "--no-diff"])
        .ended_with(0);
    assert_eq!(ran.out.matches("accepted").count(), 12, "{}", ran.out);

    project.write("routes.rhai", ROUTES);
    project.run(&["routes.rhai", "--no-diff"]).ended_with(0);
    project
        .run(&["routes.rhai"])
        .ended_with(0)
        .says("No changes");
    let request = |path: &str| inside(&format!("curl -ski https://localhost{path}"));
    let served_by = |path: &str, port: &str| {
        let answer = request(path);
        assert!(
            answer.ends_with(&format!(":{port}\n")),
            "{path} of {port}: {answer}"
        );
    };
    served_by("/", "8080");
    served_by("/tracks/1/x.m3u8", "8082");
    served_by("/tracks/1/x.ts?quality=high", "8082");
    served_by("/tracks/1", "8080");
    served_by("/other/x.m3u8", "8080");

    let answer = request("/");
    for part in [
        "HTTP/2 200",
        "strict-transport-security: max-age=",
        "set-cookie: VEZA_SERVERID=localhost; path=/; HttpOnly; Secure",
    ] {
        assert!(answer.contains(part), "`{part}` is missing in\n{answer}");
    }
    let answer = inside("curl -si http://localhost/x");
    assert!(
        answer.contains("301") && answer.contains("https://localhost/x"),
        "{answer}"
    );

    // A drained server stays drained over a reload.
    inside("echo 'set server api_pool/localhost state drain' | socat - /run/haproxy/admin.sock");
    let ran = project
        .run(&["routes.rhai", "--set", "rise=3"])
        .ended_with(0);
    ran.says("haproxy.service (reloaded)");
    let states =
        inside("echo 'show stat' | socat - /run/haproxy/admin.sock | grep ^api_pool,localhost");
    assert!(states.contains("DRAIN"), "{states}");
}
