//! Conversations with an agent as a broken, hostile or merely odd controller
//! would lead them: it never hangs, never panics, and answers each call once.
//!
//! These are in a process of their own: a lost controller ends whatever
//! command runs, and that would be another test's.

use std::cell::RefCell;
use std::io::{Cursor, Write};
use std::path::Path;
use std::rc::Rc;

use serde_json::{Value, json};
use veza_agent::content::Content;
use veza_agent::outcome::{Failure, Outcome, Verdict};
use veza_agent::protocol::{
    FrameError, MAX_FRAME, Reply, Request, VERSION, World, read_frame, write_frame,
};
use veza_agent::serve::serve;
use veza_agent::system::due::DueHandler;

#[derive(Clone, Default)]
struct Said(Rc<RefCell<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says all of it at once, and returns what the agent says until it ends.
fn talk(bytes: Vec<u8>) -> (Result<(), FrameError>, Vec<Reply>) {
    let said = Said::default();
    let ended = serve(Cursor::new(bytes), said.clone());
    let said = said.0.take();
    let mut left = said.as_slice();
    let mut replies = Vec::new();
    while !left.is_empty() {
        replies.push(read_frame(&mut left).expect("the agent frames what it says"));
    }
    (ended, replies)
}

fn frames(requests: &[Request]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        write_frame(&mut bytes, request).expect("fits");
    }
    bytes
}

fn hello(directory: &Path) -> Request {
    Request::Hello {
        version: VERSION,
        world: World::Sandbox {
            directory: directory.join("host"),
            host: "host".to_owned(),
        },
        run: "run".to_owned(),
    }
}

fn call(id: u64, module: &str, arguments: Value) -> Request {
    Request::Call {
        id,
        module: module.to_owned(),
        arguments,
    }
}

fn copy(id: u64, content: &Content) -> Request {
    let source = json!({ "path": "", "mode": 0o644, "content": content });
    let arguments = json!({ "dest": format!("/srv/{id}"), "sources": [source] });
    call(id, "copy", arguments)
}

fn done(replies: &[Reply], id: u64) -> Option<&Outcome> {
    replies.iter().find_map(|reply| match reply {
        Reply::Done {
            id: of, outcome, ..
        } if *of == id => Some(&**outcome),
        _ => None,
    })
}

fn dropped(replies: &[Reply], id: u64) -> bool {
    let is_this = |reply: &Reply| matches!(reply, Reply::Dropped { id: of } if *of == id);
    replies.iter().any(is_this)
}

#[test]
fn nothing_is_done_before_hello_nor_for_another_version() {
    let directory = tempfile::tempdir().unwrap();
    let strangers = [
        vec![
            call(1, "stat", json!({ "path": "/" })),
            hello(directory.path()),
        ],
        vec![Request::Bye],
        vec![Request::Hello {
            version: VERSION + 1,
            world: World::Live,
            run: String::new(),
        }],
    ];
    for requests in strangers {
        let (_, replies) = talk(frames(&requests));
        assert!(
            matches!(&replies[..], [Reply::Refused { .. }]),
            "{replies:?}"
        );
    }
}

#[test]
fn what_cannot_be_understood_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let begun = frames(&[hello(directory.path())]);
    let with = |more: &[u8]| [&begun[..], more].concat();
    let cut = frames(&[call(1, "stat", json!({ "path": "/" }))]);
    assert!(matches!(
        talk(with(&cut[..9])).0,
        Err(FrameError::Broken(_))
    ));
    assert!(matches!(
        talk(with(b"\x01\0\0\0\xc1")).0,
        Err(FrameError::Malformed(_))
    ));
    let huge = (MAX_FRAME as u32 + 1).to_le_bytes();
    assert!(matches!(talk(with(&huge)).0, Err(FrameError::TooLarge(_))));
    assert!(talk(begun.clone()).0.is_ok());
}

#[test]
fn arguments_nested_without_end_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = frames(&[hello(directory.path())]);
    for depth in [900, 1_000, 5_000, 1_000_000] {
        // A map of one call, whose arguments are lists of one list.
        let mut nested = b"\x81\xa4call\x83\xa2id\x01\xa6module\xa4stat\xa9arguments".to_vec();
        nested.extend(std::iter::repeat_n(0x91, depth));
        nested.push(0xc0);
        bytes.extend((nested.len() as u32).to_le_bytes());
        bytes.extend(nested);
    }
    assert!(matches!(talk(bytes).0, Err(FrameError::Malformed(_))));
}

