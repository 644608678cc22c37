//! The promise itself, tested: what a dry run says of effects on files is what
//! the host then shows, and the inverses lead back.
//!
//! Each case runs a sequence of effects twice from the same start: predicted
//! over the untouched directory, then performed on it. Results, failures,
//! records and everything that can be read afterwards must be the same.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use super::live::{ContentSource, Journal, Live, OutputSink};
use super::overlay::{Absence, Overlay, Pending};
use super::{FileKind, Found, Reads, System};
use crate::content::{Content, INLINE_LIMIT};
use crate::effect::{Attributes, Effect, Inverse, Record};
use crate::module::Result;
use crate::outcome::Failure;

/// When everything in the directory was last changed, before the effects.
const LONG_AGO: u64 = 1_000_000_000;

/// A directory with one of everything, and the journal of what is done to it.
struct Scene {
    root: tempfile::TempDir,
    journal: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            root: tempfile::tempdir().unwrap(),
            journal: tempfile::tempdir().unwrap(),
        };
        for directory in ["directory", "directory/sub", "empty", "shared"] {
            fs::create_dir(scene.at(directory)).unwrap();
        }
        for (name, bytes, mode) in [
            ("file", &b"old\n"[..], 0o640),
            ("setuid", b"program", 0o4755),
            ("binary", b"\xff\x00\xfe", 0o600),
            ("large", &large(b'o'), 0o644),
            ("twin-a", b"twins", 0o644),
            ("directory/inside", b"inside", 0o644),
            ("directory/sub/deep", b"deep", 0o400),
        ] {
            fs::write(scene.at(name), bytes).unwrap();
            fs::set_permissions(scene.at(name), fs::Permissions::from_mode(mode)).unwrap();
            let then = UNIX_EPOCH + Duration::from_secs(LONG_AGO);
            let times = FileTimes::new().set_accessed(then).set_modified(then);
            let file = File::options().read(true).open(scene.at(name)).unwrap();
            file.set_times(times).unwrap();
        }
        fs::hard_link(scene.at("twin-a"), scene.at("twin-b")).unwrap();
        for (name, target) in [
            ("link", "file"),
            ("link-dir", "directory"),
            ("dangling", "nowhere"),
            ("loop", "loop"),
        ] {
            symlink(target, scene.at(name)).unwrap();
        }
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            scene.at("fifo"),
            rustix::fs::Mode::from_raw_mode(0o600),
        )
        .unwrap();
        if is_root() {
            chown(scene.at("shared"), None, Some(1)).unwrap();
            chown(scene.at("directory/inside"), Some(1), Some(1)).unwrap();
            std::os::unix::fs::lchown(scene.at("dangling"), Some(1), None).unwrap();
        }
        let shared = fs::Permissions::from_mode(0o2775);
        fs::set_permissions(scene.at("shared"), shared).unwrap();
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn dry_run(&self) -> Overlay {
        let base = Live::new(Rc::new(Sent::new()), OutputSink::silent(), None);
        Overlay::new(Box::new(base), Absence::Doubtful, Pending::default())
    }

    fn live(&self, contents: Sent, run: &str) -> Live {
        let journal = Journal::open(self.journal.path(), run).unwrap();
        Live::new(Rc::new(contents), OutputSink::silent(), Some(journal))
    }

    /// Predicts and performs the effects; both must tell the same.
    fn compare(&self, effects: &[Effect]) {
        let start = snapshot(&self.dry_run(), self.root.path());
        let mut predicted = self.dry_run();
        let mut performed = self.live(Sent::of_tests(), "apply");
        let predictions = run(&mut predicted, effects);
        let expected = snapshot(&predicted, self.root.path());
        let results = run(&mut performed, effects);
        let story = story(effects, &results);
        assert_eq!(predictions, results, "failures differ after\n{story}");
        let seen = snapshot(&performed, self.root.path());
        assert_same(&expected, &seen, &story);
        let expected = predicted.take_records().0;
        let records = performed.take_records().0;
        for (expected, record) in expected.iter().zip(&records) {
            assert_eq!(expected, record, "records differ after\n{story}");
        }
        assert_eq!(expected.len(), records.len());
        self.take_back(&records, &start, &story);
        self.assert_no_leftovers();
    }

    /// Performs the inverses, with nothing but the journal to take from.
    fn take_back(&self, records: &[Record], start: &Snapshot, story: &str) {
        let mut host = self.live(Sent::new(), "undo");
        for record in records.iter().rev() {
            match &record.inverse {
                Inverse::Effects(effects) => {
                    for effect in effects {
                        let undone = host.perform(effect.clone());
                        let undone = undone.map_err(|failure| failure.message);
                        assert!(undone.is_ok(), "{effect:?}: {undone:?} after\n{story}");
                    }
                }
                Inverse::Nothing => {}
                Inverse::None(_) => return,
            }
        }
        let mut start = start.clone();
        let mut end = snapshot(&host, self.root.path());
        // The time of the last change is not kept, nor second names; what was
        // changed under one of them stays so under the other.
        for seen in start.values_mut().chain(end.values_mut()) {
            seen.recent = None;
            seen.same_as.clear();
        }
        for twin in ["twin-a", "twin-b"] {
            for snapshot in [&mut start, &mut end] {
                if let Some(seen) = snapshot.get_mut(&self.at(twin)) {
                    seen.attributes = Attributes::default();
                }
            }
        }
        assert_same(&start, &end, &format!("taken back:\n{story}"));
    }

    fn assert_no_leftovers(&self) {
        let names = fs::read_dir(self.root.path()).unwrap();
        for name in names {
            let name = name.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains(".veza-"), "{name} was left behind");
        }
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn large(byte: u8) -> Vec<u8> {
    vec![byte; INLINE_LIMIT as usize + 1]
}

