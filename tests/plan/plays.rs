//! Random plays. Paths, accounts, packages and units come from small pools, so
//! that tasks meet each other.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::dice::Dice;

const PATHS: [&str; 26] = [
    "/srv/app",
    "/srv/app/conf",
    "/srv/app/conf/a.conf",
    "/srv/app/conf/b.conf",
    "/srv/app/current",
    "/srv/app/current/a.conf",
    "/srv/app/releases/1",
    "/srv/app/releases/1/bin",
    "/srv/other",
    "/srv/other/a.conf",
    "/srv/a.txt",
    "/srv/link",
    "/srv/link/a.conf",
    "/etc/nginx",
    "/etc/nginx/nginx.conf",
    "/etc/nginx/conf.d",
    "/etc/nginx/conf.d/site.conf",
    "/etc/nginx/sites-enabled/default",
    "/var/www/html",
    "/var/www/html/index.nginx-debian.html",
    "/etc/memcached.conf",
    "/etc/default/cron",
    "/usr/games/cowsay",
    "/home/ann",
    "/home/ann/notes",
    "/home/bob/.profile",
];
/// What the packages bring, and some of what the tasks make.
const BROUGHT: [&str; 12] = [
    "/usr/bin/tree",
    "/usr/bin/ncal",
    "/usr/sbin/nginx",
    "/usr/sbin/atd",
    "/usr/share/nginx",
    "/etc/logrotate.conf",
    "/etc/logrotate.d",
    "/etc/at.deny",
    "/etc/systemd/system/multi-user.target.wants/nginx.service",
    "/etc/systemd/system/app.service",
    "/etc/sysctl.d/99-veza.conf",
    "/etc/cron.d/jobs",
];
const TEXTS: [&str; 5] = [
    "",
    "one\\n",
    "one\\ntwo\\n",
    "# comment\\nport = 80\\nname = x\\n",
    "no newline at the end",
];
const MODES: [&str; 9] = [
    "\"0644\"",
    "\"0600\"",
    "\"0755\"",
    "0o750",
    "\"2775\"",
    "\"u+x\"",
    "\"go-rwx\"",
    "\"u=rwX,g=rX,o=\"",
    "\"1777\"",
];
const USERS: [&str; 8] = [
    "ann", "bob", "cid", "root", "daemon", "www-data", "memcache", "1234",
];
const MADE_USERS: [&str; 4] = ["ann", "bob", "cid", "memcache"];
const GROUPS: [&str; 8] = [
    "ann", "bob", "team", "staff", "adm", "www-data", "memcache", "4321",
];
const MADE_GROUPS: [&str; 4] = ["team", "ops", "ann", "memcache"];
const PACKAGES: [&str; 9] = [
    "tree",
    "ncal",
    "cowsay",
    "nginx-light",
    "memcached",
    "cron",
    "at",
    "logrotate",
    "rsync",
];
const UNITS: [&str; 11] = [
    "app",
    "app",
    "once",
    "broken",
    "app.timer",
    "nginx",
    "memcached",
    "cron",
    "atd",
    "rsync",
    "logrotate.timer",
];
const UNIT_FILES: [(&str, &str); 7] = [
    (
        "app.service",
        "[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n",
    ),
    (
        "app.service",
        "[Unit]\\nDescription=App\\n[Service]\\nExecStart=/bin/sleep 2000\\nExecReload=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n",
    ),
    (
        "app.service",
        "[Service]\\nUser=ann\\nExecStart=/bin/sleep 1000\\n",
    ),
    (
        "once.service",
        "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\nAlias=einmal.service\\n",
    ),
    (
        "broken.service",
        "[Service]\\nType=oneshot\\nExecStart=/bin/false\\n[Install]\\nWantedBy=multi-user.target\\n",
    ),
    (
        "app.timer",
        "[Timer]\\nOnCalendar=yearly\\n[Install]\\nWantedBy=timers.target\\n",
    ),
    ("nginx.service.d/own.conf", "[Service]\\nNice=5\\n"),
];
const KEYS: [&str; 3] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ ops",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAme9JgpSRdsUO+xqErPvf413ATZDJWOKIwfq9rk5FG team",
    "no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ ops",
];
/// The digest of the server's page `one`.
const ONE: &str = "sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806";

/// A call, and whether the host is as it asks for afterwards: done again, it
/// changes nothing.
struct Task {
    call: String,
    settles: bool,
}

impl Task {
    fn settling(call: String) -> Self {
        Self {
            call,
            settles: true,
        }
    }