#[test]
fn a_content_that_is_not_what_was_announced_is_not_put_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let content = Content::of(b"\xff as it was");
    let piece = |bytes: &[u8]| Request::Content {
        sha256: content.sha256.clone(),
        bytes: bytes.to_vec(),
        last: true,
    };
    let requests = [
        hello(directory.path()),
        copy(1, &content),
        piece(b"\xff as it is now"),
        Request::Bye,
    ];
    let (_, replies) = talk(frames(&requests));
    let failed = done(&replies, 1).expect("answered");
    assert_eq!(failed.verdict, Verdict::Failed, "{failed:?}");
}

#[test]
fn after_a_failure_calls_are_dropped_until_resume() {
    let directory = tempfile::tempdir().unwrap();
    let stat = |id| call(id, "stat", json!({ "path": "/" }));
    let requests = [
        hello(directory.path()),
        stat(1),
        call(2, "no such module", json!(null)),
        stat(3),
        Request::Resume,
        Request::Resume,
        stat(4),
        Request::Bye,
        stat(5),
    ];
    let (ended, replies) = talk(frames(&requests));
    assert!(ended.is_ok());
    assert!(done(&replies, 1).is_some() && done(&replies, 4).is_some());
    assert_eq!(
        done(&replies, 2).map(|outcome| outcome.verdict),
        Some(Verdict::Failed)
    );
    assert!(dropped(&replies, 3));
    assert!(done(&replies, 5).is_none() && !dropped(&replies, 5));
}

fn door(id: u64, function: &str, arguments: Value) -> Request {
    Request::Door {
        id,
        function: function.to_owned(),
        arguments,
    }
}

fn answered(replies: &[Reply], id: u64) -> Option<&Result<Value, Failure>> {
    replies.iter().find_map(|reply| match reply {
        Reply::Answer { id: of, answer } if *of == id => Some(answer),
        _ => None,
    })
}

#[test]
fn a_module_on_the_controller_reads_and_changes_through_the_door() {
    let directory = tempfile::tempdir().unwrap();
    let content = Content::of(b"one\n");
    let requests = [
        hello(directory.path()),
        door(1, "exists", json!({ "path": "/srv/x" })),
        door(2, "write", json!({ "path": "/srv/x", "content": content })),
        door(3, "read", json!({ "path": "/srv/x" })),
        door(4, "write", json!({ "path": "srv/y", "content": content })),
        door(5, "explode", json!({})),
        door(6, "query", json!(7)),
        Request::Records { id: 7 },
        Request::Records { id: 8 },
        call(9, "no such module", json!(null)),
        door(10, "read", json!({ "path": "/srv/x" })),
        Request::Records { id: 11 },
        Request::Bye,
    ];
    let (ended, replies) = talk(frames(&requests));
    assert!(ended.is_ok());
    assert_eq!(answered(&replies, 1), Some(&Ok(json!(false))));
    assert_eq!(answered(&replies, 3), Some(&Ok(json!("one\n"))));
    for refused in [4, 5, 6] {
        assert!(
            matches!(answered(&replies, refused), Some(Err(_))),
            "{refused}"
        );
    }
    let records = |id| done(&replies, id).expect("told").effects.len();
    assert_eq!((records(7), records(8)), (1, 0), "each effect is told once");
    assert!(
        dropped(&replies, 10) && dropped(&replies, 11),
        "a task failed before"
    );
    // What was done is kept, as that of any task is.
    let again = [
        hello(directory.path()),
        door(1, "read", json!({ "path": "/srv/x" })),
        Request::Bye,
    ];
    let (_, replies) = talk(frames(&again));
    assert_eq!(answered(&replies, 1), Some(&Ok(json!("one\n"))));
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

    fn request(&mut self, id: u64, directory: &Path) -> Request {
        let odd = [
            json!(null),
            json!([]),
            json!({ "path": 7 }),
            json!({ "path": "/etc" }),
        ];
        match self.below(14) {
            0 => hello(directory),
            1 => Request::Resume,
            2 => Request::TakePending,
            3 => Request::SetPending(Box::default()),
            4 => Request::Content {
                sha256: "00".to_owned(),
                bytes: vec![0; self.below(100)],
                last: self.below(2) == 0,
            },
            5 => copy(id, &Content::of(b"\xff\xfe")),
            6 => copy(id, &Content::of(b"text\n")),
            7 => call(
                id,
                "file",
                json!({ "path": "/srv/d", "state": "directory" }),
            ),
            8 => call(id, "nothing", json!({})),
            9 => Request::Records { id },
            10 => door(id, "stat", odd[self.below(odd.len())].clone()),
            _ => call(id, "stat", odd[self.below(odd.len())].clone()),
        }
    }
}

