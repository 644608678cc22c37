//! What the functions of env files take: for the check before and while an
//! env file runs, and for `veza-play doc`.

use crate::schema::{Field, Kind, Schema};

/// What the functions of env files take, for the static check, `doc` and the
/// check at run time. The closure of a play is not among it.
pub fn schemas() -> Vec<Schema> {
    let vars = || Field {
        doc: "Variables.".into(),
        ..Field::new("vars", Kind::Map(Box::new(Kind::Any)))
    };
    let required = |field: Field| Field {
        required: true,
        ..field
    };
    let text = |name: &str, doc: &str| Field {
        doc: doc.into(),
        ..Field::new(name, Kind::String)
    };
    let of = |name: &str, summary: &str, positional: &[&str], fields: Vec<Field>| Schema {
        name: name.into(),
        summary: summary.into(),
        positional: positional.iter().map(|&name| name.into()).collect(),
        fields,
        ..Schema::default()
    };
    let become_fields = || {
        [
            Field {
                doc: "Whether tasks run as another user.".into(),
                ..Field::new("become", Kind::Boolean)
            },
            text(
                "become_user",
                "The user tasks run as; root if only `become` is given.",
            ),
        ]
    };
    let members = Field {
        doc: "Its hosts and groups.".into(),
        ..Field::new("members", Kind::List(Box::new(Kind::String)))
    };
    let connection = Field {
        doc: "How it is reached: ssh(…), incus(…) or local().".into(),
        ..Field::new("connection", Kind::Any)
    };
    let identity = |name: &str, kind| Field {
        doc: "Private keys to log in with.".into(),
        ..Field::new(name, kind)
    };
    vec![
        of(
            "host",
            "Declares a host.",
            &["name"],
            [
                required(text("name", "Its name.")),
                required(connection),
                vars(),
            ]
            .into_iter()
            .chain(become_fields())
            .collect(),
        ),
        of(
            "group",
            "Declares a group, or gives variables to all hosts under the name `all`.",
            &["name", "members"],
            vec![required(text("name", "Its name.")), members, vars()],
        ),
        of(
            "play",
            "Runs a closure on the hosts that a pattern selects.",
            &["name", "pattern"],
            [
                required(text("name", "What the report calls it.")),
                required(text(
                    "pattern",
                    "Hosts, groups and globs, separated by commas; `!` excludes.",
                )),
                vars(),
                Field {
                    doc: "Words that --tags selects by.".into(),
                    ..Field::new("tags", Kind::OneOrMany(Box::new(Kind::String)))
                },
                Field {
                    doc: "How many hosts go through the play at a time. Each batch runs to its \
                          end, with its handlers, before the next one begins; of a list the \
                          last number goes for all that remain. When all hosts of a batch fail, \
                          the play stops as with `max_fail`."
                        .into(),
                    ..Field::new("serial", Kind::OneOrMany(Box::new(Kind::Hosts(1))))
                },
                Field {
                    doc: "How many of the hosts that begin the play may fail or be lost in it. \
                          When a batch ends with more, the run ends there: no other batch and no \
                          later play begins. It takes the place of the rule that a batch must \
                          not fail as a whole."
                        .into(),
                    ..Field::new("max_fail", Kind::Hosts(0))
                },
            ]
            .into_iter()
            .chain(become_fields())
            .collect(),
        ),
        of(
            "ssh",
            "Reaches a host over SSH: `user@host:port`.",
            &["address"],
            vec![
                required(text(
                    "address",
                    "The server, with user and port where they are not the usual ones.",
                )),
                identity("identity_file", Kind::Path),
                identity("identity_files", Kind::List(Box::new(Kind::Path))),
                Field {
                    doc: "The known hosts to check the server's key against.".into(),
                    ..Field::new("known_hosts", Kind::Path)
                },
                Field {
                    doc: "How long connecting may take.".into(),
                    ..Field::new("timeout", Kind::Duration)
                },
            ],
        ),
        of(
            "incus",
            "Reaches an Incus instance: `[remote:]name`.",
            &["instance"],
            vec![
                required(text(
                    "instance",
                    "The instance, with its remote where that is not the default.",
                )),
                text("project", "Its project."),
            ],
        ),
        of("local", "This machine.", &[], vec![]),
        of(
            "secrets",
            "Says which file holds the secrets that `secret(…)` names; there may be several.",
            &["file"],
            vec![required(text(
                "file",
                "A file that `veza-play vault` or `ansible-vault` makes, by its path in the project.",
            ))],
        ),
    ]
}
