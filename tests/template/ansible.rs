//! The real ansible-core, where Python has it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::case::folder;

/// A python that can import ansible-core; its absence is said aloud, and is
/// a failure where `VEZA_REQUIRE_ALL=1`.
pub fn python_with_ansible() -> Option<String> {
    let chosen = std::env::var("VEZA_PYTHON").ok();
    let mut candidates = chosen.into_iter().chain(["python3".into()]);
    let found = candidates.find(|python| {
        let check = "import ansible.release as r; assert r.__version__.startswith('2.19.')";
        let mut command = Command::new(python);
        let run = command.args(["-c", check]).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    });
    if found.is_none() {
        let demanded = std::env::var("VEZA_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(
            !demanded,
            "VEZA_REQUIRE_ALL=1, but no python here can import ansible-core 2.19"
        );
        let advice = "`pip install 'ansible-core==2.19.*'` and name that python in VEZA_PYTHON";
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no comparison with ansible-core; {advice}"
        );
    }
    found
}

/// The answers of expected.py, one for each job.
pub fn ask(python: &str, jobs: &[Value]) -> Vec<Value> {
    let mut child = Command::new(python)
        .arg(folder().join("expected.py"))
        .arg("--stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), jobs.len(), "expected.py stopped early");
    answers
}
