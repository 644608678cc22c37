//! Both topologies on clean hosts: the dry run is true, a second run changes
//! nothing, a changed option changes what it must and can be taken back.

use super::support::promise::effects;
use super::twin::Twin;

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
    let [file, reload, loaded] = &performed[..] else {
        panic!("{performed:#?}")
    };
    assert_eq!(file["effect"]["path"], "/etc/haproxy/haproxy.cfg");
    assert_eq!(reload["effect"]["action"], "reload");
    let noted = &loaded["effect"]["path"];
    assert_eq!(noted, "/etc/haproxy/haproxy.cfg.loaded");
}
