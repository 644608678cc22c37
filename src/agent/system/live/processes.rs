//! Commands on the live host. Each runs in a process group of its own, so
//! that a timeout or a cancelled run ends its children too.

use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::effect::Command;
use crate::mark;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::Output;

use super::streams::{Stream, Streams};

/// How much of each stream of a command is kept, in bytes. Both travel in one
/// frame, where a byte that is not UTF-8 takes three.
const KEPT: usize = 2 * 1024 * 1024;

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

/// Whether the run was interrupted: what takes long then ends by itself.
static CANCELLED: AtomicBool = AtomicBool::new(false);

/// Whether the run was interrupted.
pub fn is_cancelled() -> bool {
    CANCELLED.load(Ordering::SeqCst)
}

/// Refuses to go on with a run that is over.
pub fn need_time() -> Result<()> {
    match is_cancelled() {
        true => Err(Failure::new("the run was interrupted")),
        false => Ok(()),
    }
}

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
        _ => Err(unsuccessful(command, &output)),
    }
}

/// The failure of this command, which did not exit with 0.
pub fn unsuccessful(command: &Command, output: &Output) -> Failure {
    ended_badly(name(command), output.code, output)
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
    let mut streams = Streams::of(child)?;
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
    let mut ended = false;
    let mut ending = Ending::default();
    // A daemon that the command left behind may hold its output open for ever.
    while !ended && !streams.are_closed() {
        if is_cancelled() {
            ending.go_on(child);
        }
        let patience = match deadline.filter(|_| !timed_out) {
            None => TICK,
            Some(deadline) => TICK.min(deadline.saturating_duration_since(Instant::now())),
        };
        streams.wait(patience)?;
        // Asked before reading: all that an ended command printed is there.
        ended = child.try_wait()?.is_some();
        streams.take(|stream, bytes| {
            (sink.0)(stream, bytes);
            kept.add(stream, bytes);
        })?;
        if !ended && !timed_out && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            timed_out = true;
            signal(child, Signal::KILL);
        }
    }
    let status = child.wait()?;
    // The thread only moves bytes; it does not panic. A daemon that was left
    // behind may never read what it is offered.
    if let Some(writer) = writer.filter(|_| streams.are_closed()) {
        drop(writer.join());
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
    fn the_last_words_of_a_command_are_kept_however_busy_the_machine_is() {
        // A command that ends in the moment in which it is looked at, many times.
        let threads: Vec<_> = (0..60)
            .map(|_| {
                thread::spawn(|| {
                    let mut command = Command::new(["sh", "-c", "sleep 0.1; echo last words"]);
                    command.timeout = Some(60);
                    output(&command).expect("sh runs").stdout
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), "last words\n");
        }
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