/// What the controller holds.
struct Sent(HashMap<String, Vec<u8>>);

impl Sent {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn of_tests() -> Self {
        let contents = [b"\x00\xff".to_vec(), large(b'n')];
        Self(
            contents
                .map(|bytes| (Content::of(&bytes).sha256, bytes))
                .into(),
        )
    }
}

impl ContentSource for Sent {
    fn fetch(&self, sha256: &str, sink: &mut dyn Write) -> Result<()> {
        let bytes = self.0.get(sha256);
        let bytes = bytes.ok_or_else(|| Failure::new("the controller has no such content"))?;
        sink.write_all(bytes)
            .map_err(|error| Failure::new(error.to_string()))
    }
}

type Snapshot = BTreeMap<PathBuf, Seen>;

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    kind: FileKind,
    attributes: Attributes,
    size: Option<u64>,
    target: Option<PathBuf>,
    /// The content, links followed; an error if it cannot be read.
    content: Option<std::result::Result<Found<Content>, ()>>,
    /// Whether the content was changed or touched.
    recent: Option<bool>,
    same_as: Vec<PathBuf>,
}

/// All that can be read below a directory.
fn snapshot(reads: &dyn Reads, root: &Path) -> Snapshot {
    let mut all = Snapshot::new();
    let mut identities: BTreeMap<(u64, u64), Vec<PathBuf>> = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for name in reads.list(&directory).unwrap() {
            let path = directory.join(name);
            let Found::Present(stat) = reads.stat(&path).unwrap() else {
                panic!("{} is listed, but not there", path.display());
            };
            let is_file = stat.kind == FileKind::File;
            let readable = is_file || stat.kind == FileKind::Link;
            if let (true, Some(identity)) = (is_file, stat.identity) {
                identities.entry(identity).or_default().push(path.clone());
            }
            let seen = Seen {
                kind: stat.kind,
                attributes: stat.attributes(),
                size: readable.then_some(stat.size),
                target: stat.target,
                content: readable.then(|| reads.content(&path).map_err(drop)),
                recent: is_file.then_some(stat.modified > LONG_AGO as i64),
                same_as: Vec::new(),
            };
            if stat.kind == FileKind::Directory {
                left.push(path.clone());
            }
            all.insert(path, seen);
        }
    }
    for names in identities.into_values().filter(|names| names.len() > 1) {
        for name in &names {
            if let Some(seen) = all.get_mut(name) {
                seen.same_as = names.clone();
            }
        }
    }
    all
}

fn assert_same(expected: &Snapshot, seen: &Snapshot, story: &str) {
    for (path, expected) in expected {
        let seen = seen.get(path);
        assert_eq!(Some(expected), seen, "{} after\n{story}", path.display());
    }
    for path in seen.keys() {
        assert!(
            expected.contains_key(path),
            "{} is unexpected after\n{story}",
            path.display()
        );
    }
}

/// What the kernel says of links that lead round.
const LOOP: &str = ": too many levels of symbolic links";

type Results = Vec<std::result::Result<(), String>>;

