//! Random plays, as env files.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::author::{Author, quoted};
use crate::dice::Dice;
use crate::pools::{BROUGHT, PATHS};

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
