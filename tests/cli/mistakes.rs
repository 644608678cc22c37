//! Bad input: everything wrong is told at once, with its place, before any
//! host is touched.

use crate::{project, sandbox, support, three_hosts};

const ROLE: &str = r#"
const OPTIONS = options(#{ port: port().or(80).doc("Where it listens.") });
/// Keeps a greeting.
fn role(given) { let o = global::OPTIONS.fill(given); copy("/etc/port", #{ content: `${o.port}` }); }
"#;

#[test]
fn all_mistakes_of_a_file_are_told_before_any_connection() {
    let project = project(
        r#"import "greeting" as greeting;
host("web", #{ connection: ssh("root@192.0.2.1") });
play("all wrong", "web", || {
    copy("/etc/motd", #{ contents: "x" });
    file("/etc/x", #{ state: "directry" });
    systemd("cron", #{ enabled: "maybe" });
    copy(#{ content: "x" });
    sistemd("cron");
    template("missing.j2", "/etc/x");
    greeting::role(#{ prot: 1 });
    log(undefined_name);
});
play("nowhere", "wbe", || {});
"#,
    );
    project.write("roles/greeting.rhai", ROLE);
    let said = project.run(&["play.rhai"]).ended_with(1);
    let expected = [
        (4, "contents", "content"),
        (5, "directry", "directory"),
        (6, "maybe", "`true` or `false`"),
        (7, "dest", "dest"),
        (8, "sistemd", "systemd"),
        (9, "missing.j2", "templates/missing.j2"),
        (10, "prot", "port"),
        (11, "undefined_name", "undefined_name"),
        (13, "wbe", "web"),
    ];
    for (line, wrong, right) in expected {
        said.says(&format!("play.rhai:{line}:"));
        said.says(wrong).says(right);
    }
    said.says("9 problems; nothing was changed.");
    assert_eq!(said.out, "");
    assert!(!said.err.contains("192.0.2.1:22"), "it tried to connect");
}

#[test]
fn mistakes_of_imported_files_are_told_with_those_of_the_env_file() {
    let project = project(
        r#"import "broken" as broken;
host("web", #{ connection: local() });
play("p", "web", || { broken::role(#{}); fiel("/etc/x"); });
"#,
    );
    project.write(
        "roles/broken/role.rhai",
        "fn role(given) {\n    pakage(\"curl\");\n}\n",
    );
    let said = project.run(&["lint", "play.rhai"]).ended_with(1);
    said.says("roles/broken/role.rhai:2:")
        .says("did you mean `package`");
    said.says("play.rhai:3:").says("did you mean `file`");
    said.says("2 problems");
}

#[test]
fn imports_in_a_circle_are_named() {
    let project = project(r#"import "one" as one;"#);
    project.write("roles/one.rhai", r#"import "two" as two; fn role() {}"#);
    project.write("roles/two.rhai", r#"import "one" as one; fn role() {}"#);
    let said = project.run(&["lint", "play.rhai"]).ended_with(1);
    said.says("circle")
        .says("roles/one.rhai")
        .says("roles/two.rhai");
}

#[test]
fn a_path_outside_the_project_is_refused() {
    for import in ["../outside", "/etc/passwd", "roles/../../outside"] {
        let project = project(&format!("import {import:?} as x;\n"));
        let said = project.run(&["lint", "play.rhai"]).ended_with(1);
        said.says("play.rhai:1:").says(import);
        assert!(!said.err.contains("panicked"));
    }
}

#[test]
fn a_template_outside_the_project_is_refused() {
    let project =
        three_hosts(r#"play("p", "db", || { template("../../etc/passwd", "/etc/x"); });"#);
    project
        .run(&["lint", "play.rhai"])
        .ended_with(1)
        .says("../../etc/passwd");
}

#[test]
fn text_that_is_no_script_is_told_with_its_place() {
    for text in [
        "host(",
        "play(\"x\", || {",
        "let = 3;",
        "\u{0}",
        "host(\"a\" #{});",
    ] {
        let said = project(text).run(&["lint", "play.rhai"]).ended_with(1);
        said.says("play.rhai:1");
    }
}

#[test]
fn an_argument_computed_wrong_is_refused_before_it_is_sent() {
    let project = three_hosts(
        r#"play("p", "db", || {
               let given = #{ content: "x", mdoe: "0644" };
               copy("/etc/x", given);
           });"#,
    );
    let said = sandbox(&project, &[]).ended_with(1);
    said.says("mdoe").says("mode").says("play.rhai:7");
}

#[test]
fn an_undefined_variable_of_a_template_leaves_nothing_half_done() {
    let project = three_hosts(
        r#"play("p", "all", || {
               let given = if host.name == "web1" { #{} } else { #{ color: "blue" } };
               template("site.j2", "/etc/site", #{ vars: given });
               copy("/etc/after", #{ content: "after" });
           });"#,
    );
    project.write("templates/site.j2", "one\ntwo\ncolor = {{ color }}\n");
    let said = sandbox(&project, &[]).ended_with(3);
    said.says("`color` is undefined (templates/site.j2:3)");
    assert_eq!(
        project.host_file("db", "/etc/site"),
        "one\ntwo\ncolor = blue\n"
    );
    project.host_file("web2", "/etc/after");
    let root = project.root().join(".sandbox/web1/root/etc");
    assert!(!root.join("site").exists() && !root.join("after").exists());
}

#[test]
fn a_module_argument_that_only_the_host_can_refuse_names_the_argument() {
    let project = three_hosts(r#"play("p", "db", || { file("relative/path"); });"#);
    let said = sandbox(&project, &[]);
    assert!([1, 3].contains(&said.code), "{}", said.code);
    said.says("relative/path").says("absolute");
}

#[test]
fn no_link_leads_out_of_the_project() {
    let outside = tempfile::tempdir().expect("a directory can be made");
    std::fs::write(outside.path().join("key"), "what is not yours").expect("written");
    let link = |project: &support::TestProject, to: &std::path::Path, at: &str| {
        std::os::unix::fs::symlink(to, project.root().join(at)).expect("linked");
    };
    let play = r#"host("web", #{ connection: local() });
        play("p", "web", || { copy("/srv/tree", #{ src: "tree/" }); });"#;
    for at in ["files/tree/key", "files/tree/sub/key"] {
        let project = project(play);
        project.write("files/tree/sub/plain", "plain");
        link(&project, &outside.path().join("key"), at);
        let said = sandbox(&project, &["--check"]).ended_with(3);
        said.says(&format!(
            "{at} is a symbolic link that leads out of the project"
        ));
        assert!(!said.out.contains("what is not yours"), "{}", said.out);
    }
    let project = project(play);
    project.write("files/tree/plain", "plain");
    link(&project, outside.path(), "files/tree/all");
    sandbox(&project, &["--check"])
        .ended_with(3)
        .says("leads out of the project");
    std::fs::remove_file(project.root().join("files/tree/all")).expect("removed");
    project.write("common/shared", "shared");
    link(
        &project,
        std::path::Path::new("../../common"),
        "files/tree/all",
    );
    sandbox(&project, &[]).ended_with(0);
    assert_eq!(project.host_file("web", "/srv/tree/all/shared"), "shared");
    link(&project, std::path::Path::new(".."), "files/tree/up");
    sandbox(&project, &["--check"])
        .ended_with(3)
        .says("files/tree/up is a symbolic link to a directory that it is in");
}

#[test]
fn a_directory_that_was_there_is_not_hidden_from_git() {
    let project = three_hosts(r#"play("p", "web1", || { log("x"); });"#);
    project
        .run(&["play.rhai", "--sandbox=.", "--check"])
        .ended_with(0);
    assert!(!project.root().join(".gitignore").exists());
    sandbox(&project, &[]).ended_with(0);
    let ignore = project.root().join(".sandbox/.gitignore");
    assert_eq!(std::fs::read_to_string(ignore).expect("there"), "*\n");
}