fn run(system: &mut dyn System, effects: &[Effect]) -> Results {
    let perform = |effect: &Effect| {
        let performed = system.perform(effect.clone());
        performed
            .map(drop)
            .map_err(|failure| failure.message.replace(LOOP, "has too many links"))
    };
    effects.iter().map(perform).collect()
}

fn story(effects: &[Effect], results: &Results) -> String {
    effects
        .iter()
        .zip(results)
        .map(|(effect, result)| format!("{}: {result:?}\n", brief(effect)))
        .collect()
}

/// An effect without the bytes it carries.
fn brief(effect: &Effect) -> String {
    let mut effect = effect.clone();
    if let Effect::WriteFile { content, .. } = &mut effect {
        content.text = None;
    }
    format!("{effect:?}")
}

/// The same numbers each time, so that a failure can be looked at again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    fn attributes(&mut self) -> Attributes {
        let accounts = ["0", "1", "root", "daemon", "54321"];
        let mut account = || {
            let account = self.pick(&accounts).to_owned();
            (is_root() && self.below(3) == 0).then_some(account)
        };
        let (owner, group) = (account(), account());
        let mode = self.pick(&[None, Some(0o600), Some(0o755), Some(0o4711), Some(0o2770)]);
        Attributes { owner, group, mode }
    }

    fn effect(&mut self, scene: &Scene) -> Effect {
        let name = self.pick(&NAMES);
        let path = scene.at(name);
        match self.below(9) {
            0 | 1 => Effect::WriteFile {
                path,
                content: Content::of(&self.pick(&[
                    b"new\n".to_vec(),
                    Vec::new(),
                    b"\x00\xff".to_vec(),
                    large(b'n'),
                ])),
                attributes: self.attributes(),
                backup: (self.below(3) == 0).then(|| scene.at(&format!("{name}~"))),
                validate: None,
            },
            2 => Effect::SetAttributes {
                path,
                attributes: self.attributes(),
            },
            3 => Effect::MakeDirectory {
                path,
                attributes: self.attributes(),
            },
            4 | 5 => Effect::Remove { path },
            6 => Effect::Link {
                path,
                target: self.pick(&TARGETS).into(),
            },
            7 => Effect::HardLink {
                path,
                target: scene.at(self.pick(&NAMES)),
            },
            _ => Effect::Touch { path },
        }
    }
}

const NAMES: [&str; 22] = [
    "file",
    "setuid",
    "binary",
    "large",
    "twin-a",
    "twin-b",
    "directory",
    "directory/inside",
    "directory/sub",
    "directory/sub/deep",
    "empty",
    "empty/new",
    "shared/new",
    "link",
    "link-dir",
    "link-dir/inside",
    "link-dir/new",
    "dangling",
    "fifo",
    "new",
    "new/below",
    "missing/new",
];

const TARGETS: [&str; 5] = ["file", "directory", "nowhere", "../new", "link"];

