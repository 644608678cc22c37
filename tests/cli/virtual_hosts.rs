//! What a sandbox does not hold, and a real host would: it is not known, and
//! no reason to fail.

use crate::support::TestProject;
use crate::{pending, project, sandbox, tasks};

fn one_host(lines: &str) -> TestProject {
    project(&format!(
        "host(\"web\", #{{ connection: local() }});\nplay(\"p\", \"web\", || {{ {lines} }});"
    ))
}

#[test]
fn a_file_of_a_package_may_be_edited() {
    let project = one_host(
        r#"package("nginx");
        lineinfile("/etc/nginx/nginx.conf", "user web;", #{ regexp: "^user" });
        file("/etc/nginx/mime.types", #{ mode: "0600" });"#,
    );
    let expected = [
        "package nginx changed",
        "lineinfile /etc/nginx/nginx.conf unknown",
        "file /etc/nginx/mime.types unknown",
    ];
    for options in [&["--check", "--output", "json"][..], &["--output", "json"]] {
        let said = sandbox(&project, options).ended_with(0);
        assert_eq!(tasks(&said), expected);
    }
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(tasks(&said)[1..], expected[1..]);
}

#[test]
fn a_file_that_no_package_brings_must_be_there() {
    for line in [
        r#"lineinfile("/etc/nginx/nginx.conf", "x");"#,
        r#"file("/srv/x", #{ mode: "0600" });"#,
        // What was removed comes back with nothing.
        r#"package("nginx"); file("/etc/nginx/x", #{ state: "touch" });
           file("/etc/nginx/x", #{ state: "absent" }); lineinfile("/etc/nginx/x", "x");"#,
    ] {
        let said = sandbox(&one_host(line), &["--check"]).ended_with(3);
        said.says("does not exist");
    }
}

#[test]
fn a_file_that_every_host_has_may_be_edited() {
    let project = one_host(
        r#"lineinfile("/etc/ssh/sshd_config", "PermitRootLogin no", #{ regexp: "^#?PermitRoot" });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(tasks(&said), ["lineinfile /etc/ssh/sshd_config unknown"]);
}

#[test]
fn a_group_of_a_package_takes_members() {
    let project =
        one_host(r#"package("docker.io"); user("bob", #{ groups: ["docker"], append: true });"#);
    sandbox(&project, &[]).ended_with(0);
    pending(&project).ended_with(0);
}

#[test]
fn what_a_package_explains_is_remembered() {
    let project = one_host(r#"package("postgresql");"#);
    sandbox(&project, &[]).ended_with(0);
    project.write(
        "play.rhai",
        r#"host("web", #{ connection: local() });
        play("p", "web", || {
            copy("/etc/postgresql/15/main/x", #{ content: "x", owner: "postgres" });
        });"#,
    );
    sandbox(&project, &["--check"]).ended_with(0);
    sandbox(&project, &[]).ended_with(0);
    pending(&project).ended_with(0);
}

#[test]
fn what_a_command_makes_lies_in_a_directory() {
    let project = one_host(
        r#"command("clone", #{ creates: "/opt/app/.git" });
        copy("/opt/app/local.conf", #{ content: "x" });"#,
    );
    sandbox(&project, &["--check"]).ended_with(0);
    sandbox(&project, &[]).ended_with(0);
    pending(&project).ended_with(0);
}
