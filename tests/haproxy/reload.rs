//! What a reload keeps and what it takes from the new configuration, with the
//! haproxy of the lab's Debian and with that of trixie.

use super::support::lab::trixie;
use super::twin::Twin;

const SITE: &str = r#"
let port = vars.get("port", 8080);
haproxy::role(#{
    api_hosts: vars.get("hosts", ["a", "b"]), stream_server_fallback: [],
    addresses: #{ a: "127.0.0.1" }, dns_suffix: "example",
    listen_http: vars.get("listen", 80), backend_api_port: port,
    healthcheck_paths: #{ backend: "/" }, health_check_interval_ms: 2000, graceful_drain_seconds: 0,
    extra_backends: [#{
        name: "dead", domains: ["dead.example"], servers: [#{ name: "d", address: `127.0.0.1:${port + 1}` }],
        tls: port != 8080, verify: "none",
    }],
});
"#;

/// A server on each address and port that the site may mean, and a name.
const SERVERS: &str = r#"
apt-get -qq install --yes busybox curl haproxy >/dev/null 2>&1
mkdir -p /srv/site && echo here >/srv/site/index.html
for place in 127.0.0.1:8080 127.0.0.2:8080 127.0.0.1:9090 127.0.0.3:9090; do
    systemd-run --quiet busybox httpd -f -p $place -h /srv/site
done
echo 127.0.0.2 b.example >>/etc/hosts
"#;

/// Puts haproxy 3.0 in the place of the one that is installed.
const HAPROXY_3: &str = r#"
mkdir /opt/trixie && tar -C /opt/trixie -xf /root/trixie.tar && rm /usr/sbin/haproxy
cat >/usr/sbin/haproxy <<'END'
#!/bin/sh
lib=/opt/trixie/usr/lib/x86_64-linux-gnu
exec $lib/ld-linux-x86-64.so.2 --argv0 "$0" --library-path $lib /opt/trixie/usr/sbin/haproxy "$@"
END
chmod 755 /usr/sbin/haproxy && systemctl restart haproxy && haproxy -v | head -1 | cut -d. -f1,2
"#;

/// Backend, server, address, state, administrative state, weight, port, TLS.
const STATES: &str = "echo 'show servers state' | socat - /run/haproxy/admin.sock \
    | awk '/^[0-9]+ / { print $2 \"/\" $4, $5, $6, $7, $8, $19, $21 }'";

impl Twin {
    /// What haproxy knows of its servers, a line for each.
    fn states(&self) -> Vec<String> {
        self.inside(STATES).lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn comes_to(&self, states: &[&str]) {
        for _ in 0..100 {
            if self.states() == states {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        assert_eq!(self.states(), states);
    }

    fn serves(&self) {
        assert_eq!(self.inside("curl -s http://127.0.0.1/"), "here\n");
    }
}

fn configuration_wins_and_states_are_kept(twin: &Twin) {
    twin.comes_to(&[
        "api_pool/a 127.0.0.1 2 0 1 8080 0",
        "api_pool/b 127.0.0.2 2 0 1 8080 0",
        "dead/d 127.0.0.1 0 0 1 8081 0",
    ]);
    twin.inside(
        "for to in 'state drain' 'weight 0'; do echo \"set server api_pool/b $to\"; done \
         | while read line; do echo \"$line\" | socat - /run/haproxy/admin.sock; done; \
         sed -i 's/127.0.0.2 b/127.0.0.3 b/' /etc/hosts",
    );
    twin.run(&["--set", "port=9090"]).ended_with(0);
    // At once: no check can have taken place yet.
    let moved = [
        "api_pool/a 127.0.0.1 2 0 1 9090 0",
        "api_pool/b 127.0.0.3 2 8 0 9090 0",
        "dead/d 127.0.0.1 0 0 1 9091 1",
    ];
    assert_eq!(twin.states(), moved);
    twin.serves();
    twin.inside("systemctl reload haproxy");
    assert_eq!(twin.states(), moved);
    // Whatever drained it is not to be remembered for ever.
    twin.inside("systemctl restart haproxy");
    twin.comes_to(&[moved[0], "api_pool/b 127.0.0.3 2 0 1 9090 0", moved[2]]);
}

fn a_name_that_is_not_found_takes_away_its_server_only(twin: &Twin) {
    let more = ["--set", "hosts=[\"a\",\"gone\"]"];
    twin.keeps_its_promise(&more);
    twin.inside("systemctl restart haproxy");
    twin.comes_to(&[
        "api_pool/a 127.0.0.1 2 0 1 8080 0",
        "api_pool/gone - 0 32 1 8080 0",
        "dead/d 127.0.0.1 0 0 1 8081 0",
    ]);
    twin.serves();
    twin.inside("echo 127.0.0.2 gone.example >>/etc/hosts; systemctl reload haproxy");
    twin.comes_to(&[
        "api_pool/a 127.0.0.1 2 0 1 8080 0",
        "api_pool/gone 127.0.0.2 2 0 1 8080 0",
        "dead/d 127.0.0.1 0 0 1 8081 0",
    ]);
}

fn a_reload_that_fails_is_told_until_it_does_not(twin: &Twin) {
    // haproxy accepts this configuration, but cannot bind the port.
    for _ in 0..2 {
        let ran = twin.run(&["--set", "listen=9090"]).ended_with(3);
        ran.says("cannot bind socket").says("the old ones serve on");
        twin.serves();
    }
    let proc = "echo 'show proc' | socat - /run/haproxy-master.sock | grep -o 'failed: .'";
    assert_ne!(twin.inside(proc), "failed: 0\n");
    twin.keeps_its_promise(&[]);
    assert_eq!(twin.inside(proc), "failed: 0\n");

    // A run that was cut off before the reload.
    twin.inside("cd /etc/haproxy && echo '# an older one' >new && mv new haproxy.cfg.loaded");
    let ran = twin.run(&[]).ended_with(0);
    ran.says("haproxy.service (reloaded)");
    twin.run(&[]).ended_with(0).says("No changes");
}

fn check(twin: &Twin) {
    twin.play("import \"haproxy\" as haproxy;", SITE);
    twin.run(&["--no-diff"]).ended_with(0);
    configuration_wins_and_states_are_kept(twin);
    twin.run(&["--no-diff"]).ended_with(0);
    a_name_that_is_not_found_takes_away_its_server_only(twin);
    a_reload_that_fails_is_told_until_it_does_not(twin);
}

#[test]
fn haproxy_2_6_reloads_well() {
    let Some(twin) = Twin::clean("veza-role-haproxy-reload") else {
        return;
    };
    twin.inside(SERVERS);
    check(&twin);
}

#[test]
fn haproxy_3_0_reloads_well() {
    let (Some(twin), Some(root)) = (
        Twin::clean("veza-role-haproxy-reload-3"),
        trixie("haproxy 3.0", &["haproxy"]),
    ) else {
        return;
    };
    twin.inside(SERVERS);
    let tar = twin.project.root().join("trixie.tar");
    let packed = std::process::Command::new("tar")
        .args([
            "-C".as_ref(),
            root.as_os_str(),
            "-cf".as_ref(),
            tar.as_os_str(),
        ])
        .args(["usr/sbin/haproxy", "usr/lib/x86_64-linux-gnu"])
        .status();
    assert!(packed.expect("tar starts").success());
    twin.push(&tar, "/root/trixie.tar");
    assert_eq!(twin.inside(HAPROXY_3), "HAProxy version 3.0\n");
    check(&twin);
}
