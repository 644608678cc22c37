//! The functions and names of plays that are no modules, for `veza-play doc`.
//! A test writes each example into a play and checks it.

/// A function or name of plays.
pub struct Function {
    /// What a script writes.
    pub name: &'static str,
    /// One sentence on what it is for.
    pub summary: &'static str,
    /// What else is to know.
    pub doc: &'static str,
    /// A line of a play that uses it.
    pub example: &'static str,
}

/// All of them, in the order in which one meets them.
pub const ALL: &[Function] = &[
    Function {
        name: "host",
        summary: "The host that the play runs on: `name`, `address`, `groups`.",
        doc: "The functions of a role see it too, without being given it.",
        example: "log(host.name);",
    },
    Function {
        name: "vars",
        summary: "The variables of the host.",
        doc: "The more specific wins: those of the group `all`, of its other groups, of the \
              host, of the play, and then `--set`. `vars.get(\"name\", other)` gives \
              `other` where there is none.",
        example: "log(vars.get(\"port\", 80));",
    },
    Function {
        name: "facts",
        summary: "What the host is, as its agent found it.",
        doc: "Texts are in lower case, where Ansible's have capitals.",
        example: "if facts.os_family == \"debian\" { log(facts.distribution_release); }",
    },
    Function {
        name: "groups",
        summary: "The names of the hosts of each group.",
        doc: "",
        example: "for name in groups.all { log(name); }",
    },
    Function {
        name: "secret",
        summary: "A secret of the files that the env file names with `secrets(…)`.",
        doc: "It is a text that may be handed on: to arguments, to templates, into other texts, \
              into variables of hosts. Its value goes to the host that needs it, and to no \
              output, log, journal or process list; all of those show its name. A script cannot \
              look into it; the filters of a template can, and what they make of it is a \
              secret too, but the answer of a test is not. `veza-play vault --help` tells how \
              the files are made.",
        example: "copy(\"/etc/app.env\", #{ content: \"PASSWORD=\" + secret(\"db_password\") + \"\\n\", mode: 0o600 });",
    },
    Function {
        name: "handler",
        summary: "Defines what runs at the end of the play if a task that notifies it changed something.",
        doc: "It runs once for each host, however many tasks notify it. Handlers run in the order \
              in which they are defined, whatever `--tags` says, since what notified them \
              was chosen; `--skip-tags` leaves out their tasks by name. One that fails makes \
              its host leave the run, after the others that were notified have run. A \
              task that fails keeps them from running: the host remembers that they are due, and \
              the next run of the play runs them, even if it fails again. The same goes for one \
              that failed, and for a run that was interrupted or killed.",
        example: "handler(\"restart cron\", || systemd(\"cron\", #{ state: \"restarted\" }));",
    },
    Function {
        name: "flush_handlers",
        summary: "Runs the handlers that are notified now instead of at the end of the play.",
        doc: "The first that fails ends it, as a task that fails does.",
        example: "flush_handlers();",
    },
    Function {
        name: "as_user",
        summary: "Runs tasks as another user, and gives back the value of its closure.",
        doc: "It is `become_user` for all calls inside, also for those in roles that are called \
              there. The innermost user wins; a call with `become: false` stays the user of the \
              connection. A handler that is defined inside runs at the end of the play, as the \
              user of the play.",
        example: "let version = as_user(\"postgres\", || command(\"psql --version\", #{ read_only: true }).stdout);",
    },
    Function {
        name: "retry",
        summary: "Runs its closure until it does not fail, and gives back its value.",
        doc: "With `until`, that closure is given the value and says whether it is the one hoped \
              for. The last failure is passed on; those before it are told. Inside, each task is \
              waited for, as in `try`. A mistake of the script is not tried again. A dry run makes \
              one attempt and waits for nothing: what only a later attempt could bring is assumed, \
              the plan says so, and the value is then not known.",
        example: "retry(#{ times: 10, delay: \"1s\", backoff: 2, max_delay: \"30s\", until: |it| it.stdout == \"ready\" },\n    || command(\"app status\", #{ read_only: true }));",
    },
    Function {
        name: "on",
        summary: "Runs its closure on another host of the inventory, and gives back its value.",
        doc: "A release takes a server out at the load balancer, for instance. Inside, `host`, \
              `vars` and `facts` are those of the other host; what is needed of this one is kept \
              with `let` before. What was called before is done first, and what is called inside \
              is done when `on` returns, with the handlers that are defined and notified inside: \
              they run there. `--limit` does not keep it from its host. Tasks are told under the \
              host they run on, but a failure is that of the host whose script asked for them, \
              and `catch` takes it. Only a host that cannot be reached leaves the run itself; \
              one that failed in its own play may still be used. Two scripts may use one host at \
              once, and their tasks take turns.",
        example: "let name = host.name; on(host.name, || log(`on ${host.name}, for ${name}`));",
    },
    Function {
        name: "once",
        summary: "Runs its closure on one host of the play, and gives its value to all.",
        doc: "The first host that comes there runs it; the others wait, and get a copy of the \
              value, or the fields of a result. It is once for the play, also with `serial`; in a \
              loop or a function it is once for each time that a host comes there. If it fails, \
              it fails on the hosts that wait as well, and if its host is lost there, it is not \
              begun again: nobody knows how far it came.",
        example: "let version = once(|| command(\"app migrate\")); log(version.stdout);",
    },
    Function {
        name: "log",
        summary: "Tells something in the report: a text, or any value as JSON.",
        doc: "",
        example: "log(`this is ${host.name}`);",
    },
    Function {
        name: "assert",
        summary: "Fails the host, with a message, unless something is true.",
        doc: "",
        example: "assert(host.name != \"\", \"a host needs a name\");",
    },
    Function {
        name: "fail",
        summary: "Fails the host with a message and, if given, a hint.",
        doc: "`try` and `catch` take the failure as a map with `host`, `module` and `message`.",
        example: "try { fail(\"not here\", \"try another host\"); } catch (error) { log(error.message); }",
    },
    Function {
        name: "is_known",
        summary: "Whether a value is known already: a dry run cannot know what a command will print.",
        doc: "A script that decides by a value that is not known has no complete plan.",
        example: "let id = command(\"id\"); if is_known(id.stdout) { log(id.stdout); }",
    },
    Function {
        name: "to_json",
        summary: "A value as JSON text.",
        doc: "",
        example: "log(to_json(#{ port: 80 }));",
    },
    Function {
        name: "urlencode",
        summary: "A text as a part of a URL: all but letters, digits, `-`, `.`, `_` and `~` as `%XX`.",
        doc: "What it makes of a secret is a secret too.",
        example: "log(`postgres://shop:${urlencode(\"p@ss/word\")}@db/shop`);",
    },
    Function {
        name: "join",
        summary: "The items of a list as one text, with a separator between them.",
        doc: "",
        example: "log([\"a\", \"b\"].join(\", \"));",
    },
];

impl Function {
    /// Everything about it, as text that is Markdown too.
    pub fn page(&self) -> String {
        let doc = match self.doc {
            "" => String::new(),
            doc => format!("{doc}\n\n"),
        };
        let Self {
            name,
            summary,
            example,
            ..
        } = self;
        format!("# {name} (in plays)\n\n{summary}\n\n{doc}```rhai\n{example}\n```\n")
    }
}
