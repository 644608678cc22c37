//! What is asked and typed at a terminal.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::support::{TestProject, has};
use super::{VAULT, file, project, set};

/// The program at a terminal, where it asks and somebody types.
struct Terminal {
    child: std::process::Child,
    shown: String,
    screen: std::sync::mpsc::Receiver<Vec<u8>>,
}

impl Terminal {
    fn open(project: &TestProject, words: &[&str], editor: &str) -> Self {
        let program = project.command(project.root());
        let line = [&[program.get_program().to_str().expect("a path")], words].concat();
        let mut command = Command::new("script");
        command
            .args(["-qec", &line.join(" "), "/dev/null"])
            .current_dir(project.root())
            .env_clear()
            .envs(
                program
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .env("EDITOR", editor)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("script starts");
        let mut output = child.stdout.take().expect("it prints");
        let (sender, screen) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = std::io::Read::read(&mut output, &mut piece) {
                let _ = sender.send(piece[..count].to_vec());
            }
        });
        Self {
            child,
            shown: String::new(),
            screen,
        }
    }

    /// Waits until this is on the screen, and types that.
    #[track_caller]
    fn answers(&mut self, question: &str, answer: &str) {
        let from = self.shown.len();
        while !self.shown[from..].contains(question) {
            let piece = self.screen.recv_timeout(Duration::from_secs(20));
            let piece = piece.unwrap_or_else(|_| panic!("no {question:?} in {:?}", self.shown));
            self.shown += &String::from_utf8_lossy(&piece);
        }
        // What asks turns the echo off first, but says so before that.
        thread::sleep(Duration::from_millis(200));
        let input = self.child.stdin.as_mut().expect("it reads");
        input.write_all(answer.as_bytes()).expect("it is typed");
        input.flush().expect("it is typed");
    }

    /// All that was shown, and how it ended.
    fn ends(mut self) -> (String, i32) {
        while let Ok(piece) = self.screen.recv_timeout(Duration::from_secs(20)) {
            self.shown += &String::from_utf8_lossy(&piece);
        }
        let status = self.child.wait().expect("it ends");
        (self.shown, status.code().unwrap_or(-1))
    }
}

fn has_script() -> bool {
    has("script (util-linux)", Path::new("/usr/bin/script").exists())
}

#[test]
fn what_is_typed_at_a_prompt_is_not_shown() {
    if !has_script() {
        return;
    }
    let project = project();
    let words = ["vault", "set", VAULT, "db", "--recipient", "key.pub"];
    let mut terminal = Terminal::open(&project, &words, "false");
    terminal.answers("Value of db: ", "typed with care\r");
    terminal.answers("Once more: ", "typed with care\r");
    let (shown, code) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("Added db") && !shown.contains("care"),
        "{shown}"
    );
    let view = ["vault", "view", VAULT, "db", "--identity", "key"];
    assert_eq!(project.run(&view).ended_with(0).out, "typed with care\n");
    let mut terminal = Terminal::open(&project, &words[..4], "false");
    terminal.answers("Value of db: ", "one of two\r");
    terminal.answers("Once more: ", "two of two\r");
    let (shown, code) = terminal.ends();
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains("not the same") && !shown.contains("of two"),
        "{shown}"
    );
}

#[test]
fn a_key_with_a_passphrase_asks_for_it_once() {
    if !has_script() {
        return;
    }
    let project = project();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "open sesame", "-C", "", "-f"])
        .arg(project.root().join("locked"))
        .status();
    assert!(made.expect("ssh-keygen starts").success());
    set(&project, "db_password", "hunter2!").ended_with(0);
    set(&project, "api_token", "hunter3!").ended_with(0);
    let rekey = [
        "vault",
        "rekey",
        VAULT,
        "--recipient",
        "locked.pub",
        "--identity",
        "key",
    ];
    project.run(&rekey).ended_with(0);
    let view = ["vault", "view", VAULT, "--identity", "locked"];
    let refused = project.run(&view).ended_with(1);
    refused.says("the key locked has a passphrase, and there is no terminal");
    let typed = |passphrase: &str| {
        let mut terminal = Terminal::open(&project, &view, "false");
        terminal.answers("Passphrase of locked: ", &format!("{passphrase}\r"));
        terminal.ends()
    };
    let (shown, code) = typed("open sesame");
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("hunter2!") && shown.contains("hunter3!"),
        "{shown}"
    );
    assert!(!shown.contains("sesame"), "{shown}");
    let (shown, code) = typed("open says me");
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains("the passphrase of locked is wrong"),
        "{shown}"
    );
}

#[test]
fn a_mistaken_edit_can_be_given_up() {
    if !has_script() {
        return;
    }
    let project = project();
    set(&project, "db", "the value of before").ended_with(0);
    let before = file(&project);
    project.write(
        "editor",
        "#!/bin/sh\necho \"at $PWD.\"; echo 'not toml' > \"$1\"\n",
    );
    let editor = project.root().join("editor");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&editor, mode).expect("it can be run");
    let words = ["vault", "edit", VAULT, "--identity", "key"];
    // Ctrl-D and Ctrl-C, the first of them after one more try.
    for (keys, expected) in [("\r\u{4}", 1), ("\u{3}", 130)] {
        let mut terminal = Terminal::open(&project, &words, editor.to_str().expect("a path"));
        for key in keys.chars() {
            terminal.answers("to give it up.", &key.to_string());
        }
        let (shown, code) = terminal.ends();
        assert_eq!(code, expected, "{shown}");
        assert!(shown.contains("nothing was changed"), "{shown}");
        let desk = shown
            .split("at ")
            .nth(1)
            .and_then(|rest| rest.split('.').next());
        let desk = Path::new(desk.expect("the place"));
        assert!(desk.to_string_lossy().contains("veza-vault-"), "{shown}");
        assert!(!desk.exists(), "{shown}");
    }
    assert_eq!(file(&project), before);
}
