//! A container of the lab for one test, and the env file that describes it.

use std::path::Path;

use super::support::lab::{self, incus};
use super::support::{Said, TestProject, promise};

/// Makes a certificate for localhost.
pub const CERTIFICATE: &str = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout /root/site.pem -out /root/site.pem 2>&1";

/// A clean Debian, which the project's env file calls `lb`.
pub struct Twin {
    /// The project.
    pub project: TestProject,
    /// Where the container is on the lab's bridge.
    pub address: String,
    name: &'static str,
}

impl Twin {
    /// A clean container, or nothing on a machine without the lab.
    pub fn clean(name: &'static str) -> Option<Self> {
        lab::is_up().then(|| Self {
            address: lab::twins(&[name]).remove(0),
            project: TestProject::new(),
            name,
        })
    }

    /// Puts the container back to its first boot.
    pub fn reset(&mut self) {
        self.address = lab::twins(&[self.name]).remove(0);
    }

    /// Writes the env file, whose one play has this body.
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

    /// The dry run is true, and a second run changes nothing.
    #[track_caller]
    pub fn keeps_its_promise(&self, options: &[&str]) {
        promise::keep(|fixed| self.run(&[fixed, options].concat()));
    }

    /// What a command in the container says, with what goes wrong.
    pub fn inside(&self, shell: &str) -> String {
        lab::inside(self.name, &format!("{{ {shell}\n}} 2>&1"))
    }

    /// Copies a file of this machine into the container.
    pub fn push(&self, from: &Path, to: &str) {
        let from = from.to_str().expect("a path in UTF-8");
        incus(&[
            "file",
            "push",
            "--quiet",
            from,
            &format!("{}{to}", self.name),
        ]);
    }
}
