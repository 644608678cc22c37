//! What an env file declares, and what it must not.

use super::*;

#[test]
fn an_env_file_declares_hosts_groups_and_plays() {
    let script = r#"#!/usr/bin/env veza-play
host("web1", #{ connection: ssh("root@10.0.0.1:2222", #{ identity_file: "keys/id", timeout: "5s" }), vars: #{ port: 1 } });
host("web2", #{ connection: incus("lab:web2", #{ project: "x" }), become: true });
group("all", #{ vars: #{ zone: "eu" } });
group("web", ["web1", "web2"], #{ vars: #{ port: 2 } });
play("one", "web,!web2", #{ tags: "a", become_user: "www", vars: #{ x: 1 } }, || { log(vars.port); });
play("two", "all", || {});
"#;
    let project = TestProject::new(&[("envs/test.rhai", script)]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let inventory = playbook.inventory();
    let Some(crate::transport::Connection::Ssh(ssh)) =
        inventory.host("web1").map(|h| h.connection.clone())
    else {
        panic!("web1 is reached over SSH");
    };
    assert_eq!(
        (ssh.address.as_str(), ssh.port, ssh.user.as_deref()),
        ("10.0.0.1", 2222, Some("root"))
    );
    assert!(ssh.identity_files[0].ends_with("keys/id") && ssh.identity_files[0].is_absolute());
    assert_eq!(
        inventory.host("web2").and_then(|h| h.escalation.target()),
        Some("root")
    );
    let play = &playbook.plays()[0];
    assert_eq!(
        (play.name.as_str(), play.tags.as_slice(), play.site.line),
        ("one", &["a".to_owned()][..], 6)
    );
    assert_eq!(play.escalation.target(), Some("www"));
    assert_eq!(
        inventory
            .select(&play.pattern)
            .expect("the pattern is right")
            .len(),
        1
    );
    assert_eq!(playbook.plays().len(), 2);
    assert_eq!(playbook.file(), "envs/test.rhai");
}

#[test]
fn tasks_outside_of_plays_are_refused() {
    let project = TestProject::new(&[("envs/test.rhai", &format!("{PRELUDE}package(\"x\");"))]);
    let problems = project.load().err().expect("there is a problem");
    assert_eq!(
        problems[0].to_string(),
        "`package` needs a host, but no play is running here"
    );
}

#[test]
fn overrides_are_json_or_text() {
    let overrides =
        Overrides::parse(["port=8080", "name=web", "list=[1]", "empty="]).expect("they are right");
    assert_eq!(
        Value::Object(overrides.vars),
        json!({ "port": 8080, "name": "web", "list": [1], "empty": "" })
    );
    assert!(Overrides::parse(["port"]).is_err());
}
