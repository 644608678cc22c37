//! A controller that is lost while a command runs. In a process of its own:
//! from then on every command in it is ended.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use veza_agent::protocol::{Request, VERSION, World, write_frame};
use veza_agent::serve::serve;

#[test]
fn a_command_that_does_not_end_when_asked_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let ready = directory.path().join("ready");
    let hello = Request::Hello {
        version: VERSION,
        world: World::DryRun,
        run: "run".to_owned(),
    };
    let stubborn = "trap '' TERM; : > \"$1\"; while :; do sleep 0.1; done";
    let call = Request::Call {
        id: 1,
        module: "command".to_owned(),
        arguments: json!({ "cmd": ["sh", "-c", stubborn, "sh", ready], "read_only": true }),
    };
    let (input, mut controller) = std::io::pipe().expect("a pipe");
    for request in [hello, call] {
        write_frame(&mut controller, &request).expect("it is read");
    }
    let agent = thread::spawn(move || serve(input, std::io::sink()));
    let begun = Instant::now();
    while !ready.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never runs");
        thread::sleep(Duration::from_millis(20));
    }
    drop(controller);
    let lost = Instant::now();
    agent.join().expect("no panic").expect("it ends in order");
    let took = lost.elapsed();
    assert!(
        took > Duration::from_secs(5),
        "it was not given time to end"
    );
    assert!(took < Duration::from_secs(60), "nothing but its end helped");
}
