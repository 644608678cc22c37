//! Where requests go, in both topologies.

use super::support::checkout;
use super::twin::{CERTIFICATE, Twin};

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