#[test]
fn what_a_killed_agent_left_is_swept_away() {
    let scene = Scene::new();
    let age = |name: &str, seconds| {
        fs::write(scene.at(name), b"half").unwrap();
        let file = File::options().write(true).open(scene.at(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    };
    let now = scene.dry_run().now();
    age(".file.veza-77-0", LONG_AGO);
    age(".other.veza-77-0", now);
    age(".file.veza-mine", LONG_AGO);
    let path = scene.at("new");
    let target = "file".into();
    let mut host = scene.live(Sent::new(), "apply");
    host.perform(Effect::Link { path, target }).unwrap();
    assert!(!scene.at(".file.veza-77-0").exists());
    assert!(scene.at(".other.veza-77-0").exists());
    assert!(scene.at(".file.veza-mine").exists());
}

#[test]
fn a_name_that_a_killed_agent_left_is_not_in_the_way() {
    let scene = Scene::new();
    let process = std::process::id();
    for count in 0..5_000 {
        fs::write(scene.at(&format!(".new.veza-{process}-{count}")), b"").unwrap();
    }
    let path = scene.at("new");
    let attributes = Attributes::default();
    let mut host = scene.live(Sent::new(), "apply");
    let made = host.perform(Effect::MakeDirectory { path, attributes });
    assert!(made.is_ok(), "{made:?}");
}

#[test]
fn a_link_at_a_backups_name_is_replaced_and_never_followed() {
    let scene = Scene::new();
    let backup = scene.at("link");
    let effect = Effect::WriteFile {
        path: scene.at("setuid"),
        content: Content::of(b"new"),
        attributes: Attributes::default(),
        backup: Some(backup.clone()),
        validate: None,
    };
    scene.live(Sent::new(), "apply").perform(effect).unwrap();
    assert_eq!(fs::read(scene.at("file")).unwrap(), b"old\n");
    assert_eq!(fs::read(backup).unwrap(), b"program");
}

#[test]
fn a_dry_run_foretells_every_single_effect() {
    let mut dice = Dice(1);
    for _ in 0..300 {
        let scene = Scene::new();
        let effect = dice.effect(&scene);
        scene.compare(&[effect]);
    }
}

#[test]
fn a_dry_run_foretells_sequences_of_effects() {
    for seed in 0..120 {
        let mut dice = Dice(seed);
        let scene = Scene::new();
        let effects: Vec<Effect> = (0..6).map(|_| dice.effect(&scene)).collect();
        scene.compare(&effects);
    }
}

/// Directories, files in them that come or are replaced, links and attributes,
/// as a large archive is put in place: more than are done together.
fn many(scene: &Scene) -> [Vec<Effect>; 4] {
    let file = |path: PathBuf, bytes: &[u8]| Effect::WriteFile {
        path,
        content: Content::of(bytes),
        attributes: Attributes::default(),
        backup: None,
        validate: None,
    };
    let above = |index: usize| scene.at(&format!("empty/{}", index % 40));
    let directories = (0..40).map(|index| Effect::MakeDirectory {
        path: above(index),
        attributes: Attributes::default(),
    });
    let replaced = ["file", "setuid", "binary", "large", "twin-a", "twin-b"];
    let replaced = replaced.map(|name| file(scene.at(name), b"\x00\xff"));
    let new = (0..1_100).map(|index| {
        let text = format!("text {index}");
        file(above(index).join(format!("{index}")), text.as_bytes())
    });
    let attributes = ["file", "large", "directory", "directory/inside", "fifo"];
    [
        directories.collect(),
        new.chain(replaced).collect(),
        (0..20)
            .map(|index| Effect::Link {
                path: scene.at(&format!("shared/{index}")),
                target: format!("../empty/{index}").into(),
            })
            .collect(),
        attributes
            .map(|name| Effect::SetAttributes {
                path: scene.at(name),
                attributes: Attributes {
                    mode: Some(0o711),
                    ..Attributes::default()
                },
            })
            .into(),
    ]
}

#[test]
fn a_dry_run_foretells_effects_that_are_done_together() {
    let scene = Scene::new();
    let start = snapshot(&scene.dry_run(), scene.root.path());
    let mut predicted = scene.dry_run();
    let mut performed = scene.live(Sent::of_tests(), "apply");
    for effects in many(&scene) {
        predicted.perform_all(effects.clone()).unwrap();
        performed.perform_all(effects).unwrap();
    }
    let expected = snapshot(&predicted, scene.root.path());
    assert_same(&expected, &snapshot(&performed, scene.root.path()), "all");
    let records = performed.take_records().0;
    assert_eq!(predicted.take_records().0, records);
    scene.take_back(&records, &start, "all");
    scene.assert_no_leftovers();
}

#[test]
fn files_that_are_done_together_come_whole_or_not_at_all() {
    let scene = Scene::new();
    let start = snapshot(&scene.dry_run(), scene.root.path());
    let file = |name: &str, bytes: &[u8]| Effect::WriteFile {
        path: scene.at(name),
        content: Content::of(bytes),
        attributes: Attributes::default(),
        backup: None,
        validate: None,
    };
    let mut host = scene.live(Sent::new(), "apply");
    // Nobody has the bytes of the third.
    let effects = vec![
        file("file", b"new\n"),
        file("new", b"new\n"),
        file("binary", b"\x00\xff"),
        file("setuid", b"new\n"),
    ];
    let failure = host.perform_all(effects).expect_err("it fails").message;
    assert!(failure.contains("no such content"), "{failure}");
    assert_same(&start, &snapshot(&host, scene.root.path()), "nothing");
    assert!(host.take_records().0.is_empty());
    scene.assert_no_leftovers();

    // The second name is a directory's.
    let effects = vec![file("new", b"new\n"), file("empty", b""), file("file", b"")];
    let failure = host.perform_all(effects).expect_err("it fails").message;
    assert!(failure.contains("is a directory"), "{failure}");
    assert_eq!(fs::read(scene.at("new")).unwrap(), b"new\n");
    assert_eq!(fs::read(scene.at("file")).unwrap(), b"old\n");
    assert_eq!(host.take_records().0.len(), 1, "what is done is told");
    scene.assert_no_leftovers();
    let journal = fs::read_to_string(scene.journal.path().join("apply.jsonl")).unwrap();
    let failures = journal.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["entry"] == "end").then(|| line["failure"].is_null())
    });
    let failures: Vec<_> = failures.collect();
    assert_eq!(failures, [false, false, false, false, true, false, false]);
}

