//! Commands on the live host. Each runs in a process group of its own, so
//! that a timeout or a cancelled run ends its children too.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::effect::Command;
use crate::mark;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::Output;

/// How much of each stream of a command is kept, in bytes. Both travel in one
/// frame, where a byte that is not UTF-8 takes three.
const KEPT: usize = 2 * 1024 * 1024;

/// How many pieces of output may wait to be sent.
const WAITING: usize = 64;

/// Which stream a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes what running commands print, while they run.
pub struct OutputSink(Box<Take>);

type Take = dyn Fn(Stream, &[u8]);

impl OutputSink {
    /// A sink that calls `take` for each piece.
    pub fn new(take: impl Fn(Stream, &[u8]) + 'static) -> Self {
        Self(Box::new(take))
    }

    /// A sink that forgets everything.
    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }
}

/// How long a command may take to end once it was asked to: package managers
/// bring what they have begun to an end.
const GRACE: Duration = Duration::from_secs(10);

static CANCELLED: AtomicBool = AtomicBool::new(false);

/// Ends the command that runs now, if one does, with its children, and each
/// that is started later.
pub fn cancel() {
    CANCELLED.store(true, Ordering::SeqCst);
}

/// Runs a command to its end, whatever its exit code.
pub fn run(command: &Command, sink: &OutputSink) -> Result<Output> {
    let mut child = start(command)?;
    let output = follow(&mut child, command, sink);
    output.map_err(|error| Failure::new(format!("cannot run {}: {error}", name(command))))
}

/// Runs a command quietly to its end, whatever its exit code.
pub fn output(command: &Command) -> Result<Output> {
    run(command, &OutputSink::silent())
}

/// Runs a command that must succeed.
pub fn succeed(command: &Command) -> Result<()> {
    succeed_with(command, &OutputSink::silent())
}

/// Runs a command that must succeed, showing what it prints.
pub fn succeed_with(command: &Command, sink: &OutputSink) -> Result<()> {
    let output = run(command, sink)?;
    match output.code {
        0 => Ok(()),
        code => Err(ended_badly(name(command), code, &output)),
    }
}

/// The failure of a command that did not exit with 0.
pub fn ended_badly(what: &str, code: i32, output: &Output) -> Failure {
    let said = [&output.stderr, &output.stdout]
        .into_iter()
        .find_map(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
    let reason = said.map_or(String::new(), |line| format!(": {}", line.trim()));
    Failure::new(format!("{what} ended with exit code {code}{reason}"))
        .value("rc", code)
        .value("stdout", output.stdout.as_str())
        .value("stderr", output.stderr.as_str())
}

/// Asks a command whether `candidate` may go live; `%s` stands for its path.
pub fn validate(words: &[String], candidate: &Path) -> Result<()> {
    let path = candidate.display().to_string();
    let command = Command::new(words.iter().map(|word| word.replace("%s", &path)));
    let output = output(&command)?;
    if output.code == 0 {
        return Ok(());
    }
    let what = format!("the new file was refused: `{}`", words.join(" "));
    Err(ended_badly(&what, output.code, &output).hint("The file on the host is untouched."))
}

fn name(command: &Command) -> &str {
    command
        .argv
        .first()
        .map_or("an empty command", String::as_str)
}

fn start(command: &Command) -> Result<Child> {
    let words = as_user(command);
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::new("the command is empty"));
    };
    let directory = command.directory.as_deref().unwrap_or(Path::new("/"));
    let mut prepared = process::Command::new(program);
    prepared
        .args(arguments)
        .current_dir(directory)
        .envs(&command.environment)
        .stdin(if command.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    prepared.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if !directory.is_dir() => Failure::new(format!(
            "the directory {} does not exist",
            directory.display()
        )),
        io::ErrorKind::NotFound => Failure::new(format!("the program {program} was not found")),
        _ => Failure::new(format!("cannot run {program}: {error}")),
    })
}

fn as_user(command: &Command) -> Vec<String> {
    match &command.user {
        None => command.argv.clone(),
        Some(user) => ["runuser", "--user", user, "--"]
            .into_iter()
            .map(str::to_owned)
            .chain(command.argv.iter().cloned())
            .collect(),
    }
}

/// How often a silent command is looked at.
const TICK: Duration = Duration::from_millis(100);