    fn repeating(call: String) -> Self {
        Self {
            call,
            settles: false,
        }
    }
}

/// Makes the files that the plays' tasks take from the project.
pub fn sources(root: &Path) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    };
    write(
        "templates/a.j2",
        "{{ host.name }} {{ facts.os_family }}\n{% if port > 80 %}high {{ port }}\n{% endif %}",
    );
    write("files/tree/a.conf", "from the tree\n");
    write("files/tree/below/b.conf", "b\n");
    write("files/archive/app/a.conf", "packed\n");
    write("files/archive/app/bin/run", "#!/bin/sh\n");
    let packed = Command::new("tar")
        .args([
            "--create",
            "--gzip",
            "--file",
            "app.tar.gz",
            "--directory",
            "archive",
            "app",
        ])
        .current_dir(root.join("files"))
        .status();
    assert!(packed.is_ok_and(|status| status.success()), "tar fails");
}

/// An env file with one play for a host.
pub fn script(dice: &mut Dice, host: &str) -> String {
    let mut author = Author(dice);
    let guarded = !author.0.once_in(8);
    let count = 8 + author.0.below(10);
    let mut script = String::new();
    for _ in 0..count {
        let task = author.task();
        let twice = task.settles && author.0.once_in(2);
        let mut line = task.call;
        if guarded {
            line = format!("try {{ {line} }} catch {{ log(`caught`); }}");
        }
        if twice {
            line = format!("for turn in [1, 2] {{ {line} }}");
        }
        script += &format!("    {line}\n");
    }
    if guarded {
        script += &look_around();
    }
    for handler in ["first", "second"] {
        let task = author.task();
        script += &format!("    handler({handler:?}, || {{ {} }});\n", task.call);
    }
    with_body(host, &script)
}

/// Tells what is at each path in the end, as far as it is known.
fn look_around() -> String {
    let paths: Vec<String> = PATHS
        .iter()
        .chain(&BROUGHT)
        .map(|path| quoted(path))
        .collect();
    let paths = paths.join(", ");
    format!(
        "    for path in [{paths}] {{ let s = stat(path, #{{ checksum: true }}); \
         log(if !is_known(s.exists) {{ `${{s.exists}}` }} else if !s.exists {{ `${{path}}: nothing` }} else {{ \
         `${{path}}: ${{s.kind}} ${{s.owner}} ${{s.group}} ${{s.mode}} ${{s.target}} ${{s.get(\"sha256\", \"\")}}` }}); }}\n"
    )
}

/// An env file whose one play has this body.
pub fn with_body(host: &str, body: &str) -> String {
    format!(
        "host(\"it\", #{{ connection: incus({host:?}), vars: #{{ port: 8080 }} }});\n\
         play(\"plan\", \"it\", || {{\n{body}}});\n"
    )
}

struct Author<'a>(&'a mut Dice);

