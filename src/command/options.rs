//! How a role says what it takes, and a module written in Rhai: the functions
//! that describe options, for `veza-play doc options`.

/// The kinds of values, as a script writes them, and what each takes.
pub const KINDS: [(&str, &str); 13] = [
    ("string()", "A text."),
    (
        "integer()",
        "A whole number; `integer(1, 10)` is one within bounds.",
    ),
    ("number()", "A number, with or without a fraction."),
    ("boolean()", "`true` or `false`."),
    ("port()", "A number from 1 to 65535."),
    ("path()", "A path."),
    (
        "mode()",
        "Permissions, such as `\"0644\"`, `\"u+x\"` or `0o644`.",
    ),
    (
        "duration()",
        "A span of time: seconds, or `\"30s\"`, `\"5m\"`, `\"1h\"`.",
    ),
    ("choice(\"a\", \"b\")", "One of these words."),
    ("list(string())", "A list, each item of this kind."),
    (
        "map(string())",
        "A map with any keys, each value of this kind.",
    ),
    (
        "record(#{ name: string().required() })",
        "A map with these keys; `list(#{ … })` is a list of such maps.",
    ),
    ("any()", "Any value."),
];

/// What may follow a kind.
const MORE: [(&str, &str); 5] = [
    (".or(value)", "What it is if not given."),
    (".required()", "It must be given."),
    (
        ".doc(\"…\")",
        "What it is for: `veza-play doc ROLE` shows it.",
    ),
    (".secret()", "Its value is shown nowhere."),
    (
        ".positional()",
        "An argument of a module that may be given without its name.",
    ),
];

/// Whether a word is one of these functions.
pub fn has(name: &str) -> bool {
    let own = ["options", "arguments", "fill"].contains(&name);
    own || words().any(|word| word == name)
}

/// The names of the functions.
pub fn words<'a>() -> impl Iterator<Item = &'a str> {
    let calls = KINDS.iter().chain(&MORE).map(|(call, _)| *call);
    calls.filter_map(|call| call.trim_start_matches('.').split('(').next())
}

/// Everything about them.
pub fn page() -> String {
    let lines = |of: &[(&str, &str)]| -> String {
        of.iter()
            .map(|(call, what)| format!("- `{call}`\n  {what}\n"))
            .collect()
    };
    format!(
        "# options (in roles and modules)\n\n\
         Says what a role takes. From it come the checks before a run, the defaults and \
         `veza-play doc ROLE`.\n\n\
         A constant of the role's file holds it. `fill` checks what a function was given, and \
         fills in defaults; a function of the role sees the constant as `global::OPTIONS`. \
         `options(\"haproxy\", #{{ … }})` are those of the role haproxy and some more. A module \
         written in Rhai has `const ARGUMENTS = arguments(#{{ … }})`, and gets them \
         filled.\n\n\
         ```rhai\n\
         const OPTIONS = options(#{{\n    \
             port: port().or(80).doc(\"Where it listens.\"),\n    \
             sites: list(#{{ name: string().required(), tls: boolean().or(false) }}).required(),\n\
         }});\n\n\
         /// Installs the server.\n\
         fn role(given) {{\n    \
             let o = global::OPTIONS.fill(given);\n    \
             for site in o.sites {{ log(`${{site.name}} on ${{o.port}}`); }}\n\
         }}\n\
         ```\n\n\
         ## Kinds\n\n{}\n## What may follow\n\n{}",
        lines(&KINDS),
        lines(&MORE)
    )
}
