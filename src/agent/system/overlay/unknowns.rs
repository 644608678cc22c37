//! Tests: what a dry run cannot know is said, never tried nor guessed.

use std::path::Path;
use std::rc::Rc;

use serde_json::json;

use super::{Absence, Overlay, Pending};
use crate::content::Content;
use crate::effect::{Attributes, Command, Effect};
use crate::mark;
use crate::modules;
use crate::outcome::Verdict;
use crate::system::live::{ContentSource, Live, OutputSink};
use crate::system::{Found, Reads, System};

struct Nothing;

impl ContentSource for Nothing {
    fn fetch(&self, _: &str, _: &mut dyn std::io::Write) -> crate::module::Result<()> {
        Ok(())
    }
}

fn dry_run() -> Overlay {
    let host = Live::new(Rc::new(Nothing), OutputSink::silent(), None);
    Overlay::new(Box::new(host), Absence::Doubtful, Pending::default())
}

#[test]
fn a_question_with_an_unknown_part_is_not_asked() {
    let origin = "stdout of `id`";
    let mut command = Command::new(["echo".to_owned(), mark::unknown(origin)]);
    let answer = dry_run().query(&command).unwrap();
    assert_eq!(answer, Found::Unknown(origin.to_owned()));
    command.argv.pop();
    command.input = Some(mark::unknown(origin));
    let answer = dry_run().query(&command).unwrap();
    assert_eq!(answer, Found::Unknown(origin.to_owned()));
}

#[test]
fn a_question_about_what_changes_is_not_answered_by_what_was() {
    let mut host = dry_run();
    let path = std::env::temp_dir().join("veza-pending");
    let attributes = Attributes::default();
    host.perform(Effect::MakeDirectory { path, attributes })
        .unwrap();
    let directory = std::env::temp_dir();
    let script = format!("test -e '{}/veza-pending'", directory.display());
    for words in [
        vec!["ls".to_owned(), directory.display().to_string()],
        vec!["sh".to_owned(), "-c".to_owned(), script],
    ] {
        let answer = host.query(&Command::new(words.clone())).unwrap();
        assert!(matches!(answer, Found::Unknown(_)), "{words:?}: {answer:?}");
    }
    let answer = host.query(&Command::new(["ls", "/"])).unwrap();
    assert!(matches!(answer, Found::Present(_)));
}

#[test]
fn a_failure_for_an_unknown_argument_is_no_failure() {
    let module = modules::find("file").unwrap();
    let path = Path::new("/").join("veza-no-such-link");
    let source = mark::unknown("stdout of `id`");
    let arguments = json!({ "path": path, "state": "link", "src": source });
    let outcome = (module.call)(arguments, &mut dry_run());
    assert_eq!(outcome.verdict, Verdict::Unknown, "{:?}", outcome.failure);
    assert!(outcome.assumptions[0].contains("stdout of `id`"));
}

#[test]
fn a_command_that_has_not_run_may_have_changed_what_it_names() {
    let mut host = dry_run();
    let told = |host: &Overlay, word: &str| host.query(&Command::new(["echo", word])).unwrap();
    let socket = "unix-connect:/run/x/admin.sock";
    assert!(matches!(told(&host, socket), Found::Present(_)));
    host.perform(Effect::RunCommand {
        command: Command::new(["socat", "stdio", socket]),
        creates: None,
        removes: None,
    })
    .unwrap();
    let origin = "the pending change of /run/x/admin.sock".to_owned();
    assert_eq!(told(&host, socket), Found::Unknown(origin));
    assert!(matches!(told(&host, "/run/y.sock"), Found::Present(_)));
}

#[test]
fn what_a_command_makes_may_hold_more_and_is_in_a_directory() {
    let root = std::env::temp_dir().join("veza-cloned");
    let mut host = dry_run();
    host.perform(Effect::RunCommand {
        command: Command::new(["clone"]),
        creates: Some(root.join("tool/.git")),
        removes: None,
    })
    .unwrap();
    assert_eq!(host.exists(&root).unwrap(), Found::Present(()));
    for path in ["tool", "tool/.git", "tool/.git/config", "tool/src"] {
        let found = host.stat(&root.join(path)).unwrap();
        assert!(matches!(found, Found::Unknown(_)), "{path}: {found:?}");
    }
    host.perform(Effect::Remove { path: root.clone() }).unwrap();
    assert_eq!(host.stat(&root.join("tool")).unwrap(), Found::Absent);
}

#[test]
fn who_owns_what_a_link_will_lead_to_is_not_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let mut host = dry_run();
    host.perform(Effect::RunCommand {
        command: Command::new(["make"]),
        creates: Some(root.path().join("made")),
        removes: None,
    })
    .unwrap();
    let arguments = json!({
        "path": root.path().join("link"), "state": "link", "src": "made", "owner": "veza-nobody",
    });
    let module = modules::find("file").unwrap();
    let failure = (module.call)(arguments, &mut host).failure.unwrap();
    assert_eq!(failure.message, "the user veza-nobody does not exist");
}

#[test]
fn a_file_is_judged_by_a_command_only_where_it_could_be_written() {
    let root = tempfile::tempdir().unwrap();
    let write = Effect::WriteFile {
        path: root.path().join("missing/new"),
        content: Content::of(b"text\n"),
        attributes: Attributes::default(),
        backup: None,
        validate: Some(["false", "%s"].map(str::to_owned).to_vec()),
    };
    let failure = dry_run().perform(write).unwrap_err();
    assert!(failure.message.ends_with("its directory does not exist"));
}

#[test]
fn what_a_command_makes_may_turn_out_to_be_a_directory() {
    let directory = std::env::temp_dir().join("veza-made");
    let mut host = dry_run();
    let command = Effect::RunCommand {
        command: Command::new(["unpack"]),
        creates: Some(directory.clone()),
        removes: None,
    };
    host.perform(command).unwrap();
    let write = Effect::WriteFile {
        path: directory.join("inside"),
        content: Content::of(b"text\n"),
        attributes: Attributes::default(),
        backup: None,
        validate: None,
    };
    host.perform(write).unwrap();
    let (_, assumptions) = host.take_records();
    let said = format!(
        "{} is a directory that `unpack` makes.",
        directory.display()
    );
    assert_eq!(assumptions, [said]);
}

#[test]
fn what_a_command_makes_lies_in_a_directory() {
    let directory = std::env::temp_dir().join("veza-cloned");
    let mut host = dry_run();
    host.perform(Effect::RunCommand {
        command: Command::new(["clone"]),
        creates: Some(directory.join(".git")),
        removes: None,
    })
    .unwrap();
    let beside = Effect::WriteFile {
        path: directory.join("local.conf"),
        content: Content::of(b"text\n"),
        attributes: Attributes::default(),
        backup: None,
        validate: None,
    };
    host.perform(beside).unwrap();
    let url = format!("file://{}", directory.display());
    let answer = host.query(&Command::new(["echo".to_owned(), url])).unwrap();
    let origin = format!("the pending change of {}", directory.display());
    assert_eq!(answer, Found::Unknown(origin));
}