impl Author<'_> {
    fn task(&mut self) -> Task {
        let task = self.plain();
        match self.0.below(24) {
            0 => self.as_someone(task),
            1 => Task {
                call: format!("retry(#{{ times: 2, delay: 0 }}, || {{ {} }});", task.call),
                ..task
            },
            2 if !task.call.starts_with("let ")
                && !task.call.starts_with("log")
                && task.call.matches(';').count() == 1 =>
            {
                Task {
                    call: format!("let r = {} log(`changed: ${{r.changed}}`);", task.call),
                    ..task
                }
            }
            3 => Task::repeating("flush_handlers();".to_owned()),
            4 => {
                let path = self.path();
                Task {
                    call: format!("if stat({path:?}).exists {{ {} }}", task.call),
                    ..task
                }
            }
            _ => task,
        }
    }

    fn as_someone(&mut self, task: Task) -> Task {
        let user = self.0.pick(&["ann", "bob", "www-data", "deploy"]);
        Task {
            call: format!("as_user({user:?}, || {{ {} }});", task.call),
            ..task
        }
    }

    fn plain(&mut self) -> Task {
        match self.0.below(40) {
            0..=5 => self.file(),
            6..=8 => self.copy(),
            9 => self.template(),
            10 => self.lineinfile(),
            11 => self.blockinfile(),
            12..=14 => self.unit_file(),
            15..=18 => self.systemd(),
            19..=20 => self.user(),
            21 => self.group(),
            22 => self.authorized_key(),
            23..=24 => self.cron(),
            25..=27 => self.command(),
            28..=29 => self.look(),
            30..=31 => self.get_url(),
            32 => self.uri(),
            33 => self.unarchive(),
            34 => self.git(),
            35 => self.sysctl(),
            36 => self.named(),
            _ => self.package(),
        }
    }

    fn path(&mut self) -> &'static str {
        self.0.pick(&PATHS)
    }

    /// Some of the options, as a map, with a comma before it.
    fn options(&mut self, given: &[(&str, String)], optional: &[(&str, String)]) -> String {
        let mut options: Vec<String> = given
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        for (name, value) in optional {
            if self.0.once_in(3) {
                options.push(format!("{name}: {value}"));
            }
        }
        if self.0.once_in(5) {
            options.push(format!("notify: {:?}", self.0.pick(&["first", "second"])));
        }
        format!(", #{{ {} }}", options.join(", "))
    }

    fn attributes(&mut self) -> Vec<(&'static str, String)> {
        vec![
            ("owner", quoted(self.0.pick(&USERS))),
            ("group", quoted(self.0.pick(&GROUPS))),
            ("mode", self.0.pick(&MODES).to_owned()),
        ]
    }

    fn file(&mut self) -> Task {
        let path = self.path();
        let state = self.0.pick(&[
            "file",
            "directory",
            "directory",
            "link",
            "hard",
            "touch",
            "absent",
            "absent",
        ]);
        let mut optional = self.attributes();
        let mut given = vec![("state", quoted(state))];
        if state == "link" || state == "hard" {
            let targets = [
                "a.conf",
                "app",
                "../other",
                "nowhere",
                "/srv/app/conf",
                "/srv/a.txt",
                "/home/ann",
            ];
            let target = if state == "hard" {
                self.path()
            } else {
                self.0.pick(&targets)
            };
            given.push(("src", quoted(target)));
            optional.push(("force", "true".to_owned()));
        }
        if state == "directory" {
            optional.push(("recurse", "true".to_owned()));
        }
        if state == "absent" {
            optional.clear();
        } else {
            optional.push(("follow", "false".to_owned()));
        }
        let call = format!("file({path:?}{});", self.options(&given, &optional));
        Task {
            call,
            settles: state != "touch",
        }
    }

    fn copy(&mut self) -> Task {
        let path = self.path();
        let mut optional = self.attributes();
        optional.extend([
            ("backup", "true".to_owned()),
            ("force", "false".to_owned()),
            ("follow", "true".to_owned()),
        ]);
        let given = match self.0.below(8) {
            0 => vec![("src", quoted("tree")), ("directory_mode", quoted("0750"))],
            1 => vec![("src", quoted("tree/a.conf"))],
            2 => vec![
                ("src", quoted(self.path())),
                ("remote_src", "true".to_owned()),
            ],
            3 => vec![
                ("content", quoted_escaped(self.0.pick(&TEXTS))),
                ("validate", quoted("grep -q one %s")),
            ],
            _ => vec![("content", quoted_escaped(self.0.pick(&TEXTS)))],
        };
        Task::settling(format!(
            "copy({path:?}{});",
            self.options(&given, &optional)
        ))
    }

    fn template(&mut self) -> Task {
        let path = self.path();
        let optional = self.attributes();
        let given = match self.0.once_in(2) {
            true => vec![("vars", "#{ port: 80 }".to_owned())],
            false => Vec::new(),
        };
        Task::settling(format!(
            "template(\"a.j2\", {path:?}{});",
            self.options(&given, &optional)
        ))
    }

    fn lineinfile(&mut self) -> Task {
        let path = self.path();
        let mut optional = self.attributes();
        optional.push(("create", "true".to_owned()));
        optional.push(("backup", "true".to_owned()));
        let (line, given) = match self.0.below(4) {
            0 => ("port = 81", vec![("regexp", quoted("^port"))]),
            1 => ("two", vec![("state", quoted("absent"))]),
            2 => ("last", vec![("insertafter", quoted("one"))]),
            _ => ("first", vec![("insertbefore", quoted("BOF"))]),
        };
        Task::settling(format!(
            "lineinfile({path:?}, {line:?}{});",
            self.options(&given, &optional)
        ))
    }

    fn blockinfile(&mut self) -> Task {
        let path = self.path();
        let mut optional = self.attributes();
        optional.push(("create", "true".to_owned()));
        optional.push(("insertafter", quoted("one")));
        optional.push(("state", quoted("absent")));
        let block = self.0.pick(&["a\\nb\\n", "a\\n", ""]);
        Task::settling(format!(
            "blockinfile({path:?}, \"{block}\"{});",
            self.options(&[], &optional)
        ))
    }

    fn unit_file(&mut self) -> Task {
        let (name, text) = self.0.pick(&UNIT_FILES);
        let path = format!("/etc/systemd/system/{name}");
        match self.0.below(5) {
            0 => Task::settling(format!(
                "file({path:?}{});",
                self.options(&[("state", quoted("absent"))], &[])
            )),
            _ => {
                let given = [("content", quoted_escaped(text))];
                let copy = format!("copy({path:?}{});", self.options(&given, &[]));
                let directory = Path::new(&path).parent().expect("it has one").display();
                Task::settling(match name.contains('/') {
                    true => format!("file(\"{directory}\", #{{ state: \"directory\" }}); {copy}"),
                    false => copy,
                })
            }
        }
    }

    fn systemd(&mut self) -> Task {
        let unit = self.0.pick(&UNITS);
        let state = self.0.pick(&[
            "started",
            "started",
            "started",
            "stopped",
            "stopped",
            "restarted",
            "reloaded",
        ]);
        let state = (!self.0.once_in(4)).then_some(state);
        let given: Vec<_> = state
            .map(|state| ("state", quoted(state)))
            .into_iter()
            .collect();
        let truth = |dice: &mut Dice| dice.pick(&["true", "true", "false"]).to_owned();
        let optional = [
            ("enabled", truth(self.0)),
            ("masked", truth(self.0)),
            ("daemon_reload", "true".to_owned()),
        ];
        let options = self.options(&given, &optional);
        let some = ["state", "enabled", "masked", "daemon_reload"]
            .iter()
            .any(|name| options.contains(name));
        let options = if some {
            options
        } else {
            ", #{ enabled: true }".to_owned()
        };
        let call = format!("systemd({unit:?}{options});");
        Task {
            call,
            settles: !matches!(state, Some("restarted" | "reloaded")),
        }
    }

    fn user(&mut self) -> Task {
        let user = self.0.pick(&MADE_USERS);
        if self.0.once_in(3) {
            let given = [("state", quoted("absent"))];
            let optional = [("remove", "true".to_owned()), ("force", "true".to_owned())];
            return Task::settling(format!(
                "user({user:?}{});",
                self.options(&given, &optional)
            ));
        }
        let optional = [
            ("uid", self.0.pick(&["1234", "2001", "2002"]).to_owned()),
            ("group", quoted(self.0.pick(&GROUPS))),
            (
                "groups",
                self.0
                    .pick(&["[\"adm\"]", "[\"team\", \"staff\"]", "[]", "\"ops\""])
                    .to_owned(),
            ),
            ("append", "true".to_owned()),
            ("comment", quoted("Somebody")),
            (
                "home",
                quoted(self.0.pick(&["/home/ann", "/srv/app", "/srv/new/home"])),
            ),
            ("create_home", "false".to_owned()),
            ("move_home", "true".to_owned()),
            (
                "shell",
                quoted(self.0.pick(&["/bin/bash", "/bin/sh", "/usr/games/cowsay"])),
            ),
            ("system", "true".to_owned()),
            ("password_lock", self.0.pick(&["true", "false"]).to_owned()),
            ("expires", quoted(self.0.pick(&["2030-12-31", "never"]))),
        ];
        Task::settling(format!("user({user:?}{});", self.options(&[], &optional)))
    }

    fn group(&mut self) -> Task {
        let group = self.0.pick(&MADE_GROUPS);
        if self.0.once_in(3) {
            let given = [("state", quoted("absent"))];
            let optional = [("force", "true".to_owned())];
            return Task::settling(format!(
                "group({group:?}{});",
                self.options(&given, &optional)
            ));
        }
        let optional = [
            ("gid", self.0.pick(&["3001", "3002", "4"]).to_owned()),
            ("system", "true".to_owned()),
        ];
        Task::settling(format!("group({group:?}{});", self.options(&[], &optional)))
    }

    fn authorized_key(&mut self) -> Task {
        let user = self.0.pick(&["ann", "bob", "cid", "root", "deploy"]);
        // The deploy user and root keep the lab's key: they are how tests come in.
        let key = self.0.pick(&KEYS);
        let optional = [
            ("state", quoted(self.0.pick(&["absent", "present"]))),
            ("exclusive", self.0.pick(&["true", "false"]).to_owned()),
            ("comment", quoted("new comment")),
            (
                "path",
                quoted(self.0.pick(&["/srv/app/conf/keys", "/etc/keys"])),
            ),
        ];
        Task::settling(format!(
            "authorized_key({user:?}, {key:?}{});",
            self.options(&[], &optional)
        ))
    }

    fn cron(&mut self) -> Task {
        let name = self.0.pick(&["backup", "report"]);
        let job = self.0.pick(&["/bin/true", "/usr/local/bin/report --all"]);
        let in_file = self.0.once_in(2);
        let mut given = vec![(
            "user",
            quoted(self.0.pick(&["root", "ann", "bob", "www-data"])),
        )];
        if in_file {
            given.push((
                "cron_file",
                quoted(self.0.pick(&["jobs", "/srv/app/conf/jobs"])),
            ));
        }
        let optional = [
            (
                "at",
                quoted(self.0.pick(&["0 3 * * *", "@daily", "*/5 * * * 1-5"])),
            ),
            ("disabled", "true".to_owned()),
            ("backup", "true".to_owned()),
        ];
        let env = [("env", "true".to_owned()), ("backup", "true".to_owned())];
        if self.0.once_in(3) {
            given.push(("state", quoted("absent")));
            let optional: &[_] = if self.0.once_in(3) { &env[..1] } else { &[] };
            return Task::settling(format!("cron({name:?}{});", self.options(&given, optional)));
        }
        match self.0.once_in(4) {
            true => {
                given.push(env[0].clone());
                Task::settling(format!(
                    "cron(\"MAILTO\", \"ann\"{});",
                    self.options(&given, &env[1..])
                ))
            }
            false => Task::settling(format!(
                "cron({name:?}, {job:?}{});",
                self.options(&given, &optional)
            )),
        }
    }

    fn command(&mut self) -> Task {
        let path = self.path();
        let creates = [("creates", quoted(path))];
        match self.0.below(8) {
            0 => Task::settling(format!(
                "command([\"touch\", {path:?}]{});",
                self.options(&creates, &[])
            )),
            1 => Task::settling(format!(
                "command([\"mkdir\", {path:?}]{});",
                self.options(&creates, &[])
            )),
            2 => Task::settling(format!(
                "command([\"rm\", \"-r\", {path:?}]{});",
                self.options(&[("removes", quoted(path))], &[])
            )),
            3 => Task::settling(format!(
                "shell(\"echo made > {path}\"{});",
                self.options(&creates, &[])
            )),
            4 => {
                let optional = [
                    ("unless", quoted(&format!("test -e {path}"))),
                    ("only_if", quoted("test -x /usr/games/cowsay")),
                    ("chdir", quoted("/srv/app")),
                ];
                Task::repeating(format!(
                    "command(\"true\"{});",
                    self.options(&[], &optional)
                ))
            }
            5 => {
                let given = [
                    ("read_only", "true".to_owned()),
                    ("success_codes", "[0, 1, 2]".to_owned()),
                ];
                Task::settling(format!(
                    "log(`cat: ${{command([\"cat\", {path:?}]{}).stdout}}`);",
                    self.options(&given, &[])
                ))
            }
            6 => {
                let given = [
                    ("read_only", "true".to_owned()),
                    ("success_codes", "[0, 1]".to_owned()),
                ];
                let user = self.0.pick(&USERS);
                Task::settling(format!(
                    "log(`id: ${{command([\"id\", {user:?}]{}).stdout}}`);",
                    self.options(&given, &[])
                ))
            }
            _ => Task::repeating(format!("command(\"true\"{});", self.options(&[], &[]))),
        }
    }

    fn look(&mut self) -> Task {
        let path = self.path();
        Task::settling(match self.0.below(3) {
            0 => {
                let follow = self.0.pick(&["true", "false"]);
                format!(
                    "let s = stat({path:?}, #{{ checksum: true, follow: {follow} }}); \
                     if s.exists {{ log(`{path}: ${{s.kind}} ${{s.owner}}:${{s.group}} ${{s.mode}}`); \
                     if s.kind == \"file\" {{ log(`size ${{s.size}} digest ${{s.sha256}}`); }} }} \
                     else {{ log(\"{path} is not there\"); }}"
                )
            }
            1 => format!(
                "let s = slurp({path:?}); if s.exists {{ log(`{path} holds ${{s.content}}`); }}"
            ),
            _ => {
                let other = self.path();
                format!(
                    "let s = slurp({path:?}); if s.exists {{ copy({other:?}, #{{ content: `<${{s.content}}>` }}); }}"
                )
            }
        })
    }

    fn get_url(&mut self) -> Task {
        let path = self.path();
        let page = self.0.pick(&["one", "one", "two", "none"]);
        let mut optional = self.attributes();
        optional.push(("backup", "true".to_owned()));
        match self.0.once_in(2) {
            true => optional.push(("checksum", quoted(ONE))),
            false => optional.push(("force", "true".to_owned())),
        }
        let options = self.options(&[], &optional);
        Task::settling(format!(
            "get_url(\"http://127.0.0.1:8099/{page}\", {path:?}{options});"
        ))
    }

    fn uri(&mut self) -> Task {
        let page = self.0.pick(&["one", "two", "none"]);
        let port = self.0.pick(&["8099", "8099", "80"]);
        match self.0.below(3) {
            0 => Task::settling(format!(
                "wait_for(#{{ path: {:?}, timeout: \"1s\" }});",
                self.path()
            )),
            1 => Task::settling(format!("wait_for(#{{ port: {port}, timeout: \"1s\" }});")),
            _ => Task::settling(format!(
                "log(`page: ${{uri(\"http://127.0.0.1:{port}/{page}\").content}}`);"
            )),
        }
    }

    fn unarchive(&mut self) -> Task {
        let dest = self.0.pick(&[
            "/srv/app",
            "/srv/other",
            "/srv/link",
            "/srv/a.txt",
            "/home/ann",
        ]);
        let mut optional = self.attributes();
        optional[2].1 = self.0.pick(&["\"0600\"", "\"0755\""]).to_owned();
        optional.extend([
            ("strip_components", "1".to_owned()),
            ("exclude", quoted("app/bin")),
            ("creates", quoted("/srv/app/app/bin")),
        ]);
        Task::settling(format!(
            "unarchive(\"app.tar.gz\", {dest:?}{});",
            self.options(&[], &optional)
        ))
    }

    fn git(&mut self) -> Task {
        let dest = self.0.pick(&["/srv/app", "/srv/other", "/srv/checkout"]);
        let optional = [
            ("version", quoted(self.0.pick(&["v1", "main"]))),
            ("force", "true".to_owned()),
        ];
        let call = format!(
            "git(\"/usr/local/share/repo.git\", {dest:?}{});",
            self.options(&[], &optional)
        );
        Task::settling(match self.0.once_in(2) {
            true => format!("package(\"git\", #{{ install_recommends: false }}); {call}"),
            false => call,
        })
    }

    fn sysctl(&mut self) -> Task {
        let (name, value) = self.0.pick(&[
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.ip_forward", "0"),
            ("net.core.somaxconn", "1024"),
            ("net.ipv4.ip_local_port_range", "\"20000 60000\""),
            ("kernel.no_such_thing", "1"),
        ]);
        if self.0.once_in(4) {
            return Task::settling(format!(
                "sysctl({name:?}{});",
                self.options(&[("state", quoted("absent"))], &[])
            ));
        }
        let optional = [
            ("live", "false".to_owned()),
            ("ignore", "true".to_owned()),
            ("sysctl_file", quoted("/etc/sysctl.d/10-own.conf")),
        ];
        Task::settling(format!(
            "sysctl({name:?}, {value}{});",
            self.options(&[], &optional)
        ))
    }

    fn named(&mut self) -> Task {
        Task::settling(match self.0.once_in(2) {
            true => {
                let name = self.0.pick(&["web-1", "web-1.example.org", "db"]);
                let optional = [("hosts", "true".to_owned())];
                format!("hostname({name:?}{});", self.options(&[], &optional))
            }
            false => {
                let zone = self.0.pick(&["Europe/Berlin", "Etc/UTC", "Nowhere/Land"]);
                format!("timezone({zone:?}{});", self.options(&[], &[]))
            }
        })
    }

    fn package(&mut self) -> Task {
        let one = self.0.pick(&PACKAGES);
        let names = match self.0.once_in(5) {
            true => format!("[{one:?}, {:?}]", self.0.pick(&PACKAGES)),
            false => quoted(one),
        };
        let (given, optional) = match self.0.once_in(3) {
            true => (
                vec![("state", quoted("absent"))],
                vec![
                    ("purge", "true".to_owned()),
                    ("autoremove", "true".to_owned()),
                ],
            ),
            false => (
                Vec::new(),
                vec![
                    ("state", quoted("latest")),
                    ("install_recommends", "false".to_owned()),
                ],
            ),
        };
        Task::settling(format!(
            "package({names}{});",
            self.options(&given, &optional)
        ))
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// A text that is escaped already.
fn quoted_escaped(text: &str) -> String {
    format!("\"{text}\"")
}
