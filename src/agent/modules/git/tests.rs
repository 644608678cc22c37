use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::modules::testing::{RealHost, call, changes_once, effects, host, unchanged};
use crate::outcome::{Outcome, Verdict};
use crate::system::overlay::Pending;

/// Runs git in a directory, as somebody, and gives what it printed.
fn git(directory: &str, words: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-C",
            directory,
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
        ])
        .args(words)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a commit, a tag on it, and a second commit.
fn scene() -> (RealHost, Value) {
    let host = RealHost::new();
    let repo = host.at("repo");
    fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "--quiet", "--initial-branch=main"]);
    commit(&host, "one");
    git(&repo, &["tag", "-a", "v1", "-m", "v1"]);
    commit(&host, "two");
    let call = json!({ "repo": repo, "dest": host.at("deep/copy") });
    (host, call)
}

fn commit(host: &RealHost, text: &str) {
    let repo = host.at("repo");
    fs::write(host.at("repo/file"), text).unwrap();
    git(&repo, &["add", "file"]);
    git(&repo, &["commit", "--quiet", "-m", text]);
}

fn file(host: &RealHost) -> String {
    fs::read_to_string(host.at("deep/copy/file")).unwrap()
}

/// A call whose dry run foretells what it does, and that is then settled.
fn settles(host: &RealHost, arguments: &Value) -> Outcome {
    host.changes_once("git", arguments.clone())
}

#[test]
fn a_working_copy_comes_and_follows_its_branch() {
    let (host, mut copy) = scene();
    let outcome = settles(&host, &copy);
    assert_eq!(file(&host), "two");
    assert_eq!(outcome.values["before"], Value::Null);
    let first = outcome.values["after"].clone();
    commit(&host, "three");
    let predicted = host.predicted("git", &copy);
    let change = predicted
        .changes
        .iter()
        .find(|change| change.attribute == "commit");
    assert!(change.is_some(), "{:?}", predicted.changes);
    let outcome = settles(&host, &copy);
    assert_eq!(
        (file(&host).as_str(), &outcome.values["before"]),
        ("three", &first)
    );
    copy["update"] = json!(false);
    commit(&host, "four");
    host.unchanged("git", copy);
    assert_eq!(file(&host), "three");
}

#[test]
fn a_tag_or_a_commit_is_checked_out_with_or_without_history() {
    for depth in [None, Some(1)] {
        let (host, mut copy) = scene();
        copy["depth"] = json!(depth);
        copy["version"] = json!("v1");
        settles(&host, &copy);
        assert_eq!(file(&host), "one");
        copy["version"] = json!("main");
        settles(&host, &copy);
        assert_eq!(file(&host), "two");
        let first = git(&host.at("repo"), &["rev-parse", "HEAD^"]);
        copy["version"] = json!(first);
        git(
            &host.at("repo"),
            &["config", "uploadpack.allowAnySHA1InWant", "true"],
        );
        settles(&host, &copy);
        assert_eq!(file(&host), "one");
    }
}

#[test]
fn changes_of_ones_own_are_kept_unless_given_up() {
    let (host, mut copy) = scene();
    settles(&host, &copy);
    fs::write(host.at("deep/copy/file"), "mine").unwrap();
    fs::write(host.at("deep/copy/untracked"), "mine").unwrap();
    for outcome in [host.predicted("git", &copy), host.call("git", &copy)] {
        let failure = outcome.failure.expect("a failure");
        assert!(failure.message.contains("not committed"), "{failure}");
    }
    assert_eq!(file(&host), "mine");
    copy["force"] = json!(true);
    settles(&host, &copy);
    assert_eq!(file(&host), "two");
    assert!(fs::exists(host.at("deep/copy/untracked")).unwrap());
}

#[test]
fn another_repository_takes_its_place() {
    let (host, mut copy) = scene();
    settles(&host, &copy);
    let moved = host.at("moved");
    fs::rename(host.at("repo"), &moved).unwrap();
    copy["repo"] = json!(moved);
    settles(&host, &copy);
    assert!(git(&host.at("deep/copy"), &["remote", "get-url", "origin"]).ends_with("moved"));
}

#[test]
fn a_submodule_that_did_not_come_is_missed() {
    let (host, copy) = scene();
    let (repo, part) = (host.at("repo"), host.at("part"));
    fs::create_dir(&part).unwrap();
    git(&part, &["init", "--quiet", "--initial-branch=main"]);
    git(&part, &["commit", "--quiet", "--allow-empty", "-m", "one"]);
    let allowed = ["-c", "protocol.file.allow=always"];
    git(
        &repo,
        &[&allowed[..], &["submodule", "add", "--quiet", &part, "sub"]].concat(),
    );
    git(&repo, &["commit", "--quiet", "-m", "sub"]);
    // git refuses submodules from this machine unless it is told otherwise.
    for _ in 0..2 {
        let failure = host.call("git", &copy).failure.expect("a failure");
        assert!(failure.message.contains("submodule"), "{failure}");
    }
    let copied = host.at("deep/copy");
    git(
        &copied,
        &[&allowed[..], &["submodule", "update", "--init"]].concat(),
    );
    host.unchanged("git", copy.clone());
    git(&copied, &["submodule", "deinit", "--quiet", "sub"]);
    let predicted = host.predicted("git", &copy);
    assert_eq!(predicted.verdict, Verdict::Changed, "{predicted:?}");
    let mut without = copy;
    without["recursive"] = json!(false);
    host.unchanged("git", without);
}

#[test]
fn a_first_clone_that_was_interrupted_is_finished() {
    for update in [true, false] {
        let (host, mut copy) = scene();
        copy["update"] = json!(update);
        fs::create_dir(host.at("deep")).unwrap();
        let (repo, dest) = (host.at("repo"), host.at("deep/copy"));
        git(&repo, &["clone", "--quiet", "--no-checkout", &repo, &dest]);
        let outcome = settles(&host, &copy);
        assert_eq!(file(&host), "two");
        assert_eq!(outcome.effects.len(), 3, "{:?}", outcome.effects);
    }
}

#[test]
fn what_is_not_there_is_told_before_anything_changes() {
    let (host, mut copy) = scene();
    copy["version"] = json!("v9");
    let failure = host.predicted("git", &copy).failure.unwrap();
    assert!(failure.message.contains("no branch or tag v9"), "{failure}");
    copy["repo"] = json!(host.at("none"));
    let failure = host.predicted("git", &copy).failure.unwrap();
    assert!(failure.message.contains("git cannot ask"), "{failure}");
    copy["repo"] = json!("--upload-pack=evil");
    assert_eq!(host.call("git", &copy).verdict, Verdict::Failed);
    assert!(!fs::exists(host.at("deep")).unwrap());
}

#[test]
fn a_virtual_host_records_the_clone() {
    let mut host = host(Pending::default());
    let copy = json!({ "repo": "https://example.org/x.git", "dest": "/opt/x", "update": false });
    let outcome = changes_once(&mut host, "git", copy.clone());
    assert_eq!(effects(&outcome)[0], "run_command");
    let mut follow = copy.clone();
    follow["update"] = json!(true);
    assert_eq!(call(&mut host, "git", follow).verdict, Verdict::Unknown);
    unchanged(&mut host, "git", copy);
}