#[test]
fn each_call_is_answered_once_whatever_else_is_said() {
    for seed in 0..60 {
        let directory = tempfile::tempdir().unwrap();
        let mut dice = Dice(seed);
        let mut requests = vec![hello(directory.path())];
        requests.extend((1..20).map(|id| dice.request(id, directory.path())));
        let asked = requests.iter().filter(|request| {
            matches!(
                request,
                Request::Call { .. } | Request::Door { .. } | Request::Records { .. }
            )
        });
        let (ended, replies) = talk(frames(&requests));
        assert!(ended.is_ok(), "seed {seed}: {ended:?}");
        let is_answer = |reply: &&Reply| {
            matches!(
                reply,
                Reply::Done { .. } | Reply::Answer { .. } | Reply::Dropped { .. }
            )
        };
        let answers = replies.iter().filter(is_answer).count();
        assert_eq!(answers, asked.count(), "seed {seed}: {replies:?}");
    }
}

#[test]
fn damaged_conversations_end_without_a_panic() {
    for seed in 0..400 {
        let directory = tempfile::tempdir().unwrap();
        let mut dice = Dice(seed);
        let mut requests = vec![hello(directory.path())];
        requests.extend((1..8).map(|id| dice.request(id, directory.path())));
        let mut bytes = frames(&requests);
        // The hello stays whole: its directory is where everything happens.
        let whole = frames(&requests[..1]).len();
        for _ in 0..=dice.below(3) {
            let at = whole + dice.below(bytes.len() - whole);
            match dice.below(3) {
                0 => bytes[at] = dice.below(256) as u8,
                1 => drop(bytes.splice(at..at, [dice.below(256) as u8])),
                _ => bytes.truncate(at.max(whole + 1)),
            }
        }
        drop(talk(bytes));
    }
}

fn handler(name: &str) -> DueHandler {
    DueHandler {
        file: "site.rhai".to_owned(),
        host: "host".to_owned(),
        play: "site".to_owned(),
        name: name.to_owned(),
        script: None,
    }
}

/// The handlers that an agent which starts in this directory says are due.
fn due(directory: &Path) -> Vec<String> {
    let (_, replies) = talk(frames(&[hello(directory)]));
    let Some(Reply::Ready { due, .. }) = replies.into_iter().next() else {
        panic!("the agent is not ready");
    };
    due.into_iter().map(|handler| handler.name).collect()
}

#[test]
fn handlers_are_due_once_their_task_changes_something() {
    let directory = tempfile::tempdir().unwrap();
    let notifies = |name: &str| Request::Notifies(vec![handler(name)]);
    let file = |id, path: &str| call(id, "file", json!({ "path": path, "state": "directory" }));
    let (_, replies) = talk(frames(&[
        hello(directory.path()),
        notifies("changed"),
        file(1, "/srv/a"),
        // What is as asked notifies nobody, nor does what is not begun.
        notifies("unchanged"),
        file(2, "/srv/a"),
        file(3, "relative"),
        notifies("dropped"),
        file(4, "/srv/b"),
        Request::Resume,
        file(5, "/srv/c"),
        // A command without any state counts, too.
        notifies("ran"),
        call(6, "command", json!({ "cmd": ["true"] })),
        Request::Bye,
    ]));
    assert!(dropped(&replies, 4), "{replies:?}");
    assert_eq!(
        done(&replies, 5).map(|it| it.verdict),
        Some(Verdict::Changed)
    );
    assert_eq!(due(directory.path()), ["changed", "ran"]);
    let (_, replies) = talk(frames(&[
        hello(directory.path()),
        Request::Due {
            id: 1,
            add: vec![handler("another")],
            remove: vec![handler("changed")],
        },
        Request::Bye,
    ]));
    let answer = Reply::Answer {
        id: 1,
        answer: Ok(Value::Null),
    };
    assert!(replies.contains(&answer), "{replies:?}");
    assert_eq!(due(directory.path()), ["another", "ran"]);
}
