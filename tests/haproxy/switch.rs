//! The switch of colours: it lets the new one serve, stays, and whatever goes
//! wrong leaves the old one serving and says why.

use std::process::Stdio;

use super::support::lab::wait_until;
use super::support::promise::{self, effects};
use super::twin::Twin;

const IMPORTS: &str = r#"
import "haproxy" as haproxy;
import "haproxy_switch" as haproxy_switch;

const SITE = #{
    topology: "blue-green", dns_suffix: "", web_port: 8081,
    addresses: #{
        "backend-blue": "127.0.0.1", "stream-blue": "127.0.0.1", "web-blue": "127.0.0.1",
        "backend-green": "127.0.0.2", "stream-green": "127.0.0.2", "web-green": "127.0.0.2",
    },
    health_check_interval_ms: 200, health_check_fall: 2, health_check_rise: 2, graceful_drain_seconds: 0,
};
"#;

const BODY: &str = r#"
let site = SITE + vars.get("more", #{});
switch vars.get("color", "") {
    "" => haproxy::role(site),
    _ => haproxy_switch::role(site + #{ color: vars.color, delay: 1, retries: vars.get("retries", 6) } + vars.get("checks", #{})),
}
"#;

/// Three servers of each colour, on an address of its own.
const SERVERS: &str = r#"
apt-get -qq install --yes busybox curl >/dev/null 2>&1
number=0
for color in blue green; do
    number=$((number + 1))
    mkdir -p /srv/$color/api/v1
    for file in index.html health api/v1/health; do echo $color >/srv/$color/$file; done
    for port in 8080 8081 8082; do
        systemd-run --quiet --unit=$color-$port busybox httpd -f -p 127.0.0.$number:$port -h /srv/$color
    done
done
"#;

const CONFIGURATION: &str =
    "cd /etc/haproxy && ls haproxy.cfg* && cat haproxy.cfg /var/lib/veza/active_color";

const RELOADS: &str = "journalctl -u haproxy -o cat | grep -c '^Reloaded '";

/// What clients get that have a cookie for the colour, from the time before.
fn served_with_cookie(twin: &Twin, color: &str) -> String {
    let cookie = format!("VEZA_SERVERID=backend_{color}");
    let said = twin.inside(&format!(
        "curl -s --cookie {cookie} http://127.0.0.1/api/v1/health"
    ));
    said.trim().to_owned()
}

/// A switch that fails, and after which all is as before. Gives what it said.
fn fails_and_leaves_all(twin: &Twin, options: &[&str], serving: &str) -> String {
    let before = twin.inside(CONFIGURATION);
    assert_eq!(serves(twin), [serving; 2]);
    let ran = twin.run(options).ended_with(3);
    assert_eq!(twin.inside(CONFIGURATION), before);
    assert_eq!(serves(twin), [serving; 2]);
    ran.says("the old configuration is in place");
    ran.out
}

fn serves(twin: &Twin) -> [String; 2] {
    ["/", "/api/v1/health"].map(|path| {
        let said = twin.inside(&format!("curl -s http://127.0.0.1{path}"));
        said.trim().to_owned()
    })
}

#[test]
fn a_switch_stays_and_a_failed_one_leaves_the_old_colour() {
    let Some(twin) = Twin::clean("veza-role-switch") else {
        return;
    };
    assert_eq!(twin.inside(SERVERS), "");
    twin.play(IMPORTS, BODY);
    twin.run(&["--no-diff"]).ended_with(0);
    assert_eq!(serves(&twin), ["blue"; 2]);

    promise::keep(|fixed| twin.run(&[&["--set", "color=green"], fixed].concat()));
    assert_eq!(serves(&twin), ["green"; 2]);
    assert_eq!(served_with_cookie(&twin, "blue"), "green");
    assert_eq!(twin.inside("cat /var/lib/veza/active_color"), "green\n");
    twin.run(&[]).ended_with(0).says("No changes");
    twin.run(&["--check", "--exit-code"]).ended_with(0);

    let blue = ["--set", "color=blue"];
    let broken = r#"more={"tls_cert_path":"/root/none.pem"}"#;
    let reloads = twin.inside(RELOADS);
    let said = fails_and_leaves_all(&twin, &[&blue[..], &["--set", broken]].concat(), "green");
    assert!(said.contains("/root/none.pem"), "{said}");
    assert_eq!(twin.inside(RELOADS), reloads, "nothing was to be reloaded");

    // haproxy accepts this file, but cannot bind the port.
    let taken = r#"more={"listen_http":8081}"#;
    let said = fails_and_leaves_all(&twin, &[&blue[..], &["--set", taken]].concat(), "green");
    assert!(said.contains("cannot bind socket"), "{said}");

    twin.inside("systemctl stop blue-8081");
    let said = fails_and_leaves_all(&twin, &blue, "green");
    assert!(said.contains("web_blue is DOWN"), "{said}");

    // Back to a colour that serves again.
    twin.inside("systemd-run --quiet --unit=blue busybox httpd -f -p 127.0.0.1:8081 -h /srv/blue");
    let predicted = effects(&twin.run(&[&blue[..], &["--check", "--output", "json"]].concat()));
    let performed = twin
        .run(&[&blue[..], &["--output", "json"]].concat())
        .ended_with(0);
    assert_eq!(predicted, effects(&performed));
    assert_eq!(serves(&twin), ["blue"; 2]);

    let other = r#"checks={"check_host":"x.example","check_paths":["/none"],"check_status":[404]}"#;
    twin.run(&["--set", "color=green", "--set", other])
        .ended_with(0);
    assert_eq!(serves(&twin), ["green"; 2]);
}

/// Lets a switch begin, and kills it while it waits for the colour.
fn cut_off(twin: &Twin, color: &str) {
    let color = format!("color={color}");
    let options = ["--set", &color, "--set", "retries=1000"];
    let mut command = twin.project.command(twin.project.root());
    let mut cut_off = command
        .arg("site.rhai")
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    wait_until("the new configuration is loaded", || {
        let compare = "cd /etc/haproxy && ls *.before-switch && cmp haproxy.cfg haproxy.cfg.loaded";
        twin.inside(compare) == "haproxy.cfg.before-switch\n"
    });
    cut_off.kill().expect("it runs yet");
    cut_off.wait().expect("it ends");
}

#[test]
fn a_switch_that_was_cut_off_is_taken_back_or_done_again() {
    let Some(twin) = Twin::clean("veza-role-switch-cut-off") else {
        return;
    };
    assert_eq!(twin.inside(SERVERS), "");
    twin.play(IMPORTS, BODY);
    twin.run(&["--no-diff"]).ended_with(0);
    let before = twin.inside("ls /etc/haproxy; cat /etc/haproxy/haproxy.cfg");
    let as_before = || {
        let now = twin.inside("ls /etc/haproxy; cat /etc/haproxy/haproxy.cfg");
        assert_eq!(now, before);
        assert_eq!(serves(&twin), ["blue"; 2]);
    };

    // The role takes it back.
    twin.inside("systemctl stop green-8081");
    cut_off(&twin, "green");
    promise::keep(|fixed| twin.run(fixed));
    as_before();

    // The next switch does not take it for the old one.
    cut_off(&twin, "green");
    let said = twin.run(&["--set", "color=green"]).ended_with(3);
    said.says("web_green is DOWN")
        .says("the old configuration is in place");
    as_before();

    // Or what was cut off comes to its end, once the colour is well.
    cut_off(&twin, "green");
    twin.inside(
        "systemd-run --quiet --unit=green busybox httpd -f -p 127.0.0.2:8081 -h /srv/green",
    );
    promise::keep(|fixed| twin.run(&[&["--set", "color=green"], fixed].concat()));
    assert_eq!(serves(&twin), ["green"; 2]);
    twin.run(&[]).ended_with(0).says("No changes");

    // A note that nobody wrote like this, and an old configuration that is none.
    twin.inside("echo red >/var/lib/veza/active_color");
    twin.run(&[]).ended_with(3).says("neither blue nor green");
    twin.inside(
        "echo green >/var/lib/veza/active_color; echo x >/etc/haproxy/haproxy.cfg.before-switch",
    );
    twin.inside("systemctl stop blue-8081");
    let said = twin.run(&["--set", "color=blue"]).ended_with(3);
    said.says("web_blue is DOWN")
        .says("the old configuration could not be put back");
}
