//! Our modules against Ansible's, on twin containers: the same task must end
//! with the same verdict, twice, and leave the same bytes, owners, modes,
//! packages, units, jobs and users. And our dry run must predict our apply.
//!
//! Where we deliberately differ, the case says so and why (see cases.rs).

mod cases;
#[path = "../support/mod.rs"]
mod support;
mod twins;

use std::process::Command;

use cases::Case;
use support::{TestProject, checkout, has};
use twins::{Twins, Verdicts};

/// Compares all cases of a family.
fn family(name: &str) {
    if !twins_are_possible() {
        return;
    }
    let folder = checkout().join("tests/ansible");
    let cases = Case::of(&folder.join(name).with_extension("cases"));
    if cases.is_empty() {
        return;
    }
    let world = TestProject::new();
    world.copy_into(&folder.join("files"), "files");
    world.copy_into(&folder.join("templates"), "templates");
    let twins = Twins::ready();
    let [one, two] = twins.shell(&cases, |case| &case.prepare);
    assert_eq!(one, two, "preparing the twins does not give the same");

    let predicted = twins.veza(&world, &cases, &["--check"]);
    let first = [
        twins.ansible(&world, &cases),
        twins.veza(&world, &cases, &[]),
    ];
    let mut state = twins.shell(&cases, |case| &case.probe);
    let second = [
        twins.ansible(&world, &cases),
        twins.veza(&world, &cases, &[]),
    ];
    for (state, again) in state
        .iter_mut()
        .zip(twins.shell(&cases, |case| &case.probe))
    {
        for (state, again) in state.iter_mut().zip(again) {
            if *state != again {
                *state += &format!("after the second run:\n{again}");
            }
        }
    }

    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let sides = ["Ansible", "ours"];
        let both = |left: &str, right: &str, what: &str| {
            case.compare(what, (sides[0], left), (sides[1], right))
        };
        wrong.extend(both(&of(case, &first[0]), &of(case, &first[1]), "first"));
        wrong.extend(both(&of(case, &second[0]), &of(case, &second[1]), "second"));
        wrong.extend(both(&state[0][index], &state[1][index], "state"));
        wrong.extend(case.compare(
            "check",
            ("predicted", &of(case, &predicted)),
            ("performed", &of(case, &first[1])),
        ));
    }
    for (case, verdict, said) in first.iter().chain(&second).flatten() {
        let is_wrong = wrong
            .iter()
            .any(|wrong| wrong.starts_with(&format!("{case}: ")));
        if is_wrong && verdict != "changed" && verdict != "ok" {
            wrong.push(format!("(of {case}: {verdict}, {said})\n"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        name,
        cases.len(),
        wrong.join("")
    );
}

/// The verdicts of one case.
fn of(case: &Case, verdicts: &Verdicts) -> String {
    let of_case = verdicts.iter().filter(|(title, ..)| *title == case.title);
    let words: Vec<&str> = of_case.map(|(_, verdict, _)| verdict.as_str()).collect();
    words.join(" ")
}

fn twins_are_possible() -> bool {
    let lab = Command::new("incus").args(["query", "/1.0"]).output();
    let lab = lab.is_ok_and(|output| output.status.success());
    has(
        "Ansible (VEZA_ANSIBLE, see tests/run)",
        std::env::var_os("VEZA_ANSIBLE").is_some(),
    ) && has("the lab of real hosts (tests/lab/up)", lab)
}

#[test]
fn file() {
    family("file");
}

#[test]
fn copy() {
    family("copy");
}

#[test]
fn archive() {
    family("archive");
}

#[test]
fn template() {
    family("template");
}

#[test]
fn command() {
    family("command");
}

#[test]
fn package() {
    family("package");
}

#[test]
fn systemd() {
    family("systemd");
}

#[test]
fn cron() {
    family("cron");
}

#[test]
fn account() {
    family("account");
}

#[test]
fn git() {
    family("git");
}

#[test]
fn lines() {
    family("lines");
}

#[test]
fn network() {
    family("network");
}
