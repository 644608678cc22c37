//! A sealed world for tests of the program: a project in a directory that goes
//! away, a home of its own, no terminal, no colours, and no time.

#![allow(
    dead_code,
    reason = "each test program uses the part of it that it needs"
)]

pub mod lab;
pub mod pebble;
pub mod promise;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A project that nothing else sees.
#[must_use]
pub struct TestProject {
    root: TempDir,
    home: TempDir,
}

/// What the program said, with the time taken out.
pub struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code.
    pub code: i32,
}

impl TestProject {
    /// An empty one.
    pub fn new() -> Self {
        let directory = || tempfile::tempdir().expect("a directory can be made");
        Self {
            root: directory(),
            home: directory(),
        }
    }

    /// Writes a file, with the directories it is in.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        let parent = path.parent().expect("a file is in a directory");
        fs::create_dir_all(parent).expect("directories can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// Copies all that a directory holds.
    pub fn copy(&self, from: &Path) {
        copy(from, self.root.path());
    }

    /// The same, into a folder.
    pub fn copy_into(&self, from: &Path, folder: &str) {
        copy(from, &self.root.path().join(folder));
    }

    /// A file of a virtual host.
    pub fn host_file(&self, host: &str, path: &str) -> String {
        let root = self.root.path().join(".sandbox").join(host).join("root");
        let file = root.join(path.trim_start_matches('/'));
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{host} has no {path}: {error}"))
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The home directory of whoever runs the program.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs the program in the project.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_in(self.root(), arguments)
    }

    /// Runs the program in another directory.
    pub fn run_in(&self, directory: &Path, arguments: &[&str]) -> Said {
        let output = self.command(directory).args(arguments).output();
        self.said(&output.expect("the program can be started"))
    }

    /// The program, about to be started in `directory`.
    pub fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veza-play"));
        command
            .current_dir(directory)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.home.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// What a run of the program said.
    pub fn said(&self, output: &Output) -> Said {
        // The program names the real directory, wherever links lead.
        let root = fs::canonicalize(self.root.path()).expect("the project is there");
        let root = root.to_string_lossy().into_owned();
        let text = |bytes: &[u8]| timeless(&String::from_utf8_lossy(bytes).replace(&root, "$ROOT"));
        Said {
            out: text(&output.stdout),
            err: text(&output.stderr),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

impl Said {
    /// The run, which must have ended with this exit code.
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        let Self { out, err, .. } = &self;
        assert_eq!(
            self.code, code,
            "wrong exit code\n--- out\n{out}\n--- err\n{err}"
        );
        self
    }

    /// Fails unless the run said this somewhere.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        let Self { out, err, .. } = self;
        let said = out.contains(text) || err.contains(text);
        assert!(said, "`{text}` is missing\n--- out\n{out}\n--- err\n{err}");
        self
    }

    /// The events of a run with `--output json`.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("each line is JSON");
        self.out.lines().map(parse).collect()
    }
}

/// The checkout these tests are in.
pub fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a part that this machine may lack is there. Says loudly when it is
/// not, and fails where nothing may be skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn has(what: &str, there: bool) -> bool {
    if !there {
        let required = std::env::var_os("VEZA_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(
            !required,
            "{what} is missing, and VEZA_REQUIRE_ALL=1 lets nothing be skipped"
        );
        eprintln!("SKIPPED: {what} is missing on this machine");
    }
    there
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("directories can be made");
    for entry in fs::read_dir(from).expect("the directory can be read") {
        let entry = entry.expect("the directory can be read");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a file can be copied")),
        }
    }
}

/// The text without how long it took, which is never twice the same.
pub fn timeless(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(" Took ") {
        Some((before, _)) => format!("{before}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}