/// A link of a user's own, put where a directory was a moment before.
#[test]
fn a_link_that_its_owner_puts_in_the_way_leads_nowhere() {
    assert!(is_root(), "only root makes links for others");
    let scene = Scene::new();
    let file = |name: &str| Effect::WriteFile {
        path: scene.at(name),
        content: Content::of(b"new"),
        attributes: Attributes::default(),
        backup: None,
        validate: None,
    };
    let mode = |name: &str| Effect::SetAttributes {
        path: scene.at(name),
        attributes: Attributes {
            owner: Some("daemon".to_owned()),
            mode: Some(0o4755),
            ..Attributes::default()
        },
    };
    let effects = [
        file("home/swapped/inside"),
        file("home/swapped/new"),
        mode("home/swapped/inside"),
        mode("home/swapped/sub/deep"),
        Effect::Remove {
            path: scene.at("home/swapped/inside"),
        },
        Effect::Touch {
            path: scene.at("home/swapped/inside"),
        },
        Effect::MakeDirectory {
            path: scene.at("home/swapped/made"),
            attributes: Attributes::default(),
        },
        Effect::Link {
            path: scene.at("home/swapped/made"),
            target: "x".into(),
        },
        Effect::HardLink {
            path: scene.at("home/made"),
            target: scene.at("home/swapped/inside"),
        },
    ];
    fs::create_dir_all(scene.at("home/swapped/sub")).unwrap();
    for name in ["home/swapped/inside", "home/swapped/sub/deep"] {
        fs::write(scene.at(name), b"harmless").unwrap();
    }
    let found = scene
        .dry_run()
        .content_at(effects[0].paths().next().unwrap());
    assert!(matches!(found, Ok(Found::Present(_))), "{found:?}");
    fs::rename(scene.at("home/swapped"), scene.at("home/aside")).unwrap();
    symlink("../directory", scene.at("home/swapped")).unwrap();
    for path in ["home", "home/swapped"] {
        std::os::unix::fs::lchown(scene.at(path), Some(1), Some(1)).unwrap();
    }
    let start = snapshot(&scene.dry_run(), scene.root.path());
    for effect in &effects {
        scene.compare(std::slice::from_ref(effect));
        let failure = scene.dry_run().perform(effect.clone());
        let failure = failure.expect_err("it is refused").message;
        assert!(failure.contains("home/swapped, whose owner"), "{failure}");
    }
    let seen = snapshot(&scene.dry_run(), scene.root.path());
    assert_same(&start, &seen, "nothing that counts");

    // What leads to something of his own is no harm, nor is a link of root's.
    chown(scene.at("directory"), Some(1), Some(1)).unwrap();
    scene.compare(&effects[..4]);
    let mut host = scene.live(Sent::new(), "apply");
    host.perform(effects[1].clone()).unwrap();
    assert_eq!(fs::read(scene.at("directory/new")).unwrap(), b"new");
    chown(scene.at("directory"), Some(0), Some(0)).unwrap();
    std::os::unix::fs::lchown(scene.at("home/swapped"), Some(0), Some(0)).unwrap();
    scene.compare(&effects[..4]);
}

/// As a user could make root write a file that he could not read himself.
#[test]
fn a_link_in_the_place_of_a_file_is_not_read() {
    let scene = Scene::new();
    for (name, refusal) in [("link", "is a link"), ("fifo", "not a regular file")] {
        for host in [
            &scene.dry_run() as &dyn Reads,
            &scene.live(Sent::new(), "x"),
        ] {
            let failure = host.content_at(&scene.at(name)).expect_err("refused");
            assert!(failure.message.contains(refusal), "{failure}");
        }
    }
    for host in [
        &scene.dry_run() as &dyn Reads,
        &scene.live(Sent::new(), "x"),
    ] {
        let inside = host.content_at(&scene.at("link-dir/inside")).unwrap();
        assert_eq!(inside, Found::Present(Content::of(b"inside")));
        assert_eq!(
            host.content_at(&scene.at("missing")).unwrap(),
            Found::Absent
        );
        assert_eq!(host.content_at(&scene.at("file/x")).unwrap(), Found::Absent);
    }
}
