//! A container of the lab for one test program, and what the proof of a role
//! asks of it.

use std::process::Command;

use serde_json::Value;

use super::{Said, TestProject, checkout, has};

/// A clean Debian with systemd, reached through `incus exec`, and a project
/// whose env file calls it `lb`.
pub struct Twin {
    /// The project that describes it.
    pub project: TestProject,
    /// Where it is on the lab's bridge.
    pub address: String,
    name: &'static str,
}

impl Twin {
    /// A clean container, or nothing on a machine without the lab.
    pub fn clean(name: &'static str) -> Option<Self> {
        let up = Command::new("incus").arg("list").output();
        let up = up.is_ok_and(|list| list.status.success());
        has("the lab of real hosts (tests/lab/up)", up).then(|| Self {
            address: reset(name),
            project: TestProject::new(),
            name,
        })
    }

    /// Puts the container back to its first boot.
    pub fn reset(&mut self) {
        self.address = reset(self.name);
    }

    /// Writes the env file, whose one play on `lb` has this body.
    pub fn play(&self, imports: &str, body: &str) {
        let name = self.name;
        self.project.write(
            "site.rhai",
            &format!(
                "{imports}\nhost(\"lb\", #{{ connection: incus(\"{name}\") }});\n\
                 play(\"test\", \"lb\", || {{\n{body}\n}});\n"
            ),
        );
    }

    /// Runs the env file.
    pub fn run(&self, options: &[&str]) -> Said {
        self.project.run(&[&["site.rhai"], options].concat())
    }

    /// What a command in the container says, with what goes wrong.
    pub fn inside(&self, shell: &str) -> String {
        let shell = format!("{{ {shell}\n}} 2>&1");
        let output = Command::new("incus")
            .args(["exec", self.name, "-T", "--", "sh", "-c", &shell])
            .output()
            .expect("incus starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Copies a file of this machine into the container.
    pub fn push(&self, from: &std::path::Path, to: &str) {
        let to = format!("{}{to}", self.name);
        let pushed = Command::new("incus")
            .args(["file", "push", "--quiet"])
            .arg(from)
            .arg(to)
            .status();
        assert!(
            pushed.expect("incus starts").success(),
            "{}",
            from.display()
        );
    }

    /// The whole promise: the dry run predicts the effects that the apply
    /// performs, the second apply performs none, and the dry run after it
    /// finds nothing to do.
    pub fn keeps_its_promise(&self, options: &[&str]) {
        let run = |fixed: &[&str]| self.run(&[fixed, options].concat());
        let predicted = run(&["--check", "--exit-code", "--output", "json"]).ended_with(2);
        let performed = run(&["--output", "json"]).ended_with(0);
        let (predicted, performed) = (effects(&predicted), effects(&performed));
        for (predicted, performed) in predicted.iter().zip(&performed) {
            assert_eq!(predicted, performed, "predicted, then performed");
        }
        assert_eq!(predicted.len(), performed.len(), "{performed:#?}");
        run(&[]).ended_with(0).says("No changes");
        run(&["--check", "--exit-code"]).ended_with(0);
    }
}

fn reset(name: &str) -> String {
    let twin = Command::new(checkout().join("tests/lab/twin"))
        .arg(name)
        .output()
        .expect("the script starts");
    let (out, err) = (
        String::from_utf8_lossy(&twin.stdout),
        String::from_utf8_lossy(&twin.stderr),
    );
    assert!(twin.status.success(), "{err}");
    let address = out.split_whitespace().nth(1);
    address.expect("an address").to_owned()
}

/// The effects of a run, each with its task.
pub fn effects(run: &Said) -> Vec<Value> {
    let mut effects = Vec::new();
    for event in run.events() {
        if event["event"] != "task_finished" {
            continue;
        }
        let records = event["outcome"]["effects"].as_array();
        for record in records.expect("effects are a list") {
            effects.push(serde_json::json!({
                "module": event["module"], "site": event["site"], "effect": record["effect"],
            }));
        }
    }
    effects
}
