//! What people bring along from Ansible, from YAML and from other languages:
//! each is told what to write instead, before any connection.

use crate::project;

const HOSTS: &str = r#"
host("web1", #{ connection: ssh("root@192.0.2.1") });
group("web", ["web1"], #{ vars: #{ port: 80 } });
"#;

/// Lints an env file with these declarations, and expects these words.
fn told(declarations: &str, words: &[&str]) {
    let project = project(&format!("{HOSTS}{declarations}"));
    project.write("templates/syntax.j2", "ok\n{% if x %}\n");
    project.write("templates/filter.j2", "{{ port | defualt(1) }}\n");
    project.write("templates/outer.j2", "{% include 'filter.j2' %}\n");
    let said = project.run(&["lint", "play.rhai"]).ended_with(1);
    for word in words {
        // The report breaks lines.
        let one_line = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            one_line.contains(word),
            "{word:?} is missing for {declarations}\n{}",
            said.err
        );
    }
}

/// The same for a line of a play.
fn told_in_play(line: &str, words: &[&str]) {
    told(&format!("play(\"p\", \"web\", || {{ {line} }});"), words);
}

/// That a line of a play is left alone.
fn right(line: &str) {
    let project = project(&format!("{HOSTS}play(\"p\", \"web\", || {{ {line} }});"));
    project.run(&["lint", "play.rhai"]).ended_with(0);
}

#[test]
fn keywords_of_tasks_are_the_languages_own() {
    for (argument, instead) in [
        ("when: true", "`if … { … }`"),
        ("register: \"x\"", "`let result = …`"),
        ("with_items: [1]", "`for item in"),
        ("until: \"x\"", "`retry("),
        ("ignore_errors: true", "`try {"),
        ("changed_when: false", "`read_only: true`"),
        ("failed_when: \"x\"", "`success_codes`"),
        ("delegate_to: \"db\"", "`on(HOST"),
        ("run_once: true", "`once("),
        ("no_log: true", "`secret(…)`"),
        ("environment: #{}", "`env: #{ … }`"),
    ] {
        let (name, _) = argument.split_once(':').expect("a value");
        let message = format!("command has no argument `{name}`");
        told_in_play(
            &format!("command(\"id\", #{{ {argument} }});"),
            &[&message, instead],
        );
    }
    told_in_play("file(\"/x\", #{ loop: [1] });", &["`for item in"]);
    told_in_play(
        "copy(\"/x\", #{ name: \"A copy\", content: \"x\" });",
        &["a comment above"],
    );
}

#[test]
fn functions_and_variables_of_ansible_have_others_in_their_place() {
    for (call, instead) in [
        ("apt(\"curl\");", "`package(…)`"),
        ("service(\"cron\");", "`systemd(…)`"),
        ("debug(\"x\");", "`log(…)`"),
        ("set_fact(#{ a: 1 });", "`let name = …`"),
        ("include_tasks(\"x.yml\");", "`NAME::role("),
        ("log(ansible_facts.x);", "`facts.NAME`"),
        ("log(ansible_hostname);", "`facts.NAME`"),
        ("log(hostvars.x);", "`on(HOST"),
        ("log(inventory_hostname);", "`host.name`"),
        ("systemd(\"cron\", #{ enabled: True });", "`true`"),
        (
            "systemd(\"cron\", #{ enabled: \"yes\" });",
            "write true, without quotes",
        ),
        ("copy(\"/x\", #{ content: None });", "`()`"),
        ("frobnicate();", "`veza-play doc` lists"),
    ] {
        told_in_play(call, &[instead]);
    }
    told(
        "host(\"x\", #{ ansible_host: \"192.0.2.9\" });",
        &["`connection: ssh("],
    );
}

#[test]
fn what_cannot_be_read_is_said_in_the_words_of_the_language() {
    for (line, instead) in [
        ("copy(\"/x\", { content: \"x\" });", "A map is written `#{"),
        ("copy(\"/x\", #{ content = \"x\" });", "In a map `:`"),
        ("copy(dest=\"/x\");", "go into a map"),
        ("if vars.port == 80 and true { log(1); }", "`&&`"),
        ("if not true { log(1); }", "`!`"),
        ("log('text');", "double quotes"),
        ("if true { log(1); } elif true { log(2); }", "`else if`"),
        ("{% if true %} log(1);", "belongs into templates"),
        ("switch 1 { case 1: log(1); }", "`switch value"),
        ("log(f\"{vars.port}\");", "between back-quotes"),
        ("log(1;", "closing bracket"),
        ("if (true) log(1);", "in braces"),
    ] {
        told_in_play(line, &[instead]);
    }
    let project = project("");
    project.write("site.yml", "- hosts: all\n  tasks: []\n");
    project
        .run(&["lint", "site.yml"])
        .ended_with(1)
        .says("not in YAML");
}

#[test]
fn a_text_that_is_filled_in_nowhere_is_told() {
    told_in_play(
        "copy(\"/x\", #{ content: \"a ${vars.port}\" });",
        &["back-quotes only"],
    );
    told_in_play(
        "let a = 1; log(\"a ${a}\");",
        &["back-quotes only", "\\x24{"],
    );
    told_in_play(
        "copy(\"/x\", #{ content: `a\\nb\\n` });",
        &["double quotes only"],
    );
    told_in_play(
        "copy(\"/x\", #{ content: \"{{ port }}\" });",
        &["by templates only"],
    );
    told_in_play(
        "file(`/srv/{{ inventory_hostname }}`);",
        &["by templates only"],
    );
    for line in [
        "shell(\"echo ${HOME} ${#x}\");",
        "shell(`printf 'a\\n' > /tmp/x`);",
        "command(\"docker ps --format '{{.Names}}'\");",
        "copy(\"/x\", #{ content: \"{{ $labels.x }} {{ other }}\" });",
        "let a = 1; log(\"\\x24{a} {a} $a\"); /* `${a}\\n` */",
        "log('\"'); log(`a ${vars.port}`);",
    ] {
        right(line);
    }
}

#[test]
fn what_is_misspelt_is_told_before_a_host_is_asked() {
    told_in_play(
        "log(vars.prot);",
        &["no host has a variable `prot`", "`vars.port`"],
    );
    told_in_play(
        "log(facts.os_famly);",
        &["there is no fact", "`facts.os_family`"],
    );
    told_in_play(
        "if facts.os_family == \"Debian\" { log(1); }",
        &["write \"debian\""],
    );
    // One that no name is like may be given with --set.
    right("log(vars.release); if vars.contains(\"prt\") { log(vars.prt); }");
    right("if facts.os_family != \"debian\" { log(facts.hostname); }");
    let project = project(&format!(
        "{HOSTS}play(\"p\", \"web\", || {{ log(vars.prot); }});"
    ));
    project
        .run(&["play.rhai", "--sandbox", "--set", "prot=1"])
        .ended_with(0);
}

#[test]
fn a_play_without_a_body_is_told() {
    told(
        "play(\"p\", \"web\", { log(1); });",
        &["takes a closure as its last argument"],
    );
    told(
        "play(\"p\", \"web\");",
        &["takes a closure as its last argument"],
    );
    told(
        "play(\"p\", \"web\", || {}, #{ serial: 1 });",
        &["stands last"],
    );
    told("play(\"p\", || {});", &["play needs `pattern`"]);
    let project = project(HOSTS);
    let said = project.run(&["play.rhai", "--sandbox"]).ended_with(1);
    said.says("play.rhai declares no play");
}

#[test]
fn what_would_run_at_once_instead_of_later_is_told() {
    let restart = "systemd(\"cron\", #{ state: \"restarted\" })";
    for call in [
        format!("handler(\"restart\", {restart});"),
        format!("on(\"web1\", {restart});"),
        format!("once({restart});"),
        format!("retry({restart});"),
        "as_user(\"app\", log(1));".to_owned(),
    ] {
        told_in_play(&call, &["takes a closure as its last argument"]);
    }
    told_in_play(
        "retry(3, || log(1));",
        &["retry takes its arguments in a map only"],
    );
    right("let body = || log(1); once(body);");
}

#[test]
fn calls_that_look_right_elsewhere_are_told() {
    told_in_play("package(\"curl\", \"jq\");", &["in a list, package([…])"]);
    told_in_play(
        "haproxy(#{});",
        &["It is a role: import \"haproxy\" as haproxy;"],
    );
    told_in_play("command(\"ls | wc -l\");", &["runs no shell", "`shell(…)`"]);
    told_in_play(
        "try { log(1); } catch { log(err); }",
        &["`catch (error) { … }`"],
    );
    right("command(\"expr 1 '|' 2\"); command([\"echo\", \">\"]);");
}

#[test]
fn what_only_a_host_shows_is_said_in_plain_words_too() {
    for (line, said) in [
        ("log(vars.port.x);", "an integer has no field `x`"),
        ("vars.port = 90;", "`port` cannot be set here"),
        (
            "let m = #{ a: 1 }; for (k, v) in m { log(k); }",
            "`for key in map.keys()`",
        ),
        (
            "log(join(1, 2));",
            "`join` cannot be called with an integer and an integer",
        ),
    ] {
        let project = project(&format!("{HOSTS}play(\"p\", \"web\", || {{ {line} }});"));
        let run = project.run(&["play.rhai", "--sandbox"]).ended_with(1);
        assert!(run.out.contains(said), "{said:?} is missing\n{}", run.out);
    }
}

#[test]
fn templates_are_read_before_a_host_is_asked() {
    told_in_play(
        "template(\"syntax.j2\", \"/x\");",
        &["(templates/syntax.j2:2)"],
    );
    for template in ["filter.j2", "outer.j2"] {
        told_in_play(
            &format!("template({template:?}, \"/x\");"),
            &[
                "no filter `defualt` (templates/filter.j2:1)",
                "did you mean `default`",
            ],
        );
    }
}

#[test]
fn arguments_that_exclude_each_other_are_told() {
    told_in_play(
        "copy(\"/x\", #{ src: \"templates/syntax.j2\", content: \"x\" });",
        &["copy takes only one of `src`, `content`"],
    );
    told_in_play(
        "copy(\"/x\", #{ mode: \"0644\" });",
        &["copy needs one of `src`, `content`"],
    );
    told_in_play(
        "wait_for(#{ port: 80, path: \"/x\" });",
        &["wait_for takes only one of"],
    );
    right("let more = #{ content: \"x\" }; copy(\"/x\", more);");
}

#[test]
fn templates_call_facts_and_other_hosts_by_the_names_of_ansible() {
    let project = project(
        r#"host("web1", #{ connection: ssh("root@192.0.2.1"), vars: #{ weight: 3 } });
        host("web2", #{ connection: local() });
        group("web", ["web1", "web2"], #{ vars: #{ port: 80 } });
        play("p", "web2", || { template("peers.j2", "/etc/peers"); });"#,
    );
    project.write(
        "templates/peers.j2",
        "OS {% include 'os.j2' %} .\n{% for peer in groups['web'] if peer != inventory_hostname %}\n\
         {{ hostvars[peer].ansible_host }}:{{ hostvars[peer]['port'] }} {{ hostvars[peer].weight }}\n\
         {% endfor %}\n",
    );
    project.write(
        "templates/os.j2",
        "{{ ansible_facts['os_family'] }} {{ ansible_distribution_release }} \
         {{ ansible_default_ipv4.address }} {{ facts.os_family }} {{ hostvars.web2.group_names | join }}\n",
    );
    project.run(&["play.rhai", "--sandbox"]).ended_with(0);
    assert_eq!(
        project.host_file("web2", "/etc/peers"),
        "OS Debian bookworm 192.0.2.10 debian web .\n192.0.2.1:80 3\n"
    );
}
