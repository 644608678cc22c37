//! What scripts may do with secrets.

use super::{SMALL, project, set};

#[test]
fn names_are_checked_without_a_key() {
    let project = project();
    set(&project, "db_password", "hunter2!").ended_with(0);
    project.write("site.rhai", SMALL);
    project.run(&["lint", "site.rhai"]).ended_with(0);
    project.write("wrong.rhai", &SMALL.replace("db_password", "db_pasword"));
    let said = project.run(&["lint", "wrong.rhai"]).ended_with(1);
    said.says("there is no secret \"db_pasword\"")
        .says("did you mean \"db_password\"?");
    project.write("none.rhai", &SMALL.replace("secrets(", "//"));
    project
        .run(&["lint", "none.rhai"])
        .ended_with(1)
        .says("secrets(");
    project.write("lost.rhai", &SMALL.replace("prod.toml", "lost.toml"));
    project
        .run(&["lint", "lost.rhai"])
        .ended_with(1)
        .says("there is no file secrets/lost.toml");
}

#[test]
fn a_sandbox_needs_no_key_and_gets_no_value() {
    let project = project();
    set(&project, "db_password", "hunter2!").ended_with(0);
    project.write("site.rhai", SMALL);
    let run = |options: &[&str]| project.run(&[&["site.rhai", "--sandbox"], options].concat());
    run(&[])
        .ended_with(0)
        .says("+password=(secret db_password)");
    run(&["--check", "--exit-code"]).ended_with(0);
    let stored = project.host_file("web", "/etc/app.conf");
    assert!(!stored.contains("hunter2"), "{stored}");
    let refused = project.run(&["site.rhai", "--check"]).ended_with(1);
    refused.says("no identity fits any of its recipients");
}

#[test]
fn a_script_cannot_look_into_a_secret() {
    let project = project();
    set(&project, "db_password", "hunter2!").ended_with(0);
    for (line, refusal) in [
        (
            r#"if secret("db_password") == "x" { log("y"); }"#,
            "cannot look into the secret db_password",
        ),
        (
            r#"log(secret("db_password").len());"#,
            "cannot look into the secret db_password",
        ),
        (
            r#"command("echo " + secret("db_password"));"#,
            "process list",
        ),
        (
            r#"file("/etc/" + secret("db_password"), #{ state: "directory" });"#,
            "everybody can read",
        ),
        (
            r#"file("/etc", #{ owner: secret("db_password") });"#,
            "everybody can read",
        ),
    ] {
        let script = SMALL.replace("copy(", &format!("{line}\n    copy("));
        project.write("site.rhai", &script);
        let said = project.run(&["site.rhai", "--sandbox", "--check"]);
        assert_ne!(said.code, 0, "{line}");
        said.says(refusal);
    }
    project.write(
        "site.rhai",
        &SMALL.replace(
            "copy(",
            "log(`it is ${secret(\"db_password\")}`);\n    copy(",
        ),
    );
    let said = project
        .run(&["site.rhai", "--sandbox", "--check"])
        .ended_with(0);
    said.says("it is (secret db_password)");
    // Whether there is one may be asked.
    let asked = r#"let s = secret("db_password"); if s != () { log("there"); }"#;
    let script = SMALL.replace("copy(", &format!("{asked}\n    copy("));
    project.write("site.rhai", &script);
    let said = project.run(&["site.rhai", "--sandbox", "--check"]);
    said.ended_with(0).says("there");
}