fn follow(child: &mut Child, command: &Command, sink: &OutputSink) -> io::Result<Output> {
    // A command that prints faster than the connection carries has to wait.
    let (sender, pieces) = mpsc::sync_channel(WAITING);
    let readers = [
        child
            .stdout
            .take()
            .map(|stream| reader(stream, Stream::Stdout, sender.clone())),
        child
            .stderr
            .take()
            .map(|stream| reader(stream, Stream::Stderr, sender)),
    ];
    let writer = child
        .stdin
        .take()
        .zip(command.input.clone())
        .map(|(mut stdin, input)| {
            // A command may end without reading all of its input.
            thread::spawn(move || drop(stdin.write_all(input.as_bytes())))
        });
    let deadline = command
        .timeout
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut kept = Kept::default();
    let mut timed_out = false;
    let mut left_open = false;
    let mut ending = Ending::default();
    loop {
        if CANCELLED.load(Ordering::SeqCst) {
            ending.go_on(child);
        }
        let patience = match deadline.filter(|_| !timed_out) {
            None => TICK,
            Some(deadline) => TICK.min(deadline.saturating_duration_since(Instant::now())),
        };
        match pieces.recv_timeout(patience) {
            Ok((stream, bytes)) => {
                (sink.0)(stream, &bytes);
                kept.add(stream, &bytes);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // A daemon that the command left behind may hold its output
                // open for ever.
                left_open = child.try_wait()?.is_some();
                if left_open {
                    break;
                }
                if !timed_out && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    timed_out = true;
                    signal(child, Signal::KILL);
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait()?;
    // The threads only move bytes; they do not panic. Those of a stream that
    // is still open end with it.
    for thread in readers.into_iter().flatten().chain(writer) {
        if !left_open {
            drop(thread.join());
        }
    }
    Ok(kept.into_output(status, timed_out))
}

/// How a cancelled command is brought to its end: asked first, then killed.
#[derive(Default)]
struct Ending {
    asked: Option<Instant>,
    killed: bool,
}

impl Ending {
    fn go_on(&mut self, child: &Child) {
        match self.asked {
            None => {
                signal(child, Signal::TERM);
                self.asked = Some(Instant::now());
            }
            Some(asked) if !self.killed && asked.elapsed() >= GRACE => {
                signal(child, Signal::KILL);
                self.killed = true;
            }
            Some(_) => {}
        }
    }
}

/// Signals a command and its children, which may have ended by themselves in
/// the meantime.
fn signal(child: &Child, signal: Signal) {
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process_group(group, signal);
    }
}

type Pieces = mpsc::SyncSender<(Stream, Vec<u8>)>;

fn reader(
    mut stream: impl Read + Send + 'static,
    kind: Stream,
    pieces: Pieces,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if pieces.send((kind, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    })
}

#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Kept {
    fn add(&mut self, stream: Stream, bytes: &[u8]) {
        let kept = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
    }

    fn into_output(self, status: ExitStatus, timed_out: bool) -> Output {
        let signal = status.signal().map(|signal| 128 + signal);
        Output {
            code: status.code().or(signal).unwrap_or(-1),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            timed_out,
        }
    }
}

/// What a program printed, which is never taken for a mark.
fn text(bytes: &[u8]) -> String {
    mark::defused(&String::from_utf8_lossy(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command::new(["/bin/sh", "-c", script])
    }

    #[test]
    fn both_streams_and_the_exit_code_are_kept() {
        let output = output(&shell("echo out; echo err >&2; exit 3")).expect("sh runs");
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (3, "out\n", "err\n")
        );
    }

    #[test]
    fn a_timeout_ends_the_children_too() {
        let mut command = shell("sleep 60 & sleep 60");
        command.timeout = Some(1);
        let started = Instant::now();
        assert!(output(&command).expect("sh runs").timed_out);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_daemon_that_keeps_the_output_open_is_not_waited_for() {
        let started = Instant::now();
        let output = output(&shell("sleep 20 & echo started")).expect("sh runs");
        assert_eq!((output.code, output.stdout.as_str()), (0, "started\n"));
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_signal_is_not_taken_for_success() {
        assert_eq!(output(&shell("kill -9 $$")).expect("sh runs").code, 137);
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = output(&Command::new(["no-such-program-here"])).expect_err("not there");
        assert!(
            failure.message.contains("no-such-program-here"),
            "{failure}"
        );
    }
}
