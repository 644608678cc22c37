//! A sealed world for tests of the whole program: its own home, no colours, no
//! variables of the person who runs the tests.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A project in a directory of its own.
#[must_use]
pub struct World {
    root: TempDir,
    home: TempDir,
}

/// How a run of the program ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn new() -> Self {
        let directory = || tempfile::tempdir().expect("a temporary directory");
        Self {
            root: directory(),
            home: directory(),
        }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
        self
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).expect("a file")
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        self.run_in(self.root(), words)
    }

    pub fn run_in(&self, directory: &Path, words: &[&str]) -> Ran {
        let output = self
            .command(directory)
            .args(words)
            .output()
            .expect("the program starts");
        Ran::of(&output)
    }

    /// The program, about to be started in `directory`.
    pub fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veza-play"));
        command
            .current_dir(directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("NO_COLOR", "1");
        command
    }
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The run, which must have ended with this exit code.
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "wrong exit code\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// The events of a run with `--output json`.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("each line is JSON");
        self.stdout.lines().map(parse).collect()
    }

    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(
            said,
            "`{text}` is missing\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

/// The checkout these tests are in.
pub fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a part that this machine may lack is there. Says loudly when it is
/// not, and fails where nothing may be skipped.
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
