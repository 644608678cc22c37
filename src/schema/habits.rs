//! Words that people bring along from Ansible, from YAML and from other
//! languages, and what they write here instead.

/// What to write instead of an argument that no call takes.
pub fn argument(name: &str) -> Option<&'static str> {
    Some(match name {
        "when" => "Write `if … { … }` around the call.",
        "register" => "A call gives its result back: `let result = …`.",
        "loop" | "loop_control" => LOOP,
        "until" | "retries" | "delay" => "Write `retry(#{ times: …, delay: … }, || …)` around it.",
        "ignore_errors" | "rescue" | "failed_when" => {
            "Write `try { … } catch (error) { … }` around the call; a command has `success_codes`."
        }
        "changed_when" => "A command that changes nothing is `read_only: true`.",
        "delegate_to" => "Write `on(HOST, || …)` around the call.",
        "run_once" => "Write `once(|| …)` around the call.",
        "listen" => "Notify the handler by its name.",
        "no_log" => "Give the value as `secret(…)`: it is shown by its name only.",
        "environment" => "A command takes `env: #{ … }`.",
        "remote_user" | "become_method" => {
            "The user is a part of the host's connection, `ssh(\"user@host\")`; `become` is sudo."
        }
        "gather_facts" => "Leave it out: facts are there without being asked for.",
        "any_errors_fatal" | "max_fail_percentage" => "Write `max_fail` of the play.",
        "hosts" => "Hosts are the second argument: play(NAME, PATTERN, || { … })",
        "tasks" | "roles" | "handlers" => "They are calls in the closure of a play: `|| { … }`.",
        "vars_files" => "Write `vars: #{ … }`; a file of secrets is named by `secrets(FILE)`.",
        "name" => "A task has no name of its own: write a comment above it.",
        _ if name.starts_with("with_") => LOOP,
        _ if name.starts_with("ansible_") => {
            "Write `connection: ssh(\"user@host:port\")`, `incus(NAME)` or `local()`."
        }
        _ => return None,
    })
}

const LOOP: &str = "Write `for item in [ … ] { … }` around the call.";

/// What to write instead of a function that is not there.
pub fn function(name: &str) -> Option<&'static str> {
    Some(match name {
        "apt" | "yum" | "dnf" | "apk" | "pacman" | "zypper" => "Write `package(…)`.",
        "service" | "systemd_service" | "sysvinit" => "Write `systemd(…)`.",
        "debug" | "print" | "puts" | "echo" => "Write `log(…)`.",
        "set_fact" | "include_vars" => {
            "Write `let name = …`, or `vars: #{ … }` of a host or group."
        }
        "include_role" | "import_role" | "include_tasks" | "import_tasks" | "import_playbook"
        | "include" | "require" => {
            "Write `import \"NAME\" as NAME;` at the top, and call its functions: `NAME::role(#{ … })`."
        }
        "meta" => "Write `flush_handlers()`.",
        "raw" | "script" | "exec" | "run" | "system" => "Write `command(…)` or `shell(…)`.",
        "replace" | "ini_file" => "Write `lineinfile(…)`, `blockinfile(…)` or `template(…)`.",
        "fetch" => "Write `slurp(PATH)`.",
        "synchronize" => "Write `copy(…)` or `unarchive(…)`.",
        "pause" | "sleep" | "wait_for_connection" => "Write `wait_for(…)`, or `retry(…)`.",
        "lxd_container" => "Write `incus_instance(…)`.",
        "pg_hba" => "Write `postgresql_pg_hba(…)`.",
        "setup" | "gather_facts" => "Read `facts.NAME`.",
        "task" => "A call is a task: `file(…)`, `package(…)`.",
        "lookup" => "Write `secret(NAME)` for a secret; `src` of `copy` and `template` name files.",
        _ => return None,
    })
}

/// What to write instead of a variable that is not there.
pub fn variable(name: &str) -> Option<&'static str> {
    Some(match name {
        "True" | "yes" | "Yes" | "on" => "Write `true`.",
        "False" | "no" | "No" | "off" => "Write `false`.",
        "None" | "none" | "Null" | "undefined" => "Write `()` for no value, or leave it out.",
        "inventory_hostname" => "Write `host.name`.",
        "ansible_facts" => "Write `facts.NAME`; `veza-play doc facts` lists them.",
        "hostvars" => "Write `on(HOST, || vars.NAME)`.",
        "group_names" => "Write `host.groups`.",
        "item" => LOOP,
        "e" | "err" | "error" | "ansible_failed_result" => {
            "The failure has the name that `catch (error) { … }` gives it."
        }
        "omit" => "Write `()`: an argument of no value counts as left out.",
        "not" => "Write `!`.",
        "and" => "Write `&&`.",
        "or" => "Write `||`.",
        _ if name.starts_with("ansible_") => {
            "Write `facts.NAME`, or `host.NAME`; `veza-play doc facts` lists them."
        }
        _ => return None,
    })
}
